"""Subscribers: who they are, what they should have and why, and what staff may do about it."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import overrides, reconcile
from apps.accounts.models import UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.console import last_sync, person
from apps.console.admin.recovery_dialogs import RecoveryActions, senseless
from apps.console.admin.runs import SelectActions
from apps.console.admin.subscriber_dialogs import (
    GrantDialog,
    HoldDialog,
    NoSuspendDialog,
    PasswordDialog,
    PlanDialog,
    SeatsDialog,
)
from apps.console.base import ConsoleAdmin
from apps.console.columns import state_column, time_column, when
from apps.console.dialogs import ReasonDialog, dialog_action, find
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.identity.passwords import request_password_email

STATE = "access_state__exact"  # the parameter of the tabs
# Of those on their way out: the dates to see first, and the order. Who goes next is on top; of the expired, who went last.
DATES = {"recovering": ("until", "final"), "canceled": ("final",), "expired": ("final",)}
ORDERS = {
    "recovering": ("access_until", "-pk"),
    "canceled": ("final_expiry_at", "-pk"),
    "expired": ("-final_expiry_at", "-pk"),
}


@admin.register(UserProfile)
class SubscriberAdmin(RecoveryActions, SelectActions, ConsoleAdmin):
    """A subscriber's page answers: what should this person have, why, what do they have, and what happened."""

    list_display = ("who", "state", "subscription", "plan", "seat_list", "until", "synced")
    list_filter = (
        ("access_state", ChoicesDropdownFilter),
        ("subscription_status", ChoicesDropdownFilter),
    )
    list_select_related = ("user",)
    search_by: ClassVar[dict[str, str]] = {
        "customer": "stripe_customer_id",
        "subscription": "stripe_subscription_id",
        "uuid": "keycloak_id onboarding_id",
        "number": "pk",
        "people": "pk",
    }
    search_help_text = "Username, address, cus_…, sub_… or Keycloak id"
    list_display_links = ("who",)
    actions_list: ClassVar[Any] = ["sync_selected"]
    actions_detail: ClassVar[Any] = [
        "sync_now",
        "assign_seats",
        "password_mail",
        {
            "title": "Recovery",
            "icon": "key",
            "items": ["send_code", "open_window", "close_window", "keep_seat"],
        },
        {"title": "Override", "icon": "gavel", "items": ["hold", "grant", "no_suspend"]},
    ]
    change_form_outer_before_template = "console/subscriber.html"
    fieldsets = (
        (
            "Identity",
            {
                "fields": (
                    ("keycloak_id", "onboarding_id"),
                    ("stripe_customer_id", "stripe_subscription_id"),
                    ("created", "synced"),
                    ("desired_generation", "observed_generation"),
                )
            },
        ),
    )

    state = state_column("access_state", "Access")
    subscription = state_column("subscription_status", "Subscription")
    until = time_column("access_until", "Until")
    final = time_column("final_expiry_at", "Seat kept until")
    synced = time_column("synced_at", "Last synced")
    created = time_column("created_at", "Since")

    @admin.display(description="Subscriber", ordering="user__username")
    def who(self, row: UserProfile) -> SafeString:
        return format_html(
            '<span class="fd-who"><b>{}</b><span>{}</span></span>',
            row.user.get_username(),
            row.email,
        )

    @admin.display(description="Pays for")
    def plan(self, row: Any) -> str:
        """The products of the subscription's lines."""
        return ", ".join(person.line_name(item) for item in row.items.all()) or "–"

    @admin.display(description="Seats")
    def seat_list(self, row: Any) -> str:
        """The instances of the live seats."""
        return ", ".join(seat.instance.slug for seat in row.seats.all() if seat.state != "released") or "–"

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With what the list shows of the related rows, in two more queries."""
        rows = super().get_queryset(request)
        return rows.prefetch_related(  # type: ignore[no-any-return]
            Prefetch("items", UserSubscriptionItem.objects.select_related("product").order_by("pk")),
            "seats__instance",
        )

    @override
    def get_custom_urls(self) -> Any:
        """The plan, which asks Keycloak and is therefore loaded separately; and the last sync, polled until it has ended."""
        return (
            ("<path:object_id>/plan/", "accounts_userprofile_plan", self.plan_view),
            ("<path:object_id>/last-sync/", "accounts_userprofile_last_sync", self.last_sync_view),
        )

    def plan_view(self, request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
        """What a sync would change now; a fragment of the subscriber's page."""
        profile = find(UserProfile, object_id)
        if not self.has_view_permission(request, profile):
            return HttpResponse(status=403)
        return render(request, "console/dialogs/plan.html", person.plan_of(profile))

    def last_sync_view(self, request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
        """How the last sync went, and whether one is under way; a fragment of the subscriber's page."""
        profile = find(UserProfile, object_id)
        if not self.has_view_permission(request, profile):
            return HttpResponse(status=403)
        shown = last_sync.of(profile)
        answer = render(request, "console/last_sync.html", {"sync": shown})
        if not shown.moving:
            answer["HX-Trigger"] = "sync-ended"  # the plan beside it is loaded again
        return answer

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """The page, with everything there is to know about the person."""
        found = (
            UserProfile.objects.select_related("user").filter(pk=int(object_id)).first()
            if object_id and _is_number(object_id)
            else None
        )
        if found is not None and self.has_view_permission(request, found):
            extra_context = (extra_context or {}) | {
                "sync": last_sync.of(found),
                "person": person.page(found, lambda codename: request.user.has_perm(f"accounts.{codename}")),
            }
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    @override
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Without what would do nothing for this person."""
        found = super().get_actions_detail(request, object_id)
        profile = UserProfile.objects.filter(pk=int(object_id)).first() if _is_number(str(object_id)) else None
        hidden = {f"accounts_userprofile_{name}" for name in senseless(profile)} if profile else set()
        return [action for action in found if action.action_name not in hidden]

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        """With the date in front where the tab is about one, and boxes to select by for staff who may sync."""
        dates = DATES.get(request.GET.get(STATE, ""))
        shown = ("who", "state", *dates, "plan", "seat_list", "synced") if dates else self.list_display
        return ("pick", *shown) if self.has_sync_userprofile_permission(request) else shown

    @override
    def get_ordering(self, request: HttpRequest) -> Any:
        """By date where the tab is about one."""
        return ORDERS.get(request.GET.get(STATE, ""), super().get_ordering(request))

    @dialog_action(
        title="Sync now", permission="sync_userprofile", form=PlanDialog, icon="sync",
        explain="Re-check this subscriber and apply any changes. This is the plan right now:",
    )  # fmt: skip
    def sync_now(self, _request: HttpRequest, form: PlanDialog) -> str:
        _ask(form, action=AuditAction.SYNC_REQUESTED, words="sync requested")
        return f"{form.target} will be synced now."

    @dialog_action(
        title="Assign seats", permission="allocate_seat", form=SeatsDialog, icon="event_seat",
        explain="Give every product this subscriber pays for a seat, where there is room.",
    )  # fmt: skip
    def assign_seats(self, _request: HttpRequest, form: SeatsDialog) -> str:
        """Ask for a sync, which allocates what is missing; refused when nothing is."""
        missing = person.missing_seats(form.target)
        if not missing:
            raise BadInput("No seat is missing.")
        names = [seat.product.slug for seat in missing]
        _ask(form, action=AuditAction.SEATS_REQUESTED, words="seats requested", after={"products": names})
        return f"Seats for {', '.join(names)} will be assigned to {form.target} now."

    @dialog_action(
        title="Send password email",
        permission="mail_userprofile",
        form=PasswordDialog,
        icon="forward_to_inbox",
    )
    def password_mail(self, _request: HttpRequest, form: PasswordDialog) -> str:
        """Ask Keycloak to send its set-your-password mail."""
        if not form.target.keycloak_id:
            raise BadInput("There is no Keycloak account yet. Sync first.")
        request_password_email(form.target, actor=form.actor, reason=form.cleaned_data["reason"])
        return f"Keycloak will send {form.target} a mail to set a password."

    @dialog_action(
        title="Hold", permission="override_access", form=HoldDialog, icon="block", danger=True,
        explain="No access, whatever is paid. Sessions end; the seat is kept.",
    )  # fmt: skip
    def hold(self, _request: HttpRequest, form: HoldDialog) -> str:
        until = form.cleaned_data["until"]
        overrides.hold(profile=form.target, actor=form.actor, reason=form.cleaned_data["reason"], until=until)
        return f"{form.target} is on hold{f' until {when(until)}' if until else ''}."

    @dialog_action(
        title="Grant", permission="override_access", form=GrantDialog, icon="card_giftcard",
        explain="Access without payment, until a date.",
    )  # fmt: skip
    def grant(self, _request: HttpRequest, form: GrantDialog) -> str:
        data = form.cleaned_data
        overrides.grant(
            profile=form.target,
            products=list(data["products"]),
            until=data["until"],
            actor=form.actor,
            reason=data["reason"],
        )
        return f"{form.target} has a grant until {when(data['until'])}."

    @dialog_action(
        title="Do not suspend", permission="override_access", form=NoSuspendDialog, icon="shield",
        explain="A late payment does not suspend this subscriber, until a date.",
    )  # fmt: skip
    def no_suspend(self, _request: HttpRequest, form: NoSuspendDialog) -> str:
        data = form.cleaned_data
        overrides.no_suspend(profile=form.target, until=data["until"], actor=form.actor, reason=data["reason"])
        return f"{form.target} is not suspended for a late payment until {when(data['until'])}."


def _is_number(object_id: str) -> bool:
    return object_id.isascii() and object_id.isdigit() and len(object_id) < 19


def _record(form: ReasonDialog, action: AuditAction, **detail: Any) -> None:
    audit.record(
        subject=form.target.subject,
        action=action,
        actor=form.actor,
        reason=form.cleaned_data["reason"],
        **detail,
    )


def _ask(form: ReasonDialog, *, action: AuditAction, words: str, **detail: Any) -> None:
    _record(form, action, **detail)
    reconcile.enqueue(form.target, reason=f"{words} by {form.actor}")
