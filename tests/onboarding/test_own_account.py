"""Who has an account at Keycloak and no plan signs up with it: one account in every order of events, and nobody else's ever."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.access import apply, existing_accounts, overrides, reconcile
from apps.accounts.models import Membership, Signup, UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.onboarding import account_correction, checkout_result, own_account, people, signup_checkout
from apps.onboarding.own_account import AccountRefused
from apps.onboarding.progress import read_progress
from tests.access.people import GROUP, open_for
from tests.world import World

THEIRS = {"newsletter": ["weekly"]}


def account(world: World, name: str = "olga", **more: Any) -> str:
    """An account that Keycloak had before us: its id."""
    body = {
        "username": name, "email": f"{name}@example.com", "emailVerified": True, "enabled": True, "firstName": "Olga",
        "lastName": "Olsen", "attributes": THEIRS, "groups": ["/frontdesk", "/newsletter"],
    }  # fmt: skip
    made = world.admin("POST", "/users", json=body | more)
    assert made.status_code == 201, made.text
    return str(made.headers["Location"].rsplit("/", 1)[1])


def change(world: World, keycloak_id: str, **changes: Any) -> None:
    body = world.admin("GET", f"/users/{keycloak_id}").json() | changes
    assert world.admin("PUT", f"/users/{keycloak_id}", json=body).status_code == 204


def signup_with(keycloak_id: str, **changes: Any) -> Signup:
    """The wizard of somebody who has just logged in with this account."""
    now = clock.now()
    signup = Signup(basket={"personal": 1}, terms_version="1", terms_accepted_at=now, created_at=now)
    own_account.bind(signup, own_account.read_own_account(keycloak_id))
    for name, value in changes.items():
        setattr(signup, name, value)
    signup.save()
    return signup


def refused(keycloak_id: str) -> str:
    """Why nobody can sign up with it."""
    with pytest.raises(AccountRefused) as caught:
        own_account.read_own_account(keycloak_id)
    return caught.value.code


def assert_linked(world: World, profile: UserProfile, keycloak_id: str) -> None:
    """The account that was there is theirs, open, with all it had, and the only one; no email asks for a password."""
    state = world.state(profile)
    assert (profile.keycloak_id, profile.proven_keycloak_id) == (keycloak_id, "")
    assert (state.access, state.account, state.seats) == ("active", True, (("nextcloud", "assigned"),))
    found = world.account(profile)
    assert found["attributes"]["newsletter"] == ["weekly"]
    assert found["attributes"]["onboarding_id"] == [str(profile.onboarding_id)]
    assert found["requiredActions"] == []
    assert world.groups(profile) == [*GROUP, "/newsletter"]
    assert SocialAccount.objects.get(uid=keycloak_id).user == profile.user
    assert len(world.users("olga")) == 1
    assert "keycloak_set_password" not in world.notifications(profile)
    assert AuditEntry.objects.filter(action="account_linked", subject_id=str(profile.pk)).count() == 1
    assert world.jobs() == []
    assert not AttentionItem.objects.filter(resolved_at=None).exists()


# --- one account, in every order ---------------------------------------------------------------------------------------


def late_result(world: World) -> None:
    """Stripe's events first; that the sign-up is paid is seen afterwards."""
    events = world.new_events()
    world.post_events([one for one in events if not one["type"].startswith("checkout.")])
    world.work()
    world.post_events([one for one in events if one["type"].startswith("checkout.")])
    world.work()


def result_first(world: World) -> None:
    """The success page has the payment checked; then come the events."""
    checkout_result.check_checkout_later(Signup.objects.get())
    world.work()
    world.deliver()


def backwards_and_twice(world: World) -> None:
    events = world.new_events()[::-1]
    world.post_events([*events, *events])
    world.work()


def lost(world: World) -> None:
    """No event ever: the sweeps find the payment."""
    world.skip()
    world.pass_time(seconds=3600)
    checkout_result.sweep_checkouts("periodic")
    world.sweep()


@pytest.mark.parametrize(
    "arrive",
    [
        World.deliver,
        late_result,
        *(pytest.param(one, marks=pytest.mark.long) for one in (result_first, backwards_and_twice, lost)),
    ],
)
def test_the_account_that_is_there_is_linked(world: World, arrive: Callable[[World], None]) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    assert world.state(profile).account is None
    arrive(world)
    world.deliver()
    profile.refresh_from_db()
    assert_linked(world, profile, olga)
    assert (profile.email, profile.user.username, profile.user.first_name) == ("olga@example.com", "olga", "Olga")


def test_nothing_of_the_account_is_touched_before_the_payment(world: World) -> None:
    olga = account(world)
    before = world.admin("GET", f"/users/{olga}").json()
    signup = signup_with(olga)
    signup_checkout.open_checkout(signup, ui="embedded")
    reconcile.enqueue(signup.profile, reason="test")  # type: ignore[arg-type]
    world.work()
    assert world.admin("GET", f"/users/{olga}").json() == before
    checkout_result.end_unpaid_checkout(signup)
    assert UserProfile.objects.get().proven_keycloak_id == ""
    assert not UserProfile.customers().exists()


@pytest.mark.long
def test_a_run_that_was_killed_after_the_mark_links_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_link", lambda *_: 1 / 0)
        world.deliver()
        assert Job.objects.filter(kind=reconcile.FIRST_SYNC_KIND).exclude(state="done").exists()
    world.retry()
    world.deliver()
    profile.refresh_from_db()
    assert_linked(world, profile, olga)


@pytest.mark.long
def test_who_was_suspended_gets_no_email_to_set_a_password_on_coming_back(world: World) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    world.deliver()
    hold = overrides.hold(profile=profile, actor="staff:ada", reason="test")
    world.work()
    assert world.state(profile).account is False
    overrides.lift(override=hold, actor="staff:ada", reason="test")
    world.work()
    profile.refresh_from_db()
    assert_linked(world, profile, olga)


# --- what happens to the account meanwhile -----------------------------------------------------------------------------


def test_deleted_before_the_payment_page_it_is_not_sold_and_after_it_a_new_one_is_made(world: World) -> None:
    olga = account(world)
    signup = signup_with(olga)
    profile = world.pay(signup)
    world.admin("DELETE", f"/users/{olga}")
    world.deliver()
    state = world.state(profile)
    assert open_for(state)
    assert profile.keycloak_id not in (None, olga)
    assert world.notifications(profile) == ["keycloak_set_password", "welcome"]
    nina = account(world, "nina")
    unpaid = signup_with(nina)
    world.admin("DELETE", f"/users/{nina}")
    with pytest.raises(AccountRefused) as gone:
        signup_checkout.open_checkout(unpaid, ui="embedded")
    assert gone.value.code == "gone"


def test_disabled_after_the_payment_it_stays_closed_until_staff_open_it(world: World) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    change(world, olga, enabled=False)
    world.deliver()
    state = world.state(profile)
    assert (state.account, profile.keycloak_id) == (None, None)
    assert world.admin("GET", f"/users/{olga}").json()["enabled"] is False
    item = AttentionItem.objects.get(cause="account_refused")
    assert (item.profile_ids, "is disabled in Keycloak" in item.sentence) == ([profile.pk], True)
    change(world, olga, enabled=True)
    reconcile.enqueue(profile, reason="staff")
    world.work()
    profile.refresh_from_db()
    assert_linked(world, profile, olga)


@pytest.mark.long
def test_staff_can_give_another_account_instead(world: World) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    change(world, olga, enabled=False)
    world.deliver()
    answers = {"first_name": "Olga", "last_name": "Olsen", "username": "olga2", "email": "olga2@example.com"}
    account_correction.correct_account(profile, answers=answers, actor="staff:ada", reason="asked")
    world.work()
    assert world.state(profile).access == "active"
    assert profile.keycloak_id not in (None, olga)
    assert profile.signups.get().keycloak_id == ""


# --- whose account it may not be ---------------------------------------------------------------------------------------


def test_accounts_that_are_no_newcomers_are_refused_and_staff_are_told_of_what_only_they_can_mend(world: World) -> None:
    marked = account(world, "mara", attributes={"onboarding_id": ["00000000-0000-4000-8000-000000000001"]})
    staff = account(world, "sten", groups=["/frontdesk", "/staff/viewer"])
    assert refused(marked) == "marked"
    assert refused(staff) == "staff"
    assert refused(account(world, "ulla", emailVerified=False)) == "unverified"
    assert refused(account(world, "dora", enabled=False)) == "disabled"
    assert refused("00000000-0000-4000-8000-000000000009") == "gone"
    former = User.objects.create(username="former")
    left = account(world, "lars")
    SocialAccount.objects.create(user=former, provider="keycloak", uid=left)
    assert refused(left) == "known"
    dana = world.subscriber("dana")
    assert refused(str(dana.keycloak_id)) == "known"
    UserProfile.objects.filter(pk=dana.pk).update(email="eva@example.com")
    eva = account(world, "eva")
    assert [refused(eva), refused(eva)] == ["address", "address"]
    assert AttentionItem.objects.filter(key=f"account {eva}").count() == 1  # the same one, with what staff have noted
    far = account(world, "fritz", groups=[])
    assert refused(far) == "unreachable"
    keys = set(AttentionItem.objects.values_list("cause", "key"))
    assert {("page_refused", f"account {one}") for one in (marked, far)} < keys
    assert ("page_refused", f"account {staff}") not in keys
    (group,) = world.admin("GET", "/groups", params={"search": "frontdesk", "exact": "true"}).json()
    assert world.admin("PUT", f"/users/{far}/groups/{group['id']}").status_code == 204
    own_account.read_own_account(far)
    assert not AttentionItem.objects.filter(key=f"account {far}", resolved_at=None).exists()


def test_another_mark_that_comes_between_login_and_payment_is_not_overwritten(world: World) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    change(world, olga, attributes={"onboarding_id": ["00000000-0000-4000-8000-000000000001"]})
    world.deliver()
    profile.refresh_from_db()
    assert profile.keycloak_id is None
    assert world.admin("GET", f"/users/{olga}").json()["attributes"]["onboarding_id"][0].endswith("1")
    assert AttentionItem.objects.get(cause="account_refused").profile_ids == [profile.pk]


# --- twice ---------------------------------------------------------------------------------------------------------------


def test_one_account_signs_up_once_whatever_address_it_has_by_then(world: World) -> None:
    olga = account(world)
    first = signup_with(olga)
    signup_checkout.open_checkout(first, ui="embedded")
    change(world, olga, email="olga.new@example.com")
    second = signup_with(olga)
    profile = world.pay(second)
    first.refresh_from_db()
    assert (first.state, profile.email) == ("expired", "olga.new@example.com")
    world.deliver()
    assert world.state(profile).access == "active"
    assert profile.keycloak_id == olga
    with pytest.raises(AccountRefused):
        signup_with(olga)
    with pytest.raises(BadInput):
        signup_checkout.open_checkout(Signup.objects.create(
            username="x", email="x@example.com", email_proven_at=clock.now(), keycloak_id=olga, basket={"personal": 1},
            created_at=clock.now(),
        ), ui="embedded")  # fmt: skip


@pytest.mark.long
def test_a_paid_sign_up_of_the_account_is_not_paid_again_under_another_address(world: World) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    change(world, olga, email="olga.new@example.com")
    with pytest.raises(BadInput):
        signup_checkout.open_checkout(signup_with(olga), ui="embedded")
    world.deliver()
    profile.refresh_from_db()
    assert profile.keycloak_id == olga


def test_nobody_else_claims_the_account_while_it_is_being_paid_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    other = UserProfile.objects.create(
        user=User.objects.create(username="o"), email="o@example.com", created_at=clock.now()
    )
    with pytest.raises(AccountRefused):
        own_account.claim(other, olga)
    with pytest.raises(IntegrityError, match="profile_one_per_proven_account"), transaction.atomic():
        UserProfile.objects.filter(pk=other.pk).update(proven_keycloak_id=olga)
    with monkeypatch.context() as at_once:
        at_once.setattr(QuerySet, "select_for_update", lambda rows, **_options: rows.none())  # neither sees the other
        with pytest.raises(AccountRefused):
            own_account.claim(other, olga)
    profile.refresh_from_db()
    assert profile.proven_keycloak_id == olga


def test_an_order_by_code_with_the_address_becomes_theirs_when_they_log_in(world: World) -> None:
    """Somebody proved the mailbox while Keycloak was away, and paid: the account is refused until its owner shows up."""
    signup = world.signup("olga")
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    olga = account(world)
    world.shop.pay({"url": "", "client_secret": opened.client_secret})
    world.deliver()
    signup.refresh_from_db()
    profile = UserProfile.objects.get()
    assert profile.keycloak_id is None
    assert AttentionItem.objects.get(resolved_at=None).cause == "account_refused"
    own = own_account.read_own_account(olga)
    assert own.payer == profile
    own_account.attach(own)
    assert own_account.is_connecting(olga)
    world.deliver()
    profile.refresh_from_db()
    signup.refresh_from_db()
    assert_linked(world, profile, olga)
    assert not own_account.is_connecting(olga)
    assert read_progress(signup).finished  # its page waits for no email to set a password


def test_who_joined_under_typed_names_while_keycloak_was_away_gets_their_account_when_they_log_in(world: World) -> None:
    Product.objects.filter(slug="plus").update(people=3)
    dana, now = world.subscriber("dana", plus=1), clock.now()
    olga = account(world)
    row = Membership.objects.create(payer=dana, email="olga@example.com", invited_at=now)
    typed = Signup(
        username="olga2", email=row.email, first_name="Olga", email_proven_at=now, terms_version="1",
        terms_accepted_at=now, created_at=now,
    )  # fmt: skip
    world.fault("keycloak", "down")
    member = people.join_as_new(row, typed)
    world.fault("keycloak", "ok")
    own = own_account.read_own_account(olga)  # before any job has run
    assert own.payer == member
    own_account.attach(own)
    world.deliver()
    assert world.state(member).access == "active"
    assert UserProfile.objects.get(pk=member.pk).keycloak_id == olga


# --- the proof is recent ---------------------------------------------------------------------------------------------------


def test_a_login_of_long_ago_opens_no_payment(world: World) -> None:
    signup = signup_with(account(world), email_proven_at=clock.now() - own_account.LIFETIME - dt.timedelta(seconds=1))
    with pytest.raises(AccountRefused) as stale:
        signup_checkout.open_checkout(signup, ui="embedded")
    assert stale.value.code == "login"
    assert not UserProfile.objects.exists()


@pytest.mark.long
def test_while_keycloak_is_away_the_sale_goes_on_and_the_link_follows(world: World) -> None:
    olga = account(world)
    signup = signup_with(olga)
    world.fault("keycloak", "down")
    profile = world.pay(signup)
    world.deliver()
    world.fault("keycloak", "ok")
    world.retry()
    world.deliver()
    profile.refresh_from_db()
    assert_linked(world, profile, olga)


# --- the guards are needed --------------------------------------------------------------------------------------------------


@pytest.mark.mutant
def test_mutant_without_the_look_at_the_mark_somebody_elses_account_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga = account(world)
    profile = world.pay(signup_with(olga))
    change(world, olga, attributes={"onboarding_id": ["00000000-0000-4000-8000-000000000001"]})
    monkeypatch.setattr(existing_accounts, "refuse_other_mark", lambda *_: None)
    world.deliver()
    profile.refresh_from_db()
    assert profile.keycloak_id == olga
