"""The check of an import: Keycloak's accounts, Stripe's subscriptions and what money went back are read a page at a time, then each row gets its verdict.

Promises: nothing but the rows of the import is written, and of these none that is imported, since its undo needs what was found; a check
that is killed goes on where it was, since each page is written with the position after it; the same check again says the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from itertools import batched
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q

from apps.billing import adopting, returned_payments
from apps.billing.adopting import ListedSubscription
from apps.billing.returned_payments import ReturnedPayment
from apps.core import clock, jobs
from apps.core.addresses import ascii_email, can_be_mailed
from apps.identity import account_lists
from apps.identity.account_lists import ListedAccount
from apps.operations.import_file import LENGTHS
from apps.operations.import_surroundings import read_surroundings
from apps.operations.import_verdicts import Judged, judge
from apps.operations.models import CustomerImport, ImportRow

KIND = "check_import"
SECONDS = 20.0  # of one job, which has a minute
BATCH = 500  # rows
Source, Stage, State = CustomerImport.Source, CustomerImport.Stage, CustomerImport.State
RowState = ImportRow.State
STAGES = {
    Source.CSV: [Stage.ACCOUNTS, Stage.CUSTOMERS, Stage.RETURNS, Stage.VERDICTS],
    Source.STRIPE: [Stage.CUSTOMERS, Stage.ACCOUNTS, Stage.RETURNS, Stage.VERDICTS],
    Source.KEYCLOAK: [Stage.ACCOUNTS, Stage.CUSTOMERS, Stage.RETURNS, Stage.VERDICTS],
}
JUDGED = ["verdict", "question", "choices", "why", "becomes"]


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, read, label="Check an import", needs=("keycloak", "stripe"))


def check_later(run: CustomerImport, *, reason: str) -> None:
    """Queue the check from its beginning. Part of the caller's transaction, which saves the import."""
    run.state, run.stages, run.cursor = State.READING, [one.value for one in STAGES[Source(run.source)]], ""
    run.ended_at, run.sends_emails = None, False  # who has no account asks again
    jobs.defer(KIND, run.pk, reason=reason)


def read(key: str) -> None:
    """The job: the next pages of the import `key`, until its time is up."""
    began = time.monotonic()
    while True:
        run = CustomerImport.objects.filter(pk=key, state=State.READING).first()
        if run is None:
            return
        if not run.stages:
            _end(run)
            return
        STEPS[Stage(run.stages[0])](run)
        if time.monotonic() - began > SECONDS:
            jobs.defer(KIND, key, reason="the next slice")
            return


def read_to_the_end(run: CustomerImport) -> None:
    """All of the check at once, for who waits for it."""
    while CustomerImport.objects.filter(pk=run.pk, state=State.READING).exists():
        read(str(run.pk))


@transaction.atomic
def _end(run: CustomerImport) -> None:
    still = CustomerImport.objects.select_for_update().filter(pk=run.pk, state=State.READING, stages=[])
    still.update(state=State.PLANNED, checked_at=clock.now(), cursor="")


def _advance(run: CustomerImport, cursor: str, write: Callable[[], None]) -> None:
    """Write a page together with the position after it, unless the check was begun again meanwhile; an empty one ends the stage."""
    with transaction.atomic():
        row = CustomerImport.objects.select_for_update().get(pk=run.pk)
        if (row.state, row.stages, row.cursor) != (run.state, run.stages, run.cursor):
            return
        write()
        row.cursor = cursor
        if not cursor:
            row.stages = row.stages[1:]
        row.save(update_fields=["cursor", "stages"])


# --- Keycloak's accounts -----------------------------------------------------------------------------------------------


def _read_accounts(run: CustomerImport) -> None:
    """One page."""
    first = int(run.cursor or 0)
    page = account_lists.list_page(first)
    following = str(first + len(page)) if len(page) == account_lists.PAGE else ""
    _advance(run, following, lambda: _write_accounts(run, page))


def _write_accounts(run: CustomerImport, page: Collection[ListedAccount]) -> None:
    """Give the rows what Keycloak has of them; the accounts that nobody has here make rows where they are the source."""
    by_id, by_email = {one.id: one for one in page}, {one.email: one for one in page if one.email}
    if run.source == Source.KEYCLOAK:
        canary = settings.KEYCLOAK_CANARY_USERNAME.lower()  # nobody's, and always there
        new = [one for one in page if not one.mark and not one.is_staff and one.username.lower() != canary]
        _add_rows(run, _without_known(run, [_row_of(one) for one in new]))
    found = Q(keycloak_id__in=by_id) | Q(keycloak_id="", email__in=by_email)
    rows = list(run.rows.filter(found, state=RowState.PLANNED))
    for row in rows:
        account = by_id.get(row.keycloak_id) or by_email[row.email]
        row.account = account.as_json()
    ImportRow.objects.bulk_update(rows, ["account"], batch_size=BATCH)


def _row_of(account: ListedAccount) -> dict[str, Any]:
    """What a row says of an account of the realm; of one whose id has no room here, why it cannot be imported."""
    if len(account.id) <= LENGTHS["keycloak_id"]:
        return {"keycloak_id": account.id}
    return {"problem": f"Another system keeps account {account.id}, and Keycloak only reads it there."[:300]}


def _without_known(run: CustomerImport, values: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that make no row yet, whether it is imported or not."""
    asked = Q(keycloak_id__in=[one["keycloak_id"] for one in values if "keycloak_id" in one])
    asked |= Q(problem__in=[one["problem"] for one in values if "problem" in one])
    known = {one for pair in run.rows.filter(asked).values_list("keycloak_id", "problem") for one in pair if one}
    return [one for one in values if known.isdisjoint(one.values())]


def _add_rows(run: CustomerImport, values: Iterable[dict[str, Any]]) -> None:
    last = run.rows.aggregate(last=Max("number"))["last"] or 0
    rows = [ImportRow(run=run, number=number, **one) for number, one in enumerate(values, last + 1)]
    ImportRow.objects.bulk_create(rows, batch_size=BATCH)


# --- Stripe's subscriptions --------------------------------------------------------------------------------------------


def _read_customers(run: CustomerImport) -> None:
    """One page."""
    page = adopting.list_page(run.cursor)
    _advance(run, page.following, lambda: _write_customers(run, page.subscriptions))


def _write_customers(run: CustomerImport, page: Collection[ListedSubscription]) -> None:
    """Give the rows what Stripe has of them; where Stripe is the source, who pays for something of ours makes a row."""
    of_customer = defaultdict[str, list[ListedSubscription]](list)
    for one in page:
        if one.customer_id:
            of_customer[one.customer_id].append(one)
    if run.source == Source.STRIPE:
        prices = adopting.map_prices()
        pays = {one.customer_id for one in page if adopting.pays_for_ours(adopting.read_states([one.kept], prices))}
        known = set(run.rows.filter(customer_id__in=pays).values_list("customer_id", flat=True))
        new = [one for key, (one, *_) in of_customer.items() if key in pays - known]
        _add_rows(run, ({"customer_id": one.customer_id, "email": _address(one.email)} for one in new))
    by_email = defaultdict[str, set[str]](set)
    for key, (one, *_) in of_customer.items():
        by_email[_address(one.email)].add(key)
    emails = by_email.keys() - {""}
    found = Q(customer_id__in=of_customer) | Q(customer_id="") & (Q(email__in=emails) | Q(account__email__in=[*emails]))
    rows = list(run.rows.filter(found, state=RowState.PLANNED))
    for row in rows:
        own = {row.customer_id} if row.customer_id else by_email[row.email or str(row.account.get("email", ""))]
        for customer in own & of_customer.keys():
            _add_subscriptions(row, customer, of_customer[customer])
    ImportRow.objects.bulk_update(rows, ["customers"], batch_size=BATCH)


def _address(email: str) -> str:
    """A customer's address at Stripe as we store addresses; empty where none can be mailed, which the verdict then says."""
    address = ascii_email(email.strip().lower())
    return address if can_be_mailed(address) else ""


def _add_subscriptions(row: ImportRow, customer: str, found: Collection[ListedSubscription]) -> None:
    """Each once, also where a page is read again."""
    first = next(iter(found))
    known = row.customers.get(customer, {}).get("subscriptions", [])
    by_id = {one["id"]: one for one in [*known, *(each.kept for each in found)]}
    row.customers[customer] = {
        "email": _address(first.email),
        "name": first.name,
        "subscriptions": list(by_id.values()),
    }


# --- money that went back ----------------------------------------------------------------------------------------------


def _read_returns(run: CustomerImport) -> None:
    """One page."""
    page = returned_payments.list_page(run.cursor)
    _advance(run, page.following, lambda: _write_returns(run, page.payments))


def _write_returns(run: CustomerImport, page: Collection[ReturnedPayment]) -> None:
    """Note at each customer of a row the newest payment that went back, and whether one was lost in a dispute."""
    whose = {one.customer_id for one in page}
    rows = list(run.rows.filter(customers__has_any_keys=sorted(whose), state=RowState.PLANNED)) if whose else []
    for row in rows:
        for one in page:
            if about := row.customers.get(one.customer_id):
                about["returned"] = max(about.get("returned", ""), one.paid_at.isoformat())
                about["lost"] = about.get("lost", False) or one.is_lost
    ImportRow.objects.bulk_update(rows, ["customers"], batch_size=BATCH)


# --- the verdicts ------------------------------------------------------------------------------------------------------


def _judge_rows(run: CustomerImport) -> None:
    """The next rows, by their numbers."""
    rows = list(run.rows.filter(number__gt=int(run.cursor or 0)).order_by("number")[:BATCH])
    following = str(rows[-1].number) if len(rows) == BATCH else ""
    _advance(run, following, lambda: write_verdicts(run, rows))


def write_verdicts(run: CustomerImport, rows: Collection[ImportRow]) -> None:
    """Judge these rows by what is known now, and keep it. Rows that are imported keep theirs."""
    around = read_surroundings(run, rows)
    planned = [row for row in rows if row.state == RowState.PLANNED]
    for row in planned:
        note_verdict(row, judge(row, around))
    for batch in batched(planned, BATCH, strict=False):
        ImportRow.objects.bulk_update(batch, JUDGED)


def note_verdict(row: ImportRow, judged: Judged) -> None:
    """Put the verdict into the row, unsaved."""
    for name in JUDGED:
        setattr(row, name, getattr(judged, name))


STEPS: dict[CustomerImport.Stage, Callable[[CustomerImport], None]] = {
    Stage.ACCOUNTS: _read_accounts,
    Stage.CUSTOMERS: _read_customers,
    Stage.RETURNS: _read_returns,
    Stage.VERDICTS: _judge_rows,
}
