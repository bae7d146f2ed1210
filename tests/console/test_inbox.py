"""The inbox: one problem is one card, its numbers are those of the lists they open, and what staff decide about it holds."""

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.console import dashboard, navigation
from apps.console.inbox import read_cards
from apps.core import attention, clock
from apps.core.attention import Cause
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.notifications.models import Notification
from apps.operations.models import Drift
from tests.console.conftest import World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
NUMBER = re.compile(r'data-rows="(\d+)" href="([^"]+)"')
WHY = {"reason": "agreed at the stand-up", "_form_submitted": "1"}
DAY = dt.timedelta(days=1)


@pytest.fixture
def quiet(world: World) -> World:
    """The world without what it has that needs staff."""
    Job.objects.all().delete()
    Drift.objects.all().delete()
    AttentionItem.objects.all().delete()
    Notification.objects.all().delete()
    return world


def stuck(kind: str, key: Any, error: str) -> Job:
    now = clock.now()
    return Job.objects.create(
        kind=kind,
        key=str(key),
        lane=f"{kind}:{key}",
        state="blocked",
        not_before=now,
        created_at=now,
        finished_at=now,
        last_error=error,
    )


def busy(world: World) -> None:
    """Two disputes, one reason that stuck four jobs of three people, another job, an unsent email and drift."""
    first, second, third = world.profiles
    UserProfile.objects.filter(pk__in=[first.pk, second.pk]).update(monthly_amount=1200, monthly_currency="eur")
    UserProfile.objects.filter(pk=third.pk).update(monthly_amount=500, monthly_currency="usd")
    attention.report(Cause.DISPUTE, "dp_1", "A payment is disputed.", profiles=[first.pk])
    attention.report(Cause.DISPUTE, "dp_2", "A payment is disputed.", profiles=[first.pk, second.pk])
    stuck("reconcile", first.pk, "Keycloak has no group /frontdesk/cloud-1; create it there.")
    stuck("mirror_customer", "cus_0001", "Keycloak has no group /frontdesk/cloud-2; create it there.")
    stuck("handle_event", "evt_0002", "Keycloak has no group /frontdesk/cloud-1; create it there.")
    stuck("notify_welcome", f"{first.pk}:12", "Keycloak has no group /frontdesk/cloud-1; create it there.")
    stuck("check_prices", "periodic", "Stripe refuses our key; check STRIPE_SECRET_KEY.")
    email = Notification.objects.create(
        key="m1",
        template="welcome",
        profile=third,
        to=third.email,
        state="failed",
        error="Mailgun refuses it.",
        created_at=clock.now(),
    )
    stuck("send_notification", email.pk, f"Mailgun refuses mail {email.pk}: 400")
    Drift.objects.create(profile=second, kind="access", steps=[], first_seen_at=clock.now(), last_seen_at=clock.now())
    dashboard.forget()


def shown(client: Client, **query: str) -> str:
    return html.unescape(client.get(reverse("admin:inbox"), query).content.decode())


def post(client: Client, action: str, problem: str, **data: str) -> Any:
    url = reverse(f"admin:core_attentionitem_{action}")
    assert client.get(url, {"problem": problem}).status_code == 200
    return client.post(f"{url}?problem={problem}", WHY | data)


def test_one_problem_is_one_card_with_its_people_and_their_money(quiet: World) -> None:
    busy(quiet)
    cards = {card.title: card for card in read_cards()}
    assert set(cards) == {
        "A payment is disputed", "Stuck: Email: Welcome, Process Stripe event and 2 more", "Stuck: Check offered prices",
        "Emails not sent", "Drift: wrong entitlements",
    }  # fmt: skip
    told = {
        title: (card.problem.rows, card.problem.jobs, card.affected.count, card.money) for title, card in cards.items()
    }
    assert told == {
        "A payment is disputed": (2, 0, 2, "€24"),
        "Stuck: Email: Welcome, Process Stripe event and 2 more": (4, 4, 3, "€24 + $5"),
        "Stuck: Check offered prices": (1, 1, 0, ""),
        "Emails not sent": (1, 0, 1, "$5"),
        "Drift: wrong entitlements": (1, 0, 1, "€12"),
    }


def test_each_number_opens_a_list_with_exactly_that_many_rows(quiet: World, staff: Staff) -> None:
    busy(quiet)
    attention.snooze(
        AttentionItem.objects.filter(key="dp_1"),
        until=clock.now() + DAY,
        actor="staff:bob",
        reason="waits for the bank",
    )
    attention.report(Cause.DISPUTE, "dp_3", "A payment is disputed.", profiles=[one.pk for one in quiet.profiles])
    client = staff("admin")
    for page in (reverse("admin:inbox"), reverse("admin:index")):
        numbers = [(int(rows), html.unescape(url)) for rows, url in NUMBER.findall(client.get(page).content.decode())]
        assert len(numbers) > 6
        for rows, url in numbers:
            answer = client.get(urlsplit(url).path, dict(parse_qsl(urlsplit(url).query)))
            assert answer.status_code == 200, url
            assert answer.context["cl"].result_count == rows, url
    menu = client.get(reverse("admin:inbox")).context["sidebar_navigation"]
    badges = {item["title"]: item.get("badge") for group in menu for item in group["items"]}
    assert (badges["Inbox"], len(read_cards())) == ("8", 5)  # and three requests for approval


def test_jobs_whose_reason_an_item_tells_are_behind_it_and_run_again_with_it(quiet: World, staff: Staff) -> None:
    reason = "Keycloak refused to create the account (username too short)."
    person = quiet.profiles[0]
    attention.report(
        Cause.ACCOUNT_REFUSED, str(person.pk), f"Subscriber has no account. {reason} Correct it.", profiles=[person.pk]
    )
    stuck("reconcile", person.pk, reason)
    (card,) = read_cards()
    assert (card.title, card.problem.jobs, card.affected.count) == ("Keycloak refuses an account", 1, 1)
    client = staff("operator")
    assert client.get(card.jobs_url).context["cl"].result_count == 1
    preview = client.get(
        reverse("admin:core_attentionitem_retry_group"), {"problem": card.problem.name}
    ).content.decode()
    assert "1 job will run again" in preview
    assert person.user.username in preview
    assert "HX-Redirect" in post(client, "retry_group", card.problem.name)
    assert Job.objects.filter(kind="reconcile", key=str(person.pk), state="queued").count() == 1
    attention.ignore(attention.open_items(), actor="staff:bob", reason="known to the family")
    assert read_cards() == []


def test_retrying_a_group_leaves_the_others_and_says_so_in_the_audit_log(quiet: World, staff: Staff) -> None:
    busy(quiet)
    (name,) = [card.problem.name for card in read_cards() if card.problem.jobs == 4]
    assert "HX-Redirect" in post(staff("operator"), "retry_group", name)
    assert set(Job.objects.filter(state="queued").values_list("kind", flat=True)) == {
        "reconcile", "mirror_customer", "handle_event", "notify_welcome",
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="job_retried", reason=WHY["reason"]).count() == 4


def test_a_group_is_assigned_and_found_by_who_deals_with_it(quiet: World, staff: Staff) -> None:
    busy(quiet)
    client = staff("operator")
    assert "Nothing is assigned to you." in shown(client, **{"for": "mine"})
    me = client.get(reverse("admin:inbox")).wsgi_request.user.get_username()
    post(client, "assign_group", "attention:dispute", assignee=me)
    assert set(AttentionItem.objects.values_list("assignee", flat=True)) == {me}
    mine = shown(client, **{"for": "mine"})
    assert f"Assigned to {me}." in mine
    assert "Drift: " not in mine
    address = reverse("admin:core_attentionitem_changelist")
    for query, rows in (({"assigned": "me"}, 2), ({"assigned": "nobody"}, 0), ({"view": "assigned"}, 2)):
        assert client.get(address, query).context["cl"].result_count == rows, query
    assert AuditEntry.objects.filter(action="attention_assigned", actor=f"staff:{me}").count() == 2


def test_what_is_snoozed_comes_back_after_its_day_and_a_report_does_not_wake_it(
    quiet: World, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(quiet)
    day = (clock.now() + DAY).date()
    post(staff("operator"), "snooze_group", "attention:dispute", until=day.isoformat())
    attention.report(Cause.DISPUTE, "dp_1", "A payment is disputed again.")
    assert "A payment is disputed" not in {card.title for card in read_cards()}
    assert AttentionItem.objects.filter(key="dp_1").count() == 1
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 2 * DAY)
    assert "A payment is disputed" in {card.title for card in read_cards()}


def test_a_cause_that_returns_after_it_was_closed_is_a_new_item_that_nobody_snoozed(quiet: World) -> None:
    attention.report(Cause.DISPUTE, "dp_1", "A payment is disputed.")
    attention.ignore(attention.open_items(), actor="staff:bob", reason="known to the family")
    assert not attention.needing_staff().exists()
    attention.resolve(Cause.DISPUTE, "dp_1")
    attention.report(Cause.DISPUTE, "dp_1", "A payment is disputed.")
    assert attention.needing_staff().count() == 1


def test_what_is_ignored_stays_away_until_it_is_brought_back(quiet: World, staff: Staff) -> None:
    busy(quiet)
    client, item = staff("operator"), AttentionItem.objects.get(key="dp_1")
    post(client, "ignore_group", "attention:dispute")
    attention.report(Cause.DISPUTE, "dp_1", "A payment is disputed.")
    attention.report(Cause.DISPUTE, "dp_9", "Another one.")
    (card,) = [card for card in read_cards() if card.title == "A payment is disputed"]
    assert card.problem.rows == 1
    page = client.get(reverse("admin:core_attentionitem_change", args=[item.pk])).content.decode()
    assert f"staff:operator-ada: {WHY['reason']}" in page
    assert "HX-Redirect" in client.post(reverse("admin:core_attentionitem_bring_back", args=[item.pk]), WHY)
    assert attention.needing_staff().filter(key="dp_1").exists()


def test_a_problem_that_is_over_is_refused(quiet: World, staff: Staff) -> None:
    for name in ("attention:dispute", "jobs:none", "nonsense", ""):
        answer = post(staff("operator"), "ignore_group", name)
        assert "HX-Redirect" not in answer
        assert "This problem is over" in answer.content.decode()
    for model in ("core_job", "accounts_userprofile", "notifications_notification"):
        assert staff("viewer").get(reverse(f"admin:{model}_changelist"), {"problem": "a b"}).status_code == 302


def test_staff_who_may_not_act_see_no_buttons_and_staff_without_a_role_no_inbox(quiet: World, staff: Staff) -> None:
    busy(quiet)
    assert "Retry the group" not in shown(staff("support"))
    assert "Retry the group" in shown(staff("operator"))
    client = staff("")
    assert client.get(reverse("admin:inbox")).status_code == 403


@pytest.mark.parametrize("count", [1, 40])
def test_the_inbox_costs_the_same_however_much_is_wrong(count: int, quiet: World, staff: Staff) -> None:
    busy(quiet)
    for number in range(count):
        attention.report(
            Cause.DISPUTE, f"dp_{number}", "A payment is disputed.", profiles=[one.pk for one in quiet.profiles]
        )
        stuck("reconcile", 10**6 + number, f"The {number} disk is full.")
    client = staff("operator")
    shown(client)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        shown(client)
    assert len(queries) <= 8


def test_jobs_opens_on_what_is_stuck_and_names_the_people(quiet: World, staff: Staff) -> None:
    busy(quiet)
    now, client, address = clock.now(), staff("operator"), reverse("admin:core_job_changelist")
    for kind, key in (("sweep_access", "periodic"), ("reconcile", "1")):
        Job.objects.create(kind=kind, key=key, lane=kind, state="done", not_before=now, created_at=now, finished_at=now)
    counts = {
        query: client.get(f"{address}?{query}").context["cl"].result_count
        for query in ("", "is=work", "is=all", "state__exact=done", "q=sweep_access", "view=stuck")
    }
    assert counts == {"": 6, "is=work": 7, "is=all": 8, "state__exact=done": 2, "q=sweep_access": 1, "view=stuck": 6}
    answer = client.get(address)
    for person in quiet.profiles:
        page = reverse("admin:accounts_userprofile_change", args=[person.pk])
        assert f'href="{page}">{person.user.username}</a>' in answer.content.decode()
    for query, tab in (("", "Stuck"), ("?is=work", "All"), ("?state__exact=done", "Done")):
        request = client.get(address + query).wsgi_request
        (row,) = [one for one in navigation.tabs(request) if one["models"] == ["core.job"]]
        assert [one["title"] for one in row["items"] if one["active"]] == [tab]


def test_selected_jobs_are_shown_with_whom_they_are_for_before_they_run_again(quiet: World, staff: Staff) -> None:
    busy(quiet)
    client, person = staff("operator"), quiet.profiles[0]
    job, other = Job.objects.get(kind="reconcile"), Job.objects.get(kind="mirror_customer")
    url = f"{reverse('admin:core_job_retry_selected')}?jobs={job.pk}&jobs={other.pk}"
    preview = client.get(url).content.decode()
    assert "2 jobs will run again" in preview
    assert person.user.username in preview
    assert "HX-Redirect" in client.post(url, WHY)
    assert Job.objects.filter(state="queued").count() == 2
    assert "No stuck job is selected" in client.get(reverse("admin:core_job_retry_selected")).content.decode()
    assert (
        f"job {job.pk}"
        not in client.get(
            reverse("admin:core_job_changelist"), {"is": "all", "state__exact": "queued"}
        ).content.decode()
    )
