"""The menu and the tabs as data, grouped by the question an operator has. Titles, links and rights follow from the models."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from apps.console import realm
from apps.console.dashboard import numbers

Item = dict[str, Any]

# label of the model, icon, title (empty: the model's own plural)
MENU: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Subscribers",
        (
            ("accounts.UserProfile", "group", ""),
            ("accounts.Signup", "how_to_reg", ""),
            ("access.AccessOverride", "gavel", "Overrides"),
            ("operations.Drift", "difference", "Drift"),
            ("operations.SyncRun", "sync", "Sync runs"),
            ("operations.SafeguardReview", "shield_person", "Safeguard"),
            ("onboarding.WaitlistEntry", "hourglass_top", "Waitlist"),
            ("notifications.Notification", "mail", "Emails"),
        ),
    ),
    (
        "Catalog",
        (("catalog.Product", "inventory_2", ""), ("catalog.ProductPrice", "sell", "Prices")),
    ),
    (
        "Capacity",
        (
            ("instances.Instance", "dns", ""),
            ("instances.Seat", "event_seat", ""),
            ("instances.SeatWait", "airline_seat_recline_extra", "Waiting for a seat"),
        ),
    ),
    (
        "Stripe mirror",
        (
            ("djstripe.Customer", "account_circle", ""),
            ("djstripe.Subscription", "autorenew", ""),
            ("djstripe.Invoice", "receipt_long", ""),
            ("djstripe.Charge", "credit_card", ""),
            ("djstripe.Refund", "undo", ""),
            ("djstripe.Dispute", "report", ""),
            ("djstripe.Product", "category", ""),
            ("djstripe.Price", "payments", ""),
        ),
    ),
    (
        "System",
        (
            ("billing.InboundEvent", "inbox", "Events"),
            ("core.AuditEntry", "history", "Audit log"),
            ("auth.User", "badge", "Staff"),
            ("auth.Group", "groups", "Staff groups"),
        ),
    ),
)
# model, parameter, and its values in the order of the tabs; "" stands for all
TABS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "core.Job",
        "state__exact",
        (("", "All"), ("queued", "Waiting"), ("blocked", "Needs attention"), ("dead", "Failed"), ("done", "Done")),
    ),
    (
        "accounts.UserProfile",
        "access_state__exact",
        (("", "All"), ("active", "Active"), ("grace", "Payment late"), ("suspended", "Suspended"), ("recovering", "Recovering"), ("canceled", "Canceled"), ("expired", "Expired"), ("on_hold", "On hold")),
    ),
    ("accounts.Signup", "state__exact", (("", "All"), ("open", "In progress"), ("checkout", "At checkout"), ("paid", "Paid"), ("expired", "Abandoned"))),
    ("billing.InboundEvent", "state__exact", (("", "All"), ("received", "Waiting"), ("handled", "Handled"), ("not_ours", "Not ours"), ("ignored", "Ignored"))),
    ("notifications.Notification", "state__exact", (("", "All"), ("queued", "Waiting"), ("failed", "Not sent"), ("uncertain", "Unconfirmed"))),
    ("instances.Seat", "state__exact", (("", "All"), ("reserved", "Reserved"), ("assigned", "Assigned"), ("retained", "Retained"), ("released", "Released"))),
    ("catalog.Product", "placement__exact", (("", "All"), ("plan", "Plans"), ("general", "General add-ons"), ("storage", "Storage add-ons"), ("hidden", "Not offered"))),
)  # fmt: skip


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
    """The menu. Its one badge comes from the dashboard's cached numbers."""
    today = [
        {"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")},
        model_item(apps.get_model("core.Job"), "work_history", badge=numbers().stuck),
    ]
    groups: list[Item] = [
        {
            "title": title,
            "items": [model_item(apps.get_model(label), icon, name) for label, icon, name in items],
        }
        for title, items in MENU
    ]
    groups[-1]["items"].append(
        {"title": "Realm doctor", "icon": "stethoscope", "link": reverse("admin:realm"), "permission": realm.may_view}
    )
    return [{"title": "Today", "items": today}, *groups]


def tabs(request: HttpRequest) -> list[Item]:
    """The saved views of the long lists."""
    return [_tab_row(request, apps.get_model(label), parameter, values) for label, parameter, values in TABS]


def _tab_row(request: HttpRequest, model: type[Model], parameter: str, values: tuple[tuple[str, str], ...]) -> Item:
    here = request.path == list_url(model)
    chosen = request.GET.get(parameter, "")
    items = [
        {
            "title": title,
            "link": list_url(model, **({parameter: value} if value else {})),
            "active": here and chosen == value,
        }
        for value, title in values
    ]
    return {"models": [model._meta.label_lower], "items": items}
