"""Whose time zone the console's pages are in: the reader's, as the browser says in a cookie (zone.js); UTC until it has said.

Only what is shown and typed follows it. What is counted by the day is counted by days of UTC.
"""

import datetime as dt
import functools
import zoneinfo
from contextlib import AbstractContextManager

from django.http import HttpRequest
from django.utils import timezone

COOKIE = "console_zone"


@functools.cache
def known_zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(zoneinfo.available_timezones())


def in_readers_zone(request: HttpRequest) -> AbstractContextManager[None]:
    """Inside, moments are drawn and read in the zone of the cookie."""
    name = request.COOKIES.get(COOKIE, "")
    return timezone.override(zoneinfo.ZoneInfo(name) if name and name in known_zones() else dt.UTC)
