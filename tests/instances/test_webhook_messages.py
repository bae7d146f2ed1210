"""The messages of webhooks by themselves: signatures that the standard's library takes, secrets, answers, and what is kept of them."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from apps.core import clock
from apps.core.errors import NeedsOperator
from apps.instances.provisioning import messages
from apps.instances.provisioning.contract import AccountFound, NotTold
from apps.sandbox.receiver_account import NEXT_SECRET, SECRET

OTHER = f"whsec_{base64.b64encode(b'x' * 32).decode()}"
DATA = {"id": "kc-1", "exists": True, "enabled": True, "quota": 2**40}


def message(*keys: str, at: dt.datetime | None = None) -> messages.Message:
    return messages.write_message("msg_1", "account.order", DATA, keys=keys, at=at or clock.machine_now())


@pytest.mark.parametrize("known", [SECRET, NEXT_SECRET])
def test_while_a_secret_is_changed_the_receiver_may_know_either(known: str) -> None:
    sent = message(NEXT_SECRET, SECRET)
    assert Webhook(known).verify(sent.body, dict(sent.headers))["data"] == DATA
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(OTHER).verify(sent.body, dict(sent.headers))


def test_what_is_altered_or_old_is_refused() -> None:
    sent = message(SECRET)
    with pytest.raises(WebhookVerificationError, match="No matching"):
        Webhook(SECRET).verify(sent.body.replace(b"true", b"null"), dict(sent.headers))
    with pytest.raises(WebhookVerificationError, match="No matching"):
        Webhook(SECRET).verify(sent.body, {**sent.headers, "webhook-id": "msg_2"})
    old = message(SECRET, at=clock.machine_now() - dt.timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(old.body, dict(old.headers))


def test_the_time_is_the_machines_however_far_a_rehearsal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "offset_seconds", lambda: 40 * 86_400)
    sent = message(SECRET)
    Webhook(SECRET).verify(sent.body, dict(sent.headers))


@pytest.mark.parametrize(
    "wrong",
    ["", ",", "secret", "c2FuZGJveC1yZWNlaXZlci1zZWNyZXQtMDAx", "whsec_", "whsec_c2hvcnQ=", f"{SECRET},whsec_###", ",".join([SECRET] * 5)],
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(NeedsOperator, match="crm-1") as refused:
        messages.read_secrets(wrong, where="crm-1")
    assert len(wrong) < 8 or wrong not in str(refused.value)
    assert messages.read_secrets(f"{NEXT_SECRET},{SECRET}", where="crm-1") == (NEXT_SECRET, SECRET)


@pytest.mark.parametrize(
    ("account", "found"),
    [
        (None, None),
        ({"enabled": True}, AccountFound(True, 7, None)),
        ({"enabled": False, "quota": None, "used": 3}, AccountFound(False, None, 3)),
        ({"enabled": True, "quota": 5, "used": 3, "in_group": False, "more": [1]}, AccountFound(True, 5, 3, in_group=False)),
    ],
)  # fmt: skip
def test_what_an_answer_says_of_an_account(account: object, found: AccountFound | None) -> None:
    assert messages.read_account(json.dumps({"account": account}), quota=7) == found


@pytest.mark.parametrize("text", ["", "ok", "[]", "null", '{"done": true}', "[" * 100_000, '{"account": '])
def test_an_answer_may_say_nothing(text: str) -> None:
    with pytest.raises(NotTold):
        messages.read_account(text, quota=7)


@pytest.mark.parametrize(
    "account",
    [
        [], "yes", 1, {}, {"enabled": 1}, {"enabled": None}, {"enabled": True, "quota": -1}, {"enabled": True, "quota": 2**63},
        {"enabled": True, "used": "1"}, {"enabled": True, "used": True}, {"enabled": True, "in_group": "no"},
    ],
)  # fmt: skip
def test_an_account_of_another_form_is_not_guessed_at(account: object) -> None:
    with pytest.raises(ValueError, match=r"^(account|enabled|quota|used|in_group)$"):
        messages.read_account(json.dumps({"account": account}), quota=7)


@pytest.mark.parametrize("escaped", [json.dumps, lambda text: json.dumps(text).replace("/", "\\/"), quote_plus,
                                     lambda text: text.replace("+", "\\u002B").replace("=", "\\u003d")])  # fmt: skip
def test_a_secret_is_not_kept_however_the_receiver_escapes_it(escaped: Callable[[str], str]) -> None:
    bare = base64.b64encode(b"\xff\xef\xbe" * 8 + b"\xfb").decode()
    assert {"/", "+", "="} <= set(bare)
    assert messages.as_kept(escaped(f"key {bare} end"), [bare]).count("***") == 1


def test_what_is_kept_of_an_answer_is_short_and_has_no_secrets() -> None:
    bare = SECRET.removeprefix(messages.PREFIX)
    text = f"\0 {SECRET} {bare} ada@example.com Bearer abcdef " + "x" * 900
    kept = messages.as_kept(text, [bare])
    assert len(kept) == messages.ANSWER_KEPT
    for hidden in (bare, "ada@", "abcdef", "\0"):
        assert hidden not in kept
