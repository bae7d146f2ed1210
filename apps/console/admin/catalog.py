"""What is sold: products and their prices. Edited here, with a reason, and what it does to people is shown first."""

from collections.abc import Mapping
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Prefetch
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from apps.catalog.models import Product, ProductPrice
from apps.console.admin.catalog_forms import PriceForm, ProductForm
from apps.console.admin.catalog_preview import PreviewedAdmin, State
from apps.console.admin.price_mapping import MapPriceDialog, list_unmapped, map_to_product
from apps.console.columns import link_column, state_column
from apps.console.dialogs import dialog_action
from apps.core.money import format_money


@admin.register(Product)
class ProductAdmin(PreviewedAdmin):
    subject = "product"
    form = ProductForm
    list_display = ("name", "placement_label", "gives", "price_list", "parent", "active")
    list_filter = (("placement", ChoicesDropdownFilter), "is_active", "is_app")
    list_select_related = ("parent",)
    prefetched = (
        "includes",
        Prefetch("prices", ProductPrice.objects.filter(is_active=True).order_by("interval"), to_attr="offered"),
    )
    tabs = ("placement", tuple(Product.Placement))
    ordering = ("position", "pk")
    search_by: ClassVar[dict[str, str]] = {
        "stripe_product": "stripe_product_id", "text": "name__icontains slug__icontains", "number": "pk",
    }  # fmt: skip
    search_help_text = "Name or prod_…"
    filter_horizontal = ("includes",)
    fieldsets = (
        (None, {"fields": (("name", "slug"), "summary", "features", ("icon", "color"), ("position", "highlighted"))}),
        ("Where it is offered", {"fields": (("placement", "is_active"), ("parent", "max_quantity"), "stripe_product_id")}),
        ("What it gives", {"fields": (("is_app", "needs_instance"), "includes", "grants")}),
        ("Why", {"fields": ("reason",)}),
    )  # fmt: skip

    placement_label = state_column("placement", "Offered as")

    @admin.display(description="On sale", ordering="is_active", boolean=True)
    def active(self, row: Product) -> bool:
        """Whether it is offered at all."""
        return row.is_active

    @admin.display(description="Gives")
    def gives(self, row: Any) -> str:
        apps = [app.slug for app in ([row] if row.is_app else []) + list(row.includes.all())]
        return ", ".join([*apps, *(f"{name} {amount}" for name, amount in row.grants.items())]) or "–"

    @admin.display(description="Prices")
    def price_list(self, row: Any) -> str:
        """The prices new customers are offered."""
        offered = (f"{format_money(price.unit_amount, price.currency)} / {price.interval}" for price in row.offered)
        return ", ".join(offered) or "–"

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody is asked why for only looking."""
        found = list(super().get_fieldsets(request, obj))
        return found if self.has_change_permission(request, obj) else found[:-1]

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The slug names attributes in Keycloak: it stays once it is given."""
        return ("slug",) if obj else ()


@admin.register(ProductPrice)
class PriceAdmin(PreviewedAdmin):
    """Prices as they are in Stripe, where they never change: only whether one is offered, and which product it maps to, changes here."""

    subject = "price"
    form = PriceForm
    list_display = ("price", "product_link", "interval_label", "amount", "stripe_price_id", "active")
    list_filter = (("product", RelatedDropdownFilter), ("interval", ChoicesDropdownFilter), "is_active")
    list_select_related = ("product",)
    search_by: ClassVar[dict[str, str]] = {
        "price": "stripe_price_id",
        "text": "product__name__icontains",
        "number": "pk",
    }
    search_help_text = "Product or price_…"
    actions_list: ClassVar[Any] = ["map_price"]
    list_before_template = "console/price_mapping.html"
    product_link = link_column("product", "Product")
    interval_label = state_column("interval", "Interval")

    @admin.display(description="Price", ordering="product__name")
    def price(self, row: ProductPrice) -> str:
        return str(row)

    @admin.display(description="Amount", ordering="unit_amount")
    def amount(self, row: ProductPrice) -> str:
        """In the currency's own unit."""
        return format_money(row.unit_amount, row.currency)

    @admin.display(description="Offered", ordering="is_active", boolean=True)
    def active(self, row: ProductPrice) -> bool:
        return row.is_active

    @override
    def list_context(self, _request: HttpRequest) -> dict[str, Any]:
        """What is paid and not mapped, above the list."""
        return {"unmapped": list_unmapped()}

    @dialog_action(
        title="Map price to product", permission="change_catalog", form=MapPriceDialog, icon="add_link",
        explain="Choose a price that customers pay at Stripe and the product it belongs to. It is not offered to new customers.",
    )  # fmt: skip
    def map_price(self, _request: HttpRequest, form: MapPriceDialog) -> str:
        """From now on it gives what the product gives."""
        return map_to_product(form)

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["product", ("stripe_price_id", "interval"), ("unit_amount", "currency"), "is_active"]
        return [*fields, "reason"] if self.has_change_permission(request, obj) else fields

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("stripe_price_id", "interval", "unit_amount", "currency") if obj else ()

    @override
    def mapped(self, row: ProductPrice, before: State) -> Mapping[str, int]:
        """A new price, or one mapped to another product, takes along the lines of those who pay it."""
        return {} if before.get("product") == row.product.slug else {row.stripe_price_id: row.product_id}
