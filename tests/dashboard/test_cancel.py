"""A subscriber cancels and takes it back, on our own pages: what is said before, what happens at Stripe, and never for another."""

import datetime as dt
import re
import uuid
from html import unescape
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry, Job
from apps.dashboard.views_cancel import read_endings
from apps.onboarding import contracts
from apps.onboarding.contracts import Wish
from tests.dashboard.conftest import Catalog, person, subscribe
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
HOME, PAGE, CONFIRM, UNDO = (
    "/dashboard/",
    "/dashboard/plan/cancel/",
    "/dashboard/plan/cancel/confirm/",
    "/dashboard/plan/cancel/undo/",
)


def browser(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def text(answer: HttpResponse) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def said(answer: HttpResponse) -> str:
    return " ".join(str(one) for one in get_messages(answer.wsgi_request))


def form(profile: UserProfile, key: str = "", **more: str) -> dict[str, str]:
    return {"subscription": f"{profile.stripe_subscription_id}", "key": key or uuid.uuid4().hex} | more


def day_of(profile: UserProfile, *, later: int = 0) -> str:
    ends = Subscription.objects.get(customer_id=profile.stripe_customer_id).current_period_end
    assert ends is not None
    day = ends + dt.timedelta(days=later)
    return f"{day.day} {day:%B %Y}"


def lines(profile: UserProfile) -> list[tuple[str, str]]:
    changes = ("cancellation_scheduled", "cancellation_undone")
    found = AuditEntry.objects.filter(subject_id=str(profile.pk), action__in=changes).order_by("id")
    return list(found.values_list("actor", "action"))


def receipts(world: World, profile: UserProfile) -> list[str]:
    found = [one["text"] for one in world.standin.inbox(profile.email) if "your cancellation" in one["subject"]]
    assert all(f"It ends on {day_of(profile)}" in one and "under “Keep my subscription”" in one for one in found)
    assert not any("ends on" in subject for subject in world.mails(profile))  # one receipt, not two
    return found


def test_the_page_says_when_it_ends_and_what_is_kept_and_calls_nobody(world: World, settings: Any) -> None:
    settings.FINAL_EXPIRY_DAYS = 30
    dana = world.subscriber("dana")
    asked = len(world.requests)
    page = text(browser(dana).get(PAGE))
    for words in (
        f"Until {day_of(dana)}",
        "These apps close for you: Nextcloud.",
        f"Until {day_of(dana, later=30)}",
        "(optional)",
    ):
        assert words in page, words
    assert len(world.requests) == asked


def test_apps_that_are_given_in_another_way_are_not_said_to_close(world: World) -> None:
    dana, by = world.subscriber("dana", plus=1), {"actor": "staff:ada", "reason": "a friend of the house"}
    (one,) = read_endings(dana)
    assert one.ends_at is not None
    assert (one.closes, one.loses_nothing) == (("Nextcloud", "Vaultwarden"), False)
    vaultwarden = Product.objects.get(slug="vaultwarden")
    before, after = one.ends_at - DAY, one.ends_at + DAY
    short = overrides.grant(profile=dana, products=[vaultwarden], until=before, **by)
    assert read_endings(dana)[0].closes == ("Nextcloud", "Vaultwarden")  # the grant is over by then
    overrides.lift(override=short, **by)
    overrides.grant(profile=dana, products=[vaultwarden], until=after, **by)
    assert read_endings(dana)[0].closes == ("Nextcloud",)
    assert "These apps close for you: Nextcloud." in text(browser(dana).get(PAGE))
    overrides.grant(profile=dana, products=[Product.objects.get(slug="plus")], until=after, **by)
    (one,) = read_endings(dana)
    assert one.closes == ()
    assert contracts.read_contracts(dana)[0].ends_at == one.ends_at


UNPAID: dict[str, dict[str, Any]] = {
    "in grace that is over before the end": {"status": "past_due", "past_due_since": clock.now() - DAY},
    "unpaid": {"status": "unpaid"},
    "its money went back": {"money_returned": "refunded"},
    "paused until somebody pays": {"status": "paused"},
    "its end has just passed": {"current_period_end": clock.now() - DAY},
}


@pytest.mark.parametrize("name", UNPAID)
def test_who_has_not_paid_is_not_told_to_have_it_in_another_way(catalog: Catalog, settings: Any, name: str) -> None:
    """Nothing gives it besides; a grant of another app gives nothing of it either."""
    settings.PAYMENT_GRACE_DAYS = 7
    nora = person("nora")
    subscribe(nora, catalog.plan, **{"current_period_end": clock.now() + 20 * DAY} | UNPAID[name])
    assert [one.loses_nothing for one in read_endings(nora)] == [False]
    by = {"actor": "staff:ada", "reason": "a friend of the house"}
    wiki = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    overrides.grant(profile=nora, products=[wiki], until=clock.now() + 40 * DAY, **by)
    assert [one.loses_nothing for one in read_endings(nora)] == [False]
    assert "yours in another way" not in text(browser(nora).get(PAGE))
    overrides.grant(profile=nora, products=[catalog.plan], until=clock.now() + 40 * DAY, **by)
    assert [(one.closes, one.loses_nothing) for one in read_endings(nora)] == [((), True)]


def test_it_is_canceled_with_a_receipt_and_taken_back(world: World) -> None:
    dana = world.subscriber("dana")
    client = browser(dana)
    done = client.post(CONFIRM, form(dana, feedback="too_expensive"))
    assert done["Location"] == HOME
    assert f"Your subscription ends on {day_of(dana)}." in said(done)
    page = text(client.get(PAGE))
    assert f"You've canceled. It ends on {day_of(dana)}" in page  # confirmed at once, whatever Stripe does
    assert "Keep my subscription" not in page
    assert "being updated" in text(client.get(HOME))
    assert "being changed right now" in said(client.post(UNDO, form(dana)))
    world.work()
    stripe = world.stripe_state(dana)
    assert (stripe["cancel_at_period_end"], stripe["cancellation_details"]["feedback"]) == (True, "too_expensive")
    world.skip()  # Stripe's event is late: the page does not wait for it
    assert f"Ends on {day_of(dana)}" in text(client.get(HOME))
    assert f"It ends on {day_of(dana)}" in text(client.get(PAGE))
    assert len(receipts(world, dana)) == 1
    done = client.post(UNDO, form(dana))
    assert "goes on as before" in said(done)
    assert world.stripe_state(dana)["cancel_at"] is None
    world.work()
    assert "Ends on" not in text(client.get(HOME))
    assert lines(dana) == [("customer", "cancellation_scheduled"), ("customer", "cancellation_undone")]
    assert world.state(dana).access == "active"
    client.post(CONFIRM, form(dana))
    world.work()
    world.deliver()
    assert len(receipts(world, dana)) == 2  # who cancels once more has another receipt, for the same day


RENEWS, OFFERS_CHANGE = "Your subscription renews", "Change plan or storage"


@pytest.fixture
def ivy(catalog: Catalog) -> UserProfile:
    """A subscriber whose stored forecast says that it renews in 20 days; what she states is carried out by nobody."""
    due = clock.now() + 20 * DAY
    renews = {"at": due.isoformat(), "change": "renews", "state": "active", "about": "sub_0"}
    found = person("ivy", forecast=[renews])
    subscribe(found, catalog.plan, current_period_end=due)
    UserSubscriptionItem.objects.update(current_period_end=due)
    ProductPrice.objects.create(
        product=catalog.plan, stripe_price_id="price_home", interval="month", unit_amount=1250, currency="eur"
    )
    return found


def says(profile: UserProfile) -> tuple[bool, bool, bool]:
    """Whether the pages say that it ends, that it renews, and that the plan can be changed; they agree with each other."""
    profile.refresh_from_db()
    home, plan = (text(browser(profile).get(page)) for page in (HOME, "/dashboard/plan/"))
    assert (OFFERS_CHANGE in home) == ("You've canceled" not in plan)
    assert ("Ends on" in home) != ("Next charge" in home)
    return "Ends on" in home, RENEWS in home, OFFERS_CHANGE in home


def test_every_page_says_what_was_stated_last_before_anything_is_carried_out(ivy: UserProfile) -> None:
    ends, goes_on = (True, False, False), (False, True, True)
    assert says(ivy) == goes_on
    contracts.state(ivy, "sub_0", Wish.CANCEL)
    assert says(ivy) == ends
    assert "Your subscription ends. Your apps close" in text(browser(ivy).get(HOME))
    Job.objects.filter(kind=contracts.KIND).update(state="dead", finished_at=clock.now())  # staff have to mend it
    assert says(ivy) == ends
    end = Subscription.objects.get().current_period_end
    Job.objects.filter(kind=contracts.KIND).update(state="done")
    Subscription.objects.update(cancel_at=end)
    UserProfile.objects.update(pending_since=clock.now())  # carried out, and no sync has seen it
    assert says(ivy) == ends
    stale = {"at": (clock.now() + 20 * DAY).isoformat(), "change": "subscription_ends", "state": "canceled"}
    UserProfile.objects.update(forecast=[stale])
    Subscription.objects.update(cancel_at=None)  # taken back, and no sync has seen that
    assert says(ivy) == goes_on
    assert "Your subscription ends." not in text(browser(ivy).get(HOME))


def test_who_withdrew_is_offered_neither_a_change_nor_the_way_back(ivy: UserProfile) -> None:
    contracts.state(ivy, "sub_0", Wish.WITHDRAW)
    assert says(ivy) == (True, False, False)
    assert "Keep my subscription" not in text(browser(ivy).get(HOME))


def test_what_is_sent_twice_is_done_once(world: World) -> None:
    dana = world.subscriber("dana")
    client, key = browser(dana), uuid.uuid4().hex
    for _ in range(2):
        assert "ends on" in said(client.post(CONFIRM, form(dana, key)))
    world.work()
    for _ in range(2):
        assert "goes on" in said(client.post(UNDO, form(dana, key)))
    assert len(lines(dana)) == 2


def test_nobody_cancels_for_another(world: World) -> None:
    dana, omar = world.subscriber("dana"), world.subscriber("omar")
    before = world.stripe_state(dana)
    for address in (CONFIRM, UNDO):
        assert "isn't yours" in said(browser(omar).post(address, form(dana)))
        assert Client().post(address, form(dana))["Location"].endswith(f"?next={PAGE}")
        assert browser(dana).get(address).status_code == 405
    assert world.stripe_state(dana) == before
    assert lines(dana) == lines(omar) == []


def test_it_ends_on_the_day_and_what_is_canceled_is_shown_as_that(world: World) -> None:
    dana = world.subscriber("dana")
    browser(dana).post(CONFIRM, form(dana))
    world.work()
    world.deliver()
    world.pass_time(days=32)
    world.deliver()
    assert world.stripe_state(dana)["status"] == "canceled"
    assert world.state(dana).access == "canceled"


@pytest.mark.parametrize("fault", ["http_503", "lost_answer"])
def test_a_cancellation_counts_at_once_and_is_done_when_stripe_is_back(world: World, fault: str) -> None:
    dana, stranger = world.subscriber("dana"), world.subscriber("sam")
    world.fault("stripe", fault, path="/v1/subscriptions/", method="POST")
    for _ in range(2):
        assert "ends on" in said(browser(dana).post(CONFIRM, form(dana, feedback="unused")))
    world.work()
    assert len(receipts(world, dana)) == 1
    assert "You've canceled." in text(browser(dana).get(PAGE))
    assert "You've canceled." not in text(browser(stranger).get(PAGE))
    world.fault("stripe", "ok")
    world.retry()
    world.deliver()
    stripe = world.stripe_state(dana)
    assert (stripe["cancel_at_period_end"], stripe["cancellation_details"]["feedback"]) == (True, "unused")
    assert "Keep my subscription" in text(browser(dana).get(PAGE))
    assert len(receipts(world, dana)) == 1


def test_a_cancellation_that_staff_had_to_retry_is_carried_out_and_can_be_taken_back(world: World) -> None:
    """The job that failed stays in the list, superseded; nothing of it is still to come."""
    dana = world.subscriber("dana")
    client = browser(dana)
    client.post(CONFIRM, form(dana))
    Job.objects.filter(kind=contracts.KIND).update(state="dead", finished_at=clock.now())
    assert [*contracts.find_pending(dana)] == [dana.stripe_subscription_id]
    jobs.retry(Job.objects.get(kind=contracts.KIND), actor="staff:ada")
    world.deliver()
    assert set(Job.objects.filter(kind=contracts.KIND).values_list("state", flat=True)) == {"superseded", "done"}
    assert contracts.find_pending(dana) == {}
    assert "Keep my subscription" in text(client.get(PAGE))
    assert "goes on as before" in said(client.post(UNDO, form(dana)))
    assert world.stripe_state(dana)["cancel_at"] is None


def take_back(profile: UserProfile) -> None:
    """As staff do it; the call at Stripe is not what is tested here."""
    after = {"at_stripe": profile.stripe_subscription_id}
    audit.record(subject=profile.subject, action=AuditAction.CANCELLATION_UNDONE, actor="staff:ada", after=after)


def test_what_staff_took_back_after_its_job_had_failed_is_not_carried_out_by_a_retry(world: World) -> None:
    dana = world.subscriber("dana")
    client = browser(dana)
    client.post(CONFIRM, form(dana))
    Job.objects.filter(kind=contracts.KIND).update(state="dead", finished_at=clock.now())
    take_back(dana)
    assert contracts.find_pending(dana) == {}
    assert "You've canceled." not in text(client.get(PAGE))
    jobs.retry(Job.objects.get(kind=contracts.KIND), actor="staff:ada")
    world.deliver()
    assert "done" in Job.objects.filter(kind=contracts.KIND).values_list("state", flat=True)
    assert not world.stripe_state(dana)["cancel_at_period_end"]
    client.post(CONFIRM, form(dana))  # who cancels after all has the last word again
    world.deliver()
    assert world.stripe_state(dana)["cancel_at_period_end"]


def test_no_withdrawal_is_taken_back_with_a_cancellation(world: World) -> None:
    dana = world.subscriber("dana")
    made = contracts.state(dana, dana.stripe_subscription_id or "", Wish.WITHDRAW)
    take_back(dana)
    assert contracts.find_pending(dana) == {made.subscription_id: made}
    assert contracts.read_contracts(dana)[0].stated == made


def test_a_cancellation_says_no_date_while_stripe_has_said_none(world: World) -> None:
    dana = world.subscriber("dana")
    browser(dana).post(CONFIRM, form(dana))
    Subscription.objects.filter(customer_id=dana.stripe_customer_id).update(current_period_end=None)
    answer = browser(dana).get(PAGE)
    assert "Your contract ends with the time you've paid for. You won't be charged again." in text(answer)
    assert b'datetime=""' not in answer.content


def test_a_withdrawal_on_its_way_is_not_shown_as_a_cancellation(world: World) -> None:
    dana = world.subscriber("dana")
    made = contracts.state(dana, dana.stripe_subscription_id or "", Wish.WITHDRAW)
    (one,) = read_endings(dana)
    assert (one.ends_at, one.withdrawn_at, one.is_canceled) == (made.at, made.at, True)
    page = text(browser(dana).get(PAGE))
    assert f"You withdrew from this contract on {made.at.day} {made.at:%B %Y} at {made.at:%H:%M} UTC." in page
    assert "Your contract has ended." in page
    for words in ("You've canceled.", "Until then", "Keep my subscription"):
        assert words not in page


def test_too_many_changes_are_refused(world: World, settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"plan_changes": ((1, 3600),)}
    dana = world.subscriber("dana")
    client = browser(dana)
    client.post(CONFIRM, form(dana))
    world.work()
    assert "many times" in said(client.post(UNDO, form(dana)))
    assert world.stripe_state(dana)["cancel_at_period_end"]
