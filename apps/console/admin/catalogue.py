"""What is sold: products and their prices. Edited here, with a reason, and written to the timeline in the same transaction."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.catalog.models import Product, ProductPrice
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link_column, money, state_column
from apps.console.fields import LinesField, NumbersField, ReasonField
from apps.core import audit


class CatalogueForm(forms.ModelForm[Any]):
    """A form that asks why; base of both."""

    reason = ReasonField()


class ProductForm(CatalogueForm):
    """A product, with its lists as lines of text."""

    features = LinesField(required=False, help_text="One line of the pricing page on each line.")
    grants = NumbersField(required=False, help_text="Numbers that add up, one on each line, e.g. storage_gb = 100")

    class Meta:
        model = Product
        fields = (
            "name", "slug", "summary", "features", "icon", "color", "position", "highlighted", "placement", "is_active",
            "parent", "max_quantity", "stripe_product_id", "is_app", "needs_instance", "includes", "grants",
        )  # fmt: skip
        # A colour picker would turn "none" into black; and help texts are markup, so nothing in angle brackets.
        widgets: ClassVar[dict[str, Any]] = {"color": UnfoldAdminTextInputWidget(attrs={"placeholder": "#2f5d50"})}
        help_texts: ClassVar[dict[str, Any]] = {
            "is_app": "People log in to it. It gives the attribute has_ and its slug."
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
        data = super().clean() or {}
        if data.get("needs_instance") and not data.get("is_app"):
            self.add_error("needs_instance", "Only an app can need an instance.")
        if self.instance.pk and self.instance in list(data.get("includes") or []):
            self.add_error("includes", "A product cannot include itself.")
        if self.instance.pk and data.get("parent") == self.instance:
            self.add_error("parent", "A product cannot be its own parent.")
        return data

    def clean_stripe_product_id(self) -> str | None:
        """Empty means none."""
        return self.cleaned_data["stripe_product_id"] or None


class PriceForm(CatalogueForm):
    """A price. Amounts are whole cents, as in Stripe."""

    class Meta:
        model = ProductPrice
        fields = ("product", "stripe_price_id", "interval", "unit_amount", "currency", "is_active")

    def clean_currency(self) -> str:
        """Stripe writes currencies in small letters."""
        return str(self.cleaned_data["currency"]).lower()

    def clean_stripe_price_id(self) -> str:
        """A price id, and nothing that only looks like one."""
        value = str(self.cleaned_data["stripe_price_id"]).strip()
        if not value.startswith("price_"):
            raise forms.ValidationError("A Stripe price id begins with price_.")
        return value


class CatalogueAdmin(ConsoleAdmin):
    """Base of both: editable by whoever may change the catalogue, and each save is a line of the timeline."""

    subject = ""

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_change_catalogue_permission(request))

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_change_catalogue_permission(request))

    @override
    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save what the row points at, then write the timeline: both are in the same transaction."""
        before = {name: _value(form.initial.get(name)) for name in form.changed_data} if change else {}
        super().save_related(request, form, formsets, change)
        after = {name: _value(form.cleaned_data.get(name)) for name in form.changed_data}
        audit.record(
            subject=(self.subject, form.instance.pk),
            action=f"{self.subject}_{'changed' if change else 'created'}",
            actor=f"staff:{request.user.get_username()}",
            reason=form.cleaned_data["reason"],
            before={name: value for name, value in before.items() if name != "reason"},
            after={name: value for name, value in after.items() if name != "reason"},
        )


def _value(value: Any) -> Any:
    """A form's value as the timeline keeps it: rows by their key, the rest as text, numbers and lists."""
    if isinstance(value, QuerySet | list | tuple):
        return [_value(item) for item in value]
    if hasattr(value, "slug"):
        return value.slug
    return value if isinstance(value, str | int | bool | dict | None) else str(value)


@admin.register(Product)
class ProductAdmin(CatalogueAdmin):
    """Plans, apps and add-ons."""

    subject = "product"
    form = ProductForm
    list_display = ("name", "placement_label", "gives", "price_list", "parent", "active")
    list_filter = (("placement", ChoicesDropdownFilter), "is_active", "is_app")
    list_select_related = ("parent",)
    ordering = ("position", "pk")
    search_by: ClassVar[dict[str, str]] = {
        "stripe_product": "stripe_product_id", "text": "name__icontains slug__icontains", "number": "pk",
    }  # fmt: skip
    search_help_text = "Name or prod_…"
    filter_horizontal = ("includes",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "slug"),
                    "summary",
                    "features",
                    ("icon", "color"),
                    ("position", "highlighted"),
                )
            },
        ),
        (
            "Where it is offered",
            {
                "fields": (
                    ("placement", "is_active"),
                    ("parent", "max_quantity"),
                    "stripe_product_id",
                )
            },
        ),
        ("What it gives", {"fields": (("is_app", "needs_instance"), "includes", "grants")}),
        ("Why", {"fields": ("reason",)}),
    )

    @admin.display(description="Offered as", ordering="placement")
    def placement_label(self, row: Product) -> Any:
        """Where the wizard offers it."""
        return badge(
            "busy" if row.placement != Product.Placement.HIDDEN else "hidden",
            row.get_placement_display(),
        )

    @admin.display(description="On sale", ordering="is_active", boolean=True)
    def active(self, row: Product) -> bool:
        """Whether it is offered at all."""
        return row.is_active

    @admin.display(description="Gives")
    def gives(self, row: Any) -> str:
        """Apps and numbers."""
        apps = [app.slug for app in ([row] if row.is_app else []) + list(row.includes.all())]
        return ", ".join([*apps, *(f"{name} {amount}" for name, amount in row.grants.items())]) or "–"

    @admin.display(description="Prices")
    def price_list(self, row: Any) -> str:
        """The prices new customers are offered."""
        return (
            ", ".join(f"{money(price.unit_amount, price.currency)} / {price.interval}" for price in row.offered) or "–"
        )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With prices and what it includes, in two more queries."""
        offered = Prefetch(
            "prices",
            ProductPrice.objects.filter(is_active=True).order_by("interval"),
            to_attr="offered",
        )
        return super().get_queryset(request).prefetch_related("includes", offered)  # type: ignore[no-any-return]

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
class PriceAdmin(CatalogueAdmin):
    """Prices as they are in Stripe. Stripe's prices never change, so only whether one is offered can be changed here."""

    subject = "price"
    form = PriceForm
    list_display = (
        "price",
        "product_link",
        "interval_label",
        "amount",
        "stripe_price_id",
        "active",
    )
    list_filter = (
        ("product", RelatedDropdownFilter),
        ("interval", ChoicesDropdownFilter),
        "is_active",
    )
    list_select_related = ("product",)
    search_by: ClassVar[dict[str, str]] = {
        "price": "stripe_price_id",
        "text": "product__name__icontains",
        "number": "pk",
    }
    search_help_text = "Product or price_…"
    product_link = link_column("product", "Product")
    interval_label = state_column("interval", "Interval")

    @admin.display(description="Price", ordering="product__name")
    def price(self, row: ProductPrice) -> str:
        """Product and interval."""
        return str(row)

    @admin.display(description="Amount", ordering="unit_amount")
    def amount(self, row: ProductPrice) -> str:
        """In the currency's own unit."""
        return money(row.unit_amount, row.currency)

    @admin.display(description="Offered", ordering="is_active", boolean=True)
    def active(self, row: ProductPrice) -> bool:
        """To new customers."""
        return row.is_active

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields: list[Any] = [
            "product",
            ("stripe_price_id", "interval"),
            ("unit_amount", "currency"),
            "is_active",
        ]
        return [*fields, "reason"] if self.has_change_permission(request, obj) else fields

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("product", "stripe_price_id", "interval", "unit_amount", "currency") if obj else ()
