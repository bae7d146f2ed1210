"""The language of the site: the choice of a browser, else what it asks for; staff read English, emails are in the person's."""

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import languages
from apps.core.dates import day
from apps.core.money import format_money
from apps.notifications import mail
from apps.notifications.models import Notification
from apps.storefront import recovery_session
from tests.dashboard.test_data import browser_of

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
OWN = ("/dashboard/", "/dashboard/plan/", "/dashboard/plan/cancel/", "/dashboard/invoices/", "/dashboard/people/", "/dashboard/account/",
       "/dashboard/account/address/", "/dashboard/account/data/", "/dashboard/account/delete/", "/dashboard/sessions/",
       "/dashboard/moves/")  # fmt: skip


def heading(browser: Client, address: str) -> str:
    page = browser.get(address).content.decode()
    return re.sub("<[^>]+>", "", page.partition("<h1")[2].partition(">")[2].partition("</h1>")[0]).strip()


def test_every_page_can_be_read_in_german(client: Client, nora: UserProfile) -> None:
    for browser, addresses in ((client, PUBLIC), (browser_of(nora), OWN)):
        english = {address: heading(browser, address) for address in addresses}
        browser.post("/language/", {"language": "de"})
        for address in addresses:
            answer = browser.get(address)
            assert answer.status_code == (404 if address == "/nowhere/" else 200), address
            assert '<html lang="de">' in answer.content.decode(), address
            assert heading(browser, address) != english[address] != "", address


def test_who_reads_none_of_the_languages_gets_the_operators_first(client: Client, db: None, settings: Any) -> None:
    settings.SITE_LANGUAGES = ["de", "en"]
    assert language_of(client) == "de"
    assert language_of(client, headers={"Accept-Language": "fr-FR,fr;q=0.9"}) == "de"
    assert language_of(client, headers={"Accept-Language": "fr,en;q=0.5"}) == "en"


def test_emails_keep_to_the_languages_of_the_site(nora: UserProfile, settings: Any) -> None:
    settings.SITE_LANGUAGES = ["de"]
    recovery_session.send_code_for_staff(str(nora.pk))
    assert Notification.objects.get(template="recovery_code").language == "de"
    settings.SITE_LANGUAGES = ["en"]
    UserProfile.objects.filter(pk=nora.pk).update(language="de")
    nora.refresh_from_db()
    mail.notify(key="x:2", template="recovered", to=nora.email, profile=nora, context={})
    assert Notification.objects.get(key="x:2").language == "en"


def test_the_operators_own_sentences_are_read_in_german_where_there_are_any(
    client: Client, db: None, settings: Any
) -> None:
    settings.BRAND_DESCRIPTION, settings.BRAND_DESCRIPTION_DE = "Files, hosted.", "Dateien, betrieben."
    settings.TAX_NOTE = "incl. VAT"
    assert "Files, hosted." in client.get("/onboarding/").content.decode()
    page = client.get("/onboarding/", **GERMAN).content.decode()
    assert "Dateien, betrieben." in page
    assert "Files, hosted." not in page
    with languages.speaking("de"):
        assert languages.operators_text("TAX_NOTE") == "incl. VAT"
