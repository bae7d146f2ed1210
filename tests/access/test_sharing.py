"""What a member has from who pays: a table of payer and membership, through the facts to the decision of the unchanged policy."""

import datetime as dt
from typing import Any

import pytest

from apps.access import facts, memberships, sharing
from apps.access.policy import decide
from apps.accounts.models import Membership, UserProfile
from apps.catalog.entitlements import Entitlements
from apps.catalog.models import Product
from apps.core import clock
from apps.operations import bulk_facts
from tests.dashboard.conftest import Catalog, person, subscribe
from tests.dashboard.conftest import catalog as catalog

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


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


def test_nobody_costs_a_query_for_whom_nobody_pays(catalog: Catalog, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert sharing.read_sharing([], {}) == sharing.Sharing()
