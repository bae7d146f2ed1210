"""The operator's brand: name, logo, colour, words, support address, legal links. From the environment; settings import it."""

from config.environment import text
from config.legal import legal_links


def promises(given: str) -> list[str]:
    """The texts between vertical bars."""
    return [one.strip() for one in given.split("|") if one.strip()]


# The operator's sentences, each in German too (apps/core/languages.py reads the one or the other).
BRAND_DESCRIPTION, BRAND_DESCRIPTION_DE = text("BRAND_DESCRIPTION", ""), text("BRAND_DESCRIPTION_DE", "")
# What customers can count on, below the prices.
BRAND_PROMISES, BRAND_PROMISES_DE = promises(text("BRAND_PROMISES", "")), promises(text("BRAND_PROMISES_DE", ""))
# What order pages say of tax, such as "incl. 19 % VAT"; empty: nothing, or that Stripe computes it.
TAX_NOTE, TAX_NOTE_DE = text("TAX_NOTE", ""), text("TAX_NOTE_DE", "")
# What is beside Stripe's pay button.
STRIPE_CONSENT_TEXT, STRIPE_CONSENT_TEXT_DE = text("STRIPE_CONSENT_TEXT", ""), text("STRIPE_CONSENT_TEXT_DE", "")


def brand(site: str) -> dict[str, str]:
    """What templates know as `brand`; `site` is the site's own address."""
    return {
        "name": text("BRAND_NAME", "Frontdesk"),
        "logo_url": text("BRAND_LOGO_URL", ""),
        "color": text("BRAND_COLOR", "#2f5d50"),
        "social_image_url": text("BRAND_SOCIAL_IMAGE_URL", ""),
        "support_email": text("SUPPORT_EMAIL", "support@example.com"),
        **legal_links(site),
    }
