"""What is set up wrongly at Mailgun is found before a customer waits for an email (ecosystem D: a doctor for Mailgun)."""

from typing import Any

import pytest

from apps.core.findings import Finding, Severity
from apps.notifications import doctor
from tests.world import World

BAD = {Severity.ERROR, Severity.WARNING}


def examine() -> dict[str, Finding]:
    return {one.id: one for one in doctor.check_mailgun()}


def wrong(found: dict[str, Finding]) -> dict[str, str]:
    failed = {id_: one for id_, one in found.items() if one.severity in BAD}
    assert all(one.why and one.fix for one in failed.values())
    return {id_: one.severity.value for id_, one in failed.items()}


OURS = {
    kind: ["https://localhost:8000/mailgun/webhook/"]
    for kind in ("delivered", "temporary_fail", "permanent_fail", "complained")
}


def set_up(world: World, **wish: Any) -> None:
    assert world.standin.control("mailgun", **wish).status_code == 200


def test_a_domain_in_order_passes_every_check_and_nothing_is_sent(empty_world: World) -> None:
    set_up(empty_world, webhooks=OURS)
    found = examine()
    assert {one.severity for one in found.values()} == {Severity.PASSED}
    assert found.keys() >= {"mailgun.sending", "mailgun.domain", "mailgun.dns", "mailgun.sender", "mailgun.webhooks"}
    assert empty_world.standin.inbox() == []


@pytest.mark.parametrize(
    ("wish", "ids", "said"),
    [
        ({"state": "unverified"}, {"mailgun.domain": "error"}, "unverified"),
        ({"disabled": True}, {"mailgun.domain": "error", "mailgun.sending": "error"}, "disabled"),
        ({"state": ""}, {"mailgun.domain": "error", "mailgun.sending": "error"}, "region US"),
        ({"dns": "invalid"}, {"mailgun.dns": "warning"}, "_domainkey"),
        ({"dns": "unknown"}, {"mailgun.dns": "warning"}, "_domainkey"),
    ],
)
def test_a_domain_that_is_not_ready_is_named(empty_world: World, wish: Any, ids: dict[str, str], said: str) -> None:
    set_up(empty_world, **{"webhooks": OURS} | wish)
    found = examine()
    assert wrong(found) == ids
    assert said in " ".join(found[id_].message for id_ in ids)
    if wish == {"state": ""}:
        assert "https://api.eu.mailgun.net/v3" in found["mailgun.domain"].fix


@pytest.mark.parametrize(
    ("host", "other"), [("api.eu.mailgun.net", "api.mailgun.net"), ("api.mailgun.net", "api.eu.mailgun.net")]
)
def test_of_a_domain_that_is_not_known_the_other_region_is_named(host: str, other: str, settings: Any) -> None:
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": f"https://{host}/v3"}
    [finding] = doctor._check_domain({})
    assert f"https://{other}/v3" in finding.fix


@pytest.mark.parametrize(
    ("webhooks", "ids"),
    [
        (OURS | {"delivered": ["https://crm.example.com/hook", *OURS["delivered"]]}, {}),
        (OURS | {"opened": ["http://crm.example.com/hook"]}, {"mailgun.webhooks.private": "error"}),
        (OURS | {"complained": []}, {"mailgun.webhooks": "warning"}),
        (OURS | {"permanent_fail": ["https://localhost:8000/onboarding/webhook/"]}, {"mailgun.webhooks": "warning"}),
        ({}, {"mailgun.webhooks": "warning"}),
    ],
)  # fmt: skip
def test_webhooks_that_are_missing_or_that_tell_everybody_are_named(
    empty_world: World, webhooks: dict[str, list[str]], ids: dict[str, str]
) -> None:
    set_up(empty_world, webhooks=webhooks)
    assert wrong(examine()) == ids


def test_without_the_signing_key_nothing_is_heard(empty_world: World, settings: Any) -> None:
    set_up(empty_world, webhooks=OURS)
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = ""
    assert wrong(examine()) == {"mailgun.webhooks": "warning"}


@pytest.mark.parametrize(
    ("sender", "ids"),
    [
        ("Desk <desk@example.com>", {}),
        ("desk@mail.example.com", {}),
        ("desk@eu.mail.example.com", {}),
        ("desk@notexample.com", {"mailgun.sender": "warning"}),
        ("Desk <desk@gmail.com>", {"mailgun.sender": "warning"}),
    ],
)
def test_a_sender_of_another_domain_is_told(
    empty_world: World, sender: str, ids: dict[str, str], settings: Any
) -> None:
    set_up(empty_world, webhooks=OURS)
    settings.MAILGUN_DOMAIN, settings.DEFAULT_FROM_EMAIL = "mail.example.com", sender
    assert wrong(examine()) == ids


def test_a_key_that_may_only_send_is_good(empty_world: World) -> None:
    """Mailgun's sending keys cannot read domains."""
    empty_world.fault("mailgun", "http_401", path="/domains/")
    found = examine()
    assert wrong(found) == {}
    assert found["mailgun.domain"].severity == found["mailgun.webhooks"].severity == Severity.SKIPPED


def test_a_key_that_mailgun_refuses_is_an_error(empty_world: World) -> None:
    empty_world.fault("mailgun", "http_401")
    found = examine()
    assert wrong(found) == {"mailgun.sending": "error"}
    assert "refuses our key" in found["mailgun.sending"].message


@pytest.mark.parametrize("mode", ["down", "http_503", "http_429"])
def test_a_mailgun_that_does_not_answer_proves_nothing(empty_world: World, mode: str) -> None:
    empty_world.fault("mailgun", mode)
    assert wrong(examine()) == {}
