"""The menu and the tabs as data, grouped by the question an operator has. Titles, links and rights follow from the models."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss, TermsChange
from apps.accounts.models import LegalHold, Membership, PrivacyRequest, Signup, UserProfile
from apps.billing.models import InboundEvent
from apps.billing.stripe_objects import MIRRORED
from apps.catalog.models import Product, ProductPrice
from apps.console import realm
from apps.console.menu_counts import COUNTED
from apps.console.saved_views import PARAMETER
from apps.core.models import AttentionItem, AuditEntry, ComparisonRun, Job, LawCheck, Outage, RestoreCheck
from apps.instances.models import Instance, Seat, SeatWait, WebhookDelivery
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from apps.operations.models import (
    ApprovalRequest,
    CustomerApiKey,
    CustomerImport,
    Drift,
    ImportRow,
    SafeguardReview,
    SeatMove,
    SeatPlan,
    SyncRun,
    TermsPreview,
)

Item = dict[str, Any]
STRIPE = {model.__name__: model for model in MIRRORED}


@dataclass(frozen=True, kw_only=True)
class MenuPage:
    """A model's list, or a page of its own (`route`): for those who may see the model, if it names one.

    `badge`: which kept count says how much waits there for staff; `query`: what shows exactly those, opened while there are any;
    `gathers`: its number has those of the pages beside it, but of those `apart`; `may`: who sees a page without a model.
    """

    title: str
    model: type[Model] | None = None
    route: str = ""
    badge: str = ""
    query: str = ""
    gathers: bool = False
    apart: bool = False
    may: Callable[[HttpRequest], bool] = realm.may_view

    @property
    def url(self) -> str:
        return list_url(self.model) if self.model and not self.route else reverse(self.route)

    @property
    def link(self) -> str:
        return f"{self.url}?{self.query}" if self.query and self.count else self.url

    def may_view(self, request: HttpRequest) -> bool:
        """Whether the person asking may see it."""
        return viewable(self.model)(request) if self.model else self.may(request)

    @property
    def count(self) -> int:
        return int(getattr(COUNTED.get(), self.badge)) if self.badge else 0


@dataclass(frozen=True)
class MenuEntry:
    """One line of the menu: its pages are tabs of each other, the first is where it leads."""

    title: str
    icon: str
    pages: tuple[MenuPage, ...]


def may_view_inbox(request: HttpRequest) -> bool:
    return viewable(AttentionItem)(request)


def viewable_roles(request: HttpRequest) -> bool:
    return viewable(Group)(request)


def may_view_jobs(request: HttpRequest) -> bool:
    return viewable(Job)(request)


def may_view_money(request: HttpRequest) -> bool:
    return viewable(STRIPE["Invoice"])(request)


def _lists(*pages: tuple[str, type[Model]]) -> tuple[MenuPage, ...]:
    return tuple(MenuPage(title=title, model=model) for title, model in pages)


MENU: tuple[tuple[str, tuple[MenuEntry, ...]], ...] = (
    (
        "People",
        (
            MenuEntry(
                "Subscribers",
                "group",
                (
                    *_lists(("Subscribers", UserProfile), ("Shared subscriptions", Membership), ("Overrides", AccessOverride)),
                    MenuPage(title="Privacy requests", model=PrivacyRequest, badge="privacy_due", query="view=due"),
                    *_lists(("Legal holds", LegalHold), ("Import", CustomerImport), ("Imported rows", ImportRow)),
                ),
            ),
            MenuEntry(
                "Waitlist and signups",
                "how_to_reg",
                (
                    MenuPage(title="Waitlist", model=WaitlistEntry, badge="waitlist_count", query="view=in_line"),
                    *_lists(("Signups", Signup)),
                ),
            ),
        ),
    ),
    (
        "Money",
        (
            MenuEntry(
                "Payments",
                "payments",
                _lists(
                    ("Invoices", STRIPE["Invoice"]), ("Charges", STRIPE["Charge"]), ("Refunds", STRIPE["Refund"]), ("Disputes", STRIPE["Dispute"]),
                    ("Stripe customers", STRIPE["Customer"]), ("Stripe subscriptions", STRIPE["Subscription"]), ("Cards", STRIPE["PaymentMethod"]),
                ),
            ),
            MenuEntry(
                "Reports",
                "bar_chart",
                tuple(
                    MenuPage(title=title, route=f"admin:report_{name}", may=may_view_money)
                    for title, name in (("Revenue", "revenue"), ("Churn", "churn"), ("Recovered payments", "recovered"), ("Coupons", "coupons"))
                ),
            ),
            MenuEntry(
                "Catalog",
                "inventory_2",
                _lists(
                    ("Products", Product), ("Prices", ProductPrice),
                    ("Stripe products", STRIPE["Product"]), ("Stripe prices", STRIPE["Price"]),
                ),
            ),
        ),
    ),
    (
        "Capacity",
        (
            MenuEntry("Board", "dns", (MenuPage(title="Board", model=Instance, route="admin:capacity_board"), MenuPage(title="Instances", model=Instance), MenuPage(title="Seat plans", model=SeatPlan), MenuPage(title="Moves", model=SeatMove))),
            MenuEntry(
                "Seats",
                "event_seat",
                (MenuPage(title="Seats", model=Seat), MenuPage(title="Waiting for a seat", model=SeatWait, badge="waits")),
            ),
        ),
    ),
    (
        "Operations",
        (
            MenuEntry(
                "Inbox",
                "inbox",
                (
                    MenuPage(title="Needs attention", route="admin:inbox", badge="problem_count", gathers=True, may=may_view_inbox),
                    MenuPage(title="Items", model=AttentionItem),
                    MenuPage(title="Approvals", model=ApprovalRequest, badge="approvals_waiting", query="view=waiting", apart=True),
                    MenuPage(title="Jobs", model=Job, badge="stuck", query="view=stuck"),
                    MenuPage(title="Drift", model=Drift, badge="drift_count"),
                    MenuPage(title="Emails", model=Notification, badge="emails_undelivered", query="view=undelivered"),
                    MenuPage(title="Events", model=InboundEvent),
                    MenuPage(title="Webhook deliveries", model=WebhookDelivery),
                    MenuPage(title="Outages", model=Outage),
                    MenuPage(title="Schedules and workers", route="admin:schedules", may=may_view_jobs),
                ),
            ),
            MenuEntry(
                "Bulk changes",
                "dynamic_feed",
                (
                    MenuPage(title="Sync runs", model=SyncRun),
                    MenuPage(title="Safeguard", model=SafeguardReview, badge="review_count", query="state__exact=pending"),
                    MenuPage(title="Comparisons", model=ComparisonRun),
                    MenuPage(title="Incident mode", model=AccessFreeze),
                    MenuPage(title="Held back", model=HeldBackLoss, badge="held_back"),
                ),
            ),
        ),
    ),
    (
        "Settings",
        (
            MenuEntry(
                "Staff",
                "badge",
                (
                    MenuPage(title="Staff", model=User),
                    MenuPage(title="Roles", route="admin:roles", may=viewable_roles),
                    MenuPage(title="Staff groups", model=Group),
                    MenuPage(title="API keys", model=CustomerApiKey),
                ),
            ),
            MenuEntry("Terms", "policy", _lists(("Terms", TermsChange), ("Previews", TermsPreview))),
            MenuEntry(
                "Checks",
                "fact_check",
                (
                    MenuPage(title="Laws", model=LawCheck, badge="laws_violated", query="view=violated"),
                    MenuPage(title="Doctor", route="admin:realm"),
                    MenuPage(title="Restores", model=RestoreCheck),
                ),
            ),
            MenuEntry("Audit log", "history", _lists(("Audit log", AuditEntry))),
        ),
    ),
)  # fmt: skip


# The second key of the shortcut that leads to a page, after "g".
KEYS = {
    "s": "Subscribers", "w": "Waitlist", "p": "Products", "b": "Board", "i": "Needs attention", "j": "Jobs", "d": "Drift",
    "m": "Emails", "e": "Events", "l": "Laws", "a": "Audit log",
}  # fmt: skip


def list_url(model: type[Model], **parameters: str) -> str:
    """The address of a model's list, filtered by `parameters`."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(parameters)}" if parameters else url


def viewable(model: type[Model]) -> Callable[[HttpRequest], bool]:
    """Whether the person asking may see the model."""
    codename = f"{model._meta.app_label}.view_{model._meta.model_name}"
    return lambda request: bool(request.user.has_perm(codename))


def sidebar(request: HttpRequest) -> list[Item]:
    """The menu, of what the person asking may see. Its badges are the dashboard's kept counts."""
    today = {"title": "Today", "icon": "today", "link": reverse("admin:index")}
    found: list[Item] = [{"title": "", "items": [today]}]
    for title, entries in MENU:
        items = [_item(request, entry) for entry in entries if seen_pages(request, entry)]
        if items:
            found.append({"title": title, "items": items})
    return found


def seen_pages(request: HttpRequest, entry: MenuEntry) -> list[MenuPage]:
    """The pages of an entry that the person asking may see."""
    return [page for page in entry.pages if page.may_view(request)]


def _item(request: HttpRequest, entry: MenuEntry) -> Item:
    pages = seen_pages(request, entry)
    item: Item = {
        "title": entry.title,
        "icon": entry.icon,
        "link": pages[0].link,
        "active": any(request.path.startswith(page.url) for page in pages),
    }
    gathers = any(page.gathers for page in pages)
    waiting = sum(page.count for page in pages if page.gathers or page.apart or not gathers)
    return item | ({"badge": f"{waiting:,}", "badge_variant": "danger"} if waiting else {})


def shortcuts(request: HttpRequest) -> list[tuple[str, str, str]]:
    """The keys that lead to pages which the person asking may see: letter, title and address."""
    pages = {page.title: page for _, entries in MENU for entry in entries for page in seen_pages(request, entry)}
    found = [(key, title, pages[title].link) for key, title in KEYS.items() if title in pages]
    return [("t", "Today", reverse("admin:index")), *found]


def page_tabs(request: HttpRequest) -> list[Item]:
    """The pages beside the one that is open, as tabs; none where the menu's entry is a single page."""
    for entry in (entry for _, entries in MENU for entry in entries):
        pages = seen_pages(request, entry)
        if len(pages) > 1 and any(request.path == page.url for page in pages):
            return [
                {"title": page.title, "link": page.link, "active": request.path == page.url, "count": page.count}
                for page in pages
            ]
    return []


def tabs(request: HttpRequest) -> list[Item]:
    """The saved views of the long lists, as their pages declare them."""
    pages: Any = admin.site._registry.values()
    return [_tab_row(request, page) for page in pages if page.tabs or any(view.is_tab for view in page.views)]


def _tab_row(request: HttpRequest, page: Any) -> Item:
    field, values = page.tabs or ("", ())
    offered = [(f"{field}__exact", one.value, one.label) for one in values]
    offered += [(PARAMETER, view.key, view.label) for view in page.views if view.is_tab]
    here = request.path == list_url(page.model)
    chosen = any(request.GET.get(name) for name in {name for name, *_ in offered})
    is_all = not chosen and all(request.GET.get(name) == value for name, value in page.all_rows.items())
    opened = (PARAMETER, page.opens_on) if not chosen and not is_all else ("", "")
    items = [
        {
            "title": label, "link": list_url(page.model, **{name: value}),
            "active": here and (request.GET.get(name) == value or (name, value) == opened),
        }
        for name, value, label in offered
    ]  # fmt: skip
    whole = {"title": "All", "link": list_url(page.model, **page.all_rows), "active": here and is_all}
    return {"models": [page.model._meta.label_lower], "items": [whole, *items]}
