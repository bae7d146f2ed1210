"""Schedules and workers: when each periodic job last ran, how it ended and when it is due, and what each worker does now. No model."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.console.columns import badge
from apps.console.job_people import find_people
from apps.console.navigation import may_view_jobs
from apps.core import clock
from apps.core.schedules import ScheduleState, read_schedules
from apps.core.states import Tone
from apps.core.workers import RunningJob, read_workers


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """At most three queries, and one more for the names of those whose jobs run."""
    if not may_view_jobs(request):
        raise PermissionDenied
    now, (workers, others) = clock.now(), read_workers()
    running = [job for worker in workers for job in worker.runs] + others
    people = find_people(job.pk for job in running) if running else {}
    schedules = [_line(one, now) for one in read_schedules()]
    context = admin.site.each_context(request) | {
        "title": "Schedules and workers",
        "schedules": sorted(schedules, key=lambda one: (not one["late"], one["label"])),
        "late": [one["late"] for one in schedules if one["late"]],
        "workers": [{"worker": one, "runs": [_run(job, people) for job in one.runs]} for one in workers],
        "alive": sum(not one.is_late for one in workers),
        "others": [_run(job, people) for job in others],
    }
    request.current_app = admin.site.name
    return render(request, "console/schedules.html", context)


def _line(one: ScheduleState, now: Any) -> dict[str, Any]:
    late = one.lateness(now)
    return {"state": one, "label": one.kind.label, "late": late, "result": _result(one, late), "every": one.kind.every}


def _result(one: ScheduleState, late: str) -> Any:
    """How it is, in a badge: what runs or waits now, else how the last run ended."""
    if late:
        return badge("Late", Tone.BAD)
    if one.running_since:
        return badge("Running", Tone.BUSY)
    if one.waits_for:
        return badge(f"Waits for {', '.join(name.capitalize() for name in one.waits_for)}", Tone.WARN)
    return badge(str(one.result.label), one.result.tone) if one.result else badge("Has not run yet")


def _run(job: RunningJob, people: dict[int, tuple[int, str]]) -> dict[str, Any]:
    return {"job": job, "person": people.get(job.pk)}


ROUTES = (("schedules/", page, "schedules"),)
