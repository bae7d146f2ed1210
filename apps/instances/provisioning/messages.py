"""What a product that takes signed webhooks is sent, and how its answer is read. Pure: no rows, no calls.

Messages and signatures are those of Standard Webhooks (https://www.standardwebhooks.com), by its own library. Each attempt is a
message with an id of its own: it says what should be now, so an earlier one must never be taken for it. Times are those of the
machine, since the receiver compares them with its clock.
"""

import base64
import binascii
import datetime as dt
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook as Signer

from apps.core.errors import NeedsOperator
from apps.core.logs import clean
from apps.instances.provisioning.contract import AccountFound, NotTold

PREFIX = "whsec_"
SECRET_BYTES = (24, 64)  # as the standard asks
MOST_SECRETS = 4
ANSWER_KEPT = 500
LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True)
class Message:
    """One signed message, ready to be posted."""

    id: str
    body: bytes
    headers: Mapping[str, str]


def read_secrets(text: str, *, where: str) -> tuple[str, ...]:
    """The secrets of one instance, several while they are changed, separated by commas; NeedsOperator when one is none."""
    found = tuple(one for one in text.split(",") if one)
    if not 1 <= len(found) <= MOST_SECRETS or not all(map(_is_secret, found)):
        raise NeedsOperator(
            f"PROVISIONER_SECRETS must have {PREFIX} and 24 to 64 bytes in base64 for {where}; several, at most {MOST_SECRETS},"
            " are separated by commas."
        )
    return found


def _is_secret(one: str) -> bool:
    try:
        key = base64.b64decode(one.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return False
    return one.startswith(PREFIX) and SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]


def new_id() -> str:
    """An id that no other message has."""
    return f"msg_{secrets.token_hex(16)}"


def write_message(id_: str, kind: str, data: Mapping[str, Any], *, keys: Sequence[str], at: dt.datetime) -> Message:
    """Sign with every one of `keys`: the receiver takes any that it knows. `at`: in UTC."""
    body = json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data})
    signatures = " ".join(Signer(key).sign(msg_id=id_, timestamp=at, data=body) for key in keys)
    headers = {
        "Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Frontdesk",
        "webhook-id": id_, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signatures,
    }  # fmt: skip
    return Message(id_, body.encode(), headers)


def read_account(text: str, *, quota: int | None) -> AccountFound | None:
    """The account in an answer. NotTold when it says nothing of one; ValueError when what it says has another form.

    `quota`: what it should be, which stands where the product does not count bytes.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NotTold("The answer says nothing of the account.") from None
    if not isinstance(found, dict) or "account" not in found:
        raise NotTold("The answer says nothing of the account.")
    account = found["account"]
    if account is None:
        return None
    if not isinstance(account, dict):
        raise ValueError("account")  # noqa: TRY004  one kind of error for one kind of mistake
    return AccountFound(
        enabled=_yes_or_no(account, "enabled"),
        quota=_bytes(account, "quota", quota),
        used=_bytes(account, "used", None),
        in_group=_yes_or_no({"in_group": True} | account, "in_group"),
    )


def _yes_or_no(account: Mapping[str, Any], name: str) -> bool:
    value = account.get(name)
    if not isinstance(value, bool):
        raise ValueError(name)  # noqa: TRY004
    return value


def _bytes(account: Mapping[str, Any], name: str, otherwise: int | None) -> int | None:
    value = account.get(name, otherwise)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_NUMBER:
        raise ValueError(name)
    return value


def as_kept(text: str, hidden: Sequence[str]) -> str:
    """How an answer is kept: its beginning, without addresses, keys, and what of `hidden` it repeats, in whatever spelling."""
    text = text.replace("\0", "")
    for one in hidden:
        text = re.sub("".join(map(_spelled, one)), "***", text, flags=re.IGNORECASE)
    return str(clean(text)).strip()[:ANSWER_KEPT]


def _spelled(character: str) -> str:
    """A pattern for it as it is, and as JSON and addresses escape it: PHP writes \\/ for /, others \\u002b for +."""
    if character.isalnum():
        return character
    return rf"(?:\\?{re.escape(character)}|\\u{ord(character):04x}|%{ord(character):02x})"
