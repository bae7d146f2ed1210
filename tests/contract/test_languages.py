"""The language of Keycloak's pages and emails, on both servers: whose wish they follow, and what becomes of a person's own."""

import re
from typing import Any

import pytest
import requests

from apps.accounts.models import UserProfile
from apps.identity import account_details
from apps.identity.keycloak import NotKept
from apps.identity.protocol import Identity
from tests.contract.servers import Server
from tests.login.conftest import subscriber
from tests.sandbox.keycloak_fixture import APP, Browser

ENGLISH, GERMAN = ("en", "Cannot get in?"), ("de", "Kein Zugang?")


def language_of(page: requests.Response) -> tuple[str, str]:
    """What the page says of itself, and in which language the realm's own link is."""
    (code,) = re.findall(r'<html[^>]*\blang="([^"]*)"', page.text)
    (link,) = re.findall(rf'<a href="{APP}/recovery/"[^>]*>([^<]*)</a>', page.text)
    return code, link


def person(server: Server, **attributes: list[str]) -> tuple[str, str]:
    user_id, name = server.make(attributes=attributes, groups=["/frontdesk"])
    server.set_password(user_id)
    return user_id, name


@pytest.mark.parametrize(
    ("asked", "shown"),
    [(None, ENGLISH), ("de", GERMAN), ("de-AT", GERMAN), ("fr de", GERMAN), ("xx", ENGLISH), ("en de", ENGLISH)],
)
def test_the_login_page_is_in_the_language_that_the_client_asks_for(
    server: Server, asked: str | None, shown: tuple[str, str]
) -> None:
    assert language_of(server.start_login(Browser(), ui_locales=asked)[1]) == shown


def test_emails_and_their_pages_are_in_the_persons_own(server: Server) -> None:
    user_id, name = person(server, locale=["de"])
    server.call("PUT", f"/users/{user_id}/execute-actions-email", json=["UPDATE_PASSWORD"])
    email = server.mail(f"{name}@")
    assert email["subject"] == "Aktualisieren Sie Ihr Konto"
    link = re.search(r"https?://\S+", email["text"])
    assert link is not None
    browser = Browser()
    assert language_of(server.follow(browser, browser("GET", link[0]))) == GERMAN


def test_the_logout_page_asks_in_the_language_of_the_client_or_the_person(server: Server) -> None:
    query = {"client_id": "frontdesk-web", "post_logout_redirect_uri": f"{APP}/"}
    for own, asked, shown in ((["de"], "", GERMAN), ([], "de", GERMAN), ([], "en", ENGLISH)):
        browser = Browser()
        server.log_in(browser, person(server, locale=own)[1])
        page = browser("GET", f"{server.oidc}/logout", params=query | ({"ui_locales": asked} if asked else {}))
        assert language_of(page) == shown, (own, asked)


def test_the_clients_wish_changes_nobodys_own_language(server: Server) -> None:
    for own in (["en"], []):
        user_id, name = person(server, locale=own)
        server.log_in(Browser(), name, ui_locales="de")
        assert server.user(user_id).get("attributes", {}).get("locale", []) == own


def test_a_language_is_written_and_changed_and_nothing_else_is_touched(
    server: Server, identity: Identity, db: None, settings: Any
) -> None:
    settings.SITE_LANGUAGES = ["en", "de"]
    user_id, name = person(server, newsletter=["yes"])
    nora = subscriber(user_id, name, language="en")
    for code in ("en", "de"):
        UserProfile.objects.update(language=code)
        account_details.write_language(str(nora.pk))
        assert server.user(user_id)["attributes"] == {"newsletter": ["yes"], "locale": [code]}


@pytest.mark.spoils
def test_a_realm_of_one_language_keeps_nobodys_and_the_job_ends_all_the_same(
    server: Server, identity: Identity, db: None
) -> None:
    """26.7.3 drops `locale` then, though the realm lets administrators write attributes that are not declared."""
    realm = server.call("GET", "").json()
    server.call("PUT", "", json=realm | {"internationalizationEnabled": False})
    try:
        assert language_of(server.start_login(Browser(), ui_locales="de")[1]) == ENGLISH
        user_id, name = person(server, locale=["de"], newsletter=["yes"])
        assert server.user(user_id)["attributes"] == {"newsletter": ["yes"]}
        account_details.write_language(str(subscriber(user_id, name).pk))
        with pytest.raises(NotKept, match="did not keep locale"):
            identity.update_user(user_id, attributes={"locale": "de"})
        assert server.user(user_id)["attributes"] == {"newsletter": ["yes"]}
    finally:
        server.call("PUT", "", json=realm)
