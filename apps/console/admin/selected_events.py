"""Processing Stripe's events again or ignoring them: one, or those selected in the list."""

from collections.abc import Callable
from typing import Any, ClassVar, override

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.billing import events
from apps.billing.models import InboundEvent
from apps.console import selection
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.operations.job_retries import retry as retry_job

NEEDS_NONE = "This event needs no processing."
NOT_WAITING = "Only an event that is waiting, or whose job failed, can be ignored."
EXPLAIN_IGNORE = "Nothing is fetched for {}. A waiting or failed job is closed, too."


def job_of(event: InboundEvent) -> Job | None:
    """The newest job of an event."""
    return Job.objects.filter(kind=events.KIND, key=event.stripe_event_id).order_by("-id").first()


def refuse_processing(event: InboundEvent) -> str:
    return NEEDS_NONE if event.state == InboundEvent.State.IGNORED else ""


def process_again(event: InboundEvent, *, actor: str, reason: str) -> None:
    """Its stuck job again, or a new one, which fetches the present state from Stripe."""
    job, what = job_of(event), {"event": event.stripe_event_id}
    audit.record(subject=("event", event.pk), action=AuditAction.EVENT_RETRIED, after=what, actor=actor, reason=reason)
    if job is not None and job.state in Job.GIVEN_UP:
        retry_job(job, actor=actor, reason=reason)
    else:
        lane = job.lane if job else f"customer:{event.customer_id or event.stripe_event_id}"[:400]
        jobs.defer(events.KIND, event.stripe_event_id, reason=f"processed again by {actor}", lane=lane)


def refuse_ignoring(event: InboundEvent) -> str:
    """Why this event cannot be ignored; empty: it can."""
    if event.state == InboundEvent.State.RECEIVED:
        return ""
    stuck = Job.objects.filter(kind=events.KIND, key=event.stripe_event_id, state__in=[Job.State.QUEUED, *Job.GIVEN_UP])
    return "" if stuck.exists() else NOT_WAITING


def ignore(event: InboundEvent, *, actor: str, reason: str) -> None:
    """Fetch nothing for it, now or later; BadInput when nothing waits."""
    waits = InboundEvent.objects.filter(pk=event.pk, state=InboundEvent.State.RECEIVED)
    ignored = waits.update(state=InboundEvent.State.IGNORED, handled_at=clock.now())
    closed = jobs.withdraw(events.KIND, event.stripe_event_id, why=f"The event was ignored by {actor}.")
    if not ignored and not closed:
        raise BadInput(NOT_WAITING)
    before, after = {"state": event.state}, {"event": event.stripe_event_id}
    audit.record(
        subject=("event", event.pk), action=AuditAction.EVENT_IGNORED, before=before, after=after, actor=actor, reason=reason
    )  # fmt: skip


class SelectedEventsDialog(ReasonDialog):
    """About those selected in the list, which the address names. `what` follows their number; `refuse` says why one is skipped."""

    form_before_template = "console/dialogs/selected_events.html"
    what: ClassVar[str]
    refuse: ClassVar[Callable[[InboundEvent], str]]
    opener: ClassVar[dict[str, str]] = selection.opener("events")

    def events(self) -> QuerySet[InboundEvent]:
        """Those selected, the oldest first. BadInput when there is none, or they are more than one person may."""
        too_many = f"At most {settings.TWO_PEOPLE_ABOVE} at once. To fetch more, choose a time span."
        named = selection.read_selected(self.request, "events", most=settings.TWO_PEOPLE_ABOVE, too_many=too_many)
        found = InboundEvent.objects.filter(pk__in=named).defer("body").order_by("pk")
        if not found:
            raise BadInput("No event is selected. Select some with the checkboxes in the list first.")
        return found

    @override
    def context(self) -> dict[str, Any]:
        try:
            found = list(self.events())
        except BadInput as refusal:
            return {"problem": refusal.message}
        chosen = [(one, type(self).refuse(one)) for one in found]
        return {"events": chosen, "count": sum(not refusal for _, refusal in chosen), "what": self.what}

    def do_to_each(self, work: Callable[..., None]) -> str:
        """The work on each that is not refused, and how many were: "2 events … 1 skipped: …"."""
        chosen = [(one, type(self).refuse(one)) for one in self.events()]
        refusals = [refusal for _, refusal in chosen if refusal]
        ready = [one for one, refusal in chosen if not refusal]
        if not ready:
            raise BadInput(refusals[0])
        for event in ready:
            work(event, **self.why)
        left = f" {len(refusals)} skipped: {' '.join(sorted(set(refusals)))}" if refusals else ""
        return f"{len(ready)} event{'s' if len(ready) != 1 else ''} {self.what}.{left}"


class ProcessSelectedDialog(SelectedEventsDialog):
    what = "will be processed again"
    refuse = refuse_processing


class IgnoreSelectedDialog(SelectedEventsDialog):
    what = "will be ignored"
    refuse = refuse_ignoring


class SelectedEvents:
    """Boxes to select events by, and the action."""

    def with_boxes(self, request: HttpRequest, columns: Any) -> Any:
        """The columns, with the boxes in front for staff who may have them processed."""
        return ("pick", *columns) if request.user.has_perm("accounts.retry_job") else columns

    @admin.display(description=selection.all_box("events"))
    def pick(self, row: InboundEvent) -> SafeString:
        """The box of an event that can be processed again."""
        if refuse_processing(row):
            return SafeString("")
        return selection.box("events", row.pk, f"event {row.pk}")

    @dialog_action(
        title="Process selected again", permission="retry_job", form=ProcessSelectedDialog, icon="replay",
        explain="Fetches the current state of each from Stripe again. Repeating it is safe.",
    )  # fmt: skip
    def process_selected(self, _request: HttpRequest, form: ProcessSelectedDialog) -> str:
        """Each that needs processing; the others are counted."""
        return form.do_to_each(process_again)

    @dialog_action(
        title="Ignore selected", permission="retry_job", form=IgnoreSelectedDialog, icon="notifications_off",
        explain=EXPLAIN_IGNORE.format("them"),
    )  # fmt: skip
    def ignore_selected(self, _request: HttpRequest, form: IgnoreSelectedDialog) -> str:
        """Each that waits or has failed; the others are counted."""
        return form.do_to_each(ignore)
