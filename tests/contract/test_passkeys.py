"""A passkey on a real Keycloak: the doctor's commands make the realm ready, one is set up from the account page, and it logs in.

A browser knows no passkeys at an address of numbers, so Keycloak is `localhost` here. The device is Chromium's virtual one.
"""

import copy
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.identity.doctor import expected, reading
from apps.identity.doctor.checks import diagnose
from apps.identity.doctor.expected import Catalog
from apps.identity.doctor.report import Finding
from tests.contract.conftest import point_at
from tests.contract.servers import Server
from tests.contract.test_second_factor import account, kcadm
from tests.login.conftest import LOGIN, Person, fresh_keys, local, log_in_at, subscriber
from tests.sandbox.keycloak_fixture import APP, PASSWORD, query_of

__all__ = ["fresh_keys"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.xdist_group("keycloak"),
]
PAGE = "/dashboard/account/"
DEVICE = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip


def doctor() -> Finding:
    wanted = expected.from_settings(Catalog())
    (found,) = (one for one in diagnose(reading.read_realm(wanted), wanted) if one.id == "realm.passkeys")
    return found


def with_device(context: BrowserContext) -> Page:
    """A page of a browser whose device holds passkeys."""
    page = context.new_page()
    tools = context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    page.on("dialog", lambda asked: asked.accept("My laptop"))
    return page


def sent_back(page: Page, button: str) -> str:
    """Press it, and where Keycloak sends the browser then: nobody is there, which the browser says on a page of its own."""
    with page.expect_request(f"{APP}/**") as asked:
        page.locator(button).click()
    expect(page).to_have_url("chrome-error://chromewebdata/")
    return asked.value.url


@pytest.mark.spoils
def test_a_passkey_is_set_up_from_the_account_page_and_logs_in(site: Server, settings: Any, browser: Browser) -> None:
    settings.PASSKEYS = True
    named = copy.copy(site)
    named.at(site.keycloak.replace("127.0.0.1", "localhost"), site.realm)
    point_at(named, settings)
    log_in_at(named, settings)
    found = doctor()
    assert (found.severity.value, len(found.commands)) == ("warning", 3)
    for command in found.commands:
        kcadm(site, command)
    assert doctor().severity.value == "passed"
    realm = site.call("GET", "").json()  # by its button alone: unasked, the device answers sooner or later
    assert site.call("PUT", "", json=realm | {"webAuthnPolicyPasswordlessMediation": "none"}).status_code == 204

    user_id, name = account(site)
    subscriber(user_id, name)
    context, person = browser.new_context(), Person(named)
    page = with_device(context)
    page.goto(person.to_keycloak(f"{LOGIN}?as=passkey&next={PAGE}"))
    page.locator("#username").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.locator("#kc-login").click()
    expect(page.locator("#registerWebAuthn")).to_be_visible()
    page.wait_for_load_state("load")  # its script is a module: before that the button does nothing
    url = sent_back(page, "#registerWebAuthn")
    assert query_of(url)["kc_action_status"] == "success"
    assert person.here.get(local(url))["Location"] == PAGE
    assert "Your passkey is set up." in person.here.get(PAGE).content.decode()

    context.clear_cookies()  # no single sign-on: the device alone answers, and nothing is typed
    again = Person(named)
    page.goto(again.to_keycloak(), wait_until="load")
    assert again.here.get(local(sent_back(page, "#authenticateWebAuthnButton")))["Location"] == "/dashboard/"
    assert again.here.get(PAGE).status_code == 200
    context.close()

    with browser.new_context() as elsewhere:  # a browser without the device is asked for the password
        stranger = elsewhere.new_page()
        stranger.goto(Person(named).to_keycloak())
        expect(stranger.locator("#password")).to_be_visible()
