"""Rate limits as SQL rows: exact over processes, kept over restarts. One upsert counts and decides.

Subjects (IP addresses, email addresses, sessions) are stored as keyed hashes. Considered: django-ratelimit, whose counters
live in the cache and are lost with it.
"""

import datetime as dt
import hashlib
import hmac
import time
import unicodedata

from django.conf import settings
from django.db import connection


def spend(name: str, subject: str, *, limit: int, per: int) -> bool:
    """Count one use of `name` by `subject` in the present window of `per` seconds; True while it is within `limit`."""
    window = int(time.time()) // per * per
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO core_ratelimit (name, subject, "window", used) VALUES (%s, %s, %s, 1)'
            ' ON CONFLICT (name, subject, "window") DO UPDATE SET used = core_ratelimit.used + 1 RETURNING used',
            [name, subject_hash(subject), window],
        )
        (used,) = cursor.fetchone()
    return bool(used <= limit)


def subject_hash(subject: str) -> str:
    """A keyed hash of a subject; the same for spellings that mean the same."""
    folded = unicodedata.normalize("NFKC", subject).casefold().strip()
    return hmac.new(settings.SECRET_KEY.encode(), folded.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def mailbox(address: str) -> str:
    """The mailbox behind an email address, for limits only: case, width and `+tag` folded."""
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().strip().rpartition("@")
    return f"{local.split('+')[0]}@{domain}"


def prune(*, before: dt.datetime) -> int:
    """Delete windows that began before this; returns how many rows went. The longest window is a day."""
    with connection.cursor() as cursor:
        cursor.execute('DELETE FROM core_ratelimit WHERE "window" < %s', [int(before.timestamp())])
        return int(cursor.rowcount)
