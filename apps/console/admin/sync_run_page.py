"""What the page of a sync run shows: how far it is, and how it went with each person. A few queries, however many they are."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page
from django.db.models import QuerySet
from django.urls import reverse

from apps.console.base import BoundedPaginator
from apps.core.models import Job
from apps.core.states import Tone
from apps.operations import sync_runs
from apps.operations.models import SafeguardReview, SyncResult, SyncRun

ROWS = 50
SHOWN = (
    ("", "Everybody"),
    ("failed", "Failed"),
    ("waiting", "Waiting"),
    ("changed", "Changed"),
    ("same", "No changes"),
)


@dataclass(frozen=True)
class Row:
    """One person of a run: how it went, in words and a tone, what was changed or what is wrong, and its job."""

    result: SyncResult
    words: str
    tone: Tone = Tone.BUSY
    steps: tuple[str, ...] = ()
    note: str = ""
    job: Job | None = None


@dataclass(frozen=True)
class OutcomeTab:
    key: str
    title: str
    url: str
    count: int


@dataclass(frozen=True)
class RunPage:
    """Everything on the page that moves. `here` is its own address, with what was chosen."""

    run: SyncRun
    progress: sync_runs.SyncRunProgress
    tabs: tuple[OutcomeTab, ...]
    shown: str
    rows: tuple[Row, ...]
    page: Page[Any]
    here: str
    review: SafeguardReview | None
    stuck: Job | None  # the run's own job, when it gave up

    @property
    def finished(self) -> int:
        """How many will not be tried again by themselves: how far the bar is."""
        return self.progress.done + self.progress.failed

    @property
    def percent(self) -> int:
        """The same of a hundred, for the bar; full only when nobody is left."""
        return int(100 * self.finished / self.run.total)


def read_page(run: SyncRun, asked: Any) -> RunPage:
    """The page as chosen by `asked` (the request's parameters `show` and `p`); whatever is unknown shows everybody."""
    shown = str(asked.get("show", ""))
    if shown not in dict(SHOWN):
        shown = ""
    found = sync_runs.read_progress(run)
    rows = BoundedPaginator(_chosen(run, shown), ROWS).get_page(asked.get("p"))
    results = list(rows.object_list)
    jobs = sync_runs.jobs_of(results)
    review = (
        SafeguardReview.objects.filter(sweep=sync_runs.KIND, scope=str(run.pk), state="pending")
        .defer("profile_ids")
        .first()
    )
    counts = {"": run.total, "failed": found.failed, "waiting": found.waiting + found.awaiting_approval}
    counts |= {"changed": found.changed, "same": found.same}
    address = reverse("admin:operations_syncrun_change", args=[run.pk])
    return RunPage(
        run=run,
        progress=found,
        tabs=tuple(
            OutcomeTab(key, title, f"{address}?{urlencode({'show': key})}", counts[key]) for key, title in SHOWN
        ),
        shown=shown,
        rows=tuple(_row(one, jobs.get(one.profile_id), found) for one in results),
        page=rows,
        here=f"{reverse('admin:operations_syncrun_progress', args=[run.pk])}?{urlencode({'show': shown, 'p': rows.number})}",
        review=review,
        stuck=Job.objects.filter(kind=sync_runs.KIND, key=str(run.pk), state="dead").first(),
    )


def _chosen(run: SyncRun, shown: str) -> QuerySet[SyncResult]:
    if shown == "failed":
        found = sync_runs.failed_results(run)
    elif shown == "waiting":
        found = run.results.filter(outcome="waiting").exclude(pk__in=sync_runs.failed_results(run).values("pk"))
    else:
        found = run.results.filter(outcome=shown) if shown else run.results.all()
    return found.select_related("profile__user").order_by("pk")


def _row(result: SyncResult, job: Job | None, found: sync_runs.SyncRunProgress) -> Row:
    if result.outcome != SyncResult.Outcome.WAITING:
        outcome = SyncResult.Outcome(result.outcome)
        return Row(result, outcome.label, outcome.tone, tuple(result.steps))
    if result.generation is None:
        held = result.awaiting_approval and found.awaiting_approval
        note = "Would lose access: waiting for approval." if held else "Not queued yet."
        return Row(result, "Held back" if held else "Waiting", note=note)
    if job is not None and job.state in Job.GIVEN_UP:
        return Row(result, "Failed", Tone.BAD, note=job.last_error, job=job)
    if job is not None and job.parked_on:
        return Row(result, "Waiting", note=f"{job.parked_on.capitalize()} does not answer.", job=job)
    if job is not None and job.attempts and job.last_error:
        return Row(result, "Retrying", Tone.WARN, note=job.last_error, job=job)
    return Row(result, "Waiting", job=job)


def list_plans(people: Collection[Any]) -> list[dict[str, Any]]:
    """For console/dialogs/plans.html: each person with the address of the plan, which is loaded separately."""
    return [{"profile": one, "plan": reverse("admin:accounts_userprofile_plan", args=[one.pk])} for one in people]
