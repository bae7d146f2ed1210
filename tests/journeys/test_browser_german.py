"""Everything in German on a phone, from the first page to the app and out again."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from apps.accounts.models import UserProfile
from apps.sandbox.run.servers import free_port
from tests.journeys.site import Site, fill_card, heading, payment, site, visit
from tests.journeys.stack import Album, Visit

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
EMAIL = "juergen@example.com"
ENGLISH = re.compile(r"\b(the|your|you|with|please|and)\b", re.IGNORECASE)


def test_from_the_first_page_to_the_app(site: Site, visit: Visit, album: Album, settings: Any) -> None:
    settings.SITE_LANGUAGES = ["en", "de"]
    world, page = site.world, visit(width=390, height=844, locale="de-DE")

    def look(what: str) -> None:
        """A picture; and no word of English is left but in what the operator has named."""
        album.take(page, what)
        text = page.locator("main").inner_text()
        assert not ENGLISH.search(text), (what, ENGLISH.findall(text), text)

    page.goto(f"{site.url}/onboarding/")
    look("welcome")
    page.get_by_label("Wie ist Ihr Vorname?").fill("Jürgen")
    page.get_by_role("button", name="Tarif wählen").click()
    heading(page, "Wählen Sie Ihren Tarif")
    page.get_by_text("Jährlich", exact=True).click()
    page.locator("label.plan", has_text="Plus").click()
    expect(page.locator(".order-bar-total")).to_contain_text("90 €")
    look("plan")
    page.get_by_role("button", name="Weiter").click()
    heading(page, "Brauchen Sie mehr Speicherplatz?")
    look("storage")
    page.get_by_role("button", name="Weiter").click()
    heading(page, "Fast geschafft, Jürgen")
    page.get_by_role("textbox", name="E-Mail-Adresse").fill(EMAIL)
    page.get_by_role("button", name="Code zusenden").click()
    code = page.get_by_label("Bestätigungscode", exact=True)
    expect(code).to_be_focused()
    look("code")
    world.work()
    (digits,) = re.findall(r"\b\d{6}\b", site.mail(EMAIL, "Ihr Bestätigungscode")["text"])
    code.fill(digits)
    expect(page.get_by_text("Bestätigt", exact=True)).to_be_visible()
    page.get_by_label("Benutzername").fill("juergen")
    expect(page.get_by_text("Dieser Benutzername ist frei.")).to_be_visible()
    page.get_by_label(re.compile("Ich akzeptiere die AGB")).check()
    look("account")
    page.get_by_role("button", name="Zahlungspflichtig bestellen").click()
    form = payment(page)
    album.take(page, "payment")
    fill_card(form)
    form.get_by_role("button", name=re.compile("^Pay €90")).click()
    page.wait_for_url("**/onboarding/success/**")
    world.deliver()
    heading(page, "Ihr Konto ist bereit, Jürgen")
    look("ready")
    site.set_password(page, EMAIL, "Aktualisieren Sie Ihr Konto")
    with site.app("nextcloud", free_port()) as app:
        site.log_in(page, "juergen")
        heading(page, "Hallo, Jürgen")
        look("dashboard")
        for name in ("Tarif", "Rechnungen", "Konto"):
            link = page.get_by_role("navigation", name="Ihre Seiten").get_by_role("link", name=name)
            link.click()
            expect(link).to_have_attribute("aria-current", "page")
            look(name)
        page.get_by_role("navigation", name="Ihre Seiten").get_by_role("link", name="Übersicht").click()
        page.get_by_role("link", name=re.compile("Öffnen.*Nextcloud")).click()
        expect(page.get_by_text("nextcloud-")).to_be_visible()
        assert len(app.sessions) == 1
    juergen = UserProfile.objects.get(user__username="juergen")
    state = world.state(juergen)
    assert (juergen.language, state.access, state.account) == ("de", "active", True)
    assert world.account(juergen)["attributes"]["locale"] == ["de"]
    assert world.shop.v1.customers.retrieve(juergen.stripe_customer_id or "").preferred_locales == ["de"]
    assert state.seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    assert "Ihr Konto bei Frontdesk ist bereit" in world.mails(juergen)
    site.log_in(page, "juergen")
    page.get_by_role("button", name="Abmelden").click()
    album.take(page, "logged-out")
    world.assert_laws_hold()
