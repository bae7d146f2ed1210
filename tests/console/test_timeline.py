"""The timeline of one subscriber: every kind of thing that happened, in order, page by page, each with its page."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent
from apps.console.timeline import differences
from apps.console.timeline_lines import describe
from apps.console.timeline_sources import KINDS, Wanted, read_lines
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry
from tests.console.conftest import World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def a_minute_later() -> Callable[[], dt.datetime]:
    moments = iter(range(10_000))
    return lambda: NOW + dt.timedelta(minutes=next(moments))


def live(profile: UserProfile, at: Callable[[], dt.datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each kind, in this order; what `fill` made of other kinds is taken away."""
    for rows in (Signup, Notification, InboundEvent, Job, WaitlistEntry):
        rows.objects.all().delete()
    monkeypatch.setattr(clock, "now", at)
    WaitlistEntry.objects.create(email=profile.email.upper(), created_at=at())
    Signup.objects.create(profile=profile, created_at=at(), state="paid", ended_at=at())
    InboundEvent.objects.create(
        stripe_event_id="evt_paid", type="invoice.paid", object_id="in_7", customer_id=profile.stripe_customer_id or "",
        stripe_created_at=NOW - dt.timedelta(days=2), received_at=at(), source="backfill", body="",
    )  # fmt: skip
    audit.record(
        subject=profile.subject, action=AuditAction.ACCESS_CHANGED, before={"state": "none", "why": {}},
        after={"state": "active", "why": {"code": "paid"}}, reason="a trace",
    )  # fmt: skip
    audit.record(
        subject=profile.subject, action=AuditAction.ATTRIBUTES_WRITTEN, before={"has_cloud": None}, after={"has_cloud": "true"}
    )  # fmt: skip
    job = Job.objects.create(
        kind="reconcile", key=str(profile.pk), lane=f"profile:{profile.pk}", state="dead", attempts=4, not_before=at(), created_at=NOW,
        finished_at=at(), last_error="Keycloak refused it.", history=[{"at": NOW.isoformat(), "outcome": "retry", "reason": "It was slow."}],
    )  # fmt: skip
    Job.objects.create(
        kind="reconcile", key=str(profile.pk), lane="other", state="done", attempts=1, not_before=at(), created_at=at(), finished_at=at()
    )  # fmt: skip
    Notification.objects.create(
        key="welcome:1", template="payment_failed", profile=profile, to=profile.email, state="sent", created_at=at(), sent_at=at()
    )  # fmt: skip
    audit.record(subject=profile.subject, action=AuditAction.LOGGED_IN, actor=audit.CUSTOMER)
    audit.record(
        subject=("job", job.pk), action=AuditAction.JOB_RETRIED, actor="staff:ada", reason="Keycloak is back again", after={"key": "1"}
    )  # fmt: skip


def titles(profile: UserProfile, wanted: Wanted | None = None) -> list[str]:
    """The oldest first."""
    found, _ = read_lines(profile, wanted or Wanted(until=NOW + dt.timedelta(days=30)))
    return [describe(one).title for one in reversed(found)]


EVERYTHING = [
    "Asked for the waitlist of any product", "Began to sign up", "Stripe: An invoice was paid", "Access changed from Never paid to Active",
    "Keycloak attributes written", "Sync access: failed after 4 attempts", "Email: Payment failed", "Logged in", "Job retried",
]  # fmt: skip


def test_everything_that_happened_is_there_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = world.profiles[0]
    live(profile, a_minute_later(), monkeypatch)
    found = [one.lower() for one in titles(profile)]
    assert found == [one.lower() for one in EVERYTHING]
    assert titles(world.profiles[1]) == []


def test_each_line_says_what_was_different_who_and_why_and_leads_to_its_page(
    world: World, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, client = world.profiles[0], staff("admin")
    live(profile, a_minute_later(), monkeypatch)
    monkeypatch.undo()
    address = reverse("admin:accounts_userprofile_timeline", args=[profile.pk])
    text = client.get(address, {"to": "2026-03-31"}).content.decode()
    for said in (
        "Your subscription is active.", "has cloud", "– → <b>true</b>", "Keycloak refused it.", "It was slow.", "by ada",
        "Keycloak is back again", "by the subscriber", "Stripe could not deliver it, so it was fetched.", "It happened at Stripe on 27 Feb 2026",
        "It waits for its job.", 'title="1 Mar 2026, 12:',
    ):  # fmt: skip
        assert said in text, said
    links = set(re.findall(r'fd-entry-action" href="([^"]+)"', text))
    assert len(links) == len(EVERYTHING)
    for link in links:
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("stripe", [2]), ("decisions", [3]), ("steps", [4]), ("jobs", [5]), ("emails", [6]), ("logins", [7]), ("staff", [8]), ("signups", [0, 1]),
    ],
)  # fmt: skip
def test_a_kind_is_shown_alone(kind: str, expected: list[int], world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live(world.profiles[0], a_minute_later(), monkeypatch)
    found = titles(world.profiles[0], Wanted(kind=kind, until=NOW + dt.timedelta(days=30)))
    assert [one.lower() for one in found] == [EVERYTHING[index].lower() for index in expected]
    assert set(KINDS) == {"stripe", "decisions", "steps", "jobs", "emails", "logins", "staff", "signups"}


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("evt_paid", [2]),
        ("in_7", [2]),
        ("welcome:1", [6]),
        ("Keycloak is back", [8]),
        ("has_cloud", [4]),
        ("nothing-like-it", []),
    ],
)
def test_an_id_finds_its_lines(term: str, expected: list[int], world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live(world.profiles[0], a_minute_later(), monkeypatch)
    found = titles(world.profiles[0], Wanted(term=term, until=NOW + dt.timedelta(days=30)))
    assert [one.lower() for one in found] == [EVERYTHING[index].lower() for index in expected]


def test_days_include_the_last_one(world: World, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, client = world.profiles[0], staff("viewer")
    live(profile, a_minute_later(), monkeypatch)
    monkeypatch.undo()
    address = reverse("admin:accounts_userprofile_timeline", args=[profile.pk])

    def count(**asked: str) -> int:
        return client.get(address, asked).content.decode().count("fd-entry-action")

    assert count(**{"from": "2026-03-01", "to": "2026-03-01"}) == len(EVERYTHING)
    assert count(to="2026-02-28") == 0
    assert count(**{"from": "2026-03-02", "to": "2026-03-03"}) == 0
    assert "Nothing like that in this timeline." in client.get(address, {"to": "2026-02-28"}).content.decode()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_leave_nothing_out_and_repeat_nothing(size: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where many things have one moment."""
    profile = world.profiles[0]
    live(profile, lambda: NOW, monkeypatch)
    limit = NOW + dt.timedelta(days=1)
    whole, _ = read_lines(profile, Wanted(until=limit))
    pages, cursor, more = [], None, True
    while more:
        page, more = read_lines(profile, Wanted(until=limit, before=cursor), size=size)
        pages += page
        cursor = page[-1].cursor
    assert [one.cursor for one in pages] == [one.cursor for one in whole]
    assert len(whole) == len(EVERYTHING)


def test_a_page_asks_five_questions_whatever_the_size(world: World, staff: Staff) -> None:
    client, profile = staff("viewer"), world.profiles[0]
    address = reverse("admin:accounts_userprofile_timeline", args=[profile.pk])

    def ask(**asked: str) -> tuple[int, str]:
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            text = client.get(address, asked).content.decode()
        return len(captured), text

    few, _ = ask()
    for _ in range(120):
        audit.record(subject=profile.subject, action=AuditAction.LOGGED_IN, actor=audit.CUSTOMER)
    many, text = ask()
    assert few == many <= 5
    older = re.search(r'rel="next" href="\?([^"]+)"', text)
    assert older
    deep, text = ask(
        **dict(
            part.split("=")
            for part in older[1].replace("&amp;", "&").replace("%3A", ":").replace("%2B", "+").split("&")
        )
    )
    assert deep == many
    assert "Newest" in text


@pytest.mark.parametrize(
    "query",
    [
        "before=x",
        "before=2026-01-01~a~b",
        "before=0001-01-01T00:00:00%2B23:59~entry~1",
        "before=9999-12-31T23:59:59-23:59~entry~1",
        "from=2026-13-99&to=9999-12-31",
        "kind=none",
        "id=%25",
        "id=999999999999999999999",
    ],
)
def test_what_cannot_be_meant_is_not_asked(query: str, world: World, staff: Staff) -> None:
    address = reverse("admin:accounts_userprofile_timeline", args=[world.profiles[0].pk])
    assert staff("viewer").get(f"{address}?{query}").status_code == 200


def test_a_line_says_sizes_as_people_read_them_and_no_number_of_a_row() -> None:
    before = {"quota": None, "enabled": False, "membership": None}
    after = {"quota": 200 * 2**30, "enabled": True, "membership": 4}
    entry = AuditEntry(subject_kind="profile", action="product_account_changed", before=before, after=after)
    assert differences(entry) == [("enabled", "no", "yes"), ("quota", "–", "200 GB")]


def test_an_email_says_what_became_of_it(world: World, staff: Staff) -> None:
    profile = world.profiles[0]
    Notification.objects.filter(profile=profile).update(
        state="sent",
        sent_at=clock.now(),
        delivery="bounced",
        delivery_at=clock.now(),
        delivery_reason="No such mailbox",
    )
    client = staff("viewer")
    for address in ("change", "timeline"):
        text = client.get(reverse(f"admin:accounts_userprofile_{address}", args=[profile.pk])).content.decode()
        assert '<span class="fd-badge fd-bad">Bounced</span>' in text
        assert "No such mailbox" in text


def test_someone_elses_things_are_not_there(world: World) -> None:
    first, second = world.profiles[:2]
    audit.record(subject=second.subject, action=AuditAction.LOGGED_IN, actor=audit.CUSTOMER)
    assert "Logged in" not in [describe(one).title for one in read_lines(first, Wanted())[0]]
    mine = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(first.pk)).values_list("pk", flat=True)
    shown = {int(one.row) for one in read_lines(first, Wanted())[0] if one.source == "entry"}
    assert shown == set(mine)


def test_the_subscribers_page_leaves_out_events_that_changed_nothing(world: World, staff: Staff) -> None:
    dana = world.profiles[0]
    for kind, state in (("charge.failed", "ignored"), ("invoice.paid", "handled")):
        InboundEvent.objects.create(
            stripe_event_id=f"evt_{state}", type=kind, object_id=f"obj_{state}", customer_id=dana.stripe_customer_id or "", state=state,
            stripe_created_at=clock.now(), received_at=clock.now(), handled_at=clock.now(), body="",
        )  # fmt: skip
    client = staff("support")
    page = client.get(reverse("admin:accounts_userprofile_change", args=[dana.pk])).content.decode()
    assert "obj_handled" in page
    assert "obj_ignored" not in page
    whole = client.get(reverse("admin:accounts_userprofile_timeline", args=[dana.pk])).content.decode()
    assert "obj_ignored" in whole
