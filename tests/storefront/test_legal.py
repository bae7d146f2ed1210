"""The operator's legal texts on our pages, the links to them, and what a customer agrees to before paying."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from apps.catalog.models import Product
from apps.core import legal
from config.legal import legal_links
from tests.storefront.visitor import ACCOUNT, HOME, PAGES, SESSION, Visitor
from tests.world import World

SAMPLES = Path(django_settings.BASE_DIR) / "apps/sandbox/legal"
OPERATOR = "https://operator.example/"


@pytest.fixture
def texts(settings: Any, tmp_path: Path) -> Path:
    """A folder of the operator with terms in two versions and two languages."""
    (tmp_path / "terms.md").write_text("# General terms\n\nNew **rule**.\n\n<script>alert(1)</script>\n\na <b>b</b>\n")
    (tmp_path / "terms.de.md").write_text("# Bedingungen\n\nNeue Regel.\n")
    (tmp_path / "terms-1.md").write_text("Old rule.\n")
    (tmp_path / "secret.md").write_text("not for customers\n")
    settings.LEGAL_FOLDER, settings.TERMS_VERSION = str(tmp_path), "2"
    settings.BRAND = settings.BRAND | {"terms_url": f"{settings.BASE_URL}/legal/terms/"}
    return tmp_path


def test_a_text_of_the_operator_is_a_page_and_its_html_is_only_text(texts: Path, visitor: Visitor, db: None) -> None:
    page = visitor.get("/legal/terms/").content.decode()
    assert "<h1>General terms</h1>" in page
    assert "New <strong>rule</strong>." in page
    assert "Version 2" in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;b&lt;/b&gt;" in page
    (texts / "terms.md").write_text("Changed rule.\n")
    assert "Changed rule." in visitor.get("/legal/terms/").content.decode()


def test_the_terms_of_an_earlier_customer_stay_readable(texts: Path, visitor: Visitor, db: None) -> None:
    page = visitor.get("/legal/terms/1/").content.decode()
    assert "Old rule." in page
    assert "Version 1" in page
    assert "New <strong>rule" in visitor.get("/legal/terms/2/").content.decode()
    assert legal.terms_url("1") == f"{django_settings.BASE_URL}/legal/terms/1/"
    assert legal.terms_url("0") == f"{django_settings.BASE_URL}/legal/terms/"


@pytest.mark.parametrize(
    "address", ["secret/", "privacy/", "terms/9/", "terms/..%2Fsecret/", "terms/.de/", "privacy/1/"]
)
def test_nothing_else_in_the_folder_can_be_read(texts: Path, visitor: Visitor, db: None, address: str) -> None:
    assert visitor.get(f"/legal/{address}").status_code == 404


def test_links_lead_to_the_operators_site_to_our_page_or_nowhere(settings: Any, visitor: Visitor, db: None) -> None:
    footer = visitor.get(HOME).content.decode().split("<footer")[1]
    assert "Imprint" not in footer
    names = ("terms", "privacy", "imprint", "withdrawal", "accessibility")
    settings.BRAND = settings.BRAND | {f"{name}_url": f"{OPERATOR}{name}" for name in names}
    footer = visitor.get(HOME).content.decode().split("<footer")[1]
    assert [name for name in names if f'href="{OPERATOR}{name}"' in footer] == list(names)


def test_an_address_comes_before_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.legal.LEGAL_FOLDER", str(SAMPLES))
    monkeypatch.setattr("config.legal.LEGAL_ADDRESSES", {"terms": f"{OPERATOR}agb", "imprint": "", "other": ""})
    links = legal_links("https://us.example")
    assert links == {"terms_url": f"{OPERATOR}agb", "imprint_url": "https://us.example/legal/imprint/", "other_url": ""}


@pytest.mark.parametrize("name", legal.TITLES)
def test_the_demos_sample_of_each_text_can_be_read(settings: Any, visitor: Visitor, db: None, name: str) -> None:
    settings.LEGAL_FOLDER = str(SAMPLES)
    page = visitor.get(f"/legal/{name}/").content.decode()
    assert f"<h1>{legal.TITLES[name]}</h1>" in page
    assert "sample" in page


# --- what a customer agrees to -----------------------------------------------------------------------------------------


def test_nobody_pays_without_agreeing_to_begin_where_the_operator_asks_for_it(
    world: World, visitor: Visitor, settings: Any
) -> None:
    settings.CONSENT_TO_BEGIN = True
    visitor.proven()
    page = visitor.get(PAGES["checkout"]).content.decode()
    assert "Please begin right away, before my 14 days to withdraw are over." in page
    refused = visitor.api(SESSION, **ACCOUNT)
    assert refused.status_code == 400
    assert refused.json()["error"]["field"] == "begin_at_once"  # type: ignore[attr-defined]
    assert visitor.signup.asked_to_begin_at is None
    assert visitor.api(SESSION, **ACCOUNT, begin_at_once=True).status_code == 200
    assert visitor.signup.asked_to_begin_at is not None


def test_where_nobody_can_withdraw_nobody_is_asked(shop: dict[str, Product], visitor: Visitor, settings: Any) -> None:
    settings.CONSENT_TO_BEGIN, settings.WITHDRAWAL_DAYS = True, 0
    visitor.at_checkout()
    page = visitor.get(PAGES["checkout"]).content.decode()
    assert "begin_at_once" not in page
    assert "withdraw" not in page


def test_what_withdrawing_costs_is_said_before_the_payment(
    shop: dict[str, Product], visitor: Visitor, settings: Any
) -> None:
    settings.CONSENT_TO_BEGIN, settings.WITHDRAWAL_REFUND = True, "pro-rata"
    settings.BRAND = settings.BRAND | {"withdrawal_url": f"{OPERATOR}withdrawal"}
    visitor.at_checkout()
    page = visitor.get(PAGES["checkout"]).content.decode()
    assert "If I withdraw within 14 days, I pay for the days I had." in page
    assert f'href="{OPERATOR}withdrawal"' in page
