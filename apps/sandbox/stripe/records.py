"""The objects of the stand-in's one Stripe account: made from `shapes.json`, kept in the store, found by id.

`shapes.json` holds an empty object of each kind as API version 2026-08-26.dahlia shows it (cut from Stripe's OpenAPI
document, MIT, Copyright (c) 2011- Stripe, Inc.). What Stripe knows but does not show (a card's number, what a test
wants to happen next) is in `private(id)`, never in the object.
"""

import json
import secrets
import string
from pathlib import Path
from typing import Any

from apps.sandbox.store import store
from apps.sandbox.stripe import timeline
from apps.sandbox.stripe.errors import no_such

Obj = dict[str, Any]

API_VERSION = "2026-08-26.dahlia"
ACCOUNT_ID = "acct_1SandboxFrontdesk01"
LETTERS = string.ascii_letters + string.digits
SHAPES: dict[str, Obj] = json.loads((Path(__file__).parent / "shapes.json").read_text())
# kind -> (start of the id, random characters behind it)
IDS = {
    "product": ("prod_", 14), "price": ("price_1", 23), "customer": ("cus_", 14),
    "payment_method": ("pm_1", 23),
    "checkout.session": ("cs_test_a1", 56), "item": ("li_1", 23), "subscription": ("sub_1", 23),
    "subscription_item": ("si_", 14), "invoice": ("in_1", 23), "line_item": ("il_1", 23),
    "invoice_payment": ("inpay_1", 23), "payment_intent": ("pi_3", 23),
    "charge": ("ch_3", 23), "refund": ("re_3", 23), "dispute": ("du_1", 23), "balance_transaction": ("txn_3", 23),
    "billing_portal.session": ("bps_1", 23), "billing_portal.configuration": ("bpc_1", 23), "event": ("evt_1", 23),
    "webhook_endpoint": ("we_1", 23), "credit_note": ("cn_1", 23), "customer_balance_transaction": ("cbtxn_1", 23),
    "coupon": ("", 8), "discount": ("di_1", 23), "promotion_code": ("promo_1", 23),
}  # fmt: skip
EMPTY: Obj = {
    "objects": {}, "private": {}, "events": {}, "deliveries": [], "idempotency": {}, "agenda": {},
    "settings": {"retry_days": [3, 5, 7], "end": "cancel", "draft_seconds": 3600, "missing_rights": [], "debits_open": False, "portal_saved": True, "invoice_pages": True, "tax": "active", "tax_behavior": "inclusive"},
}  # fmt: skip


def root() -> Obj:
    """Everything the stand-in remembers."""
    state: Obj = store.data["stripe"]
    return state


def copied[T](value: T) -> T:
    """A deep copy of a JSON value, several times faster than copy.deepcopy."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [copied(inner) for inner in value]  # type: ignore[return-value]
    return value


def fill() -> None:
    """Put the empty tables in place where they are missing."""
    for name, value in copied(EMPTY).items():
        root().setdefault(name, value)
    root()["settings"] = copied(EMPTY["settings"]) | root()["settings"]  # of a store kept from before


def random_text(length: int) -> str:
    """Letters and digits, unguessable."""
    return "".join([LETTERS[byte % len(LETTERS)] for byte in secrets.token_bytes(length)])


def new_id(kind: str) -> str:
    """An id that looks like Stripe's for this kind."""
    start, length = IDS[kind]
    return start + random_text(length)


def blank(kind: str, **fields: Any) -> Obj:
    """An object of `kind` with an id and the present time, not kept yet."""
    made = copied(SHAPES[kind]) | {"id": new_id(kind)}
    if "created" in made:
        made["created"] = timeline.now()
    return made | fields


def add(made: Obj) -> Obj:
    """Keep the object."""
    table(made["object"])[made["id"]] = made
    return made


def new(kind: str, **fields: Any) -> Obj:
    """Make and keep an object."""
    return add(blank(kind, **fields))


def table(kind: str) -> dict[str, Obj]:
    """All kept objects of a kind by id, oldest first."""
    tables: dict[str, dict[str, Obj]] = root()["objects"]
    return tables.setdefault(kind, {})


def every(kind: str) -> list[Obj]:
    """All kept objects of a kind, oldest first."""
    return list(table(kind).values())


def find(kind: str, identifier: str | None) -> Obj | None:
    """The object or None."""
    return table(kind).get(identifier or "")


def get(kind: str, identifier: str | None, param: str = "id") -> Obj:
    """The object; `resource_missing` naming `param` when it is not there."""
    found = find(kind, identifier)
    if found is None:
        raise no_such(kind, identifier or "", param)
    return found


def forget(kind: str, identifier: str) -> None:
    """Remove the object without a trace."""
    table(kind).pop(identifier, None)
    root()["private"].pop(identifier, None)


def private(identifier: str) -> Obj:
    """What is known about an object and not shown."""
    notes: dict[str, Obj] = root()["private"]
    return notes.setdefault(identifier, {})


def merge_metadata(target: Obj, spec: Obj | str | None) -> None:
    """Metadata as Stripe updates it: keys are merged, an empty value removes its key, an empty whole removes all."""
    if spec is None:
        return
    if spec == "":
        target["metadata"] = {}
        return
    if isinstance(spec, dict):
        merged = target["metadata"] | spec
        target["metadata"] = {key: value for key, value in merged.items() if value != ""}
