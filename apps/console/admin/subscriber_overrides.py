"""Overrides as staff make them: extend grace, hold, grant, no suspension, waiver. Each shows the plan that would follow first.

The actions are a mixin of the subscriber's page; what they do is apps.access.overrides.
"""

import datetime as dt
from typing import Any, ClassVar, override

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminRadioSelectWidget

from apps.access import overrides
from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.console.admin import subscriber_page
from apps.console.asking import ask
from apps.console.dialogs import ConfirmedDialog, LastDayField, ReasonDialog, dialog_action
from apps.core import clock
from apps.core.dates import last_day
from apps.core.money import format_money
from apps.operations.models import ApprovalRequest

Action = ApprovalRequest.Action
Kind = AccessOverride.Kind
GRACE_DAYS = (3, 7, 14, 30, 60)  # offered; overrides.extend_grace sets the limits, alone and with an approval


class OverrideDialog(ReasonDialog):
    """Shows what a sync would do once the override is in force."""

    model = UserProfile
    form_before_template = "console/dialogs/plan.html"
    kind: ClassVar[Kind]

    @override
    def context(self) -> dict[str, Any]:
        tomorrow = clock.now() + dt.timedelta(days=1)  # the plan of now is the same for each end that is allowed
        return subscriber_page.preview_plan(self.target, overrides.imagine(self.target, self.kind, until=tomorrow))


class HoldDialog(OverrideDialog, ConfirmedDialog):
    kind = Kind.HOLD
    until = LastDayField(required=False, help_text="The last day of the hold. Empty: until staff lift it.")


class NoSuspensionDialog(OverrideDialog):
    kind = Kind.NO_SUSPEND
    until = LastDayField(help_text="The last day of grace.")


class WaiverDialog(OverrideDialog):
    kind = Kind.WAIVE_DISPUTE


class GraceDialog(OverrideDialog):
    """Support chooses one of a few dates; what is beyond the limits becomes a request."""

    kind = Kind.NO_SUSPEND
    form_before_template = "console/dialogs/grace.html"
    days = forms.TypedChoiceField(coerce=int, widget=UnfoldAdminRadioSelectWidget, label="Last day of grace")

    @override
    def prepare(self) -> None:
        field: Any = self.fields["days"]
        known = subscriber_page.read_facts_once(self.target)
        offered = [days for days in GRACE_DAYS if days <= settings.GRACE_EXTENSION_APPROVED_DAYS]
        beyond = {days: " – needs approval" for days in offered if days > settings.GRACE_EXTENSION_DAYS}
        ends = {days: last_day(overrides.extended_grace(known, days=days)) for days in offered}
        field.choices = [(days, f"{end} ({days} more days){beyond.get(days, '')}") for days, end in ends.items()]

    @override
    def context(self) -> dict[str, Any]:
        return super().context() | {"asks": overrides.refuse_alone(self.target, 1)}


class GrantDialog(ReasonDialog):
    """The plan follows what is chosen."""

    model = UserProfile
    form_before_template = "console/dialogs/grant.html"
    products = forms.ModelMultipleChoiceField(
        Product.objects.none(),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="A plan gives what it includes.",
    )
    until = LastDayField(help_text="The last day of the grant.")

    @override
    def prepare(self) -> None:
        field: Any = self.fields["products"]
        field.queryset = Product.objects.filter(is_active=True)

    @override
    def context(self) -> dict[str, Any]:
        return {"plan_url": reverse("admin:accounts_userprofile_grant_plan", args=[self.target.pk])}


def read_worth(products: list[Product]) -> str:
    """What somebody else pays a month for these, in each currency."""
    sums: dict[str, int] = {}
    for price in ProductPrice.objects.filter(
        product__in=products, is_active=True, interval=ProductPrice.Interval.MONTH
    ):
        sums[price.currency] = sums.get(price.currency, 0) + (price.unit_amount or 0)
    return " or ".join(format_money(amount, currency) for currency, amount in sorted(sums.items()))


def refuse_without_dispute(profile: UserProfile) -> str:
    found = subscriber_page.read_states(profile)
    disputed = any(one.disputes or one.money_returned == "dispute_lost" for one in found)
    return "" if disputed else "No payment of this subscriber is disputed."


def refuse_extension(profile: UserProfile) -> str:
    return overrides.refuse_grace(subscriber_page.read_facts_once(profile))


class OverrideActions:
    """The five actions, for the subscriber's ModelAdmin."""

    def grant_plan_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """What a grant of the chosen products would do, and what it is worth."""
        ids = [int(one) for one in request.GET.getlist("products") if one.isdecimal() and len(one) < 10]
        products = list(Product.objects.filter(pk__in=ids, is_active=True))
        if not products:
            return render(request, "console/dialogs/grant_plan.html")
        plan = subscriber_page.preview_plan(profile, overrides.imagine(profile, Kind.GRANT, products=products))
        return render(
            request, "console/dialogs/grant_plan.html", plan | {"chosen": True, "worth": read_worth(products)}
        )

    @dialog_action(
        title="Extend grace period", permission="extend_grace", form=GraceDialog, icon="more_time",
        explain="A late payment closes nothing for some more days. This is the plan with it:",
        refuse=refuse_extension, lock=True, fresh=False,
    )  # fmt: skip
    def extend_grace(self, _request: HttpRequest, form: GraceDialog) -> str:
        days = form.cleaned_data["days"]
        if overrides.refuse_alone(form.target, days):
            subject = f"profile:{form.target.pk}"
            return ask(form, Action.EXTEND_GRACE, subject=subject, profile=form.target, terms={"days": days})
        made = overrides.extend_grace(profile=form.target, days=days, **form.why)
        return f"The grace period of {form.target} is extended to the end of {last_day(made.ends_at)}."

    @dialog_action(
        title="Hold", permission="override_access", form=HoldDialog, icon="block", danger=True,
        explain="No access, whatever is paid. Sessions end; the seat is kept. This is the plan with it:",
    )  # fmt: skip
    def hold(self, _request: HttpRequest, form: HoldDialog) -> str:
        until = form.cleaned_data["until"]
        overrides.hold(profile=form.target, until=until, **form.why)
        return f"{form.target} is on hold{f' until the end of {last_day(until)}' if until else ''}."

    @dialog_action(
        title="Grant", permission="override_access", form=GrantDialog, icon="card_giftcard",
        explain="Access without payment, until a date.",
    )  # fmt: skip
    def grant(self, _request: HttpRequest, form: GrantDialog) -> str:
        until = form.cleaned_data["until"]
        overrides.grant(profile=form.target, products=list(form.cleaned_data["products"]), until=until, **form.why)
        return f"{form.target} has a grant to the end of {last_day(until)}."

    @dialog_action(
        title="Do not suspend", permission="override_access", icon="shield", form=NoSuspensionDialog,
        explain="A late payment does not suspend this subscriber, until a date. This is the plan with it:",
    )  # fmt: skip
    def no_suspend(self, _request: HttpRequest, form: NoSuspensionDialog) -> str:
        until = form.cleaned_data["until"]
        overrides.no_suspend(profile=form.target, until=until, **form.why)
        return f"{form.target} is not suspended for a late payment to the end of {last_day(until)}."

    @dialog_action(
        title="Waive dispute", permission="override_access", form=WaiverDialog, icon="handshake",
        explain="What was disputed until now does not suspend this subscriber, even if it is lost. You can lift the waiver.",
        refuse=refuse_without_dispute,
    )  # fmt: skip
    def waive_dispute(self, _request: HttpRequest, form: WaiverDialog) -> str:
        overrides.waive_dispute(profile=form.target, **form.why)
        return f"The disputes of {form.target} are waived."
