"""One-time codes that confirm an address: ten minutes, five tries, one use, one browser session.

Promises: one statement counts a try before anything is compared, so parallel guesses cannot share one; a code matches only
the purpose, address and session it was made for; the database holds a slow keyed hash, never the code. Callers check the
limits first, before any hashing. An address that may not be confirmed gets a code that never matches, at the same cost.
"""

import datetime as dt
import hashlib
import hmac
import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable
from typing import Any

import argon2
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.core import clock, limits, security_events
from apps.core.errors import BadInput
from apps.core.networks import network_of
from apps.core.security_events import SecurityEvent
from apps.notifications.mail import notify_secret
from apps.onboarding.models import OneTimeCode

CODE_LIFETIME = dt.timedelta(minutes=10)
MINUTES = int(CODE_LIFETIME.total_seconds()) // 60
MAX_TRIES = 5
DIGITS = 6
# Crockford's: no letter that looks like another sign. Eight of them are 40 bits: a recovery code alone opens somebody's account,
# so that the limits on guesses are no part of its strength. At signup six digits do: they open an account that holds nothing
# yet, in the browser that asked for them, with five tries a code.
ALPHABET, CODE_LENGTH = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 8
FOLDED = str.maketrans("OIL", "011")
DIGITS_IN_TEXT = re.compile(r"(?<![0-9])[0-9]{3}[ -]?[0-9]{3}(?![0-9])")
LONG_CODE_IN_TEXT = re.compile(r"(?<![0-9A-Z])[0-9A-Z]{4}-[0-9A-Z]{4}(?![0-9A-Z])")
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# Compared with a guess when there is no code: the same work, never a match.
UNMATCHABLE_HASH = HASHER.hash(secrets.token_hex(16))

ISSUE_STATEMENT = """
INSERT INTO onboarding_onetimecode (purpose, subject, session, code_hash, tries, created_at, expires_at)
VALUES (%(purpose)s, %(subject)s, %(session)s, %(code_hash)s, 0, %(now)s, %(expires)s)
ON CONFLICT (purpose, subject, session) WHERE used_at IS NULL DO UPDATE SET
    code_hash = excluded.code_hash, tries = 0, created_at = excluded.created_at, expires_at = excluded.expires_at
"""
COUNT_TRY_STATEMENT = """
UPDATE onboarding_onetimecode SET tries = tries + %(step)s
WHERE purpose = %(purpose)s AND subject = ANY(%(subjects)s) AND session = ANY(%(sessions)s) AND used_at IS NULL
  AND expires_at > %(now)s AND tries < %(tries)s
RETURNING id, code_hash, subject
"""


class WrongCode(BadInput):
    """The code is wrong, used or expired."""

    def __init__(self) -> None:
        super().__init__(
            _("That code isn't right or has expired. Check the latest email, or send a new code."),
            field="code",
            code="wrong_code",
        )


def mail_subjects(*, address: str, client: str) -> dict[str, str]:
    """Who spends what of `settings.LIMITS` for an email that a visitor causes to an address, whatever its kind."""
    mailbox = limits.mailbox(address)
    pair = f"{mailbox} {network_of(client)}"
    return {"mails_pair": pair, "mails_mailbox": mailbox, "mails_visitor": client}


def check_sending_limits(*, purpose: str, address: str, client: str) -> None:
    """Limit sending. BadInput beyond. Who has just signed up need not wait for a recovery code."""
    spent = mail_subjects(address=address, client=client)
    if not limits.allow(codes_pair=f"{purpose} {spent['mails_pair']}", **spent):
        raise BadInput(
            _("We've already sent you a code. Please wait at least a minute before you ask for another."),
            code="too_many",
            status=429,
        )
    limits.allow_together("mails_all")


def check_try_limits(*, session: str, client: str) -> None:
    """Limit guessing. BadInput beyond."""
    if not limits.allow(code_tries_session=session, code_tries_visitor=client):
        raise BadInput(
            _("Too many tries. Please wait a minute."),
            code="too_many",
            status=429,
        )


def issue_code(*, purpose: str, address: str, session: str, usable: bool = True) -> str:
    """Make and return a new code; the previous one for the same purpose, address and session stops working.

    With `usable` False the code never matches; everything else, including the time taken, is the same.
    """
    code = _new_code(purpose)
    for former in settings.SECRET_KEY_FALLBACKS:  # the statement replaces a code of the present key only
        OneTimeCode.objects.filter(**_code_binding(purpose, address, session, key=former), used_at=None).delete()
    values = _code_binding(purpose, address, session)
    hashed = HASHER.hash(_keyed_hash(values, fold_code(code)))
    now = clock.now()
    values |= {"code_hash": hashed if usable else "", "now": now, "expires": now + CODE_LIFETIME}
    with connection.cursor() as cursor:
        cursor.execute(ISSUE_STATEMENT, values)
    return code


def uses_alphabet(purpose: str) -> bool:
    """Whether its codes have letters: those that alone open or end something that somebody has."""
    return purpose in {OneTimeCode.Purpose.RECOVERY, OneTimeCode.Purpose.CONTRACT}


def _new_code(purpose: str) -> str:
    if uses_alphabet(purpose):
        text = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        return f"{text[:4]}-{text[4:]}"
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def find_code(purpose: str, typed: str) -> str:
    """The code in whatever was pasted, such as a whole line of the email; without one, all the text that could be of a code."""
    plain = unicodedata.normalize("NFKC", typed).upper()
    signs = "0-9A-Z" if uses_alphabet(purpose) else "0-9"
    whole = (LONG_CODE_IN_TEXT if uses_alphabet(purpose) else DIGITS_IN_TEXT).search(plain)
    return re.sub(f"[^{signs}]", "", whole[0] if whole else plain)


def fold_code(typed: str) -> str:
    """A code as people type or paste it: any case and width, O for 0, I or L for 1, with spaces, dashes and what nobody sees."""
    plain = unicodedata.normalize("NFKC", typed)
    return (
        "".join(one for one in plain if unicodedata.category(one) not in {"Zs", "Pd", "Cf", "Cc"})
        .upper()
        .translate(FOLDED)
    )


@transaction.atomic
def email_code(
    *,
    purpose: str,
    address: str,
    session: str,
    templates: tuple[str, str],
    link: Callable[[str], str],
    instead: dict[str, str] | None,
) -> None:
    """Email a new code and `link` to it, or the second of `templates` with the values `instead` and a code that never matches: the same
    work either way.
    """
    usable = instead is None
    code = issue_code(purpose=purpose, address=address, session=session, usable=usable)
    values = {"code": code, "minutes": str(MINUTES), "code_url": link(code)}
    notify_secret(
        key=f"code:{uuid.uuid4()}",
        template=templates[0 if usable else 1],
        to=address,
        secret_context=values if instead is None else instead,
        valid_for=CODE_LIFETIME,
    )


def consume_code(*, purpose: str, address: str, session: str, code: str, burns: bool = True) -> bool:
    """True once, for the right code within its lifetime and tries. The work is the same for every answer.

    `burns` False: tries are not counted here, since anybody may make them; the caller limits them.
    """
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    bound = {key: _code_binding(purpose, address, session, key=key) for key in keys}
    values: dict[str, Any] = {"purpose": purpose, "now": clock.now(), "tries": MAX_TRIES, "step": int(burns)}
    either = {f"{name}s": [one[name] for one in bound.values()] for name in ("subject", "session")}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_TRY_STATEMENT, values | either)
        found = cursor.fetchone()
    identity, stored, subject = found or (0, "", "")
    key = next((key for key, one in bound.items() if one["subject"] == subject), keys[0])
    guess = fold_code(find_code(purpose, code))
    right = _matches(stored or UNMATCHABLE_HASH, _keyed_hash(bound[key], guess, key=key))
    live = OneTimeCode.objects.filter(pk=identity, used_at__isnull=True)
    if right and live.update(used_at=clock.now()) == 1:
        return True
    limits.allow_together("wrong_codes_all")
    return False


def refuse(*, purpose: str, address: str, session: str) -> WrongCode:
    """The refusal of a typed code, which goes to the log as wrong, or as expired; one query, whichever it is."""
    binding = _code_binding(purpose, address, session)
    expired = OneTimeCode.objects.filter(**binding, used_at=None, tries__lt=MAX_TRIES, expires_at__lte=clock.now())
    security_events.note(SecurityEvent.CODE_EXPIRED if expired.exists() else SecurityEvent.CODE_WRONG, purpose=purpose)
    return WrongCode()


def _matches(stored: str, guess: str) -> bool:
    try:
        return HASHER.verify(stored, guess)
    except argon2.exceptions.VerifyMismatchError:
        return False


def _code_binding(purpose: str, address: str, session: str, *, key: str = "") -> dict[str, Any]:
    """What a code is bound to, as hashes under this key or the present one, so that a leaked table names nobody."""
    return {
        "purpose": purpose,
        "subject": limits.subject_hash(address, key=key),
        "session": limits.subject_hash(f"session:{session}", key=key),
    }


def _keyed_hash(values: dict[str, Any], code: str, *, key: str = "") -> str:
    """The code and everything it is bound to, hashed with a pepper that is not in the database."""
    pepper = hashlib.sha256(b"one-time-codes:" + (key or settings.SECRET_KEY).encode()).digest()
    bound = f"{values['purpose']}:{values['subject']}:{values['session']}:{code}"
    return hmac.new(pepper, bound.encode(), hashlib.sha256).hexdigest()
