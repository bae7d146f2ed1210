"""Reading, listing, updating and deleting: the same for every kind of object, from one table.

What only one kind does (being created, paid, ended) is a function with `route` in a module of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apps.sandbox.stripe import (
    account_setup,
    catalog,
    changes,
    coupons,
    customers,
    event_api,
    invoice_api,
    lists,
    subscription_api,
)
from apps.sandbox.stripe.events import kept
from apps.sandbox.stripe.forms import PARAMETERS
from apps.sandbox.stripe.records import Obj, every, get
from apps.sandbox.stripe.routing import route

type Narrow = Callable[[list[Obj], Obj], list[Obj]]


@dataclass(frozen=True)
class Resource:
    """One kind of object and its address; `fields` are list parameters that equal a field of the object."""

    kind: str
    path: str
    fields: tuple[str, ...] = ()
    narrow: Narrow | None = None
    rows: Callable[[], list[Obj]] | None = None
    find: Callable[[str], Obj] | None = None
    update: Callable[[Obj, Obj], None] | None = None
    delete: Callable[[Obj, Obj], Obj] | None = None

    @property
    def collection(self) -> str:
        return self.path.rsplit("/", 1)[0]

    def retrieve(self, _params: Obj, identifier: str) -> Obj:
        return self.find(identifier) if self.find else get(self.kind, identifier)

    def list_page(self, params: Obj) -> Obj:
        found = lists.matching(self.rows() if self.rows else every(self.kind), params, *self.fields)
        return lists.page(self.narrow(found, params) if self.narrow else found, params, self.collection)

    def on_update(self, update: Callable[[Obj, Obj], None]) -> Callable[[Obj, str], Obj]:
        def handler(params: Obj, identifier: str) -> Obj:
            found = get(self.kind, identifier)
            update(found, params)
            return found

        return handler

    def on_delete(self, delete: Callable[[Obj, Obj], Obj]) -> Callable[[Obj, str], Obj]:
        return lambda params, identifier: delete(self.retrieve({}, identifier), params)


def _payment_intent(found: list[Obj], params: Obj) -> list[Obj]:
    wanted = params.get("payment", {}).get("payment_intent")
    return [each for each in found if wanted in (None, each["payment"].get("payment_intent"))]


RESOURCES = (
    Resource("product", "/v1/products/{id}", ("active",)),
    Resource("price", "/v1/prices/{price}", ("active", "product", "currency", "type"), update=catalog.update_price),
    Resource(
        "customer",
        "/v1/customers/{customer}",
        ("email",),
        find=customers.find_or_deleted,
        update=customers.update,
        delete=customers.delete,
    ),
    Resource("payment_method", "/v1/payment_methods/{payment_method}", ("customer", "type")),
    Resource("checkout.session", "/v1/checkout/sessions/{session}", ("customer", "status", "subscription")),
    Resource(
        "subscription",
        "/v1/subscriptions/{subscription_exposed_id}",
        ("customer", "collection_method"),
        subscription_api.matching,
        update=changes.update,
        delete=subscription_api.cancel,
    ),
    Resource(
        "subscription_item",
        "/v1/subscription_items/{item}",
        ("subscription",),
        rows=subscription_api.every_item,
        find=subscription_api.find_item,
        delete=subscription_api.delete_item,
    ),
    Resource("invoice", "/v1/invoices/{invoice}", ("customer", "status", "collection_method"), invoice_api.matching),
    Resource("invoice_payment", "/v1/invoice_payments/{invoice_payment}", ("invoice", "status"), _payment_intent),
    Resource("payment_intent", "/v1/payment_intents/{intent}"),
    Resource("charge", "/v1/charges/{charge}", ("customer", "payment_intent")),
    Resource("refund", "/v1/refunds/{refund}", ("charge", "payment_intent")),
    Resource("credit_note", "/v1/credit_notes/{id}", ("customer", "invoice")),
    Resource("coupon", "/v1/coupons/{coupon}", delete=coupons.delete_coupon),
    Resource("promotion_code", "/v1/promotion_codes/{promotion_code}", ("active", "code", "customer")),
    Resource("dispute", "/v1/disputes/{dispute}", ("charge", "payment_intent")),
    Resource("event", "/v1/events/{id}", narrow=event_api.matching, rows=kept),
    Resource("webhook_endpoint", "/v1/webhook_endpoints/{webhook_endpoint}", rows=account_setup.endpoints),
    Resource(
        "billing_portal.configuration",
        "/v1/billing_portal/configurations/{configuration}",
        ("active", "is_default"),
        rows=account_setup.configurations,
        update=account_setup.update_configuration,
    ),
)


def register() -> None:
    """Register the addresses of the whole table, as far as parameters.json names them."""
    for resource in RESOURCES:
        if f"GET {resource.path}" in PARAMETERS:
            route(f"GET {resource.path}")(resource.retrieve)
        if f"GET {resource.collection}" in PARAMETERS:
            route(f"GET {resource.collection}")(resource.list_page)
        if resource.update:
            route(f"POST {resource.path}")(resource.on_update(resource.update))
        if resource.delete:
            route(f"DELETE {resource.path}")(resource.on_delete(resource.delete))
