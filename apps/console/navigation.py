"""The menu and the tabs as data, grouped by the question an operator has. Titles, links and rights follow from the models."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from apps.access.models import AccessOverride, TermsChange
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent
from apps.billing.stripe_objects import MIRRORED
from apps.catalog.models import Product, ProductPrice
from apps.console import realm
from apps.console.dashboard import COUNTED
from apps.core.models import AttentionItem, AuditEntry, ComparisonRun, Job, LawCheck, RestoreCheck
from apps.instances.models import Instance, Seat, SeatWait
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from apps.operations.models import Drift, SafeguardReview, SyncRun

Item = dict[str, Any]

MIRROR_ICONS = {
    "Customer": "account_circle", "Subscription": "autorenew", "Invoice": "receipt_long", "Charge": "credit_card",
    "PaymentMethod": "wallet", "Refund": "undo", "Dispute": "report", "Product": "category", "Price": "payments",
}  # fmt: skip
# model, icon, title (empty: the model's own plural)
MENU: tuple[tuple[str, tuple[tuple[type[Model], str, str], ...]], ...] = (
    (
        "Subscribers",
        (
            (UserProfile, "group", ""),
            (Signup, "how_to_reg", ""),
            (AccessOverride, "gavel", ""),
            (Drift, "difference", ""),
            (SyncRun, "sync", "Sync runs"),
            (SafeguardReview, "shield_person", "Safeguard"),
            (TermsChange, "policy", "Terms"),
            (WaitlistEntry, "hourglass_top", "Waitlist"),
            (Notification, "mail", ""),
        ),
    ),
    ("Catalog", ((Product, "inventory_2", ""), (ProductPrice, "sell", "Prices"))),
    (
        "Capacity",
        (
            (Instance, "dns", ""),
            (Seat, "event_seat", ""),
            (SeatWait, "airline_seat_recline_extra", "Waiting for a seat"),
        ),
    ),
    ("Stripe mirror", tuple((model, MIRROR_ICONS[model.__name__], "") for model in MIRRORED)),
    (
        "System",
        (
            (InboundEvent, "inbox", "Events"),
            (ComparisonRun, "compare_arrows", "Comparisons"),
            (LawCheck, "balance", "Laws"),
            (AuditEntry, "history", "Audit log"),
            (User, "badge", "Staff"),
            (Group, "groups", "Staff groups"),
            (RestoreCheck, "settings_backup_restore", "Restores"),
        ),
    ),
)


def list_url(model: type[Model], **parameters: str) -> str:
    """The address of a model's list, filtered by `parameters`."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(parameters)}" if parameters else url


def viewable(model: type[Model]) -> Callable[[HttpRequest], bool]:
    """Whether the person asking may see the model."""
    codename = f"{model._meta.app_label}.view_{model._meta.model_name}"
    return lambda request: bool(request.user.has_perm(codename))


def model_item(model: type[Model], icon: str, title: str = "", badge: int = 0) -> Item:
    """One line of the menu."""
    item: Item = {
        "title": title or str(model._meta.verbose_name_plural).capitalize(),
        "icon": icon,
        "link": list_url(model),
        "permission": viewable(model),
    }
    return item | ({"badge": badge, "badge_variant": "danger"} if badge else {})


def sidebar(_request: HttpRequest) -> list[Item]:
    """The menu. Its badges are two of the dashboard's kept counts."""
    counts = COUNTED.get()
    today = [
        {"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")},
        model_item(AttentionItem, "front_hand", badge=counts.attention_count),
        model_item(Job, "work_history", badge=counts.stuck),
    ]
    groups: list[Item] = [{"title": title, "items": [model_item(*one) for one in items]} for title, items in MENU]
    groups[-1]["items"].append(
        {"title": "Doctor", "icon": "stethoscope", "link": reverse("admin:realm"), "permission": realm.may_view}
    )
    return [{"title": "Today", "items": today}, *groups]


def tabs(request: HttpRequest) -> list[Item]:
    """The saved views of the long lists, as their pages declare them."""
    pages: Any = admin.site._registry.values()
    return [_tab_row(request, page.model, *page.tabs) for page in pages if page.tabs]


def _tab_row(request: HttpRequest, model: type[Model], field: str, values: tuple[Any, ...]) -> Item:
    parameter = f"{field}__exact"
    chosen = request.GET.get(parameter, "") if request.path == list_url(model) else None
    items = [
        {"title": title, "link": list_url(model, **({parameter: value} if value else {})), "active": chosen == value}
        for value, title in (("", "All"), *((one.value, one.label) for one in values))
    ]
    return {"models": [model._meta.label_lower], "items": items}
