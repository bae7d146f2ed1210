"""Product texts in both languages: read in the reader's, written as they are, English where there is no other."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Product
from apps.core import languages
from apps.onboarding.basket import Shop
from tests.console.catalog_pages import page_of, save
from tests.console.conftest import staff
from tests.dashboard.test_account import browser_of
from tests.dashboard.test_language import GERMAN, both
from tests.world import World

__all__ = ["both", "staff"]  # fixtures
TEXTS = {
    "name": "Personal", "summary": "For one person.", "features": ["Files", "Mail"], "first_steps": ["Log in."],
    "name_de": "Persönlich", "summary_de": "Für eine Person.", "features_de": ["Dateien", "Post"], "first_steps_de": ["Anmelden."],
}  # fmt: skip


@pytest.fixture
def product(db: None) -> Product:
    return Product.objects.create(slug="own", **TEXTS)


def columns(product: Product) -> dict[str, Any]:
    return Product.objects.filter(pk=product.pk).values(*TEXTS).get()


def test_a_text_is_read_in_the_readers_language_and_in_english_where_there_is_no_other(product: Product) -> None:
    Product.objects.update(summary_de="", features_de=[])
    product.refresh_from_db()
    with languages.speaking("de"):
        read = (product.name, product.summary, product.features, product.first_steps, str(product))
    assert read == ("Persönlich", "For one person.", ["Files", "Mail"], ["Anmelden."], "Persönlich")
    assert (product.name, product.first_steps) == ("Personal", ["Log in."])


def test_a_row_saved_while_german_is_spoken_keeps_its_english_texts(product: Product) -> None:
    with languages.speaking("de"):
        Product.objects.get(pk=product.pk).save()
        Product.objects.only("slug").get(pk=product.pk).save(update_fields=["name", "features"])
    assert columns(product) == TEXTS


def test_reading_them_costs_no_query(product: Product, django_assert_num_queries: Any) -> None:
    with languages.speaking("de"), django_assert_num_queries(1):
        assert [(one.name, one.features) for one in Product.objects.filter(pk=product.pk)]


def test_what_lacks_a_translation_is_known_on_a_site_of_several_languages(product: Product, settings: Any) -> None:
    Product.objects.update(name_de="", features_de=[], first_steps=[], first_steps_de=[])
    product.refresh_from_db()
    assert product.untranslated() == {"de": ["name", "features"]}
    for alone in ("en", "de"):
        settings.SITE_LANGUAGES = [alone]
        assert product.untranslated() == {}


def test_the_console_asks_for_german_texts_beside_the_english_and_lists_what_is_missing(
    product: Product, staff: Callable[..., Client], settings: Any
) -> None:
    admin = staff("admin")
    assert save(admin, product, summary_de="", features_de="Dateien\n\nKalender").status_code == 302
    assert columns(product) == TEXTS | {"summary_de": "", "features_de": ["Dateien", "Kalender"]}
    listed = admin.get("/admin/catalog/product/").content.decode()
    assert "German lacks summary" in listed
    settings.SITE_LANGUAGES = ["en"]
    assert "in German" not in admin.get(page_of(product)).content.decode()
    assert "Translation" not in admin.get("/admin/catalog/product/").content.decode()
    assert save(admin, product, summary="Another.").status_code == 302
    assert columns(product)["features_de"] == ["Dateien", "Kalender"]


def test_plans_the_order_emails_and_the_dashboard_say_them_in_german(world: World, client: Client) -> None:
    for slug, name in (("personal", "Persönlich"), ("storage_100", "100 GB mehr"), ("nextcloud", "Wolke")):
        Product.objects.filter(slug=slug).update(name_de=name, summary_de=f"Das ist {name}.")
    Product.objects.filter(slug="plus").update(grants={"storage_gb": 1100})
    page = client.get("/onboarding/", **GERMAN).content.decode()
    assert "Persönlich" in page
    assert "Das ist Persönlich." in page
    assert ">Speicherplatz</th>" in page
    assert "1.100 GB" in page
    assert "Persönlich" not in client.get("/onboarding/").content.decode()
    with languages.speaking("de"):
        signup = world.signup("dana", personal=1, storage_100=2)
        order = Shop.load().order(signup)
        assert order is not None
        assert [line.name for line in order.summary.lines] == ["Persönlich", "100 GB mehr"]
        dana = world.pay(signup)
    world.deliver()
    mine = browser_of(dana).get("/dashboard/").content.decode()
    for words in ("Persönlich", "100 GB mehr", "Wolke", "Das ist Wolke."):
        assert words in mine, words
    emails = [one["text"] for one in world.standin.inbox(dana.email)]
    assert [one for one in emails if "Persönlich" in one and "100 GB mehr" in one]
