"""The menu: short, without double names, and every page of the console is in it, a tab of something in it, or linked."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.accounts.models import PrivacyRequest
from apps.console import dashboard, navigation
from apps.console.navigation import MENU, MenuPage, list_url
from apps.core import clock
from apps.core.models import AttentionItem
from apps.instances.models import SeatWait
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from apps.operations.models import SafeguardReview
from tests.console.conftest import DAY, World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
PAGES = [page for _, entries in MENU for entry in entries for page in entry.pages]


def test_fourteen_entries_in_six_groups_and_no_name_means_two_things(world: World, staff: Staff) -> None:
    menu = staff("admin").get(reverse("admin:index")).context["sidebar_navigation"]
    entries = [item for group in menu for item in group["items"]]
    assert (len(menu), len(entries)) == (6, 14)
    names = Counter([*(group["title"] for group in menu), *(item["title"] for item in entries)])
    assert max(names.values()) == 1
    assert max(Counter(page.title for page in PAGES).values()) == 1
    first = {entry.title: entry.pages[0].title for _, entries in MENU for entry in entries}
    named = {title for title in first if title in {page.title for page in PAGES}}
    assert all(first[title] == title for title in named)


def test_every_list_and_the_doctor_is_one_click_from_a_page_of_the_menu(world: World, staff: Staff) -> None:
    client = staff("admin")
    menu = client.get(reverse("admin:index")).context["sidebar_navigation"]
    opened = {item["link"] for group in menu for item in group["items"]}
    shown = {path_of(link) for link in opened}
    for link in opened:
        text = client.get(link).content.decode()
        shown |= {page.url for page in PAGES if f'href="{page.link}"' in text}
    assert {list_url(model) for model in admin.site._registry} | {reverse("admin:realm")} <= shown


@pytest.mark.parametrize("role", ["viewer", "support", "operator", "admin"])
def test_whatever_the_menu_offers_a_role_opens_for_it(role: str, world: World, staff: Staff) -> None:
    client = staff(role)
    links = list(offered(client))
    assert len(links) > 12
    for link in links:
        assert client.get(link).status_code == 200, link
    assert (reverse("admin:realm") in links) == (role in {"operator", "admin"})


def offered(client: Client) -> Iterator[str]:
    """The links of the menu, and those of the tabs of each page that it leads to."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    for group in navigation.sidebar(request):
        for item in group["items"]:
            yield item["link"]
            request.path = path_of(item["link"])
            yield from (tab["link"] for tab in navigation.page_tabs(request))


def path_of(link: str) -> str:
    return link.partition("?")[0]


def test_an_entry_is_marked_on_each_of_its_pages_and_their_rows(world: World, staff: Staff) -> None:
    client = staff("admin")
    for page in [*PAGES, MenuPage(title="", route="admin:index")]:
        assert marked(client, page.url) == [entry_of(page)], page
    assert marked(client, reverse("admin:core_job_change", args=[world.jobs[0].pk])) == ["Inbox"]


def marked(client: Client, url: str) -> list[str]:
    menu = client.get(url).context["sidebar_navigation"]
    return [item["title"] for group in menu for item in group["items"] if item["active"]]


def entry_of(page: MenuPage) -> str:
    return next((entry.title for _, entries in MENU for entry in entries if page in entry.pages), "Today")


def test_a_badge_says_how_many_rows_its_link_opens(world: World, staff: Staff) -> None:
    now, client = clock.now(), staff("admin")
    for cause in ("doctor", "dispute"):
        AttentionItem.objects.create(cause=cause, key="x", sentence="Wrong.", first_at=now, last_at=now)
    Notification.objects.filter(pk=Notification.objects.order_by("pk").values("pk")[:1]).update(state="uncertain")
    SafeguardReview.objects.create(sweep="sync_run", state="pending", opened_at=now, seen_at=now)
    SeatWait.objects.order_by("pk")[0].delete()
    world_waits()
    asked = PrivacyRequest.objects.order_by("pk")
    asked.update(state="open", due_on=now.date() + 30 * DAY, closed_at=None, closed_by="", outcome="")
    PrivacyRequest.objects.filter(pk=asked[0].pk).update(due_on=now.date() + 7 * DAY)
    dashboard.forget()
    counted = {page.title: (page.count, rows(client, page.link)) for page in PAGES if page.badge}
    assert {title: shown for title, (shown, _) in counted.items()} == {
        "Privacy requests": 1, "Waitlist": 2, "Waiting for a seat": 2, "Needs attention": 6, "Approvals": 3, "Jobs": 3, "Drift": 3, "Emails": 3, "Safeguard": 1, "Held back": 3, "Laws": 1,
    }  # fmt: skip
    assert all(shown == there for shown, there in counted.values())
    menu = client.get(reverse("admin:index")).context["sidebar_navigation"]
    badges = {item["title"]: item.get("badge") for group in menu for item in group["items"]}
    assert (badges["Inbox"], badges["Waitlist and signups"], badges["Subscribers"]) == ("9", "2", "1")


def world_waits() -> None:
    """Two of the three on the waitlist have confirmed their address."""
    WaitlistEntry.objects.filter(email__in=["wait-0@example.com", "wait-1@example.com"]).update(
        confirmed_at=clock.now()
    )


def rows(client: Client, link: str) -> int:
    answer: Any = client.get(link)
    return int(answer.context["counts"]["all"] if "cards" in answer.context else answer.context["cl"].result_count)


def test_a_view_that_does_not_exist_shows_nothing_as_if_it_did(world: World, staff: Staff) -> None:
    assert staff("viewer").get(reverse("admin:core_job_changelist"), {"view": "none"}).status_code == 302
