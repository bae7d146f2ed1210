"""The customer's credit balance, and the list of transactions it is the sum of (docs.stripe.com/billing/customer/balance).

Below 0 it is credit, which the next invoice takes up; above 0 the next invoice asks for it too.
"""

from apps.sandbox.stripe import lists
from apps.sandbox.stripe.errors import invalid, no_such
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.records import Obj, every, get, merge_metadata, new
from apps.sandbox.stripe.routing import route

KIND = "customer_balance_transaction"


def move(customer: Obj, amount: int, *, kind: str, currency: str, **about: str | None) -> Obj:
    """Add `amount` to the balance; `about`: its invoice, credit note or description."""
    with change(customer, "customer.updated"):
        return note_move(customer, amount, kind=kind, currency=currency, **about)


def note_move(customer: Obj, amount: int, *, kind: str, currency: str, **about: str | None) -> Obj:
    """`move` for a caller that has a `change` of its own."""
    customer["balance"] += amount
    return new(
        KIND,
        amount=amount,
        type=kind,
        currency=currency,
        customer=customer["id"],
        ending_balance=customer["balance"],
        **about,
    )


def take_back(invoice: Obj) -> None:
    """An invoice that was voided: what it had taken up or added is undone."""
    moved = sum(each["amount"] for each in every(KIND) if each["invoice"] == invoice["id"])
    if moved:
        customer = get("customer", invoice["customer"])
        move(customer, -moved, kind="unapplied_from_invoice", currency=invoice["currency"], invoice=invoice["id"])


@route("POST /v1/customers/{customer}/balance_transactions")
def create_transaction(params: Obj, customer_id: str) -> Obj:
    """Staff's own adjustment."""
    customer = get("customer", customer_id)
    currency = params["currency"]
    if customer["currency"] not in (None, currency):
        raise invalid(f"The customer's currency is {customer['currency']}, not {currency}.", "currency")
    about = {"description": params.get("description")}
    made = move(customer, params["amount"], kind="adjustment", currency=currency, **about)
    merge_metadata(made, params.get("metadata"))
    return made


@route("GET /v1/customers/{customer}/balance_transactions")
def list_transactions(params: Obj, customer_id: str) -> Obj:
    """Of one customer, the newest first."""
    get("customer", customer_id)
    own = lists.matching([each for each in every(KIND) if each["customer"] == customer_id], params, "invoice")
    return lists.page(own, params, f"/v1/customers/{customer_id}/balance_transactions")


@route("GET /v1/customers/{customer}/balance_transactions/{transaction}")
def get_transaction(_params: Obj, customer_id: str, identifier: str) -> Obj:
    """One of a customer's."""
    found = get(KIND, identifier)
    if found["customer"] != customer_id:
        raise no_such(KIND, identifier, "id")
    return found
