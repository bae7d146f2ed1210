"""Keycloak's own word that a session has ended, over the network, to a Frontdesk that runs: on both Keycloaks."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.sandbox.walk_browser import Browser
from tests.journeys.stack import BOTH, PASSWORD, Stack

pytestmark = BOTH
CONSOLE = "/admin/"


@pytest.fixture
def viewer(stack: Stack) -> tuple[str, str]:
    """A member of staff of one test's own: id and name at Keycloak."""
    keycloak, name = stack.at_keycloak(), f"vera-{secrets.token_hex(3)}"
    user_id = keycloak.new_user(name, firstName="Vera", lastName="Viewer", groups=["/staff/viewer"])
    keycloak.set_password(user_id, PASSWORD)
    return user_id, name


def logged_in(stack: Stack, name: str) -> Browser:
    browser = Browser(stack.site)
    browser.log_in(CONSOLE, name, PASSWORD)
    assert inside(browser)
    return browser


def inside(browser: Browser) -> bool:
    """Whether the console answers, and not Keycloak's login page."""
    return browser.session.get(f"{browser.site}{CONSOLE}", timeout=30, allow_redirects=False).status_code == 200


def milliseconds_until(true: Callable[[], bool], *, seconds: float = 5) -> int:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return round((time.monotonic() - began) * 1000)


def test_who_is_logged_out_at_keycloak_is_out_here_at_once(
    stack: Stack, viewer: tuple[str, str], record_property: Any
) -> None:
    user_id, name = viewer
    laptop, phone = logged_in(stack, name), logged_in(stack, name)
    assert stack.at_keycloak().call("POST", f"/users/{user_id}/logout").status_code == 204
    took = milliseconds_until(lambda: not inside(laptop) and not inside(phone))
    record_property("milliseconds from Keycloak's logout to none here", took)


def test_logging_out_here_ends_keycloaks_session_and_only_that_one(stack: Stack, viewer: tuple[str, str]) -> None:
    user_id, name = viewer
    laptop, phone = logged_in(stack, name), logged_in(stack, name)
    laptop.session.post(
        f"{stack.site}/logout/",
        data={"csrfmiddlewaretoken": laptop.session.cookies.get("frontdesk-csrf") or ""},
        headers={"Referer": f"{stack.site}{CONSOLE}", "Origin": stack.site},
        timeout=30,
    ).raise_for_status()
    assert not inside(laptop)
    assert inside(phone)
    assert len(stack.at_keycloak().call("GET", f"/users/{user_id}/sessions").json()) == 1
