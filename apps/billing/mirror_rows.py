"""Rows of dj-stripe's mirror, written many at once: those that dj-stripe makes of the same objects, in a tenth of its statements.

dj-stripe 2.11 asks the database for each reference of each object and writes the lines of a subscription twice. Not copied
are the lines of invoices: the invoice has them whole, and no page reads their rows. What cannot be written here raises,
and dj-stripe's own way is taken (copies.py).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import djstripe.models
from django.conf import settings
from django.db import models
from django.db.models import Value
from djstripe.models.base import StripeModel

from apps.billing.parsing import identify, listed, plain

MODELS: dict[str, Any] = {
    model.stripe_class.OBJECT_NAME: model
    for model in (
        djstripe.models.Charge,
        djstripe.models.Customer,
        djstripe.models.Dispute,
        djstripe.models.Invoice,
        djstripe.models.PaymentMethod,
        djstripe.models.Price,
        djstripe.models.Product,
        djstripe.models.Refund,
        djstripe.models.Subscription,
    )
}
ITEM: Any = djstripe.models.SubscriptionItem
PRICE, SUBSCRIPTION, ACCOUNT = djstripe.models.Price, djstripe.models.Subscription, djstripe.models.Account
WRITTEN = {*MODELS.values(), ITEM}
KEPT = {"djstripe_id", "id", "djstripe_created", "subscriber", "date_purged"}  # of a row that is there

Present = defaultdict[Any, dict[str, int | None]]  # model to id to number of the row
Shown = dict[str, Any]  # an object as dj-stripe reads it
Batch = dict[Any, dict[str, tuple[Shown, dict[str, Any]]]]  # model to id to that, and what is kept of the object


def write_rows(objects: Iterable[dict[str, Any]], *, kept: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write these Stripe objects, with the lines of subscriptions and the prices in them that are not there yet.

    `kept`: what the mirror keeps of an object.
    """
    batch: Batch = defaultdict(dict)

    def add(model: Any, one: dict[str, Any]) -> None:
        batch[model][one["id"]] = model._manipulate_stripe_object_hook(dict(one)), kept(one)

    for one in objects:
        add(MODELS[one["object"]], one)
    lines = [line for shown, _ in batch[SUBSCRIPTION].values() for line in listed(shown.get("items"))]
    prices = {identify(price): price for line in lines if (price := plain(line.get("price")))}
    for line in lines:
        add(ITEM, line)
    present = _find_present(batch, prices)
    for key in prices.keys() - present[PRICE].keys() - batch[PRICE].keys():
        add(PRICE, prices[key])
    for model, found in batch.items():
        present[model] |= dict.fromkeys(found.keys() - present[model].keys())
    for model in sorted(batch, key=lambda model: model is not PRICE):  # lines name them by the number of their row
        rows = [_build_row(model, shown, whole, present) for shown, whole in batch[model].values()]
        _upsert(model, rows)
        present[model] |= {row.id: row.pk for row in rows}


def _upsert(model: Any, rows: list[Any]) -> None:
    columns = [field.name for field in model._meta.concrete_fields if field.name not in KEPT]
    model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=columns)


def _build_row(model: Any, shown: Shown, kept: dict[str, Any], present: Present) -> Any:
    """The row that dj-stripe makes of the object. A reference to what is not there is empty."""
    row = model(djstripe_owner_account_id=settings.STRIPE_ACCOUNT_ID, stripe_data=kept)
    for field in _own_fields(model):
        if field.is_relation:
            wanted, there = identify(shown.get(field.name)), present[field.related_model]
            own = wanted if field.target_field.name == "id" else there.get(wanted)
            setattr(row, field.attname, own if wanted in there else None)
            continue
        value = field.stripe_to_db(shown) if hasattr(field, "stripe_to_db") else shown.get(field.name)
        is_text = isinstance(field, models.CharField | models.TextField)
        setattr(row, field.name, "" if is_text and value is None else value)
    return row


def _own_fields(model: Any) -> Iterator[Any]:
    """The fields that Stripe's object fills: all but dj-stripe's own, and references to what dj-stripe makes up."""
    for field in model._meta.concrete_fields:
        own = field.name.startswith("djstripe_") or field.name in KEPT - {"id"} or field.name == "stripe_data"
        if not own and (not field.is_relation or issubclass(field.related_model, StripeModel)):
            yield field


def _find_present(batch: Batch, prices: Iterable[str]) -> Present:
    """What is in the mirror of the prices and of what these objects refer to; the account is made. One query."""
    wanted: dict[Any, set[str]] = defaultdict(set[str], {ACCOUNT: {settings.STRIPE_ACCOUNT_ID}})
    wanted[PRICE] |= set(prices)
    for model, found in batch.items():
        references = [field for field in _own_fields(model) if field.is_relation and field.related_model in WRITTEN]
        for shown, _ in found.values():
            for field in references:
                wanted[field.related_model].add(identify(shown.get(field.name)))
    names = {model._meta.label: model for model in wanted}
    parts = [
        model.objects.filter(id__in=ids - batch.get(model, {}).keys()).values_list(Value(model._meta.label), "id", "pk")
        for model, ids in wanted.items()
    ]
    present: Present = defaultdict(dict)
    for label, key, pk in parts[0].union(*parts[1:], all=True):
        present[names[label]][key] = pk
    if not present[ACCOUNT]:
        ACCOUNT.objects.get_or_create(id=settings.STRIPE_ACCOUNT_ID)
    return present
