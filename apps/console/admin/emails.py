"""Emails: what was sent to whom, and what became of it. What an email was filled in with is never shown: it may hold a code."""

from itertools import product
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Coalesce, Upper
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from apps.accounts.models import UserProfile
from apps.console.admin.repeated_emails import SendAgainActions
from apps.console.base import ConsoleAdmin, ConsoleList
from apps.console.columns import badge, email_column, link, link_column, state_column, time_column
from apps.console.email_columns import show_outcome
from apps.console.filters import DayFilter, DropdownOf, EmailsOfProblem
from apps.console.saved_views import SavedView
from apps.core.models import Job
from apps.notifications.email_list import EMAILS, KEYCLOAK_TEMPLATE, email_title
from apps.notifications.mail import KIND, of_person
from apps.notifications.models import Notification

State = Notification.State
UNDELIVERED = (State.FAILED, State.UNCERTAIN)
ADDED = ("job_id", "job_state", "reader_id", "reader_name")  # with_job_and_reader


class KindFilter(DropdownOf):
    """By what the email is."""

    title, parameter_name = "email", "kind"
    options = sorted(((one, email_title(one)) for one in (*EMAILS, KEYCLOAK_TEMPLATE)), key=lambda pair: pair[1])

    @override
    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(template=value)


class AskedDayFilter(DayFilter):
    """By the day on which the email was asked for."""

    field = "created_at"


class PersonFilter(DropdownFilter):  # type: ignore[misc]
    """By subscriber, as their page links here: also codes that went to their address. Offers nobody to choose from."""

    title, parameter_name = "subscriber", "person"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = str(self.used_parameters.get("person", ""))
        return [(asked, "This subscriber")] if asked else []

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value() or ""
        if not asked:
            return queryset
        known = asked.isascii() and asked.isdigit() and len(asked) < 19
        profile = UserProfile.objects.filter(pk=int(asked)).first() if known else None
        return queryset.filter(of_person(profile)) if profile else queryset.none()


class EmailList(ConsoleList):
    """With the job of each, and whose address it went to."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """One more query, for the page's rows only."""
        super().get_results(request)
        shown = Notification.objects.filter(pk__in=[row.pk for row in self.result_list])
        found = {row.pk: row for row in with_job_and_reader(shown).only("pk")}
        for row, name in product(self.result_list, ADDED):
            setattr(row, name, getattr(found.get(row.pk), name, None))


def with_job_and_reader(emails: QuerySet[Any]) -> QuerySet[Any]:
    """Emails with the job that sends each, and the subscriber who has its address now where it names none."""
    jobs = Job.objects.filter(kind=KIND, key=Cast(OuterRef("pk"), CharField())).order_by("-pk")
    people = UserProfile.objects.alias(upper=Upper("email")).filter(upper=Upper(OuterRef("to"))).order_by("pk")
    readers = {
        "reader_id": Coalesce("profile_id", Subquery(people.values("pk")[:1])),
        "reader_name": Coalesce("profile__user__username", Subquery(people.values("user__username")[:1])),
    }
    job = {"job_id": Subquery(jobs.values("pk")[:1]), "job_state": Subquery(jobs.values("state")[:1])}
    found: QuerySet[Any] = emails.annotate(**readers, **job)
    return found


@admin.register(Notification)
class EmailAdmin(SendAgainActions, ConsoleAdmin):
    """The newest first."""

    list_display = ("title", "person", "address", "outcome", "requested", "sent", "job")
    list_display_links = ("title",)
    list_filter = (
        ("state", ChoicesDropdownFilter), ("delivery", ChoicesDropdownFilter), KindFilter, AskedDayFilter, PersonFilter, EmailsOfProblem,
    )  # fmt: skip
    changelist_class = EmailList
    tabs = ("state", (State.QUEUED, State.FAILED, State.UNCERTAIN))
    views = (SavedView("undelivered", "Not delivered", lambda rows: rows.filter(state__in=UNDELIVERED)),)
    deferred = ("context", "encrypted")
    list_before_template = "console/emails.html"
    personal = "email"
    search_by: ClassVar[dict[str, str]] = {
        "email": "to__icontains", "text": "to__icontains", "people": "profile", "number": "pk",
    }  # fmt: skip
    search_help_text = "Email, username or cus_…"
    actions_list: ClassVar[Any] = ["send_selected_again"]
    actions_detail: ClassVar[Any] = ["send_one_again"]
    fields = (
        ("title", "outcome"), ("person", "address"), ("requested", "sent"), ("state_label", "delivered", "told"),
        ("delivery_reason", "error"), ("repeated", "repeated_by"), ("job", "provider_id"), "key",
    )  # fmt: skip

    address = email_column("to", "To")
    state_label = state_column()
    delivered = state_column("delivery", "Delivery")
    told = time_column("delivery_at", "Told")
    requested = time_column("created_at", "Requested")
    sent = time_column("sent_at", "Sent")
    repeated = link_column("repeats", "Sends again")

    @admin.display(description="Email", ordering="template")
    def title(self, row: Notification) -> str:
        return f"{email_title(row.template)}{' (again)' if row.repeats_id else ''}"

    @admin.display(description="What became of it")
    def outcome(self, row: Notification) -> SafeString:
        return show_outcome(row)

    @admin.display(description="Subscriber")
    def person(self, row: Any) -> SafeString:
        """Of an email that names none, who has its address now."""
        if row.reader_id is None:
            return SafeString("–")
        url = reverse("admin:accounts_userprofile_change", args=[row.reader_id])
        return format_html('<a class="fd-link" href="{}">{}</a>', url, row.reader_name)

    @admin.display(description="Job")
    def job(self, row: Any) -> SafeString:
        """The job that sends it; one that is done goes after a while."""
        if row.job_id is None:
            return SafeString("–")
        state = Job.State(row.job_state)
        url = reverse("admin:core_job_change", args=[row.job_id])
        return format_html('<a class="fd-link" href="{}">{}</a>', url, badge(str(state.label), state.tone))

    @admin.display(description="Sent again as")
    def repeated_by(self, row: Notification) -> SafeString:
        """The emails that repeat it, the newest first."""
        found = row.repetitions.order_by("-pk")[:5]
        return format_html_join(" ", "{}", ((link(one, f"email {one.pk}"),) for one in found)) or SafeString("–")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With who and which job for the page of one; a list reads these for its own rows alone."""
        rows: QuerySet[Any] = super().get_queryset(request)
        is_list = str(getattr(request.resolver_match, "url_name", "")).endswith("_changelist")
        return rows if is_list else with_job_and_reader(rows.select_related("profile__user", "repeats"))

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        return self.with_boxes(request, self.list_display)
