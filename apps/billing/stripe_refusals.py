"""What Stripe refuses, in plain words for staff. By its codes alone: its own text may name a person or a card."""

import stripe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

ASKS = "authentication_required"  # the bank wants the customer to confirm the payment
ASKING = {ASKS, "subscription_payment_intent_requires_action", "invoice_payment_intent_requires_action"}
# docs.stripe.com/error-codes
CODES = {
    "charge_already_refunded": "This payment has been given back already.",
    "charge_disputed": "The customer's bank has taken this payment back, so it cannot be refunded as well. Answer the dispute at Stripe.",
    "invoice_not_editable": "Stripe no longer changes this invoice.",
    "invoice_payment_intent_requires_action": "The customer's bank wants them to confirm this payment. They can do so on the invoice's page.",
    "insufficient_funds": "Your balance at Stripe is too small for this refund.",
    "resource_missing": "Stripe no longer has this, or there is no card to charge. Look at the customer at Stripe.",
}
PARAMETERS = {"amount": "Stripe refuses this amount: it is more than is left of the payment."}
# docs.stripe.com/declines/codes. A card that was reported lost or stolen is told apart by the bank alone.
DECLINES = {
    "insufficient_funds": "there is not enough money on the card",
    "expired_card": "the card has expired",
    "incorrect_cvc": "the security code is wrong",
    "processing_error": "the bank could not process it; try again later",
    ASKS: "the bank wants the customer to confirm it on the invoice's page",
    "card_velocity_exceeded": "the card's limit is reached",
    "withdrawal_count_limit_exceeded": "the card's limit is reached",
    "try_again_later": "the bank asks to try again later",
}
UNEXPLAINED = "the bank gives no reason, and the customer has to ask it"


# The same for the subscriber, who can do something about it.
OWN_DECLINES = {
    "insufficient_funds": gettext_noop("There isn't enough money on your card."),
    "expired_card": gettext_noop("Your card has expired."),
    "incorrect_cvc": gettext_noop("The security code of your card is wrong."),
    "processing_error": gettext_noop("Your bank couldn't process the payment. Please try again later."),
    ASKS: gettext_noop("Your bank wants you to confirm this payment, which isn't possible with the card we have."),
    "card_velocity_exceeded": gettext_noop("You've reached your card's limit."),
    "withdrawal_count_limit_exceeded": gettext_noop("You've reached your card's limit."),
    "try_again_later": gettext_noop("Your bank asks you to try again later."),
}
OWN_UNEXPLAINED = gettext_noop(
    "Your bank declined the payment and didn't say why. Please ask your bank, or use another card."
)


def decline_code(error: stripe.StripeError) -> str:
    """The bank's reason, or Stripe's; ASKS in whichever words."""
    code = str(getattr(error.error, "decline_code", "") or error.code or "")
    return ASKS if code in ASKING else code


def describe_own_decline(code: str) -> str:
    """One sentence for the subscriber whose card was declined."""
    return _(OWN_DECLINES.get(code, OWN_UNEXPLAINED))


def describe_refusal(error: stripe.StripeError) -> str:
    """One sentence for staff; empty for what only the client's own words describe."""
    if isinstance(error, stripe.CardError):
        return f"The payment was declined: {DECLINES.get(decline_code(error), UNEXPLAINED)}."
    if isinstance(error, stripe.RateLimitError):
        return "Stripe asks us to slow down, and has done nothing. Try again in a minute."
    param = getattr(error, "param", None) or ""
    return CODES.get(error.code or "", PARAMETERS.get(param, ""))
