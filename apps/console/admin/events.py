"""Stripe's events as they came in, and whether they were handled."""

import json
from typing import Any, ClassVar, override

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Case, F, Func, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import JSONObject
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import UserProfile
from apps.billing import events
from apps.billing.doctor import NEEDED_EVENTS
from apps.billing.models import InboundEvent
from apps.console.admin import event_spans
from apps.console.admin.selected_events import (
    EXPLAIN_IGNORE,
    SelectedEvents,
    ignore,
    job_of,
    process_again,
    refuse_processing,
)
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link, pretty, state_badge, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import DayFilter, DropdownOf
from apps.console.saved_views import SavedView
from apps.core.masking import USERNAME, mask
from apps.core.models import Job
from apps.core.states import Tone


class TypeFilter(DropdownOf):
    """By what happened at Stripe, of that which we need to hear."""

    title, parameter_name = "type", "event"
    options = [(one, one) for one in sorted(NEEDED_EVENTS)]

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(type=value)


class ReceivedDayFilter(DayFilter):
    """By the day on which it came in."""

    field = "received_at"


def narrow_failed(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those that are not handled because their job gave up; only staff bring them on."""
    stuck = Job.objects.filter(kind=events.KIND, state__in=Job.GIVEN_UP)
    # As an array: Postgres looks each of them up, and does not join all events with them.
    is_stuck = Func(
        F("stripe_event_id"), ArraySubquery(stuck.values("key")), template="%(expressions)s)", arg_joiner=" = ANY(", output_field=BooleanField(),
    )  # fmt: skip
    return rows.filter(is_stuck, state=InboundEvent.State.RECEIVED)


def with_job_and_person(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows with whose customer it is, and of those that wait the state of their newest job; read for the page's rows alone."""
    newest = Job.objects.filter(kind=events.KIND, key=OuterRef("stripe_event_id")).order_by("-id").values("state")[:1]
    person = UserProfile.objects.filter(stripe_customer_id=OuterRef("customer_id")).exclude(stripe_customer_id="")
    found: QuerySet[Any] = rows.annotate(
        job_state=Case(When(state=InboundEvent.State.RECEIVED, then=Subquery(newest))),
        owner=Subquery(person.values(found=JSONObject(pk="pk", name="user__username"))[:1]),
    )
    return found


@admin.register(InboundEvent)
class EventAdmin(SelectedEvents, ConsoleAdmin):
    """The inbox. The body is shown to operators only; it holds personal data."""

    list_display = (
        "type",
        "state_label",
        "person",
        "stripe_event_id",
        "customer_id",
        "source_label",
        "received",
        "handled",
    )
    list_display_links = ("type",)
    list_before_template = "console/comparisons.html"
    list_filter = (("state", ChoicesDropdownFilter), TypeFilter, ReceivedDayFilter, ("source", ChoicesDropdownFilter))
    tabs = ("state", tuple(InboundEvent.State))
    views = (SavedView("failed", "Failed", narrow_failed),)
    actions_list: ClassVar[Any] = ["process_selected", "ignore_selected"]
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

    source_label = state_column("source", "Source")
    created = time_column("stripe_created_at", "Made at Stripe")
    received = time_column("received_at", "Received")
    handled = time_column("handled_at", "Handled")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_job_and_person(super().get_queryset(request))

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        return self.with_boxes(request, self.list_display)

    @override
    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"may_fetch": event_spans.may_fetch(request)}

    @admin.display(description="State", ordering="state")
    def state_label(self, row: InboundEvent) -> SafeString:
        """Failed where it waits and its job gave up."""
        return badge("Failed", Tone.BAD) if getattr(row, "job_state", None) in Job.GIVEN_UP else state_badge(row)

    @admin.display(description="Subscriber")
    def person(self, row: Any) -> SafeString:
        """Whose customer it is about, in the list."""
        if row.owner is None:
            return SafeString("–")
        url = reverse("admin:accounts_userprofile_change", args=[row.owner["pk"]])
        return format_html('<a class="fd-link" href="{}">{}</a>', url, mask(USERNAME, row.owner["name"]))

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
        found = job_of(row)
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
        explain="Fetches the current state from Stripe again. Repeating it is safe.", refuse=refuse_processing,
    )  # fmt: skip
    def retry(self, _request: HttpRequest, form: ReasonDialog) -> str:
        process_again(form.target, **form.why)
        return f"{form.target.stripe_event_id} will be processed again."

    @dialog_action(
        title="Ignore", permission="retry_job", form=dialog(InboundEvent), icon="notifications_off",
        explain=EXPLAIN_IGNORE.format("it"),
    )  # fmt: skip
    def ignore_event(self, _request: HttpRequest, form: ReasonDialog) -> str:
        ignore(form.target, **form.why)
        return f"{form.target.stripe_event_id} is ignored."
