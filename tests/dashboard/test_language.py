"""The language of the site: the choice of a browser, else what it asks for; staff read English, emails are in the person's."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import languages
from apps.core.dates import day
from apps.core.money import format_money
from apps.notifications import mail
from apps.notifications.models import Notification

GERMAN: dict[str, Any] = {"headers": {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}}


@pytest.fixture(autouse=True)
def both(settings: Any) -> None:
    settings.SITE_LANGUAGES = ["en", "de"]


def language_of(client: Client, **asked: Any) -> str:
    found = client.get("/onboarding/waitlist/", **asked)
    code = str(found.headers["Content-Language"])
    assert f'<html lang="{code}">' in found.content.decode()
    return code


def test_a_browser_gets_the_language_it_asks_for(client: Client, db: None) -> None:
    assert language_of(client) == "en"
    assert language_of(client, **GERMAN) == "de"
    assert language_of(client, headers={"Accept-Language": "fr"}) == "en"
    assert "Accept-Language" in client.get("/onboarding/waitlist/").headers["Vary"]


def test_the_choice_in_the_footer_wins_and_leads_back(client: Client, db: None) -> None:
    page = client.get("/onboarding/waitlist/").content.decode()
    assert 'value="de" lang="de"' in page
    answer = client.post("/language/", {"language": "de", "next": "/onboarding/waitlist/"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/onboarding/waitlist/")
    assert language_of(client) == "de"
    assert "Zum Inhalt springen" in client.get("/onboarding/waitlist/").content.decode()
    client.post("/language/", {"language": "en", "next": "/"})
    assert language_of(client, **GERMAN) == "en"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "javascript:alert(1)", ""])
def test_it_never_leads_to_another_site(client: Client, db: None, elsewhere: str) -> None:
    answer = client.post("/language/", {"language": "xx", "next": elsewhere})
    assert answer.headers["Location"] == "/"
    assert client.cookies["frontdesk-language"].value == "en"


def test_a_site_of_one_language_asks_nobody(client: Client, db: None, settings: Any) -> None:
    settings.SITE_LANGUAGES = ["de"]
    assert language_of(client, headers={"Accept-Language": "en"}) == "de"
    assert "language-switch" not in client.get("/onboarding/waitlist/").content.decode()


def test_staff_pages_are_english(client: Client, db: None) -> None:
    assert client.get("/admin/", **GERMAN).headers["Content-Language"] == "en"


def test_a_subscriber_takes_the_choice_along_and_reads_why_in_it(client_of_nora: Client, nora: UserProfile) -> None:
    client_of_nora.post("/language/", {"language": "de", "next": "/dashboard/"})
    nora.refresh_from_db()
    assert nora.language == "de"
    assert "Ihr Abonnement ist aktiv." in client_of_nora.get("/dashboard/").content.decode()
    assert mail.notify(key="x:1", template="recovered", to=nora.email, profile=nora, context={"first_name": "Nora"})
    assert Notification.objects.get(key="x:1").language == "de"


def test_a_language_that_the_operator_takes_away_is_read_as_the_first(client: Client, db: None, settings: Any) -> None:
    client.cookies["frontdesk-language"] = "de"
    assert language_of(client) == "de"
    settings.SITE_LANGUAGES = ["en"]
    assert language_of(client) == "en"


def test_days_and_money_are_written_as_each_language_does() -> None:
    moment = dt.datetime(2027, 3, 3, 23, 30, tzinfo=dt.UTC)
    with languages.speaking("de"):
        assert (day(moment), format_money(125_050, "eur"), format_money(900, "eur")) == (
            "3. März 2027", "1.250,50\N{NO-BREAK SPACE}€", "9\N{NO-BREAK SPACE}€",
        )  # fmt: skip
    assert (day(moment), format_money(125_050, "eur"), format_money(900, "sek")) == (
        "3 March 2027",
        "€1,250.50",
        "SEK 9",
    )


PUBLIC = ("/onboarding/", "/onboarding/plan/", "/onboarding/waitlist/", "/onboarding/cancel/", "/recovery/", "/how-billing-works/",
          "/contracts/cancel/", "/contracts/withdraw/", "/nowhere/")  # fmt: skip
OWN = ("/dashboard/", "/dashboard/plan/", "/dashboard/cancel/", "/dashboard/invoices/", "/dashboard/people/", "/dashboard/account/",
       "/dashboard/account/address/", "/dashboard/account/data/", "/dashboard/account/delete/", "/dashboard/sessions/",
       "/dashboard/moves/")  # fmt: skip


def test_every_page_can_be_read_in_german(client: Client, client_of_nora: Client) -> None:
    for browser, addresses in ((client, PUBLIC), (client_of_nora, OWN)):
        browser.post("/language/", {"language": "de"})
        for address in addresses:
            answer = browser.get(address)
            assert answer.status_code in {200, 302, 403, 404}, address
            if answer.status_code != 302:
                page = answer.content.decode()
                assert '<html lang="de">' in page, address
                assert "Anmelden" in page or "Abmelden" in page, address
