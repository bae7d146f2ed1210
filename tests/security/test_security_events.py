"""What an alarm rule looks for: each security event is one short line under a name that stays, and says nothing about anybody but a number."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import clock, limits, security_events
from apps.core.security_events import SecurityEvent
from apps.onboarding import waitlist
from apps.onboarding.models import OneTimeCode, WaitlistEntry
from tests.core.test_logs import lines
from tests.login.conftest import Person, fresh_keys, keycloak, nora, person
from tests.sandbox.keycloak_fixture import Standin
from tests.storefront.visitor import Visitor

__all__ = ["fresh_keys", "keycloak", "lines", "nora", "person"]  # the fixtures
Lines = Callable[[], list[dict[str, Any]]]
WHO, CODE, IP = "nora@example.com", "ZZZZ-9999", "203.0.113.77"
VERIFY, SEND = "/recovery/verify-code/", "/recovery/send-code/"


def ask(**more: Any) -> Client:
    return Client(REMOTE_ADDR=IP, **more)


def visitor() -> Visitor:
    made = Visitor()
    made.client = ask()
    return made


def wrong_code() -> int:
    one = visitor()
    one.api(SEND, email=WHO)
    return one.api(VERIFY, email=WHO, code=CODE).status_code


def expired_code() -> int:
    one = visitor()
    one.api(SEND, email=WHO)
    OneTimeCode.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
    return one.api(VERIFY, email=WHO, code=CODE).status_code


def spent_limit() -> int:
    one = visitor()
    one.api(SEND, email=WHO)
    return one.api(SEND, email=WHO).status_code


def link(state: str, *, age: int = 0) -> int:
    entry = WaitlistEntry.objects.create(email=WHO, created_at=clock.now() - dt.timedelta(days=30))
    url = waitlist.entry_link(entry.pk, "confirm").removeprefix("http://localhost:8000")
    if state == "expired":
        WaitlistEntry.objects.update(created_at=clock.now() + dt.timedelta(days=1))  # it left and came back
    return ask().get(url if state == "expired" else f"{url[:-9]}/").status_code


def signed_by_nobody(url: str) -> int:
    form = {"logout_token": "eyJ9.eyJ9.x", "email": WHO}
    headers = {"Stripe-Signature": f"t={int(clock.timestamp())},v1={'a' * 64}"}
    sent: dict[str, Any] = (
        {"data": json.dumps(form), "content_type": "application/json"} if "webhook" in url else {"data": form}
    )
    return ask().post(url, headers=headers, **sent).status_code


EVENTS: dict[str, tuple[str, int, dict[str, Any], Callable[[], int]]] = {
    "a wrong code": ("code_wrong", 400, {"purpose": "recovery"}, wrong_code),
    "an expired code": ("code_expired", 400, {"purpose": "recovery"}, expired_code),
    "a limit that is spent": ("limit_reached", 429, {"limit": "codes_pair"}, spent_limit),
    "a form without our token": (
        "csrf_refused", 403, {}, lambda: ask(enforce_csrf_checks=True).post("/onboarding/", {"email": WHO}).status_code,
    ),
    "a forged event of Stripe": ("signature_refused", 400, {"sender": "stripe"}, lambda: signed_by_nobody("/onboarding/webhook/")),
    "a forged event of Mailgun": ("signature_refused", 400, {"sender": "mailgun"}, lambda: signed_by_nobody("/mailgun/webhook/")),
    "a forged logout token": (
        "signature_refused", 400, {"sender": "keycloak"}, lambda: signed_by_nobody("/oidc/backchannel-logout/"),
    ),
    "a forged link": ("link_refused", 404, {"link": "confirm", "reason": "forged"}, lambda: link("forged")),
    "a link of an earlier time": ("link_refused", 410, {"link": "confirm", "reason": "expired"}, lambda: link("expired")),
    "a made-up key": (
        "key_refused", 401, {}, lambda: ask().get("/api/v1/customers", headers={"Authorization": f"Bearer fdk_{WHO}"}).status_code,
    ),
    "an answer to no login": (
        "login_refused", 401, {}, lambda: ask().get("/accounts/oidc/keycloak/login/callback/?code=1&state=2").status_code,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_each_leaves_one_line_of_its_name_and_names_nobody(name: str, lines: Lines, db: None) -> None:
    event, status, details, do = EVENTS[name]
    assert do() == status
    line = lines()[-1]
    assert line | details | {"event": event, "level": "warning"} == line
    assert line["answer"].startswith(f"{status} ")
    assert [one["event"] for one in lines() if one["event"] in set(SecurityEvent)] == [event]
    text = json.dumps(line)
    assert len(text) < 450
    for told in ("nora", "example.com", CODE, IP, "eyJ"):
        assert told not in text, told
    assert set(SecurityEvent) - {seen for seen, *_ in EVENTS.values()} == {"login_succeeded"}  # below


def test_a_stranger_cannot_write_more_lines_than_requests(lines: Lines, db: None) -> None:
    one = visitor()
    for _ in range(40):
        one.api(VERIFY, email=WHO, code=CODE)
    assert len(lines()) == 40
    assert {line["event"] for line in lines()} == {"code_wrong", "limit_reached"}


def test_an_event_of_a_request_that_is_not_refused_has_a_line_of_its_own(
    lines: Lines, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SILENT", set())
    monkeypatch.setattr("apps.login.logout.redirect", lambda _name: _answer_after_a_limit())
    ask().get("/")
    ask().get("/health/live")  # nothing is left for the next request
    (line,) = [one for one in lines() if one["event"] == "limit_reached"]
    assert (line["limit"], line["level"]) == ("alarms", "warning")


def _answer_after_a_limit() -> Any:
    from django.http import HttpResponse

    while limits.allow(alarms="x"):
        pass
    security_events.note(SecurityEvent.CODE_WRONG)  # the first counts
    return HttpResponse()


def logins(lines: Lines) -> list[dict[str, Any]]:
    kept = ("event", "user", "staff", "reason", "subject")
    return [{name: one[name] for name in kept if name in one} for one in lines() if one["event"].startswith("login_")]


def test_each_login_of_a_subscriber_is_a_line(person: Person, nora: UserProfile, lines: Lines) -> None:
    assert person.log_in("nora").status_code == 302
    nora.refresh_from_db()
    assert logins(lines) == [{"event": "login_succeeded", "user": nora.user_id, "staff": False}]
    UserProfile.objects.update(access_state="suspended")
    assert Person(person.standin).log_in("nora").status_code == 403
    assert logins(lines)[1:] == [{"event": "login_refused", "user": nora.user_id, "reason": "the account is closed"}]
    assert "nora" not in json.dumps([one for one in lines() if one["event"].startswith("login_")])


def test_each_login_of_staff_and_of_nobody_is_a_line(keycloak: Standin, lines: Lines) -> None:
    staff = Person(keycloak)
    assert staff.log_in("admin.ada").status_code == 302
    assert logins(lines) == [{"event": "login_succeeded", "user": int(staff.user_id or 0), "staff": True}]
    assert Person(keycloak).log_in("stranger.stan").status_code == 302
    (refused,) = logins(lines)[1:]
    assert (refused["event"], refused["reason"]) == ("login_refused", "nobody we know")
    assert "stan" not in refused["subject"]
