"""Instances, their caps and how full they are. Caps change through instances.allocation only."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldBooleanSwitchWidget

from apps.catalog.models import Product
from apps.console.admin.instance_notices import NoticeActions, country_field
from apps.console.admin.instance_provisioning import ProvisioningAction
from apps.console.admin.seat_plan_dialogs import DrainAction
from apps.console.bars import Bar
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, link_column, state_badge, time_column
from apps.console.dialogs import ReasonDialog, ReasonField, dialog_action
from apps.console.filters import NameFilter
from apps.core.countries import country_name
from apps.core.states import Tone
from apps.instances import deployments
from apps.instances.capacity import have_room
from apps.instances.models import Instance

CAPS = ("soft_cap", "allocation_cap", "hard_cap")


class CapsDialog(ReasonDialog):
    """The three caps, as they are now."""

    model = Instance
    form_before_template = "console/dialogs/caps.html"
    soft_cap = forms.IntegerField(min_value=0, max_value=1_000_000, widget=UnfoldAdminIntegerFieldWidget)
    allocation_cap = forms.IntegerField(min_value=1, max_value=1_000_000, widget=UnfoldAdminIntegerFieldWidget)
    hard_cap = forms.IntegerField(min_value=2, max_value=1_000_000, widget=UnfoldAdminIntegerFieldWidget)

    @override
    def prepare(self) -> None:
        for name in CAPS:
            self.fields[name].initial = getattr(self.target, name)

    @override
    def context(self) -> dict[str, Any]:
        """The instance as it is, and what somebody new would meet on all of its product's."""
        return {
            "bar": Bar.of(self.target),
            "over": max(0, self.target.allocated_seats - self.target.hard_cap),
            "outlook": outlook(self.target.product),
        }


class AvailabilityDialog(ReasonDialog):
    """Whether an instance is used, and whether new people come in."""

    model = Instance
    is_active = forms.BooleanField(
        required=False,
        label="In use",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Off: nobody is assigned or moved here.",
    )
    auto_allocate = forms.BooleanField(
        required=False, label="Open to new subscribers", widget=UnfoldBooleanSwitchWidget
    )

    @override
    def prepare(self) -> None:
        for name in ("is_active", "auto_allocate"):
            self.fields[name].initial = getattr(self.target, name)


class InstanceForm(forms.ModelForm[Any]):
    """A new instance; deployments.create_instance saves it."""

    country = country_field()
    reason = ReasonField()

    class Meta:
        model = Instance
        fields = ("product", "slug", "name", "url", "location", "country", *CAPS, "is_active", "auto_allocate")

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "product" in self.fields:
            self.fields["product"].queryset = Product.objects.filter(needs_instance=True)  # type: ignore[attr-defined]

    @override
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        soft, allocated, hard = (data.get(name) for name in CAPS)
        if None not in (soft, allocated, hard) and not soft < allocated < hard:  # type: ignore[operator]
            self.add_error("soft_cap", "The soft cap must be below the allocation cap, and that below the hard cap.")
        return data


def outlook(product: Product) -> str:
    """What somebody who wants this product now would meet, in a sentence."""
    if have_room([product])[product.pk]:
        return f"New subscribers find room on {product.name}."
    return f"No instance of {product.name} takes new subscribers now: they are offered the waitlist."


def over_words(instance: Instance) -> str:
    """How far above its hard cap an instance is; empty when it is not."""
    over = instance.allocated_seats - instance.hard_cap
    if over <= 0:
        return ""
    seats = "1 seat is" if over == 1 else f"{over} seats are"
    return f"{seats} over the hard cap, and nobody was evicted: move or release them, or raise the cap."


@admin.register(Instance)
class InstanceAdmin(DrainAction, NoticeActions, ProvisioningAction, ConsoleAdmin):
    """Deployments and how full they are."""

    form = InstanceForm
    few = True
    list_display = ("name", "product_link", "fill", "taken", "open_label", "address")
    list_filter = (("product", NameFilter), "is_active", "auto_allocate")
    list_select_related = ("product",)
    list_after_template = "console/legend.html"
    ordering = ("product__position", "slug")
    search_by: ClassVar[dict[str, str]] = {"text": "slug__icontains name__icontains", "number": "pk"}
    search_help_text = "Name"
    actions_detail: ClassVar[Any] = [
        "change_caps",
        "open_or_close",
        "change_location",
        "change_notice",
        {"title": "Product", "icon": "settings_remote", "items": ["change_provisioning", "send_all_again"]},
        "drain",
    ]
    change_form_outer_before_template = "console/instance.html"
    change_form_after_template = "console/capacity_add.html"
    add_fieldsets = (
        (None, {"fields": ("product", ("name", "slug"), "url", ("location", "country"))}),
        ("Caps", {"fields": (CAPS,), "description": "Soft below allocation below hard."}),
        ("Open", {"fields": (("is_active", "auto_allocate"),)}),
        ("Why", {"fields": ("reason",)}),
    )
    fieldsets = (
        (None, {"fields": (("product_link", "slug"), "url", ("location", "country_name"), "group_name")}),
        ("Notice", {"fields": (("notice_label", "notice_since", "notice_end"),)}),
        ("Caps", {"fields": (CAPS, ("allocated_seats", "over_cap"))}),
        ("Open", {"fields": (("is_active", "auto_allocate"),)}),
        (
            "Provisioning",
            {
                "fields": (
                    ("provisioner", "orders_to", "secret_label"),
                    ("quota_label", "keep_label"),
                    ("accounts_label", "orders_label"),
                )
            },
        ),
    )

    product_link = link_column("product", "Product")
    over_cap = time_column("over_cap_since", "Over the hard cap since")
    notice_since = time_column("notice_from", "From")
    notice_end = time_column("notice_until", "Until")

    @admin.display(description="How full")
    def fill(self, row: Any) -> SafeString:
        return Bar.of(row).markup()

    @admin.display(description="Taken", ordering="allocated_seats")
    def taken(self, row: Any) -> SafeString:
        """Seats against the three caps."""
        return format_html(
            '<span class="fd-nowrap"><b>{}</b> <span class="fd-quiet">/ {} / {} / {}</span></span> {}',
            row.allocated_seats, row.soft_cap, row.allocation_cap, row.hard_cap, self._fullness(row),
        )  # fmt: skip

    def _fullness(self, row: Any) -> SafeString:
        """What the bar says, in words."""
        bar = Bar.of(row)
        return badge(bar.label, Tone(bar.tone)) if bar.label else SafeString("")

    @admin.display(description="Open")
    def open_label(self, row: Instance) -> SafeString:
        """open, closed to new people, draining, or not in use."""
        if not row.is_active:
            return badge("not in use", Tone.BAD)
        if row.draining_since:
            return badge("draining", Tone.BUSY)
        return badge("open", Tone.GOOD) if row.auto_allocate else badge("closed", Tone.WARN)

    @admin.display(description="Address")
    def address(self, row: Instance) -> str:
        return row.url.removeprefix("https://").rstrip("/")

    @admin.display(description="Keycloak group")
    def group_name(self, row: Instance) -> str:
        """The group its people are in."""
        return str(row.group.name)

    @admin.display(description="Told to its users")
    def notice_label(self, row: Instance) -> str:
        return state_badge(row, "notice") if row.notice else "–"

    @admin.display(description="Country")
    def country_name(self, row: Instance) -> str:
        return country_name(row.country) or "–"

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_change_capacity_permission(request))

    @override
    def page_context(self, _request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"bar": Bar.of(row), "row": row}

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """A new instance, with its group and its line in the timeline."""
        reason = form.cleaned_data["reason"]
        deployments.create_instance(obj, actor=f"staff:{request.user.get_username()}", reason=reason)

    @dialog_action(title="Change caps", permission="change_capacity", form=CapsDialog, icon="tune")
    def change_caps(self, _request: HttpRequest, form: CapsDialog) -> str:
        """Set the three caps. Nobody is removed."""
        caps = {name: form.cleaned_data[name] for name in CAPS}
        found = deployments.change_caps(instance=form.target, **caps, **form.why)
        return " ".join(filter(None, [f"{found} has new caps.", over_words(found), outlook(found.product)]))

    @dialog_action(
        title="Availability", permission="change_capacity", form=AvailabilityDialog, icon="door_open",
        explain="Existing seats stay, whatever you choose.",
    )  # fmt: skip
    def open_or_close(self, _request: HttpRequest, form: AvailabilityDialog) -> str:
        """Choose who may use it."""
        data = form.cleaned_data
        found = deployments.set_availability(
            instance=form.target, is_active=data["is_active"], auto_allocate=data["auto_allocate"], **form.why
        )  # fmt: skip
        is_open = found.is_active and found.auto_allocate
        return f"{found} is {'open' if is_open else 'closed to new people'}. {outlook(found.product)}"
