"""Every address, person and method against the table in url_table.py. What is refused changes nothing; neither does reading."""

import logging
import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.conf import settings as configured
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import Client
from django.urls import reverse

from apps.console import site
from apps.console.base import ConsoleAdmin
from apps.core import requests
from apps.core.models import AuditEntry
from apps.dashboard import overview
from tests.console.conftest import staff
from tests.console.test_actions import CASES
from tests.rows import REFUSED, writes, written
from tests.security.addresses import route_of, routes
from tests.security.town import Town, outcome
from tests.security.url_table import GET_ALONE, NO_TOKEN, PEOPLE, SHUT, STAFF, WITHOUT_REASON, Answers, table

__all__ = ["staff"]  # the fixture

TABLE = table()
SAME_ROWS = {"o", "_facets"}  # in a link to a list: in another order, with counts
UNUSED = ("PUT", "PATCH", "DELETE", "TRACE", "BREW")
ALL = pytest.param(True, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])


@pytest.fixture
def town(staff: Callable[..., Client], settings: Any, caplog: pytest.LogCaptureFixture) -> Town:
    caplog.set_level(logging.ERROR)  # thousands of requests are refused
    settings.ALERT_URLS = ["json://127.0.0.1:9"]
    settings.LEGAL_FOLDER = settings.BASE_DIR / "apps/sandbox/legal"
    return Town(staff)


def expected(route: str) -> Answers:
    return TABLE[route] if route in TABLE else TABLE["accounts/.*"]


def everything() -> list[str]:
    return [*routes(), *(route for route in TABLE if route.startswith("static/"))]


def test_every_address_is_in_the_table_and_every_line_has_an_address() -> None:
    unlisted = {route for route in routes() if not route.startswith(SHUT)} - {*TABLE}
    assert unlisted == set(), "these need a line in url_table.py"
    assert {*TABLE} - {*everything()} == set(), "these lines are about no address"
    assert len(TABLE) > 250


# --- reading ----------------------------------------------------------------------------------------------------------


def some(answers: dict[str, str], *, thorough: bool) -> Iterable[str]:
    """Everybody; or one, at random, of all who get the same answer, but each of staff who lacks a role for it."""
    if thorough:
        return PEOPLE
    some_may = {answers[person] for person in STAFF} != {"403"}
    alike: dict[tuple[str, str], list[str]] = {}
    for person, answer in answers.items():
        alone = some_may and answer == "403" and person in STAFF
        alike.setdefault((answer, person if alone else ""), []).append(person)
    return [random.choice(people) for people in alike.values()]


def wrong_readings(town: Town, found: Iterable[str], *, thorough: bool) -> Iterator[str]:
    """Where GET, HEAD or OPTIONS is not answered as the table says, or changes something."""
    for route in found:
        answers = expected(route).get
        with town.undone():
            address, before = town.address(route), writes()
            asked = [(person, "GET") for person in some(answers, thorough=thorough)]
            otherwise = [(person, method) for method in ("HEAD", "OPTIONS") for person in PEOPLE]
            others = otherwise if thorough else random.sample(otherwise, random.random() < 0.1)
            for person, method in [*asked, *others]:
                answer = town.ask(person, method, address)
                got, right = outcome(answer, address), answers[person]
                right = "405" if method == "HEAD" and route in GET_ALONE else right
                if got != right and (method, got) != ("OPTIONS", "405"):
                    yield f"{method} {address} as {person}: {got}, and not {right}"
                elif got == ">admin:login" and parse_qs(urlsplit(answer["Location"]).query) != {"next": [address]}:
                    yield f"{method} {address} as {person}: the way back is {answer['Location']}"
                elif (method, got) == ("GET", "200") and route.startswith("admin/"):
                    yield from (f"{address} as {person}: {fault}" for fault in faults_of_a_page(town, person, answer))
            if tables := written(before):
                yield f"reading {address} changed {tables}"


def faults_of_a_page(town: Town, person: str, answer: HttpResponse) -> Iterator[str]:
    """What is wrong with a page of the console: a script in it, a policy that lets one in, a link that this person cannot use."""
    text, policy = answer.content.decode(), f"{answer['Content-Security-Policy']};"
    if "script-src 'self' 'unsafe-eval';" not in policy or "'unsafe-inline'" in policy.replace(
        "style-src 'self' 'unsafe-inline'", ""
    ):
        yield f"the policy is {policy}"
    if scripts := re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", text):
        yield f"scripts in it: {scripts}"
    for found in sorted(set(re.findall(r'(?:href|hx-get)="(/admin/[^"#]*|\?[^"#]*)"', text))):
        link = (
            found.replace("&amp;", "&")
            if found.startswith("/")
            else answer.wsgi_request.path + found.replace("&amp;", "&")
        )
        route, asked = route_of(urlsplit(link).path), urlsplit(link).query
        if (
            person == "roleless"
        ):  # has the first page with all its links, and mostly no session that lasts: session_checks.py
            continue
        if (right := expected(route).get[person]) != "200":
            yield f"the link {link} leads to {right}"
        shape = (route, *sorted({name for name, _ in parse_qsl(asked)}))  # one link of a kind is followed
        if asked and not {*shape} & SAME_ROWS and shape not in town.followed:
            town.followed.add(shape)
            if (status := town.ask(person, "GET", link).status_code) != 200:
                yield f"the link {link} leads to {status}"


@pytest.mark.parametrize("thorough", [False, ALL])
def test_reading_shows_what_the_table_says_and_changes_nothing(thorough: bool, town: Town) -> None:
    """Links of the console's pages lead somewhere, too. Every second address, or all of them: a page of the console takes its time."""
    found = everything()
    asked = found if thorough else random.sample(found, len(found) // 2)
    assert list(wrong_readings(town, asked, thorough=thorough)) == []
    assert len(town.followed) > (25 if thorough else 8)


# --- writing ----------------------------------------------------------------------------------------------------------


def wrong_posts(town: Town, found: Iterable[str], *, thorough: bool) -> Iterator[str]:
    """Where a complete form with its token is not answered as the table says, or changes more or less than it says."""
    for route in found:
        answers = expected(route).post
        asked = some(answers, thorough=thorough)
        with town.undone():
            address, before = town.address(route), writes(REFUSED)
            for person in (one for one in asked if not answers[one].endswith("!")):
                if (got := outcome(town.post(person, route, address), address)) != answers[person]:
                    yield f"POST {address} as {person}: {got}, and not {answers[person]}"
            if tables := written(before, REFUSED):
                yield f"refused, {address} changed {tables}"
        for person in (one for one in asked if answers[one].endswith("!")):
            with town.undone():
                address, before = town.address(route), writes(REFUSED)
                if (got := outcome(town.post(person, route, address), address)) + "!" != answers[person]:
                    yield f"POST {address} as {person}: {got}, and not {answers[person]}"
                elif not written(before, REFUSED):
                    yield f"POST {address} as {person} changed nothing"


@pytest.mark.parametrize("thorough", [False, ALL])
def test_a_complete_form_is_taken_from_those_alone_who_may_send_it(thorough: bool, town: Town) -> None:
    assert list(wrong_posts(town, everything(), thorough=thorough)) == []


def wrong_forgeries(town: Town, found: Iterable[str], *, thorough: bool) -> Iterator[str]:
    """Where a POST without the token, or another method with it, is not refused, or changes something."""
    for route in found:
        right = NO_TOKEN.get(route, "403")
        with town.undone():
            address, before = town.address(route), writes()
            for person in PEOPLE if thorough else random.sample(PEOPLE, 1):
                if (got := outcome(town.post(person, route, address, token=False), address)) != right:
                    yield f"POST {address} as {person} without the token: {got}, and not {right}"
                for method in UNUSED if thorough or person == "admin" else random.sample(UNUSED, 2):
                    if (got := outcome(town.ask(person, method, address), address)) != "405":
                        yield f"{method} {address} as {person}: {got}"
            if tables := written(before):
                yield f"refused, {address} changed {tables}"


@pytest.mark.parametrize("thorough", [False, ALL])
def test_without_the_token_or_by_another_method_nothing_is_done(thorough: bool, town: Town) -> None:
    assert list(wrong_forgeries(town, everything(), thorough=thorough)) == []


# --- actions ----------------------------------------------------------------------------------------------------------

SPOILT = (
    {"reason": ""}, {"reason": "because"}, {"reason": " " * 30}, {"reason": "long enough \x00 but"}, {"_form_submitted": ""},
)  # fmt: skip
SPOILT_TEXT = ({"text": ""}, {"text": " " * 30}, {"text": "a \x00 b"}, {"text": "x" * 2_001}, {"_form_submitted": ""})


def test_an_action_needs_a_reason_a_fresh_login_and_an_account_that_is_still_there(town: Town) -> None:
    """Without one of them nothing is left but a line in the audit log."""
    for case in CASES:
        with town.undone():
            address, data, refusals = case.address(town.world), case.filled(town.world), []
            known, before, person = AuditEntry.objects.count(), writes(REFUSED), case.role
            free = case.action in WITHOUT_REASON
            assert (b'name="reason"' in town.ask(person, "GET", address).content) is not free, case
            for spoilt in SPOILT_TEXT if free else SPOILT:
                answer = town.ask(person, "POST", address, data | spoilt)
                assert (answer.status_code, "HX-Redirect" in answer) == (200, False), (case, spoilt)
            if case.needs_fresh_login:
                town.rest(person, minutes=6)
                target = urlsplit(town.ask(person, "POST", address, data)["HX-Redirect"])
                assert (target.path, parse_qs(target.query)["as"]) == (configured.LOGIN_URL, ["fresh"]), case
                refusals.append("no fresh login")
            town.rest(person, minutes=2, checked=False)  # Keycloak has to be asked; its account is linked to nobody
            assert town.ask(person, "POST", address, data)["HX-Redirect"] == reverse("admin:index"), case
            assert town.ask(person, "GET", address).status_code == 302, case
            refusals.append("no rights at Keycloak anymore")
            assert written(before, REFUSED) == [], case
            lines = AuditEntry.objects.exclude(action="person_viewed").order_by("id")[known:]
            page = {"address": address.partition("?")[0]}
            assert [*lines.values_list("actor", "action", "reason", "after")] == [
                (f"staff:{person}-ada", "action_refused", why, page) for why in refusals
            ], case
    assert len(CASES) > 30


# --- what is another's --------------------------------------------------------------------------------------------------


def shown(answer: Any, *ids: str) -> tuple[int, str, str]:
    """An answer without those ids, and without what differs each time."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
    text = re.sub(r'request <span class="mono break">\w+</span>', "", text)  # an error page names its request
    place = answer.headers.get("Location", "")
    for one in sorted(ids, key=len, reverse=True):
        text, place = text.replace(one, "id"), place.replace(one, "id")
    return answer.status_code, place, text


@pytest.mark.parametrize("thorough", [False, ALL])
def test_what_is_anothers_looks_like_what_is_not_there(thorough: bool, town: Town) -> None:
    """To visitors, subscribers, and staff without a role: no address tells whether there is such a row."""
    people = ("visitor", "other", "roleless")
    pairs = [
        (town.address(route), town.address_of_nothing(route))
        for route in routes()
        if "<object_id>" in route and "<content_type_id>" not in route
    ]
    pairs += [
        (f"{place}?session_id=cs_owner", f"{place}?session_id=cs_nobody")
        for place in ("/onboarding/success/", "/onboarding/success/state/", "/recovery/", "/recovery/state/")
    ]
    for purpose in ("confirm", "leave", "invitation"):
        place, others = (
            f"/onboarding/waitlist/{purpose}/",
            [one for name, one in town.tokens.items() if name != purpose],
        )
        pairs += [(f"{place}{token}/", f"{place}x/") for token in others]
    for real, made_up in pairs:
        for person in people if thorough else random.sample(people, 1):
            ids = {*re.split("[/=]", real)} ^ {*re.split("[/=]", made_up)}
            answers = [shown(town.ask(person, "GET", one), *ids) for one in (real, made_up)]
            assert answers[0] == answers[1], (person, real, made_up)
    assert len(pairs) > 150


# --- that the checks above see what they are for ------------------------------------------------------------------------


def let_subscribers_in(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(site.ConsoleSite, "has_permission", lambda _site, request: request.user.is_authenticated)


def let_viewers_hold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConsoleAdmin, "has_override_access_permission", lambda *_given: True)


def write_while_reading(patch: pytest.MonkeyPatch) -> None:
    plain = overview.of
    patch.setattr(overview, "of", lambda profile: (profile.save(update_fields=["email"]), plain(profile))[1])


def take_posts_anywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(site, "refuse_post", lambda _view, _request: None)


def take_any_method(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requests, "METHODS", (*requests.METHODS, *UNUSED))


def believe_forgeries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CsrfViewMiddleware, "process_view", lambda *_given, **_options: None)


@pytest.mark.mutant
@pytest.mark.parametrize(
    ("open_up", "check", "route"),
    [
        (let_subscribers_in, wrong_readings, "admin/"),
        (let_viewers_hold, wrong_posts, "admin/accounts/userprofile/<object_id>/hold/"),
        (write_while_reading, wrong_readings, "dashboard/"),
        (take_posts_anywhere, wrong_posts, "admin/core/job/"),
        (take_any_method, wrong_forgeries, "admin/core/job/"),
        (believe_forgeries, wrong_forgeries, "dashboard/reset-password/"),
    ],
)
def test_a_door_left_open_is_seen(
    open_up: Callable[[pytest.MonkeyPatch], None], check: Callable[..., Iterator[str]], route: str, town: Town,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert list(check(town, [route], thorough=True)) == []
    open_up(monkeypatch)
    town.client = Client(enforce_csrf_checks=True)  # as after a start
    assert list(check(town, [route], thorough=True)) != []
