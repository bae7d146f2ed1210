"""Dates for people, in the language that is active: 3 March 2027, 3. März 2027. The only place that knows how a day is written."""

import datetime as dt

from babel.dates import format_date
from django.utils.translation import gettext as _

from apps.core import languages

PATTERNS = {"en": "d MMMM y", "de": "d. MMMM y"}
SHORT_PATTERNS = {"en": "d MMM y", "de": "d. MMM y"}
MONTH = "MMMM y"


def day(moment: dt.date | None) -> str:
    """A date as people read it; words for None. A moment is read by its own time zone."""
    return _written(moment, PATTERNS[languages.active()]) if moment else _("a date that is not known yet")


def short_day(moment: dt.date) -> str:
    """A date for tables: 3 Mar 2027."""
    return _written(moment, SHORT_PATTERNS[languages.active()])


def last_day(end: dt.datetime | None) -> str:
    """The day through which something holds that ends at `end`: of a midnight, the day before it."""
    return day(end - dt.timedelta(microseconds=1)) if end else day(None)


def day_time(moment: dt.datetime) -> str:
    """A moment as people read it, by its own time zone: 3 March 2027, 14:05."""
    return f"{day(moment)}, {moment:%H:%M}"


def month(moment: dt.date) -> str:
    """A month with its year: March 2027."""
    return _written(moment, MONTH)


def _written(moment: dt.date, pattern: str) -> str:
    date = moment.date() if isinstance(moment, dt.datetime) else moment  # Babel would turn a moment into UTC first
    return str(format_date(date, pattern, locale=languages.active()))
