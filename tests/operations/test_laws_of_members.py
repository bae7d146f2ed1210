"""The laws of access read what is paid for members too: each is broken once for a member, and names exactly her."""

import datetime as dt

import pytest

from apps.accounts.models import Membership, UserProfile
from apps.billing.models import Subscription
from apps.core import clock
from tests.access.test_sharing import make_member, share
from tests.dashboard.conftest import Catalog, person, seat, subscribe
from tests.dashboard.conftest import catalog as catalog
from tests.laws import violated

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
QUIET = {"pending_since": None, "synced_at": clock.now() - HOUR, "keycloak_id": "kc-mia", "access_state": "active"}


@pytest.fixture
def mia(catalog: Catalog) -> UserProfile:
    """Pat pays for Mia, who has access and a seat."""
    share(catalog)
    payer = person("pat", subscription_status="active")
    subscribe(payer, catalog.plan, paid_for_period=1250, left_of_period=1250)
    member = make_member(payer)
    UserProfile.objects.filter(pk=member.pk).update(**QUIET)
    place = seat(member, catalog.instance)
    type(place).objects.filter(pk=place.pk).update(changed_at=clock.now() - HOUR)
    return member


def test_all_is_in_order_for_a_member_whose_payer_has_paid(mia: UserProfile) -> None:
    found = violated("L1", "L2", "L5", "L9")
    assert [law for law, named in found.items() if str(mia.pk) in named] == []


def test_access_without_the_payers_money_is_named(mia: UserProfile) -> None:
    then = clock.now() - HOUR
    Subscription.objects.update(status="canceled", ended_at=then)
    UserProfile.objects.filter(user__username="pat").update(subscription_status="canceled")
    assert str(mia.pk) in violated("L1")["L1"]


def test_a_member_who_is_shut_out_although_it_is_paid_is_named(mia: UserProfile) -> None:
    UserProfile.objects.filter(pk=mia.pk).update(access_state="suspended")
    assert str(mia.pk) in violated("L2")["L2"]


def test_access_on_the_payers_returned_money_is_named(mia: UserProfile) -> None:
    Subscription.objects.update(money_returned="refunded")
    assert str(mia.pk) in violated("L5")["L5"]


def test_a_member_without_a_seat_is_named(mia: UserProfile) -> None:
    mia.seats.all().delete()
    assert str(mia.pk) in violated("L9")["L9"]


def test_a_membership_that_ended_gives_no_cause(mia: UserProfile) -> None:
    then = clock.now() - HOUR
    Membership.objects.update(ended_at=then, end="left", paid_until=then)
    assert str(mia.pk) in violated("L1")["L1"]
