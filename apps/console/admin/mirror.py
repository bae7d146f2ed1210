"""Stripe's objects as dj-stripe mirrors them, to read. Only billing imports dj-stripe.

dj-stripe's own admin classes are not inherited: they mount a view by which any staff cancel subscriptions.
"""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.accounts.models import UserProfile
from apps.billing.stripe_objects import MIRRORED, customers_of, open_invoices
from apps.console.base import ConsoleAdmin, ConsoleList
from apps.console.columns import badge, json_field, link, time_column
from apps.console.saved_views import SavedView
from apps.core.money import format_money
from apps.core.states import Tone

STATUS_TONES = {
    "trialing": Tone.GOOD, "active": Tone.GOOD, "paid": Tone.GOOD, "succeeded": Tone.GOOD, "won": Tone.GOOD, "open": Tone.BUSY,
    "pending": Tone.BUSY, "past_due": Tone.WARN, "incomplete": Tone.WARN, "paused": Tone.WARN, "unpaid": Tone.BAD,
    "uncollectible": Tone.BAD, "failed": Tone.BAD, "lost": Tone.BAD, "needs_response": Tone.BAD,
}  # fmt: skip


def stripe_badge(status: str) -> SafeString:
    """A status of Stripe's, in its words."""
    return badge(status.replace("_", " "), STATUS_TONES.get(status, Tone.CALM))


class MirrorAdmin(ConsoleAdmin):
    """One kind of Stripe object. No method is named like a field of theirs: Django would take the field."""

    list_display: ClassVar[Any] = ("id", "about_text", "state_label", "sum_text", "customer_text", "live", "made")
    search_by: ClassVar[dict[str, str]] = dict.fromkeys(
        ("customer", "subscription", "price", "stripe_product", "session", "stripe", "event"), "id"
    )
    search_help_text = "The whole id, e.g. cus_…"
    personal = "stripe"
    fields: ClassVar[Any] = ("id", ("made", "live"), "metadata_json", "stripe_json")

    made = time_column("created", "Made at Stripe")
    metadata_json = json_field("metadata", "Metadata")
    stripe_json = json_field("stripe_data", "As Stripe has it")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Only the columns shown; the rest are properties over the JSON."""
        rows: QuerySet[Any] = super().get_queryset(request).only("id", "created", "livemode", "metadata", "stripe_data")
        return rows

    @admin.display(description="Mode")
    def live(self, row: Any) -> SafeString:
        """Real money, or test mode."""
        return badge("Live", Tone.GOOD) if row.livemode else badge("Test")

    @admin.display(description="About")
    def about_text(self, row: Any) -> str:
        """A name, a number or a description."""
        data = row.stripe_data
        found = (data.get(name) for name in ("email", "name", "nickname", "number", "description", "reason"))
        return next((str(text)[:80] for text in found if text), "–")

    @admin.display(description="State")
    def state_label(self, row: Any) -> SafeString:
        """Stripe's status, where it has one."""
        data = row.stripe_data
        status = str(data.get("status") or {True: "active", False: "ended"}.get(data.get("active"), ""))
        return stripe_badge(status)

    @admin.display(description="Amount")
    def sum_text(self, row: Any) -> str:
        """What it is about, in money."""
        data = row.stripe_data
        names = ("amount_due", "unit_amount", "amount")
        value = next((data[name] for name in names if isinstance(data.get(name), int)), None)
        return format_money(value, str(data.get("currency") or "")) if value is not None else "–"

    @admin.display(description="Customer")
    def customer_text(self, row: Any) -> str:
        """The customer's id, whether expanded or not."""
        found = row.stripe_data.get("customer")
        return str(found.get("id") if isinstance(found, dict) else found or "–")


def _identity(row: Any) -> str:
    """A mirrored object by its id. dj-stripe's own names look up other rows, and fail on objects that lack a field."""
    return str(row.pk if row.id is None else row.id)


class MoneyList(ConsoleList):
    """With the subscriber of each row."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """At most two more queries, for the page's rows only."""
        super().get_results(request)
        add_owners(self.result_list)


def add_owners(rows: list[Any]) -> None:
    """Give these objects their customer's id, and the subscriber whose they are as `owner`, None for strangers."""
    customers = customers_of(rows)
    people = UserProfile.objects.select_related("user").filter(stripe_customer_id__in=customers.values())
    by_customer = {one.stripe_customer_id: one for one in people} if customers else {}
    for row in rows:
        row.customer_known = customers.get(row.id, "")
        row.owner = by_customer.get(row.customer_known)


class CustomersAdmin(MirrorAdmin):
    """What is about a customer names the subscriber."""

    changelist_class = MoneyList
    list_display: ClassVar[Any] = (
        "id", "person", "about_text", "state_label", "sum_text", "customer_text", "live", "made"
    )  # fmt: skip
    fields: ClassVar[Any] = (("id", "person"), ("made", "live"), "metadata_json", "stripe_json")

    @admin.display(description="Subscriber")
    def person(self, row: Any) -> SafeString:
        """Read with the page's rows in a list, and by itself on a row's page."""
        if not hasattr(row, "owner"):
            add_owners([row])
        return link(row.owner)

    @override
    @admin.display(description="Customer")
    def customer_text(self, row: Any) -> str:
        return row.customer_known or "–"


class InvoiceAdmin(CustomersAdmin):
    views = (SavedView("open", "Open", open_invoices),)


OWN_PAGES = {"Invoice": InvoiceAdmin, "Product": MirrorAdmin, "Price": MirrorAdmin}

for model in MIRRORED:
    setattr(model, "__str__", _identity)  # noqa: B010  (assigned plainly, mypy takes it for a method of the row)
    admin.site.register(model, OWN_PAGES.get(model.__name__, CustomersAdmin))
