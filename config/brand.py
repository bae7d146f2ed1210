"""The operator's brand: name, logo, colour, words, support address, legal links. From the environment; settings import it."""

from config.environment import text
from config.legal import legal_links

# What customers can count on, below the prices.
BRAND_PROMISES = [one.strip() for one in text("BRAND_PROMISES", "").split("|") if one.strip()]


def brand(site: str) -> dict[str, str]:
    """What templates know as `brand`; `site` is the site's own address."""
    return {
        "name": text("BRAND_NAME", "Frontdesk"),
        "logo_url": text("BRAND_LOGO_URL", ""),
        "color": text("BRAND_COLOR", "#2f5d50"),
        "description": text("BRAND_DESCRIPTION", ""),
        "social_image_url": text("BRAND_SOCIAL_IMAGE_URL", ""),
        "support_email": text("SUPPORT_EMAIL", "support@example.com"),
        **legal_links(site),
    }
