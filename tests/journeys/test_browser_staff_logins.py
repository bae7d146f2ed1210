"""Staff see where they are logged in, and end a session, by keyboard, on a large light and on a small dark screen."""

import pytest
from playwright.sync_api import expect

from tests.journeys.stack import Album, Stack, Visit
from tests.journeys.test_browser_console import log_in

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_staff_end_another_session_of_theirs_by_keyboard(
    width: int, dark: bool, stack: Stack, visit: Visit, album: Album
) -> None:
    other, page = visit(width=1440), visit(width=width, dark=dark)
    for one in (other, page):
        log_in(one, stack)
    page.goto(f"{stack.site}/admin/sessions/")
    expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()
    expect(page.get_by_text("This one")).to_have_count(1)
    album.take(page, "sessions")
    page.get_by_role("button", name="End all others").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("ended.")).to_be_visible()
    album.take(page, "ended")
    other.goto(f"{stack.site}/admin/")
    expect(page.get_by_text("This one")).to_have_count(1)
