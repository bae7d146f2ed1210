"""Stripe Tax, as far as the stand-in plays it: one standard rate for each country, on invoices and at Checkout.

Our reading of docs.stripe.com/tax: a price says whether tax is in it, and one that does not follows the account's setting; the
customer's country decides the rate; where the account is not registered nothing is computed. The rates are for show.
"""

from apps.sandbox.stripe.records import Obj, find, root

RATES = {"AT": 20, "BE": 21, "DE": 19, "ES": 21, "FR": 20, "IT": 22, "NL": 21, "PL": 23}
HOME = "DE"


def behavior_of(price: Obj | None) -> str:
    """Whether tax is in the price, "inclusive", or comes on top, "exclusive"."""
    said = (price or {}).get("tax_behavior")
    return str(said if said in {"inclusive", "exclusive"} else root()["settings"]["tax_behavior"])


def tax_of(amount: int, country: str | None, behavior: str) -> int:
    """The tax in an amount, or on top of it."""
    rate = RATES.get(country or "", 0)
    return amount - round(amount * 100 / (100 + rate)) if behavior == "inclusive" else round(amount * rate / 100)


def country_of(owner: Obj | None) -> str | None:
    """Where a customer is taxed."""
    return ((owner or {}).get("address") or {}).get("country")


def write_on_invoice(invoice: Obj) -> tuple[int, int]:
    """Write the taxes of each line; what of them is in the prices, and what comes on top."""
    country = (invoice["customer_address"] or {}).get("country")
    sums = {"inclusive": 0, "exclusive": 0}
    for line in invoice["lines"]["data"]:
        details = (line["pricing"] or {}).get("price_details") or {}
        behavior = behavior_of(find("price", details.get("price")))
        taxable = line["amount"] - sum(one["amount"] for one in line["discount_amounts"])
        tax = tax_of(taxable, country, behavior)
        line["taxes"] = [_tax(tax, taxable, behavior, country)]
        sums[behavior] += tax
    invoice["total_taxes"] = [
        _tax(amount, 0, behavior, country) | {"taxable_amount": None} for behavior, amount in sums.items() if amount
    ]
    invoice["automatic_tax"]["status"] = "complete" if country else "requires_location_inputs"
    return sums["inclusive"], sums["exclusive"]


def _tax(amount: int, taxable: int, behavior: str, country: str | None) -> Obj:
    reason = "standard_rated" if country in RATES else "not_collecting"
    return {
        "amount": amount, "tax_behavior": behavior, "tax_rate_details": None, "taxability_reason": reason,
        "taxable_amount": taxable, "type": "tax_rate_details",
    }  # fmt: skip
