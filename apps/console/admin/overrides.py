"""Staff's dated decisions about access. Added on the subscriber's page, listed and ended here."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import overrides
from apps.access.models import AccessOverride
from apps.console.admin.subscriber_page import preview_plan
from apps.console.admin.subscriber_tables import is_active, override_badge
from apps.console.base import ConsoleAdmin
from apps.console.columns import person_column, state_column, time_column, timed
from apps.console.dialogs import ReasonDialog, dialog, dialog_action


def preview_ended(row: AccessOverride) -> dict[str, Any]:
    """What a sync would do without it."""
    return preview_plan(row.profile, overrides.imagine_ended(row))


@admin.register(AccessOverride)
class OverrideAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "person", "kind_label", "is_now", "product_list", "begins", "ends", "created_by")
    list_filter = (("kind", ChoicesDropdownFilter),)
    list_select_related = ("profile__user",)
    prefetched = ("products",)
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_detail: ClassVar[Any] = ["lift"]
    fields = (
        "person",
        ("kind_label", "is_now"),
        "product_list",
        "reason",
        ("begins", "ends"),
        ("created_by", "made", "ended"),
    )

    person = person_column()
    kind_label = state_column("kind", "Kind")
    begins = time_column("starts_at", "From")
    made = time_column("created_at", "Made")
    ended = time_column("lifted_at", "Lifted")

    @admin.display(description="Override", ordering="pk")
    def what(self, row: AccessOverride) -> str:
        return f"override {row.pk}"

    @admin.display(description="Status")
    def is_now(self, row: AccessOverride) -> SafeString:
        return override_badge(row)

    @admin.display(description="Until", ordering="ends_at")
    def ends(self, row: AccessOverride) -> SafeString | str:
        """The end, or that only staff end it."""
        return timed(row.ends_at, is_end=True) if row.ends_at else "no end date"

    @admin.display(description="Products")
    def product_list(self, row: AccessOverride) -> str:
        return ", ".join(product.name for product in row.products.all()) or "–"

    @dialog_action(
        title="Lift", permission="override_access", form=dialog(AccessOverride, "plan", preview_ended), icon="lock_open",
        explain="End this override now. From then on billing and other active overrides decide. This is the plan without it:",
        refuse=lambda row: "" if is_active(row) else "It is over already.",
    )  # fmt: skip
    def lift(self, _request: HttpRequest, form: ReasonDialog) -> str:
        overrides.lift(override=form.target, **form.why)
        return f"The {form.target.kind.replace('_', ' ')} on {form.target.profile} is lifted."
