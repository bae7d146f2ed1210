"""Every page that people meet, in every state: nothing that axe finds, nothing that moves, is cut off, too wide or too heavy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from playwright.sync_api import Browser

from tests.accessibility import house, public_states, subscriber_states
from tests.accessibility.house import House, Shown, State
from tests.accessibility.looks import Reader
from tests.security.town import undone
from tests.security.url_table import SITE
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db]
# German has the longer words.
LANGUAGES = pytest.mark.parametrize("language", ["de", pytest.param("en", marks=pytest.mark.nightly)])
OF_SUBSCRIBERS = ("dashboard/", "recovery/", "contracts/")
NO_PAGES = {
    "health/", "health/live", "api/v1/openapi.json", "static/admin/css/base.css", "robots.txt", "sitemap.xml", "onboarding/brand.css",
    "onboarding/success/state/", "recovery/state/",
}  # fmt: skip


@pytest.fixture
def home(world: World, settings: Any, no_limits: None) -> House:
    house.furnish(settings)
    return house.move_in(world)


@pytest.fixture
def reader(browser: Browser, pytestconfig: pytest.Config) -> Iterator[Reader]:
    """With `--screenshot on` the pictures are kept below pytest-playwright's output folder, for somebody to look at."""
    folder = Path(pytestconfig.getoption("--output")).absolute() / "states"
    one = Reader(browser, folder if pytestconfig.getoption("--screenshot") == "on" else None)
    yield one
    one.context.close()


def faults(reader: Reader, home: House, table: dict[str, State]) -> Iterator[str]:
    """What is wrong with each state, in the language of the house."""
    for name, state in table.items():
        with undone():
            yield from reader.read(name, state(home), home.language)


def pages(*, of_subscribers: bool) -> set[str]:
    """The routes that show somebody a page."""
    routes = {route for route, (got, _) in SITE.items() if "200" in got.split()} - NO_PAGES
    return {route for route in routes if route.startswith(OF_SUBSCRIBERS) is of_subscribers}


@LANGUAGES
@pytest.mark.long
@pytest.mark.timeout(900)
def test_everybody_can_read_and_use_each_state_of_the_public_pages(reader: Reader, home: House, language: str) -> None:
    home.language = language
    found = list(faults(reader, home, public_states.STATES))
    assert not found, "\n".join(found)
    assert pages(of_subscribers=False) <= reader.routes


@LANGUAGES
@pytest.mark.long
@pytest.mark.timeout(900)
def test_everybody_can_read_and_use_each_state_of_a_subscribers_pages(
    reader: Reader, home: House, language: str
) -> None:
    home.language = language
    found = list(faults(reader, home, subscriber_states.STATES))
    subscriber_states.miss_a_payment(home)
    found += faults(reader, home, subscriber_states.LATE)
    assert not found, "\n".join(found)
    assert pages(of_subscribers=True) <= reader.routes


class Poor(Client):
    """Answers everything with one page that has every fault."""

    page = (
        """<!doctype html><html lang="en"><title>Poor</title><link rel="icon" href="data:,"><main><h1>Poor</h1><button></button>
        <p style="width: 700px">wide</p><p style="width: 3em; overflow: hidden; white-space: nowrap">cut off here</p>
        <p style="color: #777; background: #888">pale</p></main><script>requestAnimationFrame(() => requestAnimationFrame(() => {
        document.querySelector("h1").style.height = "20em"; }));</script>"""
        + "x" * 50_000
    )

    def get(self, *_args: Any, **_more: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(self.page)


def test_the_reader_sees_what_is_wrong(reader: Reader) -> None:
    found = list(reader.read("poor", Shown("/", Poor(), is_public=True), "en"))
    for words in (
        "] moves: ",
        "heavy: ",
        "light: button-name",
        "dark: color-contrast",
        "390, text of 16: wider by",
        "1280, text of 32: cut off",
    ):
        assert any(words in one for one in found), (words, found)
    assert any("not in this language" in one for one in reader.read("poor", Shown("/", Poor()), "de"))
