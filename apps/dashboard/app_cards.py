"""One app as its card shows it: whether it can be opened, where its data lives, what is going on there, and how to begin.

Promises: everything is from our own rows; an address that staff wrote is linked only if it is one of the web; a notice is
shown from two weeks before it begins until it ends, and only to people who use the instance.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from apps.catalog.sizes import describe_storage
from apps.catalog.translated import text_of
from apps.core import clock, languages
from apps.core.countries import country_name

AHEAD = dt.timedelta(days=14)


@dataclass(frozen=True)
class CardNotice:
    """Maintenance or a disruption. `has_begun`: it is going on now."""

    kind: str
    begins: dt.datetime
    ends: dt.datetime
    has_begun: bool


@dataclass(frozen=True)
class Guide:
    """How to begin. `sync_address`: what a program is told to connect to."""

    steps: tuple[str, ...] = ()
    programs: tuple[tuple[str, str], ...] = ()
    sync_address: str = ""
    more_url: str = ""

    def __bool__(self) -> bool:
        return bool(self.steps or self.programs or self.sync_address or self.more_url)


@dataclass(frozen=True)
class AppCard:
    """Something to log in to. `status`: open (there is a link), paused, preparing, or included (no instance of its own).

    `storage`: how much of what is in use, if the app tells us; `used_percent`: the same, at most 100.
    """

    slug: str
    name: str
    summary: str
    icon: str
    status: str
    instance: str = ""
    url: str = ""
    location: str = ""
    country: str = ""
    notice: CardNotice | None = None
    guide: Guide = Guide()
    storage: str = ""
    used_percent: int | None = None

    @property
    def is_disturbed(self) -> bool:
        """Whether it may not work at this moment."""
        return self.notice is not None and self.notice.has_begun


def read_card(row: dict[str, Any], *, usable: bool, username: str) -> AppCard:
    """The card of a row of the overview's statement. `usable`: the person has access now."""
    url = web_address(row["url"]) if usable and row["seat"] == "assigned" else ""
    status = _status(row, url=url, usable=usable)
    shared = {
        "slug": row["slug"],
        "icon": row["icon"],
        "name": text_of(row, "name"),
        "summary": text_of(row, "summary"),
    }
    if status in ("paused", "preparing"):
        return AppCard(**shared, status=status)
    guide = _guide(row, url=url, username=username)
    if not url:
        return AppCard(**shared, status=status, guide=guide)
    return AppCard(
        **shared, status=status, instance=row["instance"], url=url, location=row["location"], guide=guide,
        country=country_name(row["country"], language=languages.active()) if row["country"] else "",
        notice=_notice(row), storage=describe_storage(row["used"], row["quota"]), used_percent=_percent(row),
    )  # fmt: skip


def _percent(row: dict[str, Any]) -> int | None:
    return min(100, round(row["used"] / row["quota"] * 100)) if row["used"] is not None and row["quota"] else None


def _status(row: dict[str, Any], *, url: str, usable: bool) -> str:
    if url:
        return "open"
    if not usable or row["seat"] == "retained":
        return "paused"
    return "preparing" if row["needs_instance"] else "included"


def _notice(row: dict[str, Any]) -> CardNotice | None:
    if not row["notice"]:
        return None
    now, begins, ends = clock.now(), as_moment(row["notice_from"]), as_moment(row["notice_until"])
    return CardNotice(row["notice"], begins, ends, begins <= now) if begins - AHEAD <= now < ends else None


def _guide(row: dict[str, Any], *, url: str, username: str) -> Guide:
    wants_url = "{url}" in row["sync_address"]
    sync = row["sync_address"].replace("{url}", url).replace("{username}", username) if url or not wants_url else ""
    links = [(str(one.get("name", "")), web_address(str(one.get("url", "")))) for one in row["client_links"]]
    return Guide(
        steps=tuple(str(one) for one in text_of(row, "first_steps")),
        programs=tuple(one for one in links if all(one)),
        sync_address=sync,
        more_url=web_address(row["guide_url"]),
    )


def as_moment(text: str) -> dt.datetime:
    """A moment as Postgres writes it in JSON."""
    return dt.datetime.fromisoformat(text)


def web_address(url: str) -> str:
    """The address if it is one of the web; what staff or Stripe wrote is never trusted to be one."""
    return url if url.startswith(("https://", "http://")) else ""
