"""The timeline of one subscriber on a page of its own: filters by kind and day, search by id, page by page."""

import datetime as dt
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.functional import cached_property

from apps.accounts.models import UserProfile
from apps.console.timeline_lines import TimelineLine, describe
from apps.console.timeline_sources import KINDS, LONGEST_TERM, LinePosition, Wanted, read_lines

FIRST = 20  # lines on the subscriber's page


@dataclass(frozen=True)
class TimelinePage:
    """What the template needs. `older`: the query of the page that follows, empty on the last one."""

    profile: UserProfile
    wanted: Wanted
    asked: dict[str, str]
    lines: tuple[TimelineLine, ...]
    older: str

    @cached_property
    def kinds(self) -> list[tuple[str, str]]:
        return [("", "Everything"), *((key, kind.label) for key, kind in KINDS.items())]


def read_wanted(query: QueryDict) -> tuple[Wanted, dict[str, str]]:
    """What the address asks for, and the same as texts for the form; what cannot be meant counts as not asked."""
    since, until = _day(query.get("from", "")), _day(query.get("to", ""))
    kind = query.get("kind", "")
    wanted = Wanted(
        kind=kind if kind in KINDS else "",
        since=since,
        until=_next_day(until),
        term=query.get("id", "").strip()[:LONGEST_TERM],
        before=LinePosition.read(query.get("before", "")),
    )
    texts = {
        "kind": wanted.kind,
        "from": f"{since:%Y-%m-%d}" if since else "",
        "to": f"{until:%Y-%m-%d}" if until else "",
        "id": wanted.term,
    }
    return wanted, {name: text for name, text in texts.items() if text}


def _day(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
    except ValueError:
        return None


def _next_day(day: dt.datetime | None) -> dt.datetime | None:
    try:
        return day + dt.timedelta(days=1) if day else None
    except OverflowError:
        return None


def read_page(profile: UserProfile, query: QueryDict) -> TimelinePage:
    """One page, by one statement."""
    wanted, asked = read_wanted(query)
    stored, more = read_lines(profile, wanted)
    older = urlencode(asked | {"before": stored[-1].cursor.key()}) if more else ""
    return TimelinePage(profile, wanted, asked, tuple(describe(one) for one in stored), older)


def read_first(profile: UserProfile) -> tuple[TimelineLine, ...]:
    """The newest lines, for the subscriber's page; without the events that changed nothing."""
    return tuple(describe(one) for one in read_lines(profile, Wanted(ignored=False), size=FIRST)[0])


class TimelinePageView:
    """For the subscriber's ModelAdmin: the page at `<id>/timeline/`."""

    def timeline_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        page = read_page(profile, request.GET)
        context = admin.site.each_context(request) | {"title": f"Timeline of {profile}", "page": page}
        request.current_app = admin.site.name
        return render(request, "console/timeline_page.html", context)
