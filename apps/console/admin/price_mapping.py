"""Prices that people pay at Stripe and that no product of ours has: shown above the list of prices, and mapped in one dialog."""

from typing import Any, override

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from apps.billing import prices
from apps.billing.prices import UnmappedPrice
from apps.catalog.models import Product, ProductPrice
from apps.catalog.product_entitlements import entitlements_by_product
from apps.console.admin.catalog_preview import carry_out, people, state_of
from apps.console.dialogs import ReasonDialog
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.money import format_money
from apps.operations import impact
from apps.operations.impact import CatalogChange


def titled(price: UnmappedPrice) -> str:
    """Name, amount and id of a price, as far as they are known."""
    amount = f"{format_money(price.unit_amount, price.currency)} / {price.interval or 'once'}" if price.currency else ""
    return " · ".join(part for part in (price.name, amount, price.id) if part)


class MapPriceDialog(ReasonDialog):
    """Which price, and which product it belongs to."""

    form_before_template = "console/price_mapping.html"
    price = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget, help_text="Prices customers pay that are not in the catalog."
    )
    product = forms.ModelChoiceField(
        queryset=Product.objects.all(), widget=UnfoldAdminSelectWidget, help_text="They get what this product gives."
    )

    @override
    def prepare(self) -> None:
        self.unmapped = {one.id: one for one in prices.unmapped_prices()}
        field: Any = self.fields["price"]
        field.choices = [(one.id, f"{titled(one)} · {held(one)}") for one in self.unmapped.values()]

    @override
    def context(self) -> dict[str, Any]:
        return {"nothing": not self.unmapped}


def held(price: UnmappedPrice) -> str:
    """held by 1 person, held by 3 people."""
    return f"held by {price.holders} {'person' if price.holders == 1 else 'people'}"


def list_unmapped() -> list[dict[str, Any]]:
    """What the table above the list shows."""
    return [{"id": one.id, "title": titled(one), "holders": one.holders} for one in prices.unmapped_prices()]


def map_to_product(form: MapPriceDialog) -> str:
    """Make the price ours, not offered to anybody new, and let its holders have what the product gives."""
    known = form.unmapped[form.cleaned_data["price"]]
    product = form.cleaned_data["product"]
    given = entitlements_by_product()
    mapped = {known.id: product.pk}
    found = impact.measure_impact(CatalogChange(given, given, mapped))
    if found.lose:
        raise BadInput(f"{found.lose} people would lose something. Add the price on its own page, which shows what.")
    price = ProductPrice.objects.create(
        product=product, stripe_price_id=known.id, interval=known.interval, unit_amount=known.unit_amount,
        currency=known.currency, is_active=False,
    )  # fmt: skip
    holders = {"holders": max(known.holders, len(found.holders))}
    audit.record(
        subject=("price", price.pk), action=AuditAction.PRICE_MAPPED, after=state_of(price) | holders, **form.why
    )
    carry_out(price, found, mapped)
    return f"{known.id} is mapped to {product} from now on; {people(holders['holders'])} being synced."
