"""Subscribers: who they are, what they should have and why; and the runs through the wizard that brought them."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import overrides, reconcile
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.console import person
from apps.console.base import ConsoleAdmin
from apps.console.columns import json_field, person_column, state_column, time_column, when
from apps.console.dialogs import ConfirmedDialog, LastDayField, ReasonDialog, dialog_action, find
from apps.core import audit, jobs
from apps.core.errors import BadInput, WorkError
from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.catalog.models import Product

PASSWORD_MAIL = "send_keycloak_password_reset_email"  # noqa: S105  (the name of a kind of job)


class PlanDialog(ReasonDialog):
    """Shows what a look would change before it is asked for."""

    model = UserProfile
    form_before_template = "console/dialogs/plan.html"

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The plan, or the sentence why there is none now."""
        return person.plan_of(self.target)


class SeatsDialog(ReasonDialog):
    """Names the products this person should have a seat of and has not."""

    model = UserProfile
    form_before_template = "console/dialogs/seats.html"

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The products without a seat, and whether there is room."""
        return {"missing": person.missing_seats(self.target)}


class PasswordDialog(ReasonDialog):
    """Names the address the mail goes to."""

    model = UserProfile
    form_before_template = "console/dialogs/password.html"

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The subscriber."""
        return {"profile": self.target}


class HoldDialog(ConfirmedDialog):
    """A hold: perhaps with an end."""

    model = UserProfile
    until = LastDayField(required=False, help_text="The last day of the hold. Empty: until staff lift it.")


class GrantDialog(ReasonDialog):
    """A grant: which products, and until when."""

    model = UserProfile
    products = forms.ModelMultipleChoiceField(
        Product.objects.none(), widget=UnfoldAdminCheckboxSelectMultipleWidget, help_text="A plan gives what it includes."
    )
    until = LastDayField(help_text="The last day of the grant.")

    @override
    def prepare(self) -> None:
        self.fields["products"].queryset = Product.objects.filter(is_active=True)  # type: ignore[attr-defined]


class NoSuspendDialog(ReasonDialog):
    """Patience with a late payment, until when."""

    model = UserProfile
    until = LastDayField(help_text="The last day of patience.")


@admin.register(UserProfile)
class SubscriberAdmin(ConsoleAdmin):
    """A subscriber's page answers: what should this person have, why, what do they have, and what happened."""

    list_display = ("who", "state", "subscription", "plan", "seat_list", "until", "synced")
    list_filter = (("access_state", ChoicesDropdownFilter), ("subscription_status", ChoicesDropdownFilter))
    list_select_related = ("user",)
    search_by: ClassVar[dict[str, str]] = {
        "customer": "stripe_customer_id",
        "subscription": "stripe_subscription_id",
        "uuid": "keycloak_id onboarding_id",
        "number": "pk",
        "people": "pk",
    }
    search_help_text = "Username, address, cus_…, sub_… or Keycloak id"
    actions_detail: ClassVar[Any] = [
        "sync_now",
        "assign_seats",
        "password_mail",
        {"title": "Override", "icon": "gavel", "items": ["hold", "grant", "no_suspend"]},
    ]
    change_form_outer_before_template = "console/subscriber.html"
    fieldsets = (
        (
            "Identity",
            {
                "fields": (
                    ("username", "email"),
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
    synced = time_column("synced_at", "Made so")
    created = time_column("created_at", "Since")

    @admin.display(description="Subscriber", ordering="user__username")
    def who(self, row: UserProfile) -> SafeString:
        """Username and address."""
        return format_html('<span class="fd-who"><b>{}</b><span>{}</span></span>', row.user.get_username(), row.email)

    @admin.display(description="Username")
    def username(self, row: UserProfile) -> str:
        """The name, which is the same in Keycloak."""
        return str(row.user.get_username())

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
            Prefetch("items", UserSubscriptionItem.objects.select_related("product").order_by("pk")), "seats__instance"
        )

    @override
    def get_custom_urls(self) -> Any:
        """The plan, which asks Keycloak and is therefore loaded by itself."""
        return (("<path:object_id>/plan/", "accounts_userprofile_plan", self.plan_view),)

    def plan_view(self, request: HttpRequest, object_id: str, model_admin: Any = None) -> HttpResponse:  # noqa: ARG002
        """What a look would change now; a fragment of the subscriber's page."""
        profile = find(UserProfile, object_id)
        if not self.has_view_permission(request, profile):
            return HttpResponse(status=403)
        return render(request, "console/dialogs/plan.html", person.plan_of(profile))

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page, with everything there is to know about the person."""
        found = UserProfile.objects.select_related("user").filter(pk=object_id).first() if _is_number(object_id) else None
        if found is not None and self.has_view_permission(request, found):
            extra_context = (extra_context or {}) | {"person": person.page(found)}
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    @dialog_action(
        title="Sync now", permission="sync_userprofile", form=PlanDialog, icon="sync",
        explain="Look at this subscriber again and make it so. This is the plan as of now:",
    )  # fmt: skip
    def sync_now(self, _request: HttpRequest, form: PlanDialog) -> str:
        """Ask for a look."""
        _ask(form, action="sync_requested", words="sync asked")
        return f"{form.target} will be looked at now."

    @dialog_action(
        title="Assign seats", permission="allocate_seat", form=SeatsDialog, icon="event_seat",
        explain="Give every product this subscriber pays for a seat, where there is room.",
    )  # fmt: skip
    def assign_seats(self, _request: HttpRequest, form: SeatsDialog) -> str:
        """Ask for a look, which allocates what is missing; refused when nothing is."""
        missing = person.missing_seats(form.target)
        if not missing:
            raise BadInput("No seat is missing.")
        names = [seat.product.slug for seat in missing]
        _ask(form, action="seats_requested", words="seats asked", after={"products": names})
        return f"Seats for {', '.join(names)} will be assigned to {form.target} now."

    @dialog_action(title="Send password mail", permission="mail_userprofile", form=PasswordDialog, icon="forward_to_inbox")
    def password_mail(self, _request: HttpRequest, form: PasswordDialog) -> str:
        """Ask Keycloak to send its set-your-password mail."""
        if not form.target.keycloak_id:
            raise BadInput("There is no Keycloak account yet. Sync first.")
        _record(form, "password_mail_requested")
        jobs.defer(PASSWORD_MAIL, form.target.pk, reason=f"asked by {form.actor}", lane=reconcile.lane(form.target.pk))
        return f"Keycloak will send {form.target} a mail to set a password."

    @dialog_action(
        title="Hold", permission="override_access", form=HoldDialog, icon="block", danger=True,
        explain="No access, whatever is paid. Sessions end; the seat is kept.",
    )  # fmt: skip
    def hold(self, _request: HttpRequest, form: HoldDialog) -> str:
        """Put a hold on."""
        until = form.cleaned_data["until"]
        overrides.hold(profile=form.target, actor=form.actor, reason=form.cleaned_data["reason"], until=until)
        return f"{form.target} is on hold{f' until {when(until)}' if until else ''}."

    @dialog_action(
        title="Grant", permission="override_access", form=GrantDialog, icon="card_giftcard",
        explain="Access without payment, until a date.",
    )  # fmt: skip
    def grant(self, _request: HttpRequest, form: GrantDialog) -> str:
        """Grant products."""
        data = form.cleaned_data
        overrides.grant(
            profile=form.target, products=list(data["products"]), until=data["until"], actor=form.actor, reason=data["reason"]
        )
        return f"{form.target} has a grant until {when(data['until'])}."

    @dialog_action(
        title="Do not suspend", permission="override_access", form=NoSuspendDialog, icon="shield",
        explain="A late payment does not suspend this subscriber, until a date.",
    )  # fmt: skip
    def no_suspend(self, _request: HttpRequest, form: NoSuspendDialog) -> str:
        """Be patient."""
        data = form.cleaned_data
        overrides.no_suspend(profile=form.target, until=data["until"], actor=form.actor, reason=data["reason"])
        return f"{form.target} is not suspended for a late payment until {when(data['until'])}."


def _is_number(object_id: str | None) -> bool:
    return bool(object_id and object_id.isascii() and object_id.isdigit() and len(object_id) < 19)


def _record(form: ReasonDialog, action: str, **detail: Any) -> None:
    audit.record(
        subject=form.target.subject, action=action, actor=form.actor, reason=form.cleaned_data["reason"], **detail
    )


def _ask(form: ReasonDialog, *, action: str, words: str, **detail: Any) -> None:
    _record(form, action, **detail)
    reconcile.enqueue(form.target, reason=f"{words} by {form.actor}")


@admin.register(Signup)
class SignupAdmin(ConsoleAdmin):
    """Runs through the wizard, the newest first."""

    list_display = ("name", "email", "state_label", "interval", "person", "created", "ended")
    list_filter = (("state", ChoicesDropdownFilter), ("interval", ChoicesDropdownFilter))
    list_select_related = ("profile__user",)
    ordering = ("-created_at",)
    search_by: ClassVar[dict[str, str]] = {
        "uuid": "pk", "session": "checkout_session_id", "email": "email__iexact", "text": "username__iexact",
    }  # fmt: skip
    search_help_text = "Address, username, cs_… or signup id"
    fieldsets = (
        (None, {"fields": ("id", "state_label", "person", ("first_name", "last_name"), ("username", "email"), "email_proven")}),
        ("Order", {"fields": (("interval", "basket_lines"), ("terms_version", "terms_accepted"))}),
        ("Checkout", {"fields": (("checkout_session_id", "checkout_number"), "checkout_expires", ("created", "ended"))}),
    )

    state_label = state_column()
    person = person_column()
    created = time_column("created_at", "Began")
    ended = time_column("ended_at", "Ended")
    email_proven = time_column("email_proven_at", "Address proven")
    terms_accepted = time_column("terms_accepted_at", "Terms accepted")
    checkout_expires = time_column("checkout_expires_at", "Checkout ends")
    basket_lines = json_field("basket", "Basket")

    @admin.display(description="Name")
    def name(self, row: Signup) -> str:
        """The name given so far, or the start of the id."""
        return row.username or f"signup {str(row.pk)[:8]}"


