"""What a member has from who pays: a table of payer and membership, through the facts to the decision of the unchanged policy."""

import datetime as dt
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from apps.access import announcements, facts, memberships, sharing
from apps.access.forecast import forecast
from apps.access.policy import decide
from apps.access.upcoming import Upcoming, read_all
from apps.accounts.models import Membership, UserProfile
from apps.billing.models import Subscription
from apps.catalog.entitlements import Entitlements
from apps.catalog.models import Product
from apps.core import clock, jobs
from apps.core.reasons import Reason
from apps.core.states import AccessState
from apps.notifications.models import Notification
from apps.operations import bulk_facts
from tests.dashboard.conftest import Catalog, person, subscribe
from tests.dashboard.conftest import catalog as catalog

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
migration = import_module("apps.accounts.migrations.0040_shared_reasons")


def share(catalog: Catalog, people: int = 3) -> None:
    """The plan is for several from now on, and gives numbers to each."""
    Product.objects.filter(pk=catalog.plan.pk).update(people=people, grants={"storage_gb": 100})
    Product.objects.filter(pk=catalog.storage.pk).update(grants={"storage_gb": 50})


def make_member(payer: UserProfile, name: str = "mia", **more: Any) -> UserProfile:
    """Somebody who has joined ten days ago."""
    member = person(name, stripe_customer_id=None, access_state="none", access_reason={})
    then = clock.now() - 10 * DAY
    row = Membership.objects.create(
        **{"payer": payer, "member": member, "email": member.email, "invited_at": then, "accepted_at": then} | more
    )
    member.membership = row
    member.save(update_fields=["membership"])
    return member


def decided(member: UserProfile) -> Any:
    """The decision, which is the same for one as for many at once."""
    decision = decide(facts.read_facts(member))
    together = bulk_facts.decide_many(UserProfile.objects.filter(pk=member.pk))[member.pk]
    assert (decision.state, decision.entitlements, decision.until) == (
        together.state,
        together.entitlements,
        together.until,
    )
    return decision


PAYER = {
    "active": ({}, "active"),
    "in a trial": ({"status": "trialing"}, "active"),
    "late": ({"status": "past_due", "past_due_since": clock.now() - DAY}, "suspended"),
    "unpaid": ({"status": "unpaid"}, "suspended"),
    "refunded": ({"money_returned": "refunded"}, "suspended"),
    "in a status that is new to us": ({"status": "unknown"}, "none"),
    "canceled": ({"status": "canceled", "ended_at": clock.now() - DAY}, "canceled"),
    "canceled long ago": ({"status": "canceled", "ended_at": clock.now() - 5 * DAY}, "canceled"),
}


@pytest.mark.parametrize("name", PAYER)
def test_a_member_has_what_the_payers_money_is_worth(catalog: Catalog, name: str) -> None:
    share(catalog)
    payer, (columns, state) = person("pat"), PAYER[name]
    subscribe(payer, catalog.plan, catalog.storage, **columns)
    member = make_member(payer)
    assert decided(member).state == state
    assert decided(person("stranger")).state == "none"


def test_each_has_the_plan_once_and_the_payer_alone_has_add_ons(catalog: Catalog) -> None:
    share(catalog)
    payer = person("pat")
    one = subscribe(payer, catalog.plan, catalog.storage)
    one.items.filter(product=catalog.plan).update(quantity=3)
    member = make_member(payer)
    assert decided(payer).entitlements.grants == {"storage_gb": 200}  # 100 of the plan, and twice 50
    assert decided(member).entitlements.grants == {"storage_gb": 100}
    assert decided(member).entitlements.apps == {"cloud", "notes"}
    assert memberships.count_people(payer) == memberships.PeopleCount(people=9, members=1)


def test_a_membership_that_ended_is_like_a_subscription_that_was_canceled_then(catalog: Catalog) -> None:
    share(catalog)
    payer = person("pat")
    subscribe(payer, catalog.plan)
    member = make_member(payer)
    row = Membership.objects.get(member=member)
    assert memberships.end(row, Membership.End.REMOVED, actor="customer", reason="test")
    assert not memberships.end(row, Membership.End.REMOVED, actor="customer", reason="test")
    row.refresh_from_db()
    decision = decided(member)
    assert (decision.state, decision.until, row.products) == (
        "canceled",
        row.ended_at + 30 * DAY,
        [catalog.plan.pk],
    )
    assert decision.entitlements == Entitlements()


def test_who_pays_themselves_keeps_access_when_the_membership_ends(catalog: Catalog) -> None:
    share(catalog)
    payer = person("pat")
    subscribe(payer, catalog.plan)
    member = make_member(payer)
    UserProfile.objects.filter(pk=member.pk).update(stripe_customer_id="cus_mia")
    member.refresh_from_db()
    subscribe(member, catalog.plan)
    assert decided(member).entitlements.grants == {"storage_gb": 100}  # a second subscription adds no number twice
    memberships.end(Membership.objects.get(member=member), Membership.End.LEFT, actor="customer", reason="test")
    assert decided(member).state == "active"


def test_a_payer_of_whom_nothing_is_shared_any_more_never_opens_or_releases_anything(catalog: Catalog) -> None:
    payer = person("pat")
    subscribe(payer, catalog.plan)
    member = make_member(payer)
    decision = decided(member)
    assert (decision.state, decision.until, decision.seats) == ("canceled", None, "retained")


def test_a_decision_about_the_payers_money_counts_for_members_and_others_do_not(catalog: Catalog) -> None:
    share(catalog)
    payer = person("pat")
    subscribe(payer, catalog.plan, status="past_due", past_due_since=clock.now() - DAY)
    member = make_member(payer)
    now = clock.now()
    for kind, ends, state in (("hold", None, "suspended"), ("no_suspend", now + DAY, "grace")):
        payer.overrides.create(
            kind=kind, reason="test", created_by="staff:ada", created_at=now, starts_at=now, ends_at=ends
        )
        assert decided(member).state == state


def test_the_newest_go_first_and_nobody_while_nothing_runs(catalog: Catalog) -> None:
    share(catalog, people=1)
    payer = person("pat")
    one = subscribe(payer, catalog.plan)
    one.items.update(quantity=3)
    first, second = make_member(payer), make_member(payer, "ned", accepted_at=clock.now() - 5 * DAY)
    now = clock.now()
    Membership.objects.create(payer=payer, email="ida@example.com", invited_at=now)
    memberships.sync_members(str(payer.pk))
    assert set(Membership.objects.filter(ended_at=None).values_list("member", flat=True)) == {first.pk, second.pk}
    one.items.update(quantity=2)
    memberships.sync_members(str(payer.pk))
    ended = Membership.objects.exclude(ended_at=None).order_by("pk").values_list("member", "end")
    assert list(ended) == [(second.pk, "reduced"), (None, "withdrawn")]
    one.items.update(quantity=1)
    one.status, one.ended_at = "canceled", now
    one.save()
    memberships.sync_members(str(payer.pk))
    assert Membership.objects.filter(member=first, ended_at=None).exists()


def test_a_price_that_we_do_not_know_empties_no_family(catalog: Catalog) -> None:
    """Stripe's price was replaced, and nobody has mapped the new one yet: nobody leaves, and nothing is taken from anybody."""
    share(catalog)
    payer = person("pat")
    one = subscribe(payer, catalog.plan)
    member = make_member(payer)
    Membership.objects.create(payer=payer, email="ida@example.com", invited_at=clock.now())
    one.items.update(product=None)
    memberships.sync_members(str(payer.pk))
    assert Membership.objects.filter(payer=payer, ended_at=None).count() == 2
    assert sharing.read_surplus(UserProfile.objects.filter(pk=payer.pk), {}) == []
    assert (decided(member).state, decided(member).partial) == ("active", True)
    assert memberships.count_people(payer).free == 0  # nobody new meanwhile
    one.items.update(product=catalog.storage)  # mapped, to something that is for nobody else
    memberships.sync_members(str(payer.pk))
    assert not Membership.objects.filter(payer=payer, ended_at=None).exists()


def test_members_of_a_trial_without_a_card_are_warned_once_in_their_language(
    catalog: Catalog, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SITE_LANGUAGES = ["en", "de"]
    share(catalog)
    payer, ends = person("pat"), NOW + 10 * DAY
    trial = {"status": "trialing", "trial_end": ends, "after_trial": "cancel", "current_period_end": ends}
    subscribe(payer, catalog.plan, **trial)
    mia = make_member(payer)
    pia = own(make_member(payer, "pia"), catalog)  # pays for herself, and loses nothing
    UserProfile.objects.filter(pk=mia.pk).update(language="de")

    def reconciled(days: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: NOW + days * DAY)
        monkeypatch.setattr(clock, "timestamp", (NOW + days * DAY).timestamp)
        for one in UserProfile.objects.filter(pk__in=[mia.pk, pia.pk]):
            ahead = forecast(facts.read_facts(one))
            one.forecast, one.access_state = [each.as_json() for each in ahead], "active"
            one.save(update_fields=["forecast", "access_state"])
            announcements.announce_coming(one, AccessState.ACTIVE, ahead)
        jobs.drain()

    reconciled(0)
    (lapse,) = [one for one in read_all(UserProfile.objects.get(pk=mia.pk).forecast) if one.change == "trial_lapses"]
    assert (lapse.at, lapse.is_loss, lapse.is_shared) == (ends, True, True)
    assert "If the person who pays hasn't added a card by then, your apps close." in lapse.sentence
    for days in (2.9, 3.1, 5, 9.1):
        reconciled(days)
    (sent,) = Notification.objects.filter(template="shared_trial_ending")
    assert (sent.profile, sent.language) == (mia, "de")
    Subscription.objects.update(after_trial="", trial_end=NOW + 30 * DAY)  # a card was added
    reconciled(9.2)
    assert not any(one.about for one in read_all(UserProfile.objects.get(pk=mia.pk).forecast))


def test_nobody_costs_a_query_for_whom_nobody_pays(catalog: Catalog, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert sharing.read_sharing([], {}) == sharing.Sharing()


# --- whose money it is ------------------------------------------------------------------------------------------------


def own(member: UserProfile, catalog: Catalog, **columns: Any) -> UserProfile:
    """They have, or had, a subscription of their own too."""
    UserProfile.objects.filter(pk=member.pk).update(
        stripe_customer_id=f"cus_{member.pk}", subscription_status=columns.get("status", "active")
    )
    member.refresh_from_db()
    subscribe(member, catalog.plan, **columns)
    return member


def told(member: UserProfile) -> tuple[str, bool, list[bool]]:
    """The state, whether the reason is about another one's money, and the same of what comes."""
    known = facts.read_facts(member)
    decision = decide(known)
    return decision.state, decision.reason.is_shared, [one.is_shared for one in forecast(known) if one.about]


NOW = clock.now()
WHOSE: dict[str, tuple[dict[str, Any], dict[str, Any] | None, int | None, tuple[str, bool]]] = {
    "only shared": ({}, None, None, ("active", True)),
    "both run": ({}, {}, None, ("active", False)),
    "shared, and their own was canceled before": ({}, {"status": "canceled", "ended_at": NOW - 5 * DAY}, None, ("active", True)),
    "their own runs, and the membership is over": ({}, {}, 2, ("active", False)),
    "their own ended last": ({}, {"status": "canceled", "ended_at": NOW - DAY}, 2, ("canceled", False)),
    "the membership ended last": ({}, {"status": "canceled", "ended_at": NOW - 3 * DAY}, 2, ("canceled", True)),
    "their own is unpaid, and the other's too": ({"status": "unpaid"}, {"status": "unpaid"}, None, ("suspended", False)),
    "the other's is unpaid": ({"status": "unpaid"}, {"status": "canceled", "ended_at": NOW - DAY}, None, ("suspended", True)),
    "both long over, the membership last": ({}, {"status": "canceled", "ended_at": NOW - 60 * DAY}, 40, ("expired", True)),
    "both long over, their own last": ({}, {"status": "canceled", "ended_at": NOW - 40 * DAY}, 60, ("expired", False)),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOSE)
def test_each_decision_says_whose_money_it_is_about(catalog: Catalog, name: str) -> None:
    of_payer, of_member, days_over, expected = WHOSE[name]
    share(catalog)
    payer = person("pat")
    subscribe(payer, catalog.plan, **of_payer)
    member = make_member(payer)
    if of_member is not None:
        member = own(member, catalog, **of_member)
    if days_over is not None:
        over = NOW - days_over * DAY
        Membership.objects.update(
            invited_at=over - DAY, accepted_at=over - DAY, ended_at=over, paid_until=over, end="left", products=[catalog.plan.pk]
        )  # fmt: skip
    assert told(member)[:2] == expected
    assert (
        Reason.from_json(decide(facts.read_facts(member)).reason.as_json()) == decide(facts.read_facts(member)).reason
    )
    assert not told(payer)[1]


def test_dates_of_both_subscriptions_are_told_apart(catalog: Catalog) -> None:
    share(catalog)
    payer = person("pat")
    subscribe(payer, catalog.plan, cancel_at=NOW + 3 * DAY)
    member = own(make_member(payer), catalog, cancel_at=NOW + 5 * DAY)
    ends = [one for one in forecast(facts.read_facts(member)) if one.change == "subscription_ends"]
    assert [(one.is_shared, one.is_loss) for one in ends] == [(True, False), (False, True)]
    assert [one.sentence for one in ends] == [
        "The subscription that you share ends.",
        "Your subscription ends. Your apps close, and your data is kept.",
    ]
    assert [Upcoming.from_json(one.as_json()) for one in ends] == ends


def test_an_old_subscription_of_their_own_ends_nothing_while_a_membership_is_open(catalog: Catalog) -> None:
    """Who pays shares nothing now and may again: the seat is not given up because of what ended before."""
    payer = person("pat")
    subscribe(payer, catalog.plan)
    member = own(make_member(payer), catalog, status="canceled", ended_at=NOW - 60 * DAY)
    decision = decided(member)
    assert (decision.state, decision.until, decision.reason.is_shared) == ("canceled", None, True)


def test_what_was_decided_before_it_was_said_whose_money_it_is_about_is_told_as_it_was(catalog: Catalog) -> None:
    payer = person("pat")
    members = [make_member(payer, name) for name in ("mia", "ned", "ann")]
    ahead = (NOW + DAY).isoformat()
    forecast_before = [
        {"at": ahead, "change": "grace_ends", "state": "suspended", "about": "sub_0"},
        {"at": ahead, "change": "override_ends", "state": "suspended", "about": "no_suspend"},
        {"at": ahead, "change": "recovery_closes", "state": "suspended"},
    ]
    everybody = UserProfile.objects.filter(pk__in=[one.pk for one in [payer, *members]])
    everybody.update(access_reason={"code": "payment_late", "until": ahead}, forecast=forecast_before)
    everybody.filter(pk=members[1].pk).update(subscription_status="unpaid")
    everybody.filter(pk=members[2].pk).update(access_reason={}, forecast=[])
    for _ in range(2):
        migration.fill(None, SimpleNamespace(connection=connection))
    mia = UserProfile.objects.get(pk=members[0].pk)
    assert mia.access_reason == {"code": "payment_late", "until": ahead, "is_shared": True}
    assert [one.is_shared for one in read_all(mia.forecast)] == [True, False, False]
    assert [one | {"is_shared": True} for one in forecast_before[:1]] + forecast_before[1:] == mia.forecast
    others = everybody.exclude(pk=mia.pk).order_by("pk")
    assert [one.is_paid_for for one in others] == [False] * 3
    assert [len(one.forecast) for one in others] == [3, 3, 0]
