"""The Mailgun stand-in, spoken to by anymail's own backend and by hand."""

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests
from anymail.exceptions import AnymailAPIError, AnymailRequestsAPIError
from django.core.mail import EmailMultiAlternatives, get_connection

from tests.sandbox.keycloak_fixture import Standin
from tests.sandbox.stripe_fixture import Receiver

DOMAIN = "mg.example.com"
GOOD = {"from": "Desk <desk@example.com>", "to": "nora@example.com", "subject": "Hi", "text": "Yo"}


def send(standin: Standin, **more: Any) -> EmailMultiAlternatives:
    """Send one mail through anymail, wired as the application wires it."""
    connection = get_connection(
        "anymail.backends.mailgun.EmailBackend",
        api_key="key-1",
        sender_domain=DOMAIN,
        api_url=f"{standin.url}/mailgun/v3",
    )
    mail = EmailMultiAlternatives(
        subject="Your code",
        body="It is 123456, see https://example.com/x?a=1.",
        from_email="Front Desk <desk@example.com>",
        to=["Nora New <nora@example.com>"],
        connection=connection,
    )
    mail.attach_alternative("<p>It is <b>123456</b></p>", "text/html")
    for name, value in more.items():
        setattr(mail, name, value)
    mail.send()
    return mail


def post(standin: Standin, fields: dict[str, str], key: str | None = "k") -> requests.Response:
    return requests.post(
        f"{standin.url}/mailgun/v3/{DOMAIN}/messages", data=fields, auth=("api", key) if key else None, timeout=10
    )


def test_anymail_delivers_into_the_inbox(standin: Standin) -> None:
    mail = send(standin, tags=["code"], metadata={"key": "signup-1"})
    status = mail.anymail_status  # type: ignore[attr-defined]
    assert status.status == {"queued"}
    assert status.message_id.endswith(f"@{DOMAIN}>")
    kept = standin.inbox("nora@")[0]
    assert (kept["subject"], kept["source"]) == ("Your code", "mailgun")
    assert kept["from"] == "Front Desk <desk@example.com>"
    assert kept["to"] == ["Nora New <nora@example.com>"]
    assert kept["html"] == "<p>It is <b>123456</b></p>"
    assert kept["links"] == ["https://example.com/x?a=1"]
    assert (kept["tags"], kept["variables"]) == (["code"], {"key": "signup-1"})


def test_without_a_key_it_is_forbidden(standin: Standin) -> None:
    answer = post(standin, GOOD, key=None)
    assert (answer.status_code, answer.text) == (401, "Forbidden")
    assert standin.inbox() == []


@pytest.mark.parametrize("missing", ["from", "to", "subject", "text"])
def test_a_missing_field_is_named(standin: Standin, missing: str) -> None:
    answer = post(standin, {name: value for name, value in GOOD.items() if name != missing})
    assert answer.status_code == 400
    assert missing in answer.json()["message"]
    assert standin.inbox() == []


def test_a_bad_address_is_refused(standin: Standin) -> None:
    answer = post(standin, GOOD | {"to": "nobody"})
    assert answer.json()["message"].startswith("to parameter is not a valid address")


@pytest.mark.parametrize("mode", ["refuse", "http_401", "http_429", "http_500", "http_503"])
def test_a_refusing_provider_delivers_nothing(standin: Standin, mode: str) -> None:
    standin.fault(mode, peer="mailgun")
    with pytest.raises(AnymailAPIError):
        send(standin)
    assert standin.inbox() == []
    standin.fault("ok", peer="mailgun")
    send(standin)
    assert len(standin.inbox()) == 1


def test_a_lost_answer_leaves_the_mail_delivered(standin: Standin) -> None:
    standin.fault("accept_then_lose", peer="mailgun", times=1)
    with pytest.raises(AnymailRequestsAPIError):
        send(standin)
    assert len(standin.inbox()) == 1


def test_a_provider_that_is_down_cuts_the_line(standin: Standin) -> None:
    standin.fault("down", peer="mailgun")
    with pytest.raises(requests.ConnectionError):
        post(standin, GOOD)
    assert standin.inbox() == []


# --- what becomes of mails --------------------------------------------------------------------------------------------


def outcomes(standin: Standin, to: str) -> list[str]:
    """What the log says became of one new mail, in the words of its events."""
    assert post(standin, GOOD | {"to": to, "v:notification": "7"}).status_code == 200
    url = f"{standin.url}/mailgun/v3/{DOMAIN}/events"
    items = requests.get(url, auth=("api", "k"), timeout=10).json()["items"]
    assert [one["user-variables"] for one in items if one["recipient"] == to][:1] == [{"notification": "7"}]
    return [" ".join([one["event"], one.get("severity", "")]).strip() for one in items if one["recipient"] == to]


def test_the_address_says_what_becomes_of_a_mail(standin: Standin) -> None:
    assert outcomes(standin, "nora@example.com") == ["delivered"]
    assert outcomes(standin, "bounce@example.com") == ["failed permanent"]
    assert outcomes(standin, "full@example.com") == ["failed temporary", "delivered"]
    assert outcomes(standin, "spam@example.com") == ["delivered", "complained"]
    assert standin.control("mailgun", addresses={"later@example.com": "bounce"}).status_code == 200
    assert outcomes(standin, "later@example.com") == ["failed permanent"]


def test_rude_events_come_doubled_and_after_a_delay_and_are_signed(standin: Standin, receiver: Receiver) -> None:
    kinds = ("delivered", "temporary_fail", "permanent_fail", "complained")
    standin.control("mailgun", tracking="rude", webhooks={kind: [receiver.url] for kind in kinds})
    assert outcomes(standin, "spam@example.com") == ["failed temporary", "delivered", "complained"]
    receiver.wait(lambda: len(receiver.got) == 9)
    bodies = [json.loads(body) for body, _ in receiver.got]
    tokens = [body["signature"]["token"] for body in bodies]
    assert (len(tokens), len(set(tokens))) == (9, 6)
    for body in bodies:
        signed = body["signature"]
        message = f"{signed['timestamp']}{signed['token']}".encode()
        assert signed["signature"] == hmac.new(b"signing-key-of-the-sandbox", message, hashlib.sha256).hexdigest()
