"""The operator's brand for templates: name, logo, colour, support address, legal links. Data from settings."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def brand(_request: HttpRequest) -> dict[str, Any]:
    """Template context processor: `brand.name`, `brand.logo_url`, `brand.color`, …"""
    return {"brand": settings.BRAND, "base_url": settings.BASE_URL}
