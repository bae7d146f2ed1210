"""Copies of Stripe's objects in dj-stripe's mirror, for pages. Nothing here decides about access.

Promises: all are written together, and if that fails, each with a savepoint of its own; one that fails leaves an attention
item, which ends when a later copy of the same object works, and never stops the caller; no copy asks Stripe for anything
(billing/apps.py). Of what happened to money long ago only what pages show and books need is kept (`SHOWN`): Stripe has the
rest.
"""

import datetime as dt
import json
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import djstripe.models
import stripe
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Value

from apps.billing.mirror_rows import MODELS, write_rows
from apps.billing.parsing import identify, listed, plain, text
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core import attention, clock, retention
from apps.core.attention import Cause
from apps.core.errors import WorkError

log = structlog.get_logger(__name__)

MONEY = ("charge", "dispute", "invoice", "refund")
SHOWN = (
    "amount", "amount_due", "amount_paid", "amount_refunded", "attempt_count", "charge", "currency", "customer", "description", "disputed",
    "failure_message", "id", "number", "object", "period_end", "period_start", "reason", "refunded", "status", "total",
    "total_excluding_tax",
)  # fmt: skip
PRUNE = """UPDATE {table} SET stripe_data = coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(stripe_data)
    WHERE key = ANY(%(shown)s) AND value <> 'null'), '{{}}')
WHERE djstripe_id IN (
    SELECT djstripe_id FROM {table} WHERE stripe_data ? 'livemode' AND created < %(before)s LIMIT %(batch)s)"""
OVERDUE = "SELECT count(*) FROM {table} WHERE created < %(before)s AND stripe_data - %(shown)s::text[] <> '{{}}'"


def copy_all(objects: Iterable[Any], *, profiles: Iterable[int] = ()) -> None:
    """Copy these Stripe objects, those first that others refer to. What fails is told to staff."""
    who, given = list(profiles), {_key(found): found for found in objects}
    copied = _stored(given.values())
    failed = {} if _copy_together(given, copied) else _copy_each(given, copied)
    for key, problem in failed.items():
        sentence = (
            f"Stripe's {key} could not be copied for the console ({problem}). Access is decided without the copy."
        )
        attention.report(Cause.MIRROR_COPY, key, sentence, profiles=who)
    attention.resolve_soon(Cause.MIRROR_COPY, *(given.keys() - failed.keys()), why="A later copy worked.")


def _key(found: Any) -> str:
    return f"{text(found['object'])} {identify(found)}"


def _stored(given: Iterable[Any]) -> dict[str, Any]:
    """What the mirror has of these objects, in one query: a customer of many years has hundreds, and few have changed."""
    ids = defaultdict[str, list[str]](list)
    for found in given:
        ids[text(found["object"])].append(identify(found))
    parts = [
        MODELS[kind].objects.filter(id__in=wanted).values_list(Value(kind), "id", "stripe_data")
        for kind, wanted in ids.items()
        if kind in MODELS
    ]
    rows = parts[0].union(*parts[1:], all=True) if parts else []
    return {f"{kind} {row_id}": data for kind, row_id, data in rows}


def _copy_together(given: Mapping[str, Any], copied: Mapping[str, Any]) -> bool:
    """Copy all that is not `copied` yet in one go; False, and nothing is written, when one of them has an odd shape."""
    try:
        wholes = {key: _whole(found) for key, found in given.items()}
        changed = [whole for key, whole in wholes.items() if _kept(whole) != copied.get(key)]
        if changed:
            with transaction.atomic():
                write_rows(changed, kept=_kept)
    except (OperationalError, InterfaceError):  # a database that is gone is no fault of theirs
        raise
    except Exception as error:  # noqa: BLE001  (whatever it is, it is found again, and by object, one by one)
        log.info("mirror_copied_one_by_one", error=type(error).__name__)
        return False
    return True


def _copy_each(given: Mapping[str, Any], copied: Mapping[str, Any]) -> dict[str, str]:
    """Copy one by one, each with a savepoint; what failed, with the kind of its error."""
    tried = {key: _try(found, copied.get(key)) for key, found in given.items()}
    return {key: problem for key, problem in tried.items() if problem}


def _try(found: Any, copied: Any) -> str:
    """Copy one object that is not `copied` yet; the kind of error when that fails."""
    try:
        if copied != _kept(_whole(found)):
            with transaction.atomic():
                _sync(MODELS[found["object"]], found)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001  (dj-stripe raises anything for a shape it does not expect)
        where = traceback.extract_tb(error.__traceback__)[-1].name  # its text may name a person
        log.warning("mirror_copy_failed", object=identify(found), error=type(error).__name__, where=where)
        return type(error).__name__
    return ""


def _whole(found: Any) -> Any:
    return json.loads(str(found).replace("\\u0000", ""))  # which Postgres cannot keep


def _kept(whole: Any) -> Any:
    """What the mirror keeps of an object: all of it as Stripe sent it, until it is old."""
    days = settings.RETENTION["stripe_details"]
    created = whole.get("created")
    if whole.get("object") not in MONEY or not isinstance(created, int) or clock.timestamp() - created < days * 86_400:
        return whole
    return {name: whole[name] for name in SHOWN if whole.get(name) is not None}


def prune(before: dt.datetime) -> int:
    """Keep only `SHOWN` of what happened to money before then; returns of how many objects."""
    count = 0
    for kind in MONEY:
        statement = PRUNE.format(table=connection.ops.quote_name(MODELS[kind]._meta.db_table))
        changed = retention.BATCH
        while changed == retention.BATCH:
            with connection.cursor() as cursor:
                cursor.execute(statement, {"shown": list(SHOWN), "before": before, "batch": retention.BATCH})
                changed = int(cursor.rowcount)
            count += changed
    return count


def count_overdue(before: dt.datetime) -> int:
    """How many objects about money from before then hold more than `SHOWN`."""
    count = 0
    for kind in MONEY:
        statement = OVERDUE.format(table=connection.ops.quote_name(MODELS[kind]._meta.db_table))
        with connection.cursor() as cursor:
            cursor.execute(statement, {"shown": list(SHOWN), "before": before})
            count += int(cursor.fetchone()[0])
    return count


def _sync(model: Any, found: Any) -> None:
    """Let dj-stripe copy what it can take of the object, and keep the rest of it beside that.

    dj-stripe would store an invoice's lines once more, as rows that nobody reads.
    """
    whole = _whole(found)
    part = {name: value for name, value in _digestible(whole).items() if name != "lines"}
    row = model.sync_from_stripe_data(model.stripe_class.construct_from(part, None), api_key=settings.STRIPE_SECRET_KEY)
    kept = _kept(whole)
    if part != kept:
        model.objects.filter(pk=row.pk).update(stripe_data=kept)


def _digestible(value: Any) -> Any:
    """Without what dj-stripe 2.11 fails on: discounts in their present shape, null tax rates, lists it would page through."""
    if isinstance(value, list):
        return [_digestible(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _digestible(inner) for name, inner in value.items() if name != "discount"}
    if found.get("object") == "list":
        found["has_more"] = False
    return found | {name: [] for name in ("discounts", "tax_rates", "default_tax_rates") if name in found}


def fetch_subscriptions(subscription_ids: Iterable[str]) -> list[Any]:
    """Subscriptions that no list names any more, such as those of a deleted customer, as far as Stripe gives them."""
    found: list[Any] = []
    for one in subscription_ids:
        try:
            with calling_stripe() as client:
                found.append(client.v1.subscriptions.retrieve(one))
        except WorkError:
            continue
    return found


def fetch_payment_methods(customer_id: str) -> list[Any]:
    """The customer's cards and accounts, to copy; none when our key may not ask, or Stripe is away."""
    try:
        with calling_stripe() as client:
            return list(client.v1.payment_methods.list({"customer": customer_id, "limit": 100}).auto_paging_iter())
    except WorkError:
        return []


def fetch_missing_products(subscriptions: Iterable[Any], *, profiles: Iterable[int] = ()) -> None:
    """Fetch and copy the products of these subscriptions that are not mirrored yet: prices refer to them.

    One that Stripe has no more is noted as deleted. One that it does not give us now is left out: the copies that need it
    fail, are shown to staff, and are made again at night.
    """
    prices = [plain(line.get("price")) for one in subscriptions for line in listed(plain(one).get("items"))]
    wanted = {identify(price.get("product")) for price in prices} - {""}
    have = djstripe.models.Product.objects.filter(id__in=wanted).values_list("id", flat=True)
    for product_id in sorted(wanted - set(have)):
        try:
            with calling_stripe() as client:
                product = client.v1.products.retrieve(product_id)
        except MissingAtStripe:
            product = stripe.Product.construct_from({"id": product_id, "object": "product", "deleted": True}, None)
        except WorkError:
            continue
        copy_all([product], profiles=profiles)
