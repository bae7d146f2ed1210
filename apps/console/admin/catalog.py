"""What is sold: products and their prices. Edited here, with a reason, and what it does to people is shown first."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, override

from babel import Locale
from django import forms
from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Prefetch, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.billing import price_list
from apps.catalog import translated
from apps.catalog.entitlements import describe_number
from apps.catalog.models import TEXTS, Product, ProductPrice
from apps.catalog.translated import column_for
from apps.console.admin.catalog_forms import PriceForm, ProductForm
from apps.console.admin.catalog_preview import PreviewedAdmin, State, state_of
from apps.console.admin.price_mapping import MapPriceDialog, list_unmapped, map_to_product
from apps.console.admin.seat_plan_dialogs import RebalanceAction
from apps.console.columns import link_column, state_column
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.console.filters import NameFilter
from apps.core import audit, languages
from apps.core.audit_actions import AuditAction
from apps.core.errors import WorkError
from apps.core.money import format_money


def free_slug(name: str) -> str:
    """A slug made of a name, that no product has yet."""
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    slug = words[:34] if words[:1].isalpha() else f"product_{words}"[:34].rstrip("_")
    taken = set(Product.objects.filter(slug__startswith=slug).values_list("slug", flat=True))
    return next(one for one in (slug, *(f"{slug}_{number}" for number in range(2, 1000))) if one not in taken)


def _offered(fields: tuple[Any, ...]) -> tuple[Any, ...]:
    """A fieldset's fields without the texts of languages that the site does not offer."""
    hidden = {
        column_for(name, code) for code in translated.LANGUAGES if code not in languages.offered() for name in TEXTS
    }
    rows = [one if isinstance(one, str) else tuple(name for name in one if name not in hidden) for one in fields]
    return tuple(row[0] if len(row) == 1 else row for row in rows if row)


def _language(code: str) -> str:
    return str(Locale(code).english_name)


def _words(name: str) -> str:
    return name.replace("_", " ")


class ImportDialog(ReasonDialog):
    """Which of Stripe's products to take over."""

    products = forms.MultipleChoiceField(
        label="Products at Stripe",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Each becomes a product that is not on sale yet, with those of its prices that can be offered.",
    )

    @override
    def prepare(self) -> None:
        field: Any = self.fields["products"]
        try:
            listed = price_list.list_products()
        except WorkError as error:
            listed, field.help_text = [], f"Stripe's products cannot be read now. {error.reason}"
        known = set(Product.objects.values_list("stripe_product_id", flat=True))
        self.listed = {one.id: one for one in listed if one.id not in known}
        field.choices = [
            (
                one.id,
                f"{one.name or one.id}: {'; '.join(map(price_list.describe_price, one.prices)) or 'no active price'}",
            )
            for one in self.listed.values()
        ]
        if not self.listed and listed:
            field.help_text = "Every active product of your Stripe account is in the catalog."


@admin.register(Product)
class ProductAdmin(RebalanceAction, PreviewedAdmin):
    subject = "product"
    form = ProductForm
    list_display = ("name", "placement_label", "gives", "price_list", "parent", "active")
    list_filter = (("placement", ChoicesDropdownFilter), "is_active", "is_app")
    list_select_related = ("parent",)
    prefetched = (
        Prefetch("prices", ProductPrice.objects.filter(is_active=True).order_by("interval"), to_attr="offered"),
    )
    tabs = ("placement", tuple(Product.Placement))
    ordering = ("position", "pk")
    search_by: ClassVar[dict[str, str]] = {
        "stripe_product": "stripe_product_id", "text": "name__icontains slug__icontains", "number": "pk",
    }  # fmt: skip
    search_help_text = "Name or prod_…"
    actions_list: ClassVar[Any] = ["import_products"]
    actions_detail: ClassVar[Any] = ["rebalance"]
    filter_horizontal = ("includes",)
    fieldsets = (
        (None, {"fields": (("name", "name_de"), "slug", ("summary", "summary_de"), ("features", "features_de"), ("icon", "color"), ("position", "highlighted"))}),
        ("Where it is offered", {"fields": (("placement", "is_active"), ("parent", "max_quantity", "people"), "stripe_product_id")}),
        ("What it gives", {"fields": (("is_app", "needs_instance"), "includes", "grants")}),
        ("How to begin", {"fields": (("first_steps", "first_steps_de"), "client_links", ("sync_address", "guide_url"))}),
        ("Why", {"fields": ("reason",)}),
    )  # fmt: skip

    placement_label = state_column("placement", "Offered as")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the names of the apps it includes."""
        rows: Any = super().get_queryset(request)
        apps = Product.objects.filter(included_in=OuterRef("pk")).order_by("position", "name").values("slug")
        return rows.annotate(included=ArraySubquery(apps))  # type: ignore[no-any-return]

    @admin.display(description="On sale", ordering="is_active", boolean=True)
    def active(self, row: Product) -> bool:
        """Whether it is offered at all."""
        return row.is_active

    @admin.display(description="Gives")
    def gives(self, row: Any) -> str:
        apps = [*([row.slug] if row.is_app else []), *row.included]
        return ", ".join([*apps, *(describe_number(*one) for one in row.grants.items())]) or "–"

    @admin.display(description="Prices")
    def price_list(self, row: Any) -> str:
        """The prices new customers are offered."""
        offered = (f"{format_money(price.unit_amount, price.currency)} / {price.interval}" for price in row.offered)
        return ", ".join(offered) or "–"

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        """What lacks a translation, on a site of several languages."""
        found = tuple(super().get_list_display(request))
        return (*found, "translation") if len(languages.offered()) > 1 else found

    @admin.display(description="Translation")
    def translation(self, row: Product) -> str:
        missing = row.untranslated()
        said = (f"{_language(code)} lacks {', '.join(map(_words, names))}" for code, names in missing.items())
        return "; ".join(said) or "Complete"

    @dialog_action(
        title="Import from Stripe", permission="change_catalog", form=ImportDialog, icon="download",
        explain="Take over products and prices that your Stripe account has already.",
    )  # fmt: skip
    def import_products(self, _request: HttpRequest, form: ImportDialog) -> str:
        last = Product.objects.order_by("-position").values_list("position", flat=True).first() or 0
        chosen = [form.listed[one] for one in form.cleaned_data["products"]]
        for number, found in enumerate(chosen, start=1):
            product = price_list.import_product(found, slug=free_slug(found.name), position=last + 10 * number)
            audit.record(
                subject=("product", product.pk), action=AuditAction.PRODUCT_CREATED, after=state_of(product), **form.why
            )
        return f"{len(chosen)} imported. Say what each gives, then put it on sale."

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody is asked why for only looking, nor for texts in a language that the site does not offer."""
        found = [
            (title, options | {"fields": _offered(options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]
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
    list_filter = (("product", NameFilter), ("interval", ChoicesDropdownFilter), "is_active")
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
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form is about what Stripe sells, which is asked before the transaction begins."""
        if self.has_change_catalog_permission(request) and (request.method == "POST" or object_id is None):
            row = self.get_object(request, object_id) if object_id else None
            request.__dict__["stripe_prices"] = _ask_stripe(row)
        return super().changeform_view(request, object_id, form_url, extra_context)

    @override
    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type("PriceForm", (form,), request.__dict__.get("stripe_prices", {}))

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["product", "stripe_price", "is_active", "reason"]
        fields = ["product", ("stripe_price_id", "interval"), ("unit_amount", "currency"), "is_active"]
        return [*fields, "reason"] if self.has_change_permission(request, obj) else fields

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("stripe_price_id", "interval", "unit_amount", "currency") if obj else ()

    @override
    def mapped(self, row: ProductPrice, before: State) -> Mapping[str, int]:
        """A new price, or one mapped to another product, takes along the lines of those who pay it."""
        return {} if before.get("product") == row.product.slug else {row.stripe_price_id: row.product_id}


def _ask_stripe(row: ProductPrice | None) -> dict[str, Any]:
    """For PriceForm: the price's present facts, or for a new one all prices; or the sentence why there are none now."""
    try:
        if row is not None:
            return {"facts": price_list.fetch_price(row.stripe_price_id)}
        return {"listed": tuple(price_list.list_products())}
    except WorkError as error:
        return {"unlisted": f"Stripe's prices cannot be read now. {error.reason}"}
