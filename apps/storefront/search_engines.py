"""What search engines are told: which pages are public, and that all others are none of theirs.

Each public page also has a description and a canonical address (templates/partials/public_meta.html); all others say "noindex".
"""

from typing import override
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps.views import sitemap
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

PUBLIC = ("onboarding-welcome", "onboarding-plan", "onboarding-waitlist", "how-billing-works", "recovery")
PRIVATE = ("/admin/", "/dashboard/", "/accounts/", "/oidc/", "/logout/")


class PublicPages(Sitemap[str]):
    """The public pages, at the site's own address whatever the request was sent to."""

    @override
    def items(self) -> list[str]:
        """The names of their routes."""
        return [*PUBLIC]

    @override
    def location(self, item: str) -> str:
        """The path of a route."""
        return reverse(item)

    @override
    def get_protocol(self, protocol: str | None = None) -> str:
        """That of BASE_URL."""
        return urlsplit(settings.BASE_URL).scheme

    @override
    def get_domain(self, site: object = None) -> str:
        """That of BASE_URL."""
        return urlsplit(settings.BASE_URL).netloc


@require_safe
def robots_txt(_request: HttpRequest) -> HttpResponse:
    """`robots.txt`: keep to the public pages, and here is their list."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE)]
    lines += ["", f"Sitemap: {settings.BASE_URL}{reverse('sitemap')}"]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def sitemap_xml(request: HttpRequest) -> TemplateResponse:
    """`sitemap.xml`."""
    return sitemap(request, {"pages": PublicPages})
