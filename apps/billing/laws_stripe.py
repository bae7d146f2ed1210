"""Laws that Stripe is asked about, by its lists: our copy is Stripe's, no money is orphaned, no event is missing, clocks and versions agree.

A list may be long: each hour one slice of it is read, the next one an hour later; the nightly comparison goes through all of it.
"""

import datetime as dt
import functools
import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.accounts.models import UserProfile
from apps.billing import comparison, recent_changes
from apps.billing.api_version import is_ours
from apps.billing.comparison import PAGE, PAGES, Cursor, Listing
from apps.billing.doctor import WEBHOOK_PATH
from apps.billing.events import needs_work
from apps.billing.models import InboundEvent, Subscription
from apps.billing.parsing import identify
from apps.billing.stripe_client import calling_stripe, read_page
from apps.catalog.models import ProductPrice
from apps.core.errors import WorkError
from apps.core.laws import HOUR, MOST, Checked, Law, LawSeverity, LawViolation, Scope, Source, Unknown, register
from apps.core.states import SubscriptionStatus, values_where

MIRROR_SECONDS = 4500  # the hourly comparison finds what an event did not tell, and its jobs take some minutes
COPY_SECONDS = 25 * 3600  # each night copies that differ are made again
ORPHAN_SECONDS = 3600
EVENT_SECONDS = 2700  # Stripe's own retries, then our fetch of what it could not deliver, each quarter of an hour
EVENT_REACH = dt.timedelta(hours=72)
SILENCE = dt.timedelta(hours=24)
ENOUGH_SUBSCRIPTIONS = 50  # with fewer, a day may well pass without any event
SKEW_SECONDS = 5
MOST_SECRETS = 2
RUNNING = values_where(SubscriptionStatus, lambda one: one.pays)
SPAN = PAGE * PAGES

DIFFERS = "{} is not here as Stripe has it: its status, prices, period, end or pause."
SHOWN_OTHERWISE = "Pages show {} otherwise than the facts about it are."

Check = Callable[[Scope], Checked]


def register_laws() -> None:
    """Make the laws of this module known."""
    urgent, important = LawSeverity.URGENT, LawSeverity.IMPORTANT
    for number, title, sentence, severity, check, allowance in (
        ("L4", "Our copy is Stripe's", "Status, prices and period of each subscription are what Stripe says, and pages show the same.", urgent, check_mirror, MIRROR_SECONDS),
        ("L24", "No orphan money", "Each running subscription to something we sell belongs to a subscriber.", urgent, check_orphans, ORPHAN_SECONDS),
        ("L26", "One API version", f"Stripe's endpoint, its events and our library speak the version we expect, and at most {MOST_SECRETS} webhook secrets are in use.", important, check_versions, HOUR),
        ("L27", "Clocks agree", f"Our clock, the database's and Stripe's are within {SKEW_SECONDS} seconds of each other.", important, check_clocks, 300),
        ("L29", "Stripe is not silent", f"Events come in at least once a day when more than {ENOUGH_SUBSCRIPTIONS} subscriptions run, and each one that Stripe lists for the last {EVENT_REACH.total_seconds() / HOUR:.0f} hours has arrived.", important, check_silence, EVENT_SECONDS),
    ):  # fmt: skip
        register(
            Law(number=number, title=title, sentence=sentence, severity=severity, check=_asking(check), allowance_seconds=allowance,
                source=Source.STRIPE, period_seconds=HOUR)
        )  # fmt: skip


def _asking(check: Check) -> Check:
    """While Stripe cannot be asked, the law is unknown."""

    @functools.wraps(check)
    def ask(scope: Scope) -> Checked:
        try:
            return check(scope)
        except WorkError as error:
            raise Unknown(error.reason) from error

    return ask


# --- subscriptions -----------------------------------------------------------------------------------------------------


def check_mirror(scope: Scope) -> Checked:
    """L4: our facts are Stripe's, and the copies that pages show are our facts'."""
    found = _read_slice(scope)
    late = _find_late(found, scope)
    before = scope.before(COPY_SECONDS)
    rows = [row for row in found.ours.values() if row.status not in comparison.UNSEEN and row.fetched_at < before]
    shown = {row.stripe_id: row.customer_id for row in comparison.outdated_of(rows)}
    subscribers = _subscribers(scope, {*late.values(), *shown.values()})
    violations = [
        LawViolation("subscription", one, subscribers[customer], words.format(one))
        for words, wrong in ((DIFFERS, late), (SHOWN_OTHERWISE, shown))
        for one, customer in sorted(wrong.items())
        if customer in subscribers
    ]
    return Checked(len(found.theirs), violations[:MOST], len(violations))


def _find_late(found: Listing, scope: Scope) -> dict[str, str]:
    """Who differs from Stripe, with their customers. What changed there a moment ago is on its way: its newest events tell."""
    differing = found.find_differences()
    if not _subscribers(scope, set(differing.values())):
        return {}
    moving = recent_changes.find_changed_since(scope.before(MIRROR_SECONDS))
    if moving is None:
        raise Unknown("Too many subscriptions changed within the last hour to tell which are late.")
    return {one: customer for one, customer in differing.items() if customer not in moving}


def _subscribers(scope: Scope, customers: set[str]) -> dict[str, int]:
    """The ids of those of these customers who are subscribers."""
    rows = scope.narrow(UserProfile.objects.filter(stripe_customer_id__in=customers))
    return {str(customer): pk for customer, pk in rows.values_list("stripe_customer_id", "pk")}


def check_orphans(scope: Scope) -> Checked:
    """L24. Of somebody without an account here who pays one of our prices; staff have an attention item when an event told it."""
    if scope.subscriber_id is not None:
        return Checked(0)
    found = _read_slice(scope)
    names = dict(ProductPrice.objects.exclude(stripe_price_id="").values_list("stripe_price_id", "product__name"))
    old = scope.before(ORPHAN_SECONDS)
    paying = {
        key: one
        for key, one in found.theirs.items()
        if one["status"] in RUNNING and one["made_at"] < old and any(price in names for _, price, _ in one["lines"])
    }
    customers = {one["customer"] for one in paying.values()}
    known = set(
        UserProfile.objects.filter(stripe_customer_id__in=customers).values_list("stripe_customer_id", flat=True)
    )
    violations = [
        LawViolation(
            "subscription",
            key,
            None,
            f"{key} pays for {_sold(one, names)}, and no subscriber has its customer {one['customer']}.",
        )
        for key, one in sorted(paying.items())
        if one["customer"] not in known
    ]
    return Checked(len(found.theirs), violations[:MOST], len(violations))


def _sold(one: dict[str, Any], names: dict[str, str]) -> str:
    return ", ".join(names[price] for _, price, _ in one["lines"] if price in names)


def _read_slice(scope: Scope) -> Listing:
    """The slice of this hour; of one subscriber, all that Stripe lists of them."""
    if scope.subscriber_id is not None:
        customer = UserProfile.objects.values_list("stripe_customer_id", flat=True).get(pk=scope.subscriber_id)
        return comparison.read_customer(customer) if customer else Listing({}, {}, None, more=False)
    rows = Subscription.objects.order_by("-stripe_created_at", "-pk")
    slices = max(1, math.ceil(rows.count() / SPAN))
    turn = int(scope.moment.timestamp()) // HOUR % slices
    begin = rows.values_list("stripe_id", "stripe_created_at")[turn * SPAN - 1 : turn * SPAN].first() if turn else None
    return comparison.read_listing(Cursor(begin[0], int(begin[1].timestamp())) if begin else Cursor())


# --- events ------------------------------------------------------------------------------------------------------------


def check_silence(scope: Scope) -> Checked:
    """L29. Whether nothing came is known without Stripe; whether something is missing, Stripe's list tells."""
    if scope.subscriber_id is not None:
        return Checked(0)
    running = Subscription.objects.filter(status__in=RUNNING).count()
    if (
        running > ENOUGH_SUBSCRIPTIONS
        and not InboundEvent.objects.filter(received_at__gt=scope.moment - SILENCE).exists()
    ):
        words = f"{running:,} subscriptions run, and no event has come within a day."
        return Checked(running, [LawViolation("webhook", "silent", None, words)], 1)
    listed = _list_events(scope)
    arrived = set(InboundEvent.objects.filter(stripe_event_id__in=listed).values_list("stripe_event_id", flat=True))
    missing = [one for one in listed if one not in arrived]
    words = "{} ({}) never arrived: it is in Stripe's list, and not in the inbox."
    violations = [LawViolation("event", one, None, words.format(one, listed[one])) for one in missing[:MOST]]
    return Checked(len(listed), violations, len(missing))


def _list_events(scope: Scope) -> dict[str, str]:
    """The newest events that ought to have arrived, with their types."""
    created: Any = {
        "gte": int((scope.moment - EVENT_REACH).timestamp()),
        "lte": int(scope.before(EVENT_SECONDS).timestamp()),
    }
    found: dict[str, str] = {}
    after = ""
    with calling_stripe() as client:
        for _ in range(PAGES):
            asked: Any = {"created": created, "limit": PAGE} | ({"starting_after": after} if after else {})
            page = read_page(client, "events", asked)
            found |= {
                identify(one): one["type"]
                for one in page.data
                if needs_work(one["type"]) and one["livemode"] == settings.STRIPE_LIVE_MODE
            }
            if not page.data or not page.has_more:
                break
            after = identify(page.data[-1])
    return found


# --- versions and clocks -----------------------------------------------------------------------------------------------


def check_versions(scope: Scope) -> Checked:
    """L26. Within a release Stripe only adds, so an endpoint of another month of ours is right."""
    if scope.subscriber_id is not None:
        return Checked(0)
    expected, found = settings.STRIPE_API_VERSION, []
    spoken = apps.get_app_config("billing").spoken_version  # type: ignore[attr-defined]  # billing's own AppConfig
    if spoken != expected:
        found.append(LawViolation("library", "stripe", None, f"Our library speaks {spoken}, and we expect {expected}."))
    recent = InboundEvent.objects.filter(received_at__gt=scope.before(HOUR), source="webhook")
    for version in recent.order_by().values_list("api_version", flat=True).distinct():
        if not is_ours(version):
            newest = recent.filter(api_version=version).latest("pk")
            words = f"{newest.stripe_event_id} came in {version}, and we expect {expected}."
            found.append(LawViolation("inboundevent", str(newest.pk), None, words))
    with calling_stripe() as client:
        listed = client.v1.webhook_endpoints.list({"limit": PAGE}).data
    mine = [one for one in listed if one.url == f"{settings.BASE_URL}{WEBHOOK_PATH}" and one.status == "enabled"]
    for one in mine:
        if not is_ours(one.api_version or ""):
            words = f"The webhook endpoint speaks {one.api_version}, and we expect {expected}."
            found.append(LawViolation("endpoint", one.id, None, words))
    if len(mine) > MOST_SECRETS:
        words = (
            f"{len(mine)} enabled endpoints have our address, each with a secret of its own; we take {MOST_SECRETS}."
        )
        found.append(LawViolation("endpoint", mine[-1].id, None, words))
    return Checked(1 + recent.count() + len(mine), found, len(found))


def check_clocks(scope: Scope) -> Checked:
    """L27. The machines' own clocks; a rehearsal that moves ahead moves none of them."""
    if scope.subscriber_id is not None:
        return Checked(0)
    began = timezone.now()  # noqa: TID251  (the machine's clock is what is checked)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (database,) = cursor.fetchone()
    asked = timezone.now()  # noqa: TID251
    with calling_stripe() as client:
        answer: Any = client.v1.events.list({"limit": 1}).last_response
    ended = timezone.now()  # noqa: TID251
    skews = {"database": _skew(database, began, asked)}
    if said := (answer.headers or {}).get("Date"):
        skews["Stripe"] = _skew(
            parsedate_to_datetime(said), asked - dt.timedelta(seconds=1), ended
        )  # it leaves out fractions
    far = {name: skew for name, skew in skews.items() if skew > SKEW_SECONDS}
    violations = [
        LawViolation("clock", name, None, f"The clock of {name} and ours differ by {skew:.0f} seconds.")
        for name, skew in far.items()
    ]
    return Checked(1 + len(skews), violations, len(violations))


def _skew(said: dt.datetime, earliest: dt.datetime, latest: dt.datetime) -> float:
    """How far a clock that was read between these two moments of ours is off at least."""
    return max((earliest - said).total_seconds(), (said - latest).total_seconds(), 0.0)
