"""Processing Stripe's events again: one, or those selected in the list."""

from typing import Any, ClassVar, override

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.billing import events
from apps.billing.models import InboundEvent
from apps.console.admin.jobs import retry as retry_job
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job

ALL_BOX = format_html(
    '<input type="checkbox" aria-label="Select all on this page" x-on:change="{}">',
    "$el.closest('table').querySelectorAll('[name=events]').forEach(one => one.checked = $el.checked)",
)
NEEDS_NONE = "This event needs no processing."


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


class ProcessSelectedDialog(ReasonDialog):
    """About those selected in the list, which the address names."""

    form_before_template = "console/dialogs/selected_events.html"
    opener: ClassVar[dict[str, str]] = {"hx-include": "#changelist-form [name=events]"}

    def events(self) -> QuerySet[InboundEvent]:
        """Those selected, the oldest first. BadInput when there is none, or they are more than one person may."""
        named = [one for one in self.request.GET.getlist("events") if one.isascii() and one.isdigit() and len(one) < 19]
        if len(named) > settings.TWO_PEOPLE_ABOVE:
            raise BadInput(f"At most {settings.TWO_PEOPLE_ABOVE} at once. To fetch more, choose a time span.")
        found = InboundEvent.objects.filter(pk__in=[int(one) for one in named]).defer("body").order_by("pk")
        if not found:
            raise BadInput("No event is selected. Select some with the checkboxes in the list first.")
        return found

    @override
    def context(self) -> dict[str, Any]:
        try:
            found = list(self.events())
        except BadInput as refusal:
            return {"problem": refusal.message}
        return {
            "events": [(one, refuse_processing(one)) for one in found],
            "count": sum(not refuse_processing(one) for one in found),
        }


class SelectedEvents:
    """Boxes to select events by, and the action."""

    def with_boxes(self, request: HttpRequest, columns: Any) -> Any:
        """The columns, with the boxes in front for staff who may have them processed."""
        return ("pick", *columns) if request.user.has_perm("accounts.retry_job") else columns

    @admin.display(description=ALL_BOX)
    def pick(self, row: InboundEvent) -> SafeString:
        """The box of an event that can be processed again."""
        if refuse_processing(row):
            return SafeString("")
        return format_html('<input type="checkbox" name="events" value="{0}" aria-label="Select event {0}">', row.pk)

    @dialog_action(
        title="Process selected again", permission="retry_job", form=ProcessSelectedDialog, icon="replay",
        explain="Fetches the current state of each from Stripe again. Repeating it is safe.",
    )  # fmt: skip
    def process_selected(self, _request: HttpRequest, form: ProcessSelectedDialog) -> str:
        """Each that needs processing; the others are counted."""
        chosen = list(form.events())
        ready = [one for one in chosen if not refuse_processing(one)]
        if not ready:
            raise BadInput(NEEDS_NONE)
        for event in ready:
            process_again(event, **form.why)
        left = f" {len(chosen) - len(ready)} skipped: they need no processing." if len(chosen) > len(ready) else ""
        return f"{len(ready)} event{'s' if len(ready) != 1 else ''} will be processed again.{left}"
