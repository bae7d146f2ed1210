"""Keys and algorithms are exchanged while somebody signs up, and nothing breaks; without the former key it would.

What concerns logins is in tests/login/test_key_rotation.py.
"""

import base64
import hashlib
import re
import secrets
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from django.core.management import call_command
from django.test import Client

from apps.core import audit, audit_anchor, checks, encryption, jobs
from apps.core.audit_actions import AuditAction
from apps.notifications.mail import notify, renew_encryption
from apps.notifications.models import Notification
from apps.onboarding import codes, waitlist
from apps.onboarding.models import OneTimeCode, WaitlistEntry
from tests.security.keys import rotate
from tests.storefront.visitor import ACCOUNT, SEND, SESSION, VERIFY, Visitor
from tests.world import World

SECOND = "the second key, fifty characters or more, as keys are made"
THIRD = "the third key, which came soon after the second: somebody left"
EMAIL = "dana@example.com"
HERE = {"purpose": "signup", "address": EMAIL, "session": "session-one"}


def test_a_signup_goes_on_from_the_first_page_to_the_payment(world: World, settings: Any) -> None:
    """A code that waits to be sent, one that is typed, the visitor's session: each made under another key than it is used."""
    dana = Visitor().at_checkout()
    assert dana.api(SEND, email=EMAIL).status_code == 200
    rotate(settings, SECOND)
    world.work()
    (mail,) = world.standin.inbox(EMAIL)
    (code,) = re.findall(r"\b\d{6}\b", mail["text"])
    rotate(settings, THIRD)
    assert dana.api(VERIFY, email=EMAIL, code=code).json() == {"proven": True, "email": EMAIL}
    assert dana.api(SESSION, **ACCOUNT).status_code == 200


@pytest.mark.parametrize("former", [True, False])
def test_a_code_is_read_and_taken_while_its_key_is_listed(db: None, settings: Any, former: bool) -> None:
    code = codes.issue_code(**HERE)
    sealed = encryption.encrypt({"code": code})
    rotate(settings, SECOND, former=former)
    assert codes.consume_code(**HERE, code=code) is former
    if former:
        assert encryption.decrypt(sealed) == {"code": code}
    else:
        with pytest.raises(encryption.DecryptionError):
            encryption.decrypt(sealed)


def test_a_code_of_the_former_key_ends_with_the_next_and_counts_its_tries(db: None, settings: Any) -> None:
    first = codes.issue_code(**HERE)
    rotate(settings, SECOND)
    assert not any(codes.consume_code(**HERE, code=f"{number:06}") for number in range(4) if f"{number:06}" != first)
    assert OneTimeCode.objects.get().tries >= 3
    second = codes.issue_code(**HERE)
    assert first == second or not codes.consume_code(**HERE, code=first)
    assert codes.consume_code(**HERE, code=second)


def test_the_link_in_an_email_opens_its_page(world: World, settings: Any) -> None:
    Client().post("/onboarding/waitlist/submit/", {"email": EMAIL})
    entry = WaitlistEntry.objects.get()
    link = waitlist.entry_link(entry.pk, "leave").removeprefix(settings.BASE_URL)
    for former, status in ((True, 200), (False, 404)):
        rotate(settings, f"{SECOND} {former}", former=former)
        assert Client().get(link).status_code == status


def test_an_anchor_is_believed_under_its_former_key(db: None, settings: Any, tmp_path: Path) -> None:
    """Those of the site's key, and then those of a key of their own."""
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    first = settings.SECRET_KEY

    def gaps() -> list[str]:
        return audit_anchor.find_gaps((tmp_path / "anchors").read_text().splitlines())

    audit.record(subject=("profile", "7"), action=AuditAction.SIGNED_UP, actor="system")
    jobs.KINDS[audit_anchor.KIND].handler("")
    rotate(settings, SECOND)
    audit_anchor.export()
    assert gaps() == []
    settings.AUDIT_ANCHOR_KEY = "the anchors' own key"
    assert len(gaps()) == 2  # who has the site's key can make none for the key of their own
    settings.AUDIT_ANCHOR_KEY_PREVIOUS = [first, SECOND]
    audit_anchor.export()
    settings.AUDIT_ANCHOR_KEY, settings.AUDIT_ANCHOR_KEY_PREVIOUS = (
        "the next",
        [settings.AUDIT_ANCHOR_KEY, first, SECOND],
    )
    assert gaps() == []


class ChaCha:
    """Another algorithm, as a later release may bring."""

    def __init__(self, key: str, purpose: str) -> None:
        self.cipher = ChaCha20Poly1305(hashlib.sha256(f"{purpose} {key}".encode()).digest())

    def encrypt(self, data: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return base64.urlsafe_b64encode(nonce + self.cipher.encrypt(nonce, data, None))

    def decrypt(self, token: bytes) -> bytes:
        raw = base64.urlsafe_b64decode(token)
        try:
            return self.cipher.decrypt(raw[:12], raw[12:], None)
        except InvalidTag as error:
            raise InvalidToken from error


def test_the_algorithm_is_exchanged_while_mails_wait(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = encryption.encrypt({"code": "123456"})
    unnamed = old.removeprefix("fernet:")  # of before formats had names
    monkeypatch.setattr(encryption, "FORMATS", {"chacha": ChaCha} | encryption.FORMATS)
    new = encryption.encrypt({"code": "123456"})
    assert new.startswith("chacha:")
    rotate(settings, SECOND)
    for sealed in (old, unnamed, new):
        assert encryption.decrypt(sealed) == {"code": "123456"}
    for forged in (new.replace("chacha", "fernet"), f"none{old}", new[:-4] + "AAA=", ""):
        with pytest.raises(encryption.DecryptionError):
            encryption.decrypt(forged)


def test_what_is_kept_is_encrypted_again_and_then_the_former_key_can_go(db: None, settings: Any) -> None:
    """The link of a failed mail, which staff may send again, beside one that was encrypted under a key that nobody has."""
    values = {"confirm_url": "https://frontdesk.example.com/confirm/1", "product": "Cloud"}
    notify(key="confirm:1", template="waitlist_confirm", to=EMAIL, context=values)
    kept = Notification.objects.get()
    Notification.objects.update(state=Notification.State.FAILED)
    rotate(settings, SECOND)
    assert renew_encryption() == (1, 0)
    assert renew_encryption() == (0, 0)
    rotate(settings, SECOND, former=False)
    before, kept.encrypted = kept.encrypted, Notification.objects.get().encrypted
    assert encryption.decrypt(kept.encrypted) == {"confirm_url": values["confirm_url"]}
    Notification.objects.update(encrypted=before)
    with pytest.raises(SystemExit):
        call_command("renew_encryption", stdout=StringIO(), stderr=StringIO())
    assert Notification.objects.get().encrypted == before


def test_a_former_key_that_is_none_is_refused(settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = ["short"]
    assert "DJANGO_SECRET_KEY_PREVIOUS" in str(checks.secrets_are_sound())
