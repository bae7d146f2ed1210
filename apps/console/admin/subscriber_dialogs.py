"""The dialogs of the subscriber's page: what each asks, and what it shows before it asks."""

from typing import Any, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.console import person
from apps.console.dialogs import ConfirmedDialog, LastDayField, ReasonDialog


class PlanDialog(ReasonDialog):
    """Shows what a sync would change before it is asked for."""

    model = UserProfile
    form_before_template = "console/dialogs/plan.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The plan, or the sentence why there is none now."""
        return person.plan_of(self.target)


class SeatsDialog(ReasonDialog):
    """Names the products this person should have a seat of and has not."""

    model = UserProfile
    form_before_template = "console/dialogs/seats.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The products without a seat, and whether there is room."""
        return {"missing": person.missing_seats(self.target)}


class PasswordDialog(ReasonDialog):
    """Names the address the mail goes to."""

    model = UserProfile
    form_before_template = "console/dialogs/password.html"

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        return {"profile": self.target}


class HoldDialog(ConfirmedDialog):
    """A hold: perhaps with an end."""

    model = UserProfile
    until = LastDayField(required=False, help_text="The last day of the hold. Empty: until staff lift it.")


class GrantDialog(ReasonDialog):
    """A grant: which products, and until when."""

    model = UserProfile
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


class NoSuspendDialog(ReasonDialog):
    """Patience with a late payment, until when."""

    model = UserProfile
    until = LastDayField(help_text="The last day of patience.")
