"""What search engines and link previews get: public pages describe themselves, all others stay out."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client

from apps.access.models import TermsChange
from apps.access.terms import save_change
from apps.catalog.models import Product
from tests.storefront.visitor import HOME, PAGES, Visitor

HOW = "/how-billing-works/"
PUBLIC = [HOME, PAGES["plan"], "/onboarding/waitlist/", HOW, "/recovery/"]


def meta(page: str) -> dict[str, str]:
    """Names of what the head says, and what it says."""
    return {name or rel: value for _, name, rel, value in re.findall(
        r'<(meta (?:name|property)="([^"]*)" content|link rel="(canonical)" href)="([^"]*)"', page
    )}  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_page_describes_itself(address: str, shop: dict[str, Product], settings: Any) -> None:
    settings.BASE_URL = "https://shop.example.com"
    found = meta(Client().get(f"{address}?interval=year&utm_source=x").content.decode())
    assert found["canonical"] == found["og:url"] == f"https://shop.example.com{address}"
    assert 60 < len(found["description"]) < 170
    assert found["description"] == found["og:description"]
    assert "robots" not in found
    assert found["og:image"] == "https://shop.example.com/static/frontdesk/social.png"
    picture = Client().get("/static/frontdesk/social.png")
    assert b"".join(picture)[1:4] == b"PNG"  # type: ignore[call-overload]
    picture.close()


def test_the_operators_words_are_used_where_given(shop: dict[str, Product], settings: Any) -> None:
    settings.BRAND_DESCRIPTION = "Files & more, hosted in Kiel."
    settings.BRAND = settings.BRAND | {"social_image_url": "https://example.com/a.png"}
    settings.BRAND_PROMISES = ["Cancel any time", "Hosted in Kiel"]
    page = Client().get(HOME).content.decode()
    found = meta(page)
    assert (found["description"], found["og:image"]) == (
        "Files &amp; more, hosted in Kiel.",
        "https://example.com/a.png",
    )
    assert page.count("Files &amp; more, hosted in Kiel.") == 4  # title, description, preview, lead
    assert "Hosted in Kiel</span></li>" in page


def test_other_pages_stay_out(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    for address in (PAGES["addons"], PAGES["checkout"], PAGES["cancel"], PAGES["success"], "/nothing/"):
        assert meta(visitor.get(address).content.decode())["robots"] == "noindex", address


def test_robots_and_sitemap_name_the_same_site(db: None, settings: Any) -> None:
    settings.BASE_URL = "https://shop.example.com"
    robots = Client().get("/robots.txt")
    assert robots.headers["Content-Type"].startswith("text/plain")
    assert "Disallow: /dashboard/\n" in robots.content.decode()
    (address,) = re.findall(r"^Sitemap: https://shop\.example\.com(\S+)$", robots.content.decode(), re.MULTILINE)
    listed = [one.text for one in ElementTree.fromstring(Client().get(address).content).findall(".//{*}loc")]
    assert listed == [f"https://shop.example.com{page}" for page in PUBLIC]
    barred = re.findall(r"^Disallow: (\S+)$", robots.content.decode(), re.MULTILINE)
    assert not [page for page in PUBLIC if page.startswith(tuple(barred))]


def test_browsers_find_an_icon_at_the_top(db: None) -> None:
    answer = Client().get("/favicon.ico")
    assert b"".join(answer).startswith(b"\x00\x00\x01\x00")  # type: ignore[call-overload]
    answer.close()


def test_how_billing_works_says_the_terms_in_force(shop: dict[str, Product], settings: Any) -> None:
    page = Client().get(HOW).content.decode()
    assert "your apps close until the payment arrives" in page
    assert "opens for 3 days" in page
    assert "We keep your space for 30 days after that" in page
    assert "Plans with other terms" not in page
    save_change(TermsChange(grace_days=1, recovery_hours=30, expiry_days=90), actor="staff:ada", reason="kinder")
    save_change(TermsChange(product=shop["family"], grace_days=7), actor="staff:ada", reason="kinder")
    settings.WAITLIST_INVITATION_DAYS = 5
    page = " ".join(Client().get(HOW).content.decode().split())
    assert "your apps stay open for 1 day so that" in page
    assert "opens for 30 hours" in page
    assert "We keep your space for 90 days after that" in page
    assert "hold a place for you for 5 days" in page
    assert '<th scope="row">Family</th> <td>7 days</td> <td>90 days</td>' in page
