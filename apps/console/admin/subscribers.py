"""Subscribers: who they are, what they should have and why, and what staff may do about it."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import reconcile
from apps.access.upcoming import read_all
from apps.accounts.models import UserProfile
from apps.billing.overview import line_name
from apps.console.admin import subscriber_page
from apps.console.admin.account_correction import CorrectionActions
from apps.console.admin.subscriber_export import ExportPage
from apps.console.admin.subscriber_list import SUBSCRIBER_FILTERS, NextDateFilter, SubscriberList
from apps.console.admin.subscriber_notes import NoteActions
from apps.console.admin.subscriber_overrides import OverrideActions
from apps.console.admin.subscriber_payment_previews import PaymentPreviewView
from apps.console.admin.subscriber_payments import PaymentActions
from apps.console.admin.subscriber_privacy import PrivacyActions
from apps.console.admin.subscriber_recovery import RecoveryActions
from apps.console.admin.subscriber_tables import TABS
from apps.console.admin.subscriber_timeline import TimelinePageView
from apps.console.admin.sync_runs import SelectActions
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, state_column, time_column, timed
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.outside import OutsideIds
from apps.console.subscriber_views import VIEWS
from apps.console.tables import May
from apps.core import audit
from apps.core.addresses import shown_email
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.money import format_money
from apps.core.states import AccessState, Tone
from apps.identity.logout_everywhere import log_out_everywhere
from apps.identity.passwords import request_password_email
from apps.operations.three_way import compare_three_ways

FILTER = "access_state__exact"  # the parameter of the tabs
# Of those on their way out: the dates to see first, and the order. Who goes next is on top; of the expired, who went last.
DATES = {"recovering": ("until", "final"), "canceled": ("final",), "expired": ("final",)}
ORDERS = {
    "recovering": ("access_until", "-pk"),
    "canceled": ("final_expiry_at", "-pk"),
    "expired": ("-final_expiry_at", "-pk"),
}


def refuse_without_account(profile: UserProfile) -> str:
    return "" if profile.keycloak_id else "There is no Keycloak account yet. Sync first."


def refuse_ending(profile: UserProfile) -> str:
    if profile.user.is_staff:
        return "This subscriber is staff: an administrator ends their sessions on the Sessions page."
    closed = AccessState(profile.access_state).is_closed
    return "The account is closed, so nobody is logged in with it." if closed else ""


def _rights(request: HttpRequest) -> May:
    """For the tables: whether the reader has one of accounts' permissions."""
    return lambda codename: request.user.has_perm(f"accounts.{codename}")


@admin.register(UserProfile)
class SubscriberAdmin(
    CorrectionActions,
    RecoveryActions,
    NoteActions,
    OverrideActions,
    PaymentActions,
    PaymentPreviewView,
    PrivacyActions,
    OutsideIds,
    SelectActions,
    TimelinePageView,
    ExportPage,
    ConsoleAdmin,
):
    """A subscriber's page answers: what should this person have, why, what do they have, and what happened."""

    list_display = ("who", "name", "state", "plan", "seat_list", "next_change", "money", "flags")
    list_filter = (
        ("access_state", ChoicesDropdownFilter), ("subscription_status", ChoicesDropdownFilter), *SUBSCRIBER_FILTERS,
    )  # fmt: skip
    changelist_class = SubscriberList
    personal = "profile"
    list_display_links = ("who",)
    tabs = ("access_state", tuple(state for state in AccessState if state != AccessState.NONE))
    views = VIEWS
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "people": "pk"}
    search_help_text = "Any part of a name or address, or any Stripe or Keycloak id"
    list_before_template = "console/subscribers.html"
    actions_list: ClassVar[Any] = ["sync_selected"]
    actions_detail: ClassVar[Any] = [
        "sync_now",
        {
            "title": "Account",
            "icon": "manage_accounts",
            "items": ["write_note", "assign_seats", "password_mail", "correct_account", "end_sessions"],
        },
        {"title": "Recovery", "icon": "key", "items": ["send_code", "open_window", "close_window", "keep_seat"]},
        {
            "title": "Payments",
            "icon": "payments",
            "items": [
                "retry_payment",
                "cancel_at_period_end",
                "undo_cancellation",
                "pause_payments",
                "resume_payments",
                "refund",
                "cancel_now",
            ],
        },
        {
            "title": "Override",
            "icon": "gavel",
            "items": ["extend_grace", "hold", "grant", "no_suspend", "waive_dispute"],
        },
        {"title": "Privacy", "icon": "shield_person", "items": PrivacyActions.privacy_actions},
    ]
    change_form_outer_before_template = "console/subscriber.html"
    fragments: ClassVar[dict[str, str]] = {
        "plan": "plan_view",
        "last-sync": "last_sync_view",
        "tab": "tab_view",
        "timeline": "timeline_view",
        "three-way": "three_way_view",
        "payment-preview": "payment_preview_view",
        "grant-plan": "grant_plan_view",
        "receipt": "receipt_view",
    }
    fieldsets = (
        (
            "Identity",
            {
                "fields": (
                    ("at_keycloak", "onboarding_id"),
                    ("customer_at_stripe", "subscription_at_stripe"),
                    ("created", "synced"),
                    ("desired_generation", "observed_generation"),
                )
            },
        ),
    )

    state = state_column("access_state", "Access")
    subscription = state_column("subscription_status", "Subscription")
    until = time_column("access_until", "Until", is_end=True)
    final = time_column("final_expiry_at", "Seat kept until", is_end=True)
    synced = time_column("synced_at", "Last synced")
    created = time_column("created_at", "Since")

    @admin.display(description="Subscriber", ordering="user__username")
    def who(self, row: UserProfile) -> SafeString:
        return format_html('<span class="fd-who"><b>{}</b><span>{}</span></span>', row, shown_email(row.email))

    @admin.display(description="Name")
    def name(self, row: UserProfile) -> str:
        return row.user.get_full_name() or "–"

    @admin.display(description="Per month", ordering="monthly_amount")
    def money(self, row: UserProfile) -> str:
        """What they pay in a month; unknown where a price depends on use."""
        if row.monthly_amount is None:
            return "depends on use"
        return format_money(row.monthly_amount, row.monthly_currency) if row.monthly_amount else "–"

    @admin.display(description="Flags")
    def flags(self, row: Any) -> SafeString:
        return format_html_join(
            " ", "{}", ((badge(one.label, one.tone or Tone.CALM),) for one in row.flags)
        ) or SafeString("–")

    @admin.display(description="Next", ordering="next_change_at")
    def next_change(self, row: UserProfile) -> SafeString:
        """What changes by itself first, and when."""
        first = next(iter(read_all(row.forecast[:1])), None)
        return format_html("{}: {}", timed(first.at, is_end=True), first.label) if first else SafeString("–")

    @admin.display(description="Pays for")
    def plan(self, row: Any) -> str:
        """The products of the subscription's lines."""
        return ", ".join(line_name(*one) for one in row.lines) or "–"

    @admin.display(description="Seats")
    def seat_list(self, row: Any) -> str:
        """The instances of the live seats."""
        return ", ".join(row.seated_on) or "–"

    def plan_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """What a sync would change now; it asks Keycloak and is therefore loaded separately."""
        return render(request, "console/dialogs/plan.html", subscriber_page.preview_plan(profile))

    def three_way_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """What Stripe, our rows and Keycloak say now, and which of them differs; asks both."""
        return render(request, "console/three_way.html", {"compared": compare_three_ways(profile)})

    def last_sync_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """How the last sync went; loaded again until none is in progress."""
        sync = subscriber_page.read_last_sync(profile)
        answer = render(request, "console/last_sync.html", {"sync": sync})
        if not sync.moving:
            answer["HX-Trigger"] = "sync-ended"  # the plan beside it is loaded again
        return answer

    @override
    def get_queryset(self, request: HttpRequest) -> Any:
        """With the last sync for the page of one subscriber."""
        is_list = str(getattr(request.resolver_match, "url_name", "")).endswith("_changelist")
        return super().get_queryset(request).select_related("user", *([] if is_list else ["last_sync"]))

    @override
    def page_context(self, request: HttpRequest, row: UserProfile) -> dict[str, Any]:
        opened = request.GET.get("tab", "")
        return {
            "sync": subscriber_page.read_last_sync(row),
            "person": subscriber_page.read_page(row, may=_rights(request), opened=opened),
        }

    def tab_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """The table of a tab, which the page loads when it opens."""
        tab = next((one for one in TABS if one.key == request.GET.get("tab")), None)
        if tab is None:
            raise Http404
        return render(request, "console/subscriber_table.html", {"table": tab.read(profile, _rights(request))})

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        """With the date in front where the tab is about one, and boxes to select by for staff who may sync."""
        dates = DATES.get(request.GET.get(FILTER, ""))
        shown = ("who", "state", *dates, "plan", "seat_list", "synced") if dates else self.list_display
        return self.with_boxes(request, shown)

    @override
    def get_ordering(self, request: HttpRequest) -> Any:
        """By date where the tab or the filter is about one."""
        if request.GET.get(NextDateFilter.parameter_name):
            return ("next_change_at", "-pk")
        return ORDERS.get(request.GET.get(FILTER, ""), super().get_ordering(request))

    @dialog_action(
        title="Sync now", permission="sync_userprofile", fresh=False, icon="sync",
        form=dialog(UserProfile, "plan", subscriber_page.preview_plan),
        explain="Re-check this subscriber and apply any changes. This is the plan right now:",
    )  # fmt: skip
    def sync_now(self, _request: HttpRequest, form: ReasonDialog) -> str:
        reconcile.enqueue(form.target, reason=f"sync requested by {form.actor}")
        audit.record(subject=form.target.subject, action=AuditAction.SYNC_REQUESTED, **form.why)
        return f"{form.target} will be synced now."

    @dialog_action(
        title="Assign seats", permission="allocate_seat", fresh=False, icon="event_seat",
        form=dialog(UserProfile, "seats", lambda row: {"missing": subscriber_page.find_missing_seats(row)}),
        explain="Give every product this subscriber pays for a seat, where there is room.",
    )  # fmt: skip
    def assign_seats(self, _request: HttpRequest, form: ReasonDialog) -> str:
        """Ask for a sync, which allocates what is missing; refused when nothing is."""
        names = [seat.product.slug for seat in subscriber_page.find_missing_seats(form.target)]
        if not names:
            raise BadInput("No seat is missing.")
        subject = form.target.subject
        reconcile.enqueue(form.target, reason=f"seats requested by {form.actor}")
        audit.record(subject=subject, action=AuditAction.SEATS_REQUESTED, **form.why, after={"products": names})
        return f"Seats for {', '.join(names)} will be assigned to {form.target} now."

    @dialog_action(
        title="Send password email", permission="mail_userprofile", form=dialog(UserProfile, "password"),
        fresh=False, icon="forward_to_inbox", refuse=refuse_without_account,
    )  # fmt: skip
    def password_mail(self, _request: HttpRequest, form: ReasonDialog) -> str:
        """Ask Keycloak to send its set-your-password email."""
        request_password_email(form.target, **form.why)
        return f"Keycloak will send {form.target} a mail to set a password."

    @dialog_action(
        title="End sessions", permission="override_access", form=dialog(UserProfile), icon="logout", refuse=refuse_ending,
        explain="Log this subscriber out everywhere: here, at Keycloak and in the apps. They can log in again at once. To keep them out, use a hold.",
    )  # fmt: skip
    def end_sessions(self, _request: HttpRequest, form: ReasonDialog) -> str:
        log_out_everywhere(form.target, **form.why)
        return f"{form.target} has been logged out here, and at Keycloak in a moment."
