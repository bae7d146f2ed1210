"""Stripe's events as they came in, and whether they were handled."""

import json
from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.billing import events
from apps.billing.models import InboundEvent
from apps.console.admin.jobs import retry as retry_job
from apps.console.base import ConsoleAdmin
from apps.console.columns import link, pretty, state_badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job


@admin.register(InboundEvent)
class EventAdmin(ConsoleAdmin):
    """The inbox. The body is shown to operators only; it holds personal data."""

    list_display = ("type", "state_label", "stripe_event_id", "customer_id", "source_label", "received", "handled")
    list_filter = (("state", ChoicesDropdownFilter), ("source", ChoicesDropdownFilter))
    tabs = ("state", tuple(InboundEvent.State))
    deferred = ("body",)
    personal = "event"
    search_by: ClassVar[dict[str, str]] = {
        "event": "stripe_event_id", "customer": "customer_id", "subscription": "object_id", "session": "object_id",
        "stripe": "object_id", "price": "object_id", "stripe_product": "object_id", "number": "pk", "text": "type__startswith",
    }  # fmt: skip
    search_help_text = "evt_…, cus_…, the object's id, or a type"
    actions_detail: ClassVar[Any] = ["retry", "ignore_event"]
    fields: ClassVar[Any] = (
        ("type", "state_label"),
        ("stripe_event_id", "object_id"),
        ("customer_id", "subscriber"),
        ("api_version", "livemode", "source_label"),
        ("created", "received", "handled"),
        "job",
    )

    state_label = state_column()
    source_label = state_column("source", "Source")
    created = time_column("stripe_created_at", "Made at Stripe")
    received = time_column("received_at", "Received")
    handled = time_column("handled_at", "Handled")

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """With the body for operators."""
        return (*self.fields, "content") if self.has_retry_job_permission(request) else self.fields

    @admin.display(description="Subscriber")
    def subscriber(self, row: InboundEvent) -> SafeString:
        """Whose customer it is about."""
        people = UserProfile.objects.select_related("user").filter(stripe_customer_id=row.customer_id)
        return link(people.first() if row.customer_id else None)

    @admin.display(description="Job")
    def job(self, row: InboundEvent) -> SafeString:
        """The job that handles it, and its last error."""
        found = _job_of(row)
        if found is None:
            return SafeString("–")
        return format_html("{} {} {}", link(found), state_badge(found), found.last_error)

    @admin.display(description="Body")
    def content(self, row: InboundEvent) -> SafeString:
        """As it came, indented, without secrets."""
        if not row.body:
            return SafeString(
                "Deleted. Events are kept longer than their bodies; Stripe still has this one for 30 days."
            )
        try:
            return pretty(json.loads(row.body))
        except ValueError:
            return format_html('<pre class="fd-code">{}</pre>', row.body)

    @dialog_action(
        title="Process again", permission="retry_job", form=dialog(InboundEvent), fresh=False, icon="replay",
        explain="Fetches the current state from Stripe again. Repeating it is safe.",
        refuse=lambda row: "This event needs no processing." if row.state == InboundEvent.State.IGNORED else "",
    )  # fmt: skip
    def retry(self, _request: HttpRequest, form: ReasonDialog) -> str:
        """Its stuck job again, or a new one."""
        event = form.target
        job, what = _job_of(event), {"event": event.stripe_event_id}
        audit.record(subject=("event", event.pk), action=AuditAction.EVENT_RETRIED, after=what, **form.why)
        if job is not None and job.state in Job.GIVEN_UP:
            retry_job(job, **form.why)
        else:
            lane = job.lane if job else f"customer:{event.customer_id or event.stripe_event_id}"[:400]
            jobs.defer(events.KIND, event.stripe_event_id, reason=f"processed again by {form.actor}", lane=lane)
        return f"{event.stripe_event_id} will be processed again."

    @dialog_action(
        title="Ignore", permission="retry_job", form=dialog(InboundEvent), icon="notifications_off",
        explain="Nothing is fetched for this event. Its waiting or failed job is closed, too.",
    )  # fmt: skip
    def ignore_event(self, _request: HttpRequest, form: ReasonDialog) -> str:
        event = form.target
        waits = InboundEvent.objects.filter(pk=event.pk, state=InboundEvent.State.RECEIVED)
        ignored = waits.update(state=InboundEvent.State.IGNORED, handled_at=clock.now())
        closed = jobs.withdraw(events.KIND, event.stripe_event_id, why=f"The event was ignored by {form.actor}.")
        if not ignored and not closed:
            raise BadInput("Only an event that is waiting, or whose job failed, can be ignored.")
        before, after = {"state": event.state}, {"event": event.stripe_event_id}
        audit.record(
            subject=("event", event.pk), action=AuditAction.EVENT_IGNORED, before=before, after=after, **form.why
        )
        return f"{event.stripe_event_id} is ignored."


def _job_of(event: InboundEvent) -> Job | None:
    return Job.objects.filter(kind=events.KIND, key=event.stripe_event_id).order_by("-id").first()
