"""The page of an import in a browser: once its check has ended it offers what can be done now, and only answers that are possible."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.core import clock
from apps.operations.import_questions import CHOICES
from apps.operations.models import CustomerImport, ImportRow
from tests.console.test_laws_browser import is_within_its_width
from tests.console.test_timeline_browser import open_page

expect.set_options(timeout=20_000)  # the machine may be busy
pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]
OLD = {"reason": "our customers of the old shop", "actor": "staff:ada"}


def ask(run: CustomerImport, number: int, *answers: str) -> None:
    """A row that was checked, and what may be decided about it."""
    ImportRow.objects.create(
        run=run, number=number, email=f"old-{number}@example.com", verdict="decision", question="loses_access",
        choices=[[one, CHOICES[one]] for one in answers], why="The first sync would close the account.",
    )  # fmt: skip


def test_when_the_check_ends_the_page_offers_what_is_possible_now_and_keeps_an_open_dialog(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    now = clock.now()
    run = CustomerImport.objects.create(
        source="csv", name="old.csv", stages=["verdicts"], created_at=now, checked_at=now, **OLD
    )
    page = open_page(browser, live_server.url, staff("admin"), viewport={"width": 1440, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:operations_customerimport_change", args=[run.pk]))
    bar = page.get_by_role("list").filter(has=page.get_by_role("link", name="Abandon"))
    expect(bar.get_by_role("link", name="Decide")).to_have_count(0)
    bar.get_by_role("link", name="Abandon").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("Half a sentence")
    ask(run, 2, "grant", "follow", "leave_out")
    ask(run, 3, "follow", "leave_out")
    with page.expect_response(lambda answer: "progress" in answer.url and "import-decide" in answer.text()):
        CustomerImport.objects.filter(pk=run.pk).update(state="planned")
    expect(page.get_by_role("dialog").get_by_label("Reason")).to_have_value("Half a sentence")
    page.keyboard.press("Escape")

    expect(bar.get_by_role("link", name="Start")).to_be_visible()
    page.screenshot(path=tmp_path / "checked.png", full_page=True)
    bar.get_by_role("link", name="Decide").click()
    answers = page.get_by_role("dialog").get_by_label("Decision")
    possible = [
        "Grant access without payment until a date (1)",
        "Import; access follows what is paid (2)",
        "Leave out (2)",
    ]
    expect(answers.get_by_role("option")).to_have_text(["Choose", *possible])
    answers.select_option(possible[-1])
    page.get_by_role("dialog").get_by_label("Reason").fill("They are our own people.")
    page.screenshot(path=tmp_path / "decide.png")
    page.set_viewport_size({"width": 390, "height": 844})
    assert is_within_its_width(page)
    page.screenshot(path=tmp_path / "decide-small.png")
    page.get_by_role("dialog").get_by_role("button", name="Decide").click()
    expect(page.get_by_text("2 rows decided.")).to_be_visible()
    assert complaints == []
