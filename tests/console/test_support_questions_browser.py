"""Thirty questions of support, each answered in a browser from the console's first page within four clicks."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.support_house import beat, open_house
from tests.console.support_questions import CLICKS, MOST_CLICKS, QUESTIONS, Question
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PATIENCE = 15_000  # milliseconds; a page is there in one of them


def find(page: Page, term: str) -> None:
    """Type into the search that Ctrl+K opens, and take the first of what is found."""
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    with page.expect_response(lambda answer: f"/search/?s={quote(term)}" in answer.url):
        page.keyboard.type(term)
    expect(page.locator("#command-results li.active")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/userprofile/\d+/change/"))


def target(page: Page, kind: str, name: str) -> Locator:
    """What a click of this kind is on."""
    text = re.compile(rf"(^|\s){re.escape(name)}")
    lists = {
        "menu": "#nav-sidebar a",
        "page": ".fd-pages a",
        "view": "#tabs-wrapper a",
        "tile": "a.fd-tile",
        "line": "a.fd-number",
    }
    if kind in lists:
        return page.locator(lists[kind]).filter(has_text=name if kind in ("tile", "line") else text).first
    return page.get_by_role(kind, name=text).first  # type: ignore[arg-type]


def answer(page: Page, question: Question, site: str, facts: dict[str, str]) -> int:
    """Go the question's way from the first page; how many clicks it took."""
    clicks = 0
    page.goto(site + reverse("admin:index"))
    for kind, name in question.steps:
        if kind == "fill":
            label, _, value = name.partition("=")
            page.get_by_label(label).fill(value)
            continue
        clicks += 1
        if kind == "find":
            find(page, name.format(**facts))
        else:
            target(page, kind, name).click()
    return clicks


def read(page: Page, question: Question, facts: dict[str, str]) -> None:
    """The answer is there to read."""
    first, *more = [text.format(**facts) for text in question.says]
    part = page.locator(question.where).filter(has_text=first).first
    for text in (first, *more):
        expect(part).to_contain_text(text, use_inner_text=True, timeout=PATIENCE)


def desk(browser: Browser, site: str, client: Client) -> Page:
    context = browser.new_context(timezone_id="UTC", viewport={"width": 1440, "height": 1000})
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    return page


@pytest.mark.long
@pytest.mark.timeout(900)
def test_each_question_is_answered_within_four_clicks(
    town: World, browser: Browser, live_server: Any, staff: Callable[..., Client], subtests: pytest.Subtests,
    record_property: Callable[[str, object], None], tmp_path: Path,
) -> None:  # fmt: skip
    facts, site = open_house(town), live_server.url
    for number, question in enumerate(QUESTIONS, start=1):
        page, asked = desk(browser, site, staff(question.role)), question.asked.format(**facts)
        with subtests.test(msg=f"{number}: {asked}"):
            beat()
            try:
                clicks = answer(page, question, site, facts)
                if question.by_a_worker:
                    expect(page.locator("[hx-trigger^=every]").first).to_be_visible()
                    town.work()
                read(page, question, facts)
            finally:
                page.screenshot(path=tmp_path / f"{number:02}.png", full_page=True)
                page.context.close()
            record_property(CLICKS, f"{clicks} click{'' if clicks == 1 else 's'}, as {question.role}: {asked}")
            assert clicks <= MOST_CLICKS
    assert len(QUESTIONS) >= 30
