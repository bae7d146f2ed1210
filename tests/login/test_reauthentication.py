"""How lately and how strongly: fresh logins by `auth_time`, second factors by `acr`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User

from apps.login import reauthentication
from tests.login.conftest import Person
from tests.sandbox.keycloak_fixture import Standin

MINUTE = 60


class Visit:
    """A request, as far as freshness looks at it."""

    def __init__(self, person: Person) -> None:
        self.session = person.here.session


def fresh(person: Person) -> bool:
    return reauthentication.is_fresh(Visit(person))  # type: ignore[arg-type]


@pytest.fixture
def clocks(keycloak: Standin, settings: Any, tmp_path: Path) -> Callable[[int], None]:
    """Moves both clocks, Keycloak's and the application's, so many seconds ahead."""
    ahead = tmp_path / "clock"
    settings.CLOCK_OFFSET_FILE = str(ahead)

    def move(seconds: int) -> None:
        moved = keycloak.control("clock", advance_seconds=seconds).json()
        ahead.write_text(str(moved["now"] - int(time.time())))

    return move


def asked(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_a_login_is_fresh_for_five_minutes(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.log_in("admin.ada")
    assert fresh(person)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 5 * MINUTE + 1)
    assert not fresh(person)


def test_a_single_sign_on_of_later_is_as_fresh_as_its_password(person: Person, clocks: Callable[[int], None]) -> None:
    """The second session here is new; the password behind it is not."""
    person.log_in("admin.ada")
    there = person.there
    clocks(4 * MINUTE)
    again = Person(person.standin)
    again.there = there
    again.log_in("admin.ada")
    left = again.here.session[reauthentication.FRESH_UNTIL] - time.time()
    assert 0 < left <= MINUTE + 1


def test_who_is_asked_to_log_in_anew_types_the_password_and_comes_back(
    person: Person, keycloak: Standin, clocks: Callable[[int], None]
) -> None:
    person.log_in("admin.ada")
    clocks(2 * MINUTE)
    address = person.to_keycloak(reauthentication.login_url("/admin/accounts/userprofile/"))
    assert asked(address)["max_age"] == "60"
    page = person.there("GET", address)
    assert page.status_code == 200  # not single sign-on: the form
    answer = keycloak.fill_in(person.there, page, "admin.ada")
    parts = urlsplit(str(answer.headers["Location"]))
    back = person.here.get(f"{parts.path}?{parts.query}")
    assert (back.status_code, back["Location"]) == (302, "/admin/accounts/userprofile/")
    assert fresh(person)


@pytest.mark.parametrize("said", [{}, {"auth_time": "1"}, {"auth_time": True}, {"auth_time": None}])
def test_a_token_that_does_not_say_when_is_not_fresh(person: Person, said: dict[str, Any]) -> None:
    visit = Visit(person)
    reauthentication.note(visit, said)  # type: ignore[arg-type]
    assert not reauthentication.is_fresh(visit)  # type: ignore[arg-type]


def test_nothing_but_our_two_wishes_reaches_keycloak(person: Person) -> None:
    address = person.to_keycloak("/accounts/oidc/keycloak/login/?as=admin&max_age=9&acr_values=9&prompt=none")
    assert not {"max_age", "acr_values", "prompt", "as"} & asked(address).keys()


@pytest.mark.parametrize(
    ("needed", "given", "strong"),
    [
        ("", None, True),
        ("2", "2", True),
        ("2", "3", True),
        ("2", "1", False),
        ("2", "0", False),
        ("2", None, False),
        ("2", 2, False),
        ("gold", "gold", True),
        ("gold", "silver", False),
        ("gold", "2", False),
        ("10", "9", False),
    ],
)
def test_the_strength_of_a_login(settings: Any, needed: str, given: Any, strong: bool) -> None:
    settings.STAFF_REQUIRED_ACR = needed
    assert reauthentication.is_strong({} if given is None else {"acr": given}) is strong


def test_staff_whose_login_is_too_weak_are_asked_once_and_then_told(person: Person, settings: Any) -> None:
    settings.STAFF_REQUIRED_ACR = "2"
    answer = person.log_in("support.sam")
    assert answer.status_code == 302
    address = person.to_keycloak(str(answer["Location"]))
    assert asked(address)["acr_values"] == "2"
    assert asked(address)["prompt"] == "login"
    parts = urlsplit(person.at_keycloak(address, "support.sam"))
    told = person.here.get(f"{parts.path}?{parts.query}")
    assert told.status_code == 403
    assert "second factor" in told.content.decode()
    assert person.user_id is None
    assert not User.objects.filter(is_staff=True).exists()


def test_a_login_by_single_sign_on_is_asked_for_the_password_where_a_level_is_needed(
    person: Person, settings: Any
) -> None:
    """Keycloak answers single sign-on with acr 0; typing the password makes it 1."""
    person.log_in("support.sam")
    settings.STAFF_REQUIRED_ACR = "1"
    again = Person(person.standin)
    again.there = person.there
    weak = again.log_in("support.sam")
    assert weak.status_code == 302
    strong = again.log_in("support.sam", str(weak["Location"]))
    assert strong.status_code == 302
    assert again.user_id is not None


def test_subscribers_need_no_second_factor(person: Person, settings: Any, nora: Any) -> None:
    settings.STAFF_REQUIRED_ACR = "2"
    assert person.log_in("nora").status_code == 302
    assert person.user_id == str(nora.user_id)
