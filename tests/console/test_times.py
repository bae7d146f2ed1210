"""Moments on the console's pages: in the reader's time zone, with how far they are, and days that end."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access.models import AccessOverride
from apps.console.columns import how_far, timed, when_over
from apps.console.zones import COOKIE
from apps.core import clock
from apps.core.models import ComparisonRun
from tests.console.conftest import World

Staff = Callable[..., Client]
DAY = dt.timedelta(days=1)
MIDNIGHT = dt.datetime(2027, 1, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        ({"days": 3, "hours": 1}, "in 3 days"), ({"days": -1, "hours": -5}, "1 day ago"), ({"hours": -2, "minutes": -1}, "2 hours ago"),
        ({"minutes": 61}, "in 1 hour"), ({"minutes": -1, "seconds": -1}, "1 minute ago"), ({"seconds": 40}, "now"), ({"days": 1500, "hours": 1}, "in 1,500 days"),
    ],
)  # fmt: skip
def test_how_far_a_moment_is(ahead: dict[str, int], words: str) -> None:
    assert how_far(clock.now() + dt.timedelta(**ahead)) == words


def test_what_ends_with_a_day_names_the_day() -> None:
    assert when_over(MIDNIGHT) == "end of 14 Jan 2027"
    assert when_over(MIDNIGHT + dt.timedelta(hours=9)) == "15 Jan 2027, 09:00"
    with timezone.override("America/New_York"):
        assert when_over(MIDNIGHT) == "end of 14 Jan 2027 UTC"
        assert when_over(MIDNIGHT + dt.timedelta(hours=9)) == "15 Jan 2027, 04:00"
    assert (when_over(None), timed(None)) == ("–", "–")


def read(client: Client, zone: str, name: str, *args: Any) -> str:
    client.cookies[COOKIE] = zone
    return client.get(reverse(f"admin:{name}", args=args)).content.decode()


@pytest.mark.django_db
def test_pages_are_in_the_zone_of_the_browsers_cookie_and_say_so(world: World, staff: Staff) -> None:
    client, row = staff("admin"), world.overrides[0]
    AccessOverride.objects.filter(pk=row.pk).update(starts_at=MIDNIGHT - DAY, ends_at=MIDNIGHT)
    for name, args in (("access_accessoverride_changelist", ()), ("access_accessoverride_change", (row.pk,))):
        text = read(client, "Asia/Kathmandu", name, *args)
        assert (
            '<time datetime="2027-01-14T00:00:00+00:00" title="14 Jan 2027, 00:00:00 UTC">14 Jan 2027, 05:45</time>'
            in text
        )
        assert ">end of 14 Jan 2027 UTC</time>" in text
        assert "Times are in Asia/Kathmandu." in text
    for nonsense in ("", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "x" * 3000):
        text = read(client, nonsense, "access_accessoverride_changelist")
        assert ">14 Jan 2027, 00:00</time>" in text
        assert ">end of 14 Jan 2027</time>" in text
        assert "Times are in UTC." in text
    assert timezone.get_current_timezone_name() == "UTC", "the next request is another reader's"


@pytest.mark.django_db
def test_documents_that_are_handed_out_stay_in_utc(world: World, staff: Staff) -> None:
    client, profile = staff("admin"), world.profiles[0]
    client.cookies[COOKIE] = "Asia/Kathmandu"
    form = {"format": "page", "reason": "The subscriber asked for it", "_form_submitted": "on"}
    answer = client.post(reverse("admin:accounts_userprofile_personal_data", args=[profile.pk]), form)
    assert f"on {clock.now():%-d %b %Y}, " in (text := answer.content.decode())
    assert "(UTC)" in text
    assert "<time" not in text


@pytest.mark.django_db
def test_what_is_typed_is_in_the_zone_that_is_shown(world: World, staff: Staff) -> None:
    client = staff("operator")
    client.cookies[COOKIE] = "Asia/Kathmandu"
    since = (clock.now() - 3 * DAY).replace(minute=0, second=0, microsecond=0)
    local = since.astimezone(ZoneInfo("Asia/Kathmandu"))
    form = {
        "_form_submitted": "on", "reason": "Stripe was away",
        "since": f"{local:%Y-%m-%dT%H:%M}", "until": f"{local + DAY:%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    client.post(reverse("admin:core_comparisonrun_fetch_span"), form, headers={"HX-Request": "true"})
    run = ComparisonRun.objects.exclude(since=None).get()
    assert (run.since, run.until) == (since, since + DAY)
