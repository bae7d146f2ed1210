"""The forms of the catalog: lists as lines, numbers as rows of a name and an amount, and refusals as sentences at the field.

What SQL would refuse is refused here first, also where the rule spans a field that cannot be edited.
"""

import re
from typing import Any, ClassVar, override

from django import forms
from django.template.loader import render_to_string
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.catalog.models import Product, ProductPrice
from apps.console.dialogs import ReasonField

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
AMOUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
ROWS, SPARE = 20, 2
# Attributes that Keycloak, or the signup, keeps for itself.
NOT_OURS = frozenset(
    {"username", "email", "firstname", "lastname", "first_name", "last_name", "locale", "picture", "onboarding_id"}
)
Rows = list[tuple[str, str]]


class LinesField(forms.CharField):
    """A list of texts, one on each line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 5})

    @override
    def prepare_value(self, value: Any) -> Any:
        return "\n".join(str(line) for line in value) if isinstance(value, list) else value

    @override
    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        if len(lines) > 20 or any(len(line) > 120 for line in lines):
            raise forms.ValidationError("At most 20 lines of at most 120 characters.")
        return lines

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or []))
        except forms.ValidationError:
            return True


class GrantsWidget(forms.Widget):
    """Rows of a name and an amount, two of them empty; sent as two lists of the same length."""

    @override
    def value_from_datadict(self, data: Any, files: Any, name: str) -> Rows:
        """The rows as they were typed; an odd end is a row without its other half."""
        names, amounts = (
            data.getlist(f"{name}_{part}") if hasattr(data, "getlist") else data.get(f"{name}_{part}", [])
            for part in ("name", "amount")
        )
        length = max(len(names), len(amounts))
        pad = [""] * length
        return list(zip([*names, *pad][:length], [*amounts, *pad][:length], strict=True))

    @override
    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}_name" not in data

    @override
    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        rows = list(value.items()) if isinstance(value, dict) else list(value or [])
        rows = [row for row in rows if any(row)] + [("", "")] * SPARE
        parts = [
            {
                "name": self._part(f"{name}_name", one, f"Name of number {index}", "storage_gb", attrs if index == 1 else {}),
                "amount": self._part(f"{name}_amount", two, f"Amount of number {index}", "100", {"inputmode": "numeric"}),
            }
            for index, (one, two) in enumerate(rows[: ROWS + SPARE], start=1)
        ]  # fmt: skip
        return render_to_string("console/catalog_grants.html", {"rows": parts})

    def _part(self, name: str, value: Any, label: str, example: str, attrs: Any) -> Any:
        widget = UnfoldAdminTextInputWidget(attrs={"placeholder": example, "aria-label": label, "autocomplete": "off"})
        return widget.render(name, value, attrs or {})


class GrantsField(forms.Field):
    """Numbers that add up, by name; cleaned to a dict of whole numbers."""

    widget = GrantsWidget

    @override
    def clean(self, value: Any) -> dict[str, int]:
        """Rows without anything in them do not count."""
        rows = [
            (str(one).strip(), str(two).strip()) for one, two in value or [] if str(one).strip() or str(two).strip()
        ]
        if len(rows) > ROWS:
            raise forms.ValidationError(f"At most {ROWS} numbers.")
        found: dict[str, int] = {}
        for name, amount in rows:
            problem = _problem(name, amount, found)
            if problem:
                raise forms.ValidationError(problem)
            found[name] = int(amount)
        return found

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.clean(data) != (initial or {})
        except forms.ValidationError:
            return True


def _problem(name: str, amount: str, found: dict[str, int]) -> str:
    """What is wrong with a row, as a sentence; empty when nothing is."""
    if not name:
        return f"The amount {amount[:20]} has no name."
    shown = f"“{name[:40]}”"
    if not NAME.fullmatch(name):
        return f"{shown} is no name for a number. Use small letters, digits and underscores, e.g. storage_gb."
    if name in NOT_OURS or name.startswith("has_") or name.endswith("_instance"):
        return f"{shown} is kept for something else. Choose another name."
    if name in found:
        return f"{shown} is there twice. Keep one of them."
    if not AMOUNT.fullmatch(amount):
        return f"{shown} needs a whole number of at most nine digits, e.g. 100."
    return ""


class CatalogForm(forms.ModelForm[Any]):
    """A form that asks why; base of both. `_edit` comes from the preview: show it again, save nothing."""

    reason = ReasonField()

    @override
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "_edit" in self.data:
            self.add_error(None, "Nothing has been saved yet. Change what you like, then save again.")
        return data


class ProductForm(CatalogForm):
    """A product, with its lists as lines of text."""

    features = LinesField(required=False, help_text="One line of the pricing page on each line.")
    grants = GrantsField(
        required=False,
        label="Numbers",
        help_text="They add up over everything a subscriber pays for, times its quantity. Empty a row to remove it.",
    )

    class Meta:
        model = Product
        fields = (
            "name", "slug", "summary", "features", "icon", "color", "position", "highlighted", "placement", "is_active",
            "parent", "max_quantity", "stripe_product_id", "is_app", "needs_instance", "includes", "grants",
        )  # fmt: skip
        # A colour picker would turn "none" into black; and help texts are markup, so nothing in angle brackets.
        widgets: ClassVar[dict[str, Any]] = {"color": UnfoldAdminTextInputWidget(attrs={"placeholder": "#2f5d50"})}
        help_texts: ClassVar[dict[str, Any]] = {
            "is_app": "Subscribers log in to it. It gives the attribute has_ plus its slug."
        }

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """A product includes apps, and nothing else."""
        super().__init__(*args, **kwargs)
        if "includes" in self.fields:
            self.fields["includes"].queryset = Product.objects.filter(is_app=True)  # type: ignore[attr-defined]

    @override
    def clean(self) -> dict[str, Any]:
        """What SQL refuses, said in words; and a plan does not include itself."""
        data = super().clean()
        if data.get("needs_instance") and not data.get("is_app"):
            self.add_error("needs_instance", "Only an app can need an instance.")
        if "max_quantity" in data and not data["max_quantity"]:
            self.add_error("max_quantity", "At least one can be bought.")
        if self.instance.pk and self.instance in list(data.get("includes") or []):
            self.add_error("includes", "A product cannot include itself.")
        parent = data.get("parent")
        if parent and parent == self.instance:
            self.add_error("parent", "A product cannot be its own parent.")
        elif parent and "parent" in self.changed_data and parent.placement != Product.Placement.PLAN:
            self.add_error("parent", f"{parent} is not offered as a plan; an add-on goes with a plan.")
        return data

    def clean_stripe_product_id(self) -> str | None:
        """Any text: the owner of the Stripe account may have chosen it. Stripe makes those of prices itself."""
        value = str(self.cleaned_data["stripe_product_id"] or "").strip()
        if value.startswith("price_"):
            raise forms.ValidationError("This is the id of a price. Enter that of its product.")
        return value or None


class PriceForm(CatalogForm):
    """A price. Amounts are whole cents, as in Stripe."""

    class Meta:
        model = ProductPrice
        fields = ("product", "stripe_price_id", "interval", "unit_amount", "currency", "is_active")

    def clean_currency(self) -> str:
        """Stripe writes currencies in small letters."""
        value = str(self.cleaned_data["currency"]).lower()
        if not re.fullmatch(r"[a-z]{3}", value, re.ASCII):
            raise forms.ValidationError("A currency has three letters, e.g. eur.")
        return value

    def clean_stripe_price_id(self) -> str:
        """Any text: an old plan's id was chosen by the owner of the Stripe account. Products have other ids."""
        value = str(self.cleaned_data["stripe_price_id"]).strip()
        if value.startswith("prod_"):
            raise forms.ValidationError("This is the id of a product. Enter that of one of its prices.")
        return value

    @override
    def clean(self) -> dict[str, Any]:
        """One offered price of a product per interval and currency; months and years only. Also where only one is edited."""
        data = super().clean()
        product, interval, currency = (
            data.get(name) or (getattr(self.instance, name, None) if self.instance.pk else None)
            for name in ("product", "interval", "currency")
        )
        if not data.get("is_active") or product is None:
            return data
        if interval not in {"month", "year"}:
            self.add_error("is_active", "Only monthly and yearly prices can be offered.")
            return data
        others = ProductPrice.objects.filter(product=product, interval=interval, currency=currency, is_active=True)
        if others.exclude(pk=self.instance.pk).exists():
            self.add_error(
                "is_active", f"{product} is offered at another price for this interval. Withdraw that one first."
            )
        return data
