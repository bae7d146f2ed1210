"""Debits that a bank refused or returned, as dj-stripe mirrors them: from which account, and why in words for its owner."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from djstripe.models import Charge, Invoice

from apps.billing.ledger import is_debit, payer_of
from apps.billing.parsing import identify, listed, plain, text

# What Stripe calls it, and how an email says it after "because".
REASONS = {
    "insufficient_funds": gettext_noop("there wasn't enough money in the account"),
    "account_closed": gettext_noop("the account is closed"),
    "bank_account_closed": gettext_noop("the account is closed"),
    "no_account": gettext_noop("it doesn't know the account"),
    "invalid_account_number": gettext_noop("it doesn't know the account"),
    "bank_account_unusable": gettext_noop("the account can't be debited"),
    "bank_account_restricted": gettext_noop("the account can't be debited"),
    "debit_not_authorized": gettext_noop("the debit wasn't authorized"),
    "payment_method_bank_account_blocked": gettext_noop("the account can't be debited"),
}


@dataclass(frozen=True)
class RefusedDebit:
    """`account`: as its owner knows it, "bank account ending in 3000"; `why`: a clause, empty when the bank did not say."""

    account: str
    why: str


def find_refused_debit(customer_id: str | None, invoice_id: str) -> RefusedDebit | None:
    """The debit by which this invoice was last tried to be paid; None when that was no debit, or the bank has not refused it."""
    invoice = Invoice.objects.filter(id=invoice_id).values_list("stripe_data", flat=True).first() or {}
    payers = {payer_of(one) for one in listed(invoice.get("payments"))} - {""}
    tried = Charge.objects.filter(customer_id=customer_id or "").order_by("-created", "-id")
    for charge_id, found in tried.values_list("id", "stripe_data")[:20] if payers else ():
        if payers & {charge_id, identify(found.get("payment_intent"))}:
            return _describe(found) if found.get("status") == "failed" and is_debit(found) else None
    return None


def _describe(charge: dict[str, object]) -> RefusedDebit:
    details = plain(charge.get("payment_method_details"))
    last4 = text(plain(details.get(text(details.get("type")))).get("last4"), 8)
    account = _("bank account ending in {digits}").format(digits=last4) if last4 else ""
    why = REASONS.get(text(charge.get("failure_code")))
    return RefusedDebit(account, _(why) if why else "")
