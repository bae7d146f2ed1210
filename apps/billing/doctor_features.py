"""What the doctor asks of Stripe's account for the features that settings switch on (checkout_features.py), and for tax."""

from collections.abc import Callable, Iterator
from typing import Any

import stripe
from django.conf import settings

from apps.core.findings import Finding, judge

type Call = Callable[[stripe.StripeClient], Any]
type Question = tuple[Call, Callable[[dict[str, Any]], Iterator[Finding]]]
TAX = "Stripe's dashboard, Tax"


def questions() -> dict[str, Question]:
    """What to ask, by the finding's id: the call, and what its answer means."""
    found: dict[str, Question] = {"stripe.tax": (lambda client: client.v1.tax.settings.retrieve(), check_tax)}
    if settings.STRIPE_AUTOMATIC_TAX:
        found["stripe.tax.registrations"] = (
            lambda client: client.v1.tax.registrations.list({"status": "active", "limit": 1}),
            check_registrations,
        )
    if settings.STRIPE_PROMOTION_CODES:
        found["stripe.promotion_codes"] = (
            lambda client: client.v1.promotion_codes.list({"active": True, "limit": 1}),
            check_promotion_codes,
        )
    return found


def check_settings() -> Iterator[Finding]:
    """What can be seen without a call: a logo that Stripe could not fetch."""
    logo = str(settings.BRAND["logo_url"])
    if settings.STRIPE_BRANDING and logo:
        yield judge(
            logo.startswith("https://"), "stripe.branding", "Stripe's payment page can show the logo.",
            "Stripe's payment page shows no logo: BRAND_LOGO_URL is not an https address.", warn=True,
            why="Stripe fetches the logo itself.", fix="Set BRAND_LOGO_URL to an address that begins with https://.",
        )  # fmt: skip


def check_tax(answer: dict[str, Any]) -> Iterator[Finding]:
    """Whether Stripe Tax could compute; must it, every payment page fails without."""
    on = settings.STRIPE_AUTOMATIC_TAX
    missing = ((answer.get("status_details") or {}).get("pending") or {}).get("missing_fields") or []
    lacks = f": {', '.join(missing)} is missing" if missing else ""
    yield judge(
        answer["status"] == "active", "stripe.tax", "Stripe Tax is active.", f"Stripe Tax is not set up{lacks}.", warn=not on,
        why="STRIPE_AUTOMATIC_TAX is on: Stripe refuses every payment page." if on else "No tax is computed; that is right only where none is due.",
        fix=f"{TAX}: finish the setup, with the address of the head office.",
    )  # fmt: skip
    if on and answer["status"] == "active":
        yield judge(
            bool((answer.get("defaults") or {}).get("tax_behavior")), "stripe.tax.behavior", "Prices say whether tax is in them.",
            "The account does not say whether tax is in its prices.", warn=True,
            why="Stripe refuses to sell prices that do not say it themselves.",
            fix=f"{TAX}, Settings: choose whether prices include tax.",
        )  # fmt: skip


def check_registrations(answer: dict[str, Any]) -> Iterator[Finding]:
    """Stripe computes tax only where the account says it is registered."""
    yield judge(
        bool(answer["data"]), "stripe.tax.registrations", "The account collects tax somewhere.",
        "The account is registered for tax nowhere.", warn=True, why="Stripe then computes no tax for anybody.",
        fix=f"{TAX}, Registrations: add each country in which you owe tax.",
    )  # fmt: skip


def check_promotion_codes(answer: dict[str, Any]) -> Iterator[Finding]:
    """The payment form asks for a code, so there should be one."""
    yield judge(
        bool(answer["data"]), "stripe.promotion_codes", "There are promotion codes.", "There is no active promotion code.", warn=True,
        why="The payment form asks for a code that nobody can have, and people leave to look for one.",
        fix="Stripe's dashboard, Product catalog, Coupons: add a code, or set STRIPE_PROMOTION_CODES=false.",
    )  # fmt: skip
