"""Staff's dated decisions about access. Added on the subscriber's page, listed and ended here."""

import datetime as dt
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import overrides
from apps.access.models import AccessOverride
from apps.console.admin.subscriber_page import preview_plan
from apps.console.admin.subscriber_tables import is_active, override_badge
from apps.console.base import ConsoleAdmin
from apps.console.columns import describe_actor, person_column, state_column, time_column, timed
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.saved_views import SavedView
from apps.core import clock

SOON = dt.timedelta(days=7)


def narrow_active(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those that hold now or begin later."""
    return rows.filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()), lifted_at=None)


def narrow_ending(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Of these, what ends by itself within a week."""
    return narrow_active(rows).filter(ends_at__lte=clock.now() + SOON)


def preview_ended(row: AccessOverride) -> dict[str, Any]:
    """What a sync would do without it."""
    return preview_plan(row.profile, overrides.imagine_ended(row))


@admin.register(AccessOverride)
class OverrideAdmin(ConsoleAdmin):
    few = True
    list_display = ("what", "person", "kind_label", "is_now", "product_list", "begins", "ends", "by", "reason")
    views = (
        SavedView("active", "Active", narrow_active),
        SavedView("ending", "Ends within 7 days", narrow_ending, ("ends_at", "-pk")),
    )
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
        ("by", "made", "ended"),
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

    @admin.display(description="By", ordering="created_by")
    def by(self, row: AccessOverride) -> str:
        return describe_actor(row.created_by)

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
