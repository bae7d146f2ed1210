"""The forms of the catalog: lists as lines, numbers as rows of a name and an amount, and refusals as sentences at the field.

What SQL would refuse is refused here first, also where the rule spans a field that cannot be edited.
"""

import re
from typing import Any, ClassVar, override

from django import forms
from django.core.validators import URLValidator
from django.template.loader import render_to_string
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.billing.parsing import PriceFacts
from apps.billing.price_list import StripeProduct, describe_price, facts_of_price
from apps.billing.prices import explain_unsellable
from apps.catalog.models import Product, ProductPrice
from apps.console.dialogs import ReasonField

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
AMOUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
ROWS, SPARE = 20, 2
HTTPS = URLValidator(schemes=["https"])
# Attributes that Keycloak, or the signup, keeps for itself.
NOT_OURS = frozenset(
    {"username", "email", "firstname", "lastname", "first_name", "last_name", "locale", "picture", "onboarding_id"}
)
GERMAN_HELP = "Left empty, people who read German read the English one."
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


class LinksField(LinesField):
    """Names with an address each, one on each line: “Android https://…”; cleaned to a list of both."""

    @override
    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{one['name']} {one['url']}" for one in value) if isinstance(value, list) else value

    @override
    def clean(self, value: Any) -> list[dict[str, str]]:
        links = []
        for line in super().clean(value):
            name, _, url = line.rpartition(" ")
            try:
                HTTPS(url)
            except forms.ValidationError as error:
                raise forms.ValidationError(f"“{line[:60]}” is not a name and an https:// address.") from error
            if not name.strip():
                raise forms.ValidationError(f"{url} has no name.")
            links.append({"name": name.strip(), "url": url})
        return links


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

    first_steps = LinesField(
        required=False, help_text="What to do first, one step on each line. Subscribers who have it read this."
    )
    features_de = LinesField(required=False, label="Features in German", help_text=GERMAN_HELP)
    first_steps_de = LinesField(required=False, label="First steps in German", help_text=GERMAN_HELP)
    client_links = LinksField(
        required=False,
        label="Programs",
        help_text="For phone and computer, one on each line: its name and where to get it, such as “Android https://…”.",
    )

    class Meta:
        model = Product
        fields = (
            "name", "slug", "summary", "features", "icon", "color", "position", "highlighted", "placement", "is_active",
            "parent", "max_quantity", "people", "stripe_product_id", "is_app", "needs_instance", "includes", "grants",
            "first_steps", "client_links", "sync_address", "guide_url", "name_de", "summary_de", "features_de", "first_steps_de",
        )  # fmt: skip
        # A colour picker would turn "none" into black; and help texts are markup, so nothing in angle brackets.
        widgets: ClassVar[dict[str, Any]] = {"color": UnfoldAdminTextInputWidget(attrs={"placeholder": "#2f5d50"})}
        help_texts: ClassVar[dict[str, Any]] = {
            "name_de": GERMAN_HELP,
            "summary_de": GERMAN_HELP,
            "is_app": "Subscribers log in to it. It gives the attribute has_ plus its slug.",
        }

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """A product includes apps, and nothing else."""
        super().__init__(*args, **kwargs)
        if "people" in self.fields:
            self.fields["people"].required = False
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

    def clean_people(self) -> int:
        """Left empty, it is for the buyer alone."""
        return self.cleaned_data["people"] or 0

    def clean_stripe_product_id(self) -> str | None:
        """Any text: the owner of the Stripe account may have chosen it. Stripe makes those of prices itself."""
        value = str(self.cleaned_data["stripe_product_id"] or "").strip()
        if value.startswith("price_"):
            raise forms.ValidationError("This is the id of a price. Enter that of its product.")
        return value or None


class PriceForm(CatalogForm):
    """Which of Stripe's prices belongs to which product, and whether it is offered. Nothing about the price is typed.

    `listed` are Stripe's products with their prices, `unlisted` why there are none, and `facts` the present facts of the
    price the form is about: all read by PriceAdmin, outside the transaction.
    """

    listed: ClassVar[tuple[StripeProduct, ...]] = ()
    unlisted: ClassVar[str] = ""
    facts: ClassVar[PriceFacts | None] = None

    class Meta:
        model = ProductPrice
        fields = ("product", "is_active")

    stripe_price = forms.ChoiceField(label="Stripe price", widget=UnfoldAdminSelectWidget)

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["stripe_price"]
            return
        known = set(ProductPrice.objects.values_list("stripe_price_id", flat=True))
        groups = [
            (one.name or one.id, [(price.id, describe_price(price)) for price in one.prices if price.id not in known])
            for one in self.listed
        ]
        field: Any = self.fields["stripe_price"]
        field.choices = [("", "Choose a price"), *(group for group in groups if group[1])]
        field.help_text = self.unlisted or "The active prices of your Stripe account that are not in the catalog yet."

    def clean_stripe_price(self) -> str:
        """The price takes over what Stripe says about it."""
        chosen = str(self.cleaned_data["stripe_price"])
        facts = next((price for one in self.listed for price in one.prices if price.id == chosen), None)
        if facts is None or not facts.interval:
            raise forms.ValidationError(
                f"This cannot be sold by subscription: {facts.obstacle if facts else 'it is gone'}."
            )
        self.instance.stripe_price_id = facts.id
        for name, value in facts_of_price(facts).items():
            setattr(self.instance, name, value)
        return chosen

    @override
    def clean(self) -> dict[str, Any]:
        """What Stripe can charge as it is, and one offered price of a product per interval and currency."""
        data = super().clean()
        product = data.get("product") or (self.instance.product if self.instance.product_id else None)
        if not data.get("is_active") or product is None or not self.instance.stripe_price_id:
            return data
        if why := self._obstacle(data):
            self.add_error("is_active", f"This price cannot be offered: {why}.")
            return data
        same = {"product": product, "interval": self.instance.interval, "currency": self.instance.currency}
        if ProductPrice.objects.filter(**same, is_active=True).exclude(pk=self.instance.pk).exists():
            self.add_error(
                "is_active", f"{product} is offered at another price for this interval. Withdraw that one first."
            )
        return data

    def _obstacle(self, data: dict[str, Any]) -> str:
        """Why Stripe could not charge the price as it is; of one that was offered already, the nightly check finds it."""
        if self.instance.pk and "is_active" not in self.changed_data:
            return ""
        chosen = data.get("stripe_price")
        facts = next((price for one in self.listed for price in one.prices if price.id == chosen), self.facts)
        return explain_unsellable(facts) if facts else self.unlisted or "Stripe has it no more"
