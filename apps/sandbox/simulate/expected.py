"""What a person should have, read once more from the policy's table, without the product.

Promises: imports nothing of Frontdesk. It knows Stripe's objects as its stand-in answers them, what staff did as a plain list,
and a price list; one function for each question, and no speed. It is written only to disagree with the product.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
DAY, HOUR = 86_400, 3600
LIVE = ("active", "trialing")
STOPPED = ("past_due", "unpaid", "paused")


@dataclass(frozen=True)
class StaffAct:
    """What staff did to one person, or a code that let them in: in force from `at` until `until` (None: for good)."""

    kind: str  # hold, grant, no_suspend, keep_seat, waive_dispute, window
    at: int
    until: int | None = None
    gives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """What one of a product gives: apps, each with a seat, and numbers that add up."""

    apps: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PriceList:
    """`products` by Stripe price id, `offers` by product."""

    products: Mapping[str, str]
    offers: Mapping[str, Offer]


@dataclass(frozen=True)
class HouseTerms:
    grace_days: int
    expiry_days: int


@dataclass(frozen=True)
class Books:
    """One customer's objects at Stripe. `failures`: when an invoice's payment was first reported as failed."""

    subscriptions: list[Obj] = field(default_factory=list)
    invoices: list[Obj] = field(default_factory=list)
    charges: list[Obj] = field(default_factory=list)
    disputes: list[Obj] = field(default_factory=list)
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """`account`: open, closed, or none (there need not be one, and one that is there is closed).

    `apps` and `numbers` are what the account says. `keeps`: the seats there were are kept, without access; `lapsed`: no
    longer for sure, since the final expiry has passed. `kept_apps`: the seats that wait beside those in use.
    """

    state: str
    row: int
    account: str = "closed"
    apps: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)
    keeps: bool = False
    lapsed: bool = False
    kept_apps: frozenset[str] = frozenset()


def expect(books: Books, staff: Collection[StaffAct], prices: PriceList, terms: HouseTerms, now: int) -> Expected:
    """The first row of the table that fits."""
    rows = _rows(_Reading(books, staff, prices, terms, now))
    return next(answer for fits, answer in rows if fits)


def _rows(read: "_Reading") -> Iterator[tuple[object, Expected]]:
    """The table: what each row asks, and what it says."""
    lapsed = read.lapsed()
    yield read.in_force("hold"), Expected("on_hold", 1, keeps=True, lapsed=lapsed)
    yield read.paying(), read.opened("active", 2)
    yield read.in_force("grant"), read.opened("active", 3)
    yield read.in_grace(), read.opened("grace", 4)
    may_return = read.stopped() or read.ended(before_expiry=True)
    yield (
        read.in_force("window") and may_return,
        Expected("recovering", 5, account="open", keeps=True, lapsed=lapsed and not read.stopped()),
    )
    yield read.stopped(), Expected("suspended", 6, keeps=True)
    yield read.ended(before_expiry=True), Expected("canceled", 7, keeps=True, lapsed=lapsed)
    yield read.ended(), Expected("expired", 8)
    yield True, Expected("none", 9, account="none")


def next_border(books: Books, staff: Collection[StaffAct], terms: HouseTerms, now: int) -> int:
    """How many seconds the nearest moment is away, before or after, at which the answer may change by itself."""
    grace, expiry = terms.grace_days * DAY, terms.expiry_days * DAY
    moments = [moment for act in staff for moment in (act.at, act.until) if moment]
    moments += [moment + grace for moment in books.failures.values()]
    for one in books.subscriptions:
        ends = [item["current_period_end"] for item in one["items"]["data"]]
        moments += [*ends, *(end + HOUR for end in ends)]
        moments += [one["ended_at"] + expiry] if one["ended_at"] else []
        moments += [one[name] for name in ("trial_end", "cancel_at") if one[name]]
    return min((abs(moment - now) for moment in moments), default=DAY)


def may_have_lapsed(books: Books, staff: Collection[StaffAct], terms: HouseTerms, since: int, now: int) -> bool:
    """Whether a seat may have been given up after `since`, so that one that is there now is another.

    That is when a grant ended, or the final expiry came; where it had come before, when a hold ended that kept the seat until then.
    """
    ends = [act.until for act in staff if act.kind in ("grant", "keep_seat")]
    expiries = [one["ended_at"] and one["ended_at"] + terms.expiry_days * DAY for one in books.subscriptions]
    if all(expiry and expiry <= now for expiry in expiries):
        ends += [act.until for act in staff if act.kind == "hold"]
    ends += expiries
    return any(end and since <= end <= now for end in ends)


class _Reading:
    """The questions of the table, each answered from the objects."""

    def __init__(
        self, books: Books, staff: Collection[StaffAct], prices: PriceList, terms: HouseTerms, now: int
    ) -> None:
        self.books, self.staff, self.prices, self.terms, self.now = books, staff, prices, terms, now

    def acts(self, kind: str) -> list[StaffAct]:
        return [act for act in self.staff if act.kind == kind]

    def in_force(self, kind: str) -> list[StaffAct]:
        return [act for act in self.acts(kind) if act.at <= self.now and (act.until is None or self.now < act.until)]

    # --- which subscriptions are what ---------------------------------------------------------------------------------

    def paying(self) -> list[Obj]:
        """Row 2: trialing or active, or a debit that the bank has not answered; and the money did not go back."""
        return [
            one
            for one in self.books.subscriptions
            if (one["status"] in LIVE or self._waits_for_bank(one)) and not self._closed(one)
        ]

    def in_grace(self) -> list[Obj]:
        """Row 4: past due for less than the days of grace, or under a no-suspend."""
        late = [
            one
            for one in self.books.subscriptions
            if one["status"] == "past_due" and not self._waits_for_bank(one) and not self._closed(one)
        ]
        patient = bool(self.in_force("no_suspend"))
        return [one for one in late if patient or self.now < self._late_since(one) + self.terms.grace_days * DAY]

    def stopped(self) -> list[Obj]:
        """Row 6: it runs and is not paid, or its money went back."""
        return [
            one
            for one in self.books.subscriptions
            if one["status"] in STOPPED or (one["status"] in LIVE and self._closed(one))
        ]

    def ended(self, *, before_expiry: bool = False) -> list[Obj]:
        """Rows 7 and 8: canceled; the last of them to end says when all is over."""
        found = [one for one in self.books.subscriptions if one["status"] == "canceled"]
        if not before_expiry or not found:
            return found
        kept = [act.until for act in self.in_force("keep_seat") if act.until]
        return found if self.now < max([self._expiry(found), *kept]) else []

    def _expiry(self, canceled: list[Obj]) -> int:
        return int(max(one["ended_at"] for one in canceled)) + self.terms.expiry_days * DAY

    def lapsed(self) -> bool:
        """The final expiry has come, and nobody had said before that the seat is to be kept."""
        found = self.ended()
        in_time = [act for act in self.in_force("keep_seat") if found and act.at < self._expiry(found)]
        return bool(found) and self.now >= self._expiry(found) and not in_time

    # --- what the money says ------------------------------------------------------------------------------------------

    def _closed(self, one: Obj) -> bool:
        return self._refunded(one) or self._lost(one)

    def _own(self, one: Obj) -> list[Obj]:
        return [each for each in self.books.invoices if _subscription_of(each) == one["id"]]

    def _charges(self, invoice: Obj) -> list[Obj]:
        payments = invoice["payments"]["data"] if invoice.get("payments") else []
        intents = {each["payment"].get("payment_intent") for each in payments}
        return [each for each in self.books.charges if each["payment_intent"] in intents]

    def _refunded(self, one: Obj) -> bool:
        """Of what was paid for the present period nothing is left; while nothing is paid for it, of the last that was paid."""
        if one["status"] == "trialing":
            return False
        begins = min(item["current_period_start"] for item in one["items"]["data"])
        paid = [each for each in self._own(one) if each["status"] == "paid" and each["amount_paid"] and _lines(each)]
        present = [each for each in paid if any(begins <= line["period"]["start"] for line in _lines(each))]
        over = max((_ends(each) for each in paid), default=0)
        if not present:  # a renewal that is not paid, or a trial that cut a paid period short
            present = [each for each in paid if _ends(each) == over]
        amount = sum(each["amount_paid"] for each in present)
        back = sum(self._went_back(charge, over) for each in present for charge in self._charges(each))
        return bool(amount > 0 and back >= amount)

    def _went_back(self, charge: Obj, over: int) -> int:
        """How much of a charge was refunded; what was refunded after its period was over is for no period of now."""
        refunds = charge["refunds"]["data"] if charge.get("refunds") else []
        late = sum(each["amount"] for each in refunds if each["created"] >= over and over <= self.now)
        return int(charge["amount_refunded"] - late)

    def _lost(self, one: Obj) -> bool:
        """A dispute about one of its payments was lost, and staff have not waived it."""
        ours = {charge["id"] for each in self._own(one) for charge in self._charges(each)}
        lost = [each["created"] for each in self.books.disputes if each["status"] == "lost" and each["charge"] in ours]
        if self.in_force("no_suspend"):
            return False
        waived = max((act.at for act in self.in_force("waive_dispute")), default=0)
        return any(moment > waived for moment in lost)

    def _open(self, one: Obj) -> list[Obj]:
        """What is not paid since it last paid."""
        own = self._own(one)
        paid = max((_finalized(each) for each in own if each["status"] == "paid" and each["amount_paid"]), default=0)
        unpaid = [each for each in own if each["status"] in ("open", "uncollectible")]
        return [each for each in unpaid if _finalized(each) > paid] or unpaid

    def _waits_for_bank(self, one: Obj) -> bool:
        if one["status"] != "past_due":
            return False
        states = {charge["status"] for each in self._open(one) for charge in self._charges(each)}
        return "pending" in states and not any(each["id"] in self.books.failures for each in self._open(one))

    def _late_since(self, one: Obj) -> int:
        told = [self.books.failures[each["id"]] for each in self._open(one) if each["id"] in self.books.failures]
        return min(told, default=self.now)

    # --- what is due --------------------------------------------------------------------------------------------------

    def _line(self, line: Obj) -> Offer:
        offer = self.prices.offers[self.prices.products[line["price"]["id"]]]
        return Offer(offer.apps, {name: amount * line["quantity"] for name, amount in offer.numbers.items()})

    def opened(self, state: str, row: int) -> Expected:
        """Everything that is paid or in grace, and what staff grant. A second subscription gives no number twice."""
        running = sorted([*self.paying(), *self.in_grace()], key=self._first_is_dearest)
        parts, seen, had_apps = [], set[str](), False
        for one in running:
            lines = one["items"]["data"]
            for line in lines:
                product = self.prices.products[line["price"]["id"]]
                given = self._line(line)
                doubled = product in seen or (had_apps and given.apps)
                parts.append(Offer(given.apps) if doubled else given)
            seen |= {self.prices.products[line["price"]["id"]] for line in lines}
            had_apps = had_apps or any(self._line(line).apps for line in lines)
        parts += [self.prices.offers[slug] for act in self.in_force("grant") for slug in act.gives]
        due = _add(parts)
        return Expected(
            state, row, account="open", apps=due.apps, numbers=due.numbers, lapsed=self.lapsed() and not self.stopped(),
            kept_apps=self._may_return() - due.apps,
        )  # fmt: skip

    def _may_return(self) -> frozenset[str]:
        """The apps of subscriptions that are not paid, or ended before the final expiry."""
        away = [*self.stopped(), *self.ended(before_expiry=True)]
        return frozenset(app for one in away for line in one["items"]["data"] for app in self._line(line).apps)

    def _first_is_dearest(self, one: Obj) -> tuple[bool, int, int, int, str]:
        """Those that are paid, then who is late the shortest time, then the dearest."""
        cents = sum((line["price"]["unit_amount"] or 0) * line["quantity"] for line in one["items"]["data"])
        ends = min(line["current_period_end"] for line in one["items"]["data"])
        late = 0 if one["status"] in LIVE else self._late_since(one)
        return one["status"] not in LIVE, -late, -cents, ends, one["id"]


def _add(parts: list[Offer]) -> Offer:
    names = sorted({name for one in parts for name in one.numbers})
    sums = {name: sum(one.numbers.get(name, 0) for one in parts) for name in names}
    return Offer(
        frozenset(app for one in parts for app in one.apps), {name: sums[name] for name in names if sums[name]}
    )


def _subscription_of(invoice: Obj) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return str(details.get("subscription") or "")


def _lines(invoice: Obj) -> list[Obj]:
    return [line for line in invoice["lines"]["data"] if line["amount"] > 0]


def _ends(invoice: Obj) -> int:
    return max(int(line["period"]["end"]) for line in _lines(invoice))


def _finalized(invoice: Obj) -> int:
    return int(invoice["status_transitions"]["finalized_at"] or invoice["created"])
