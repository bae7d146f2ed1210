"""Error pages: one style, the way on, and the id under which the log has the request."""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.core.test_logs import lines
from tests.security.addresses import routes

__all__ = ["lines"]  # the fixture

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SUBMIT = "/onboarding/waitlist/submit/"
ASKED: dict[str, tuple[int, str, Callable[[Client], Any]]] = {
    "a bad host": (400, "We couldn't understand that request", lambda ask: ask.get("/", headers={"Host": "evil"})),
    "a form from elsewhere": (403, "Please try that again", lambda ask: ask.post("/onboarding/", {"first_name": "A"})),
    "no access": (403, "You don't have access to this page", lambda ask: ask.get("/forbidden")),
    "no page": (404, "Page not found", lambda ask: ask.get("/nothing-here/")),
    "the address of a form": (405, "There's no page at this address", lambda ask: ask.get(SUBMIT)),
    "too large a form": (
        413, "That was too much text", lambda ask: ask.post("/oidc/backchannel-logout/", {"a": "b" * 300_000}),
    ),
    "too many logins": (429, "Too many tries", lambda ask: ask.get("/limited")),
    "a fault of ours": (500, "Sorry, something broke on our side", lambda ask: ask.get("/broken")),
    "no database": (503, "We can't respond right now", lambda ask: ask.get("/away")),
}  # fmt: skip


@pytest.fixture
def reader(db: None, settings: Any) -> Client:
    """A browser, and a site that also has pages which fail."""
    settings.ROOT_URLCONF = "tests.storefront.failing_urls"
    return Client(enforce_csrf_checks=True, raise_request_exception=False, headers=BROWSER)


def text(answer: HttpResponse) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode().split("<main")[1].split("</main")[0]).split())


@pytest.mark.parametrize("name", ASKED)
def test_each_says_what_happened_and_the_id_that_the_log_has(
    name: str, reader: Client, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    status, heading, send = ASKED[name]
    answer = send(reader)
    assert answer.status_code == status
    assert f"<h1>{heading}</h1>" in answer.content.decode().replace("&#x27;", "'")
    assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.content.count(b"<h1>") == 1
    (line,) = lines()
    assert f"please mention request {line['request_id']} ." in text(answer)


@pytest.mark.parametrize("name", ASKED)
def test_a_script_gets_json_instead(name: str, reader: Client) -> None:
    status, _, send = ASKED[name]
    reader.defaults["HTTP_ACCEPT"] = "application/json"
    answer = send(reader)
    assert answer.status_code == status
    assert json.loads(answer.content)["error"]["message"]


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/onboarding/", "/onboarding/"), ("/onboarding/plan/", "/onboarding/plan/"), (SUBMIT, "/onboarding/waitlist/"),
        ("/recovery/leave/", "/recovery/"), ("/dashboard/sessions/end/", "/dashboard/sessions/"), ("/logout/", "/"),
    ],
)  # fmt: skip
def test_a_form_that_was_open_too_long_leads_back_to_its_page(address: str, page: str, db: None) -> None:
    answer = Client(enforce_csrf_checks=True, headers=BROWSER).post(address, {"email": "dana@example.com"})
    assert answer.status_code == 403
    assert f'<a class="button" href="{page}">Reload the page</a>' in answer.content.decode()


def test_the_address_of_every_form_leads_to_a_page(db: None) -> None:
    """By GET, as a reload after an error does it."""
    browser, led = Client(headers=BROWSER), {}
    for route in (one for one in routes() if "<" not in one and ".*" not in one):
        answer = browser.get(f"/{route}")
        if answer.status_code == 405 and answer.headers["Content-Type"].startswith("text/html"):
            pages = re.findall(r'href="([^"]*)">Open that page', answer.content.decode())
            led[route] = [browser.get(page).status_code for page in pages]
    assert led.pop("oidc/backchannel-logout/") == []  # which Keycloak calls
    assert {*itertools.chain(*led.values())} == {200, 302}, led
    assert [] not in led.values(), led
    assert len(led) > 4
