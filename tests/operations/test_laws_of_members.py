"""The laws of access read what is paid for members too: each is broken once for a member, and names exactly her."""

import datetime as dt

import pytest

from apps.access import memberships
from apps.accounts.models import Membership, UserProfile
from apps.billing.models import Subscription
from apps.core import clock, laws
from tests.access.test_sharing import make_member, share
from tests.dashboard.conftest import Catalog, person, seat, subscribe
from tests.dashboard.conftest import catalog as catalog
from tests.laws import sabotage, violated

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


# --- L31 --------------------------------------------------------------------------------------------------------------


def l31(**columns: str) -> list[str]:
    """Whom the law names after that was done to Mia's row by hand; undone afterwards."""
    changes = [
        f"UPDATE accounts_userprofile SET {name} = {value} WHERE keycloak_id = 'kc-mia'"
        for name, value in columns.items()
    ]
    with sabotage(*changes):
        return violated("L31").get("L31", [])


def test_l31_counts_all_who_share_whomever_it_is_asked_about(mia: UserProfile) -> None:
    payer = mia.membership.payer
    ned = make_member(payer, "ned")
    synced = (
        "UPDATE accounts_userprofile SET subscription_synced_at = now() - interval '1 hour' WHERE id = %s",
        [payer.pk],
    )
    with sabotage(synced, "UPDATE catalog_product SET people = 2 WHERE people = 3"):
        for one in (payer, mia, ned):
            found = laws.run(["L31"], laws.Scope(subscriber_id=one.pk))[0].checked.violations
            crowded = [each.words for each in found if each.subject_id == str(payer.pk)]
            assert crowded == ["A subscription for 2 is shared by 3."]
        stranger = person("stranger")
        assert not laws.run(["L31"], laws.Scope(subscriber_id=stranger.pk))[0].checked.violations


def test_l31_names_members_who_have_less_or_more_than_is_paid_for_them(mia: UserProfile) -> None:
    payer, row = str(mia.membership.payer_id), str(mia.membership_id)
    assert l31() == []
    assert l31(access_state="'suspended'") == [str(mia.pk)]
    assert l31(membership_id="NULL") == [row, str(mia.pk)]  # and her access has no cause
    synced = "UPDATE accounts_userprofile SET subscription_synced_at = now() - interval '1 hour' WHERE id = " + payer
    fewer = "UPDATE catalog_product SET people = 1 WHERE people = 3"
    with sabotage(synced, fewer):
        assert violated("L31") == {"L31": [payer]}
        memberships.sync_later(mia.membership.payer, reason="test")
        assert violated("L31") == {}  # it is being done
    ended = "UPDATE billing_subscription SET status = 'canceled', ended_at = now() - interval '1 hour'"
    status = f"UPDATE accounts_userprofile SET subscription_status = 'canceled' WHERE id = {payer}"
    with sabotage(ended, status):
        assert violated("L31") == {"L31": [str(mia.pk)]}
        with sabotage("UPDATE accounts_userprofile SET access_state = 'canceled' WHERE keycloak_id = 'kc-mia'"):
            assert violated("L31") == {}
    assert l31() == []
