"""What Stripe's Checkout offers beside the payment: each is switched on by a setting, and off is Stripe's own default.

docs.stripe.com/api/checkout/sessions/create
"""

from typing import Any

from django.conf import settings

from apps.core import languages


def session_features(*, trial_days: int = 0) -> dict[str, Any]:
    """The parameters of a new Checkout session for all that is switched on, without `subscription_data`."""
    offered: dict[str, tuple[Any, Any]] = {
        "automatic_tax": (settings.STRIPE_AUTOMATIC_TAX, {"enabled": True}),
        "tax_id_collection": (settings.STRIPE_TAX_IDS, {"enabled": True}),
        "billing_address_collection": (settings.STRIPE_BILLING_ADDRESS == "required", "required"),
        "customer_update": (update := _customer_update(), update),
        "allow_promotion_codes": (settings.STRIPE_PROMOTION_CODES, True),
        "locale": (True, page_locale()),
        "branding_settings": (settings.STRIPE_BRANDING, _branding()),
        "custom_text": (consent := languages.operators_text("STRIPE_CONSENT_TEXT"), {"submit": {"message": consent}}),
        "payment_method_collection": (trial_days and not settings.STRIPE_TRIAL_CARD, "if_required"),
    }
    return {name: value for name, (is_on, value) in offered.items() if is_on}


def page_locale() -> str:
    """The language of a page of Stripe's that is opened now: as the settings fix it, else that of our page before it."""
    return settings.STRIPE_LOCALE or languages.active()


def trial(trial_days: int) -> dict[str, Any]:
    """What `subscription_data` says of a trial. One that ends without a card ends the subscription; nobody is billed for it."""
    if not trial_days:
        return {}
    ends: dict[str, Any] = {"trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}}}
    return {"trial_period_days": trial_days} | ({} if settings.STRIPE_TRIAL_CARD else ends)


def _customer_update() -> dict[str, str]:
    """What Stripe may write on our customer: the address that tax depends on, and the company that a tax id belongs to."""
    address = settings.STRIPE_AUTOMATIC_TAX or settings.STRIPE_BILLING_ADDRESS == "required"
    return ({"address": "auto"} if address else {}) | ({"name": "auto"} if settings.STRIPE_TAX_IDS else {})


def _branding() -> dict[str, Any]:
    """The operator's name and colour, and the logo if Stripe can fetch it."""
    brand = settings.BRAND
    found: dict[str, Any] = {"display_name": brand["name"], "button_color": brand["color"]}
    if str(brand["logo_url"]).startswith("https://"):
        found["logo"] = {"type": "url", "url": brand["logo_url"]}
    return found
