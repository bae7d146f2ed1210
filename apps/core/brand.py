"""The operator's brand for templates: name, logo, colour, support address, legal links; and customers' rights. From settings."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.core import languages


def brand(_request: HttpRequest) -> dict[str, Any]:
    """Template context processor: `brand.name`, `brand.logo_url`, `brand.color`, …; `law.withdrawal_days`, …; `language`, `languages`."""
    return {
        "brand": settings.BRAND | {"description": languages.operators_text("BRAND_DESCRIPTION")},
        "base_url": settings.BASE_URL,
        "law": rights(),
        "language": languages.active(),
        "languages": languages.offered(),
    }


def rights() -> dict[str, Any]:
    """Which terms and rights of customers pages speak of. With no days to withdraw there is nothing to agree to before they are over."""
    return {
        "terms_version": settings.TERMS_VERSION,
        "withdrawal_days": settings.WITHDRAWAL_DAYS,
        "asks_to_begin": settings.CONSENT_TO_BEGIN and settings.WITHDRAWAL_DAYS > 0,
        "cancel_without_login": settings.CANCEL_WITHOUT_LOGIN,
        "refunds_pro_rata": settings.WITHDRAWAL_REFUND == "pro-rata",
    }
