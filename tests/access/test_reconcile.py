"""The reconciler against the stand-ins: every state of the table made so, and put right again from wherever it was left."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from apps.access import apply, overrides, reconcile, watches
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Dependency, Job
from apps.identity.keycloak import Keycloak
from apps.instances import allocation
from apps.instances.models import Instance, Seat, SeatWait
from tests.sandbox.keycloak_fixture import Browser
from tests.world import State, World

DAY = dt.timedelta(days=1)
APP = {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "storage_gb": "100"}
GROUP = ("/frontdesk/nextcloud-1",)


def look(world: World, profile: UserProfile) -> None:
    """Somebody asked for a look."""
    reconcile.enqueue(profile, reason="test")
    world.work()


def open_for(profile: State) -> bool:
    return (profile.account, profile.attributes, profile.groups, profile.local_groups) == (True, APP, GROUP, GROUP)


def closed(profile: State) -> bool:
    return (profile.attributes, profile.groups, profile.local_groups) == ({}, (), ())


def late(world: World, name: str = "dana") -> UserProfile:
    """A subscriber whose renewal has failed; Stripe keeps trying and never cancels."""
    world.shop.control("settings", end="past_due")
    found = world.subscriber(name)
    world.shop.control("payments", customer=found.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    return found


# --- the nine states -------------------------------------------------------------------------------------------------------


def test_active_has_all_that_is_paid(world: World) -> None:
    dana = world.subscriber("dana")
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == ("active", (("nextcloud", "assigned"),), True)
    assert (dana.pending_since, dana.observed_generation) == (None, dana.desired_generation)


def test_grace_keeps_everything_and_ends_by_the_clock_alone(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    dana = late(world)
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == ("grace", (("nextcloud", "assigned"),), True)
    assert dana.access_until is not None
    world.pass_time(seconds=int((dana.access_until - clock.now()).total_seconds()) - 30)
    world.work()
    assert world.state(dana).access == "grace"
    world.pass_time(seconds=31)
    world.work()
    assert world.state(dana).access == "suspended"


def test_suspended_has_nothing_but_its_seat_and_paying_brings_all_back(world: World) -> None:
    dana = late(world)
    before = world.state(dana)
    assert (before.access, before.account, closed(before)) == ("suspended", False, True)
    assert before.seats == (("nextcloud", "retained"),)
    assert world.notifications(dana) == ["keycloak_set_password", "payment_failed"]

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.seats, open_for(state)) == ("active", (("nextcloud", "assigned"),), True)


def test_recovering_opens_the_door_and_nothing_else(world: World) -> None:
    dana = late(world)
    UserProfile.objects.filter(pk=dana.pk).update(recovering_until=clock.now() + dt.timedelta(hours=72))
    look(world, dana)
    state = world.state(dana)
    assert (state.access, state.account, closed(state)) == ("recovering", True, True)
    assert state.seats == (("nextcloud", "retained"),)
    world.pass_time(days=3, seconds=5)
    world.work()
    assert (world.state(dana).access, world.state(dana).account) == ("suspended", False)


def test_canceled_keeps_the_seat_and_expires_by_the_clock_alone(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, closed(state)) == ("canceled", False, True)
    assert state.seats == (("nextcloud", "retained"),)
    assert world.notifications(dana) == ["keycloak_set_password", "subscription_canceled"]
    expiry = dana.final_expiry_at
    assert expiry is not None
    world.pass_time(seconds=int((expiry - clock.now()).total_seconds()) - 30)
    world.work()
    assert world.state(dana).access == "canceled"
    world.pass_time(seconds=31)
    world.work()
    state = world.state(dana)
    assert (state.access, state.account, state.seats, closed(state)) == ("expired", False, (), True)
    assert Instance.objects.get(slug="nextcloud-1").allocated_seats == 0
    assert world.jobs() == []


def test_held_shuts_out_a_payer_until_lifted(world: World) -> None:
    dana = world.subscriber("dana")
    hold = overrides.hold(profile=dana, actor="staff:ada", reason="abuse report")
    world.work()
    state = world.state(dana)
    assert (state.access, state.subscription, state.account, closed(state)) == ("held", "active", False, True)
    assert state.seats == (("nextcloud", "retained"),)
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    assert world.state(dana).access == "held"  # only staff or its date end it
    overrides.lift(override=hold, actor="staff:ada", reason="was nothing")
    world.work()
    assert open_for(world.state(dana))
    actions = list(AuditEntry.objects.filter(subject_id=str(dana.pk), action__startswith="override").values_list("action", "actor"))
    assert actions == [("override_hold", "staff:ada"), ("override_hold_lifted", "staff:ada")]


def test_a_hold_with_a_date_ends_by_itself(world: World) -> None:
    dana = world.subscriber("dana")
    overrides.hold(profile=dana, actor="staff:ada", reason="one day off", until=clock.now() + DAY)
    world.work()
    assert world.state(dana).access == "held"
    world.pass_time(days=1, seconds=5)
    world.work()
    assert open_for(world.state(dana))


def test_a_grant_gives_without_payment_and_takes_all_back_at_its_end(world: World) -> None:
    signup = world.signup("dana")
    with pytest.raises(AssertionError):  # the card is declined
        world.pay(signup, card="4000000000000002")
    signup.refresh_from_db()
    dana = signup.profile
    assert dana is not None
    products = [Product.objects.get(slug="personal")]
    overrides.grant(profile=dana, products=products, until=clock.now() + DAY, actor="staff:ada", reason="tester")
    world.work()
    state = world.state(dana)
    assert (state.access, state.subscription, open_for(state)) == ("active", "", True)
    world.pass_time(days=1, seconds=5)
    world.work()
    state = world.state(dana)
    assert (state.access, state.account, state.seats, closed(state)) == ("none", False, (), True)


def test_no_suspend_keeps_a_late_payer_in_until_its_date(world: World) -> None:
    dana = late(world)
    overrides.no_suspend(profile=dana, until=clock.now() + DAY, actor="staff:ada", reason="bank trouble")
    world.work()
    state = world.state(dana)
    assert (state.access, open_for(state)) == ("grace", True)
    world.pass_time(days=1, seconds=5)
    world.work()
    assert world.state(dana).access == "suspended"


def test_never_paid_has_nothing_and_keeps_the_hold_of_a_checkout(world: World) -> None:
    signup = world.signup("dana")
    with pytest.raises(AssertionError):
        world.pay(signup, card="4000000000000002")
    signup.refresh_from_db()
    dana = signup.profile
    assert dana is not None
    look(world, dana)
    state = world.state(dana)
    assert (state.access, state.account, state.seats) == ("none", None, (("nextcloud", "held"),))
    assert world.users("dana") == []


def test_overrides_in_the_past_or_without_products_are_refused(world: World) -> None:
    dana = world.subscriber("dana")
    with pytest.raises(BadInput):
        overrides.hold(profile=dana, actor="staff:ada", reason="late", until=clock.now() - DAY)
    with pytest.raises(BadInput):
        overrides.grant(profile=dana, products=[], until=clock.now() + DAY, actor="staff:ada", reason="empty")


# --- looking without touching ------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_be_done_and_does_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    assert reconcile.preview(dana).steps == ()
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=world.account(dana) | {"enabled": False})
    found = reconcile.preview(dana)
    assert [step.sentence for step in found.steps] == ["Enable the account."]
    assert found.state == "active"
    assert world.state(dana) == replace(before, account=False)


def test_looking_again_writes_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    lines = AuditEntry.objects.count()
    for _ in range(3):
        look(world, dana)
    assert AuditEntry.objects.count() == lines
    assert len(world.mails(dana)) == 1


# --- death at every step (F40) -------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing of ours catches it."""


class Executioner:
    """Counts the points at which a process can die, and kills at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.victim = -1

    def point(self) -> None:
        self.count += 1
        if self.count == self.victim:
            raise Killed

    def after[**P, R](self, call: Callable[P, R]) -> Callable[P, R]:
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            result = call(*args, **kwargs)
            self.point()
            return result

        return called

    @contextmanager
    def kill(self, number: int) -> Iterator[None]:
        self.count, self.victim = 0, number
        yield
        self.victim = -1


@pytest.fixture
def executioner(monkeypatch: pytest.MonkeyPatch) -> Executioner:
    """Stands behind every write to Keycloak and every step of a plan."""
    made = Executioner()
    for verb in ("create_user", "update_user", "join_group", "leave_group", "end_sessions"):
        monkeypatch.setattr(Keycloak, verb, made.after(getattr(Keycloak, verb)))
    for kind, step in apply.STEPS.items():
        monkeypatch.setitem(apply.STEPS, kind, made.after(step))
    monkeypatch.setattr(apply, "_assign", made.after(apply._assign))
    return made


def dies_and_is_taken_over(world: World, executioner: Executioner, number: int) -> bool:
    """Work with a death at point `number`; the sweep hands the job on. False when there is no such point."""
    with executioner.kill(number):
        try:
            world.work()
        except Killed:
            pass
        else:
            return False
    world.pass_time(seconds=30)
    assert jobs.recover() == 1
    world.retry()
    return True


def test_a_death_after_any_step_of_the_first_look_leaves_one_of_each(world: World, executioner: Executioner) -> None:
    world.only_room_for(90)
    number = 0
    died = True
    while died:
        number += 1
        name = f"dana{number}"
        profile = world.pay(world.signup(name))
        world.ring(world.new_events())
        died = dies_and_is_taken_over(world, executioner, number)
        world.deliver()
        state = world.state(profile)
        assert (state.access, open_for(state), world.jobs()) == ("active", True, []), number
        assert state.seats == (("nextcloud", "assigned"),)
        assert len(world.users(f"{name}@example.com")) == 1
        assert len(world.mails(profile)) == 1
        assert Seat.objects.filter(profile=profile).count() == 1
        assert profile.user.socialaccount_set.count() == 1
        world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
        world.skip()
    assert number > 7, number


def test_a_death_after_any_step_of_a_suspension_still_shuts_out(world: World, executioner: Executioner) -> None:
    number = 0
    died = True
    dana = world.subscriber("dana")
    while died:
        number += 1
        hold = overrides.hold(profile=dana, actor="staff:ada", reason="test")
        died = dies_and_is_taken_over(world, executioner, number)
        state = world.state(dana)
        assert (state.access, state.account, closed(state), world.jobs()) == ("held", False, True, []), number
        overrides.lift(override=hold, actor="staff:ada", reason="test")
        world.work()
        assert open_for(world.state(dana))
    assert number > 5, number


@pytest.mark.mutant
def test_without_the_mark_on_the_account_a_death_would_leave_it_to_staff(
    world: World, executioner: Executioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adoption is by our own id at the account; without it the account we made looks like a stranger's."""
    dana = world.pay(world.signup("dana"))
    world.ring(world.new_events())
    with executioner.kill(1), pytest.raises(Killed):
        world.work()
    (made,) = world.users("dana")
    attributes = {name: values for name, values in made["attributes"].items() if name != "onboarding_id"}
    world.admin("PUT", f"/users/{made['id']}", json=made | {"attributes": attributes})
    world.pass_time(seconds=30)
    jobs.recover()
    world.retry()
    assert any("another account with the username" in one for one in world.jobs("blocked"))
    assert world.state(dana).account is None


# --- Keycloak away, Keycloak odd -----------------------------------------------------------------------------------------------


def test_twenty_who_pay_while_keycloak_is_down_have_their_accounts_soon_after(world: World) -> None:
    """F36, small."""
    world.fault("keycloak", "down")
    people = [world.pay(world.signup(f"dana{number}")) for number in range(20)]
    world.deliver()
    parked = Job.objects.filter(kind="sync_user_post_checkout")
    assert {(job.state, job.attempts, job.parked_on) for job in parked} == {("queued", 0, "keycloak")}
    assert parked.count() == 20
    for _ in range(3):
        world.pass_time(seconds=7200)
        world.work()
    assert set(parked.values_list("state", "attempts")) == {("queued", 0)}
    assert Dependency.objects.get().name == "keycloak"

    world.fault("keycloak", "ok")
    world.pass_time(seconds=60)
    world.work()
    assert [world.state(one).access for one in people] == ["active"] * 20
    assert all(one.keycloak_id for one in people)
    assert len(world.mails()) == 20
    assert world.jobs() == []
    assert not Dependency.objects.exists()


def test_an_account_deleted_in_keycloak_is_not_made_anew_in_silence(world: World) -> None:
    dana = world.subscriber("dana")
    world.admin("DELETE", f"/users/{dana.keycloak_id}")
    look(world, dana)
    (sentence,) = world.jobs("blocked")
    assert sentence == f"reconcile: Keycloak has no user {dana.keycloak_id} any more. Restore it there, or unlink it here."
    dana.refresh_from_db()
    assert dana.pending_since is not None
    assert world.users("dana") == []


def test_what_was_changed_by_hand_is_put_right_at_night(world: World) -> None:
    """F43."""
    dana = world.subscriber("dana")
    before = world.state(dana)
    stored = world.account(dana)
    wrong = stored["attributes"] | {"storage_gb": ["9000"], "has_vaultwarden": ["true"]}
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"attributes": wrong, "enabled": False})
    group = next(one for one in world.admin("GET", f"/users/{dana.keycloak_id}/groups").json())
    world.admin("DELETE", f"/users/{dana.keycloak_id}/groups/{group['id']}")
    dana.user.groups.clear()
    assert world.state(dana) != before
    jobs.defer("look_at_everybody", "periodic")
    world.work()
    assert world.state(dana) == before


def test_what_is_not_ours_stays(world: World) -> None:
    dana = world.subscriber("dana")
    stored = world.account(dana)
    theirs = stored["attributes"] | {"locale": ["de"]}
    assert world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"attributes": theirs}).status_code == 204
    world.admin("POST", "/groups", json={"name": "choir"})
    choir = next(one for one in world.admin("GET", "/groups").json() if one["name"] == "choir")
    world.admin("PUT", f"/users/{dana.keycloak_id}/groups/{choir['id']}")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert world.state(dana).access == "canceled"
    assert world.account(dana)["attributes"]["locale"] == ["de"]
    assert world.account(dana)["attributes"]["onboarding_id"] == [str(dana.onboarding_id)]
    assert world.groups(dana) == ["/choir"]


def test_a_write_that_does_not_stick_is_tried_again_and_seen(world: World) -> None:
    """F39."""
    dana = world.subscriber("dana")
    world.fault("keycloak", "lost_update")
    overrides.hold(profile=dana, actor="staff:ada", reason="test")
    world.work()
    (job,) = Job.objects.filter(state="queued", attempts=1)
    assert "enabled" in job.last_error
    assert world.state(dana).account is True
    world.fault("keycloak", "ok")
    world.retry()
    assert world.state(dana).account is False


def sessions(world: World, profile: UserProfile) -> int:
    return len(world.admin("GET", f"/users/{profile.keycloak_id}/sessions").json())


@pytest.mark.parametrize("mishap", ["logout_fails", "death"])
def test_sessions_end_even_if_the_first_try_stopped_after_disabling(
    world: World, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F44."""
    dana = world.subscriber("dana")
    world.standin.set_password(dana.keycloak_id or "", "correct horse battery")
    stored = world.account(dana)
    world.admin("PUT", f"/users/{dana.keycloak_id}", json=stored | {"requiredActions": []})
    callback = "http://127.0.0.1:8000/accounts/oidc/keycloak/login/callback/"
    world.standin.log_in(Browser(), "dana", redirect_uri=callback)
    assert sessions(world, dana) == 1
    overrides.hold(profile=dana, actor="staff:ada", reason="test")
    if mishap == "death":
        with monkeypatch.context() as patch:
            patch.setitem(apply.STEPS, apply.steps.EndSessions, kill)
            with pytest.raises(Killed):
                world.work()
        world.pass_time(seconds=30)
        jobs.recover()
    else:
        world.fault("keycloak", "logout_fails", times=1)
        world.work()
    assert (world.account(dana)["enabled"], sessions(world, dana)) == (False, 1)
    world.retry()
    assert sessions(world, dana) == 0
    assert world.jobs() == []


def kill(*_: Any) -> None:
    raise Killed


# --- no room ---------------------------------------------------------------------------------------------------------------------


def upgrade(world: World, profile: UserProfile) -> None:
    """A plan change that needs another app's seat, which nothing reserves beforehand."""
    (line,) = world.stripe_state(profile)["items"]["data"]
    item = {"id": line["id"], "price": world.price("plus")}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"items": [item]})
    world.deliver()


def test_who_waited_longest_gets_the_first_free_seat(world: World) -> None:
    instance = world.only_room_for(1, "vaultwarden")
    ann, bob, cid = world.subscriber("ann", plus=1), world.subscriber("bob"), world.subscriber("cid")
    upgrade(world, bob)
    upgrade(world, cid)
    for one in (bob, cid):
        state = world.state(one)
        assert (state.access, state.seats, state.attributes["storage_gb"]) == ("active", (("nextcloud", "assigned"),), "500")
        assert "has_vaultwarden" not in state.attributes
        assert one.pending_since is not None
    said = "No instance of vaultwarden has room. The first free seat goes to the longest waiting."
    assert world.jobs() == [f"reconcile: {said}"] * 2
    assert list(SeatWait.objects.order_by("since", "pk").values_list("profile", flat=True)) == [bob.pk, cid.pk]

    world.shop.v1.subscriptions.cancel(ann.stripe_subscription_id or "")
    world.deliver()
    assert len(world.jobs()) == 2  # ann's seat is kept for her
    world.pass_time(days=30, seconds=10)
    world.deliver()
    world.sweep()
    assert world.state(bob).attributes["has_vaultwarden"] == "true"
    assert "has_vaultwarden" not in world.state(cid).attributes
    assert set(world.jobs()) == {f"reconcile: {said}"}
    instance.refresh_from_db()
    with_caps: dict[str, Any] = {"soft_cap": 1, "allocation_cap": 5, "hard_cap": 6}
    allocation.change_caps(instance=instance, actor="staff:ada", reason="more room", **with_caps)
    world.sweep()
    assert world.state(cid).attributes["has_vaultwarden"] == "true"
    assert (world.jobs(), SeatWait.objects.count()) == ([], 0)


def test_a_first_look_without_room_is_settled_by_the_later_one(world: World) -> None:
    signup = world.signup("dana", plus=1)
    dana = world.pay(signup)
    allocation.release(profile=dana, product=Product.objects.get(slug="vaultwarden"))
    instance = world.only_room_for(1, "vaultwarden")
    world.subscriber("ann", plus=1)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, "has_nextcloud" in state.attributes) == ("active", True, True)
    assert {one.split(":")[0] for one in world.jobs()} == {"sync_user_post_checkout"}
    instance.refresh_from_db()
    with_caps: dict[str, Any] = {"soft_cap": 1, "allocation_cap": 5, "hard_cap": 6}
    allocation.change_caps(instance=instance, actor="staff:ada", reason="more room", **with_caps)
    world.sweep()
    assert world.state(dana).attributes["has_vaultwarden"] == "true"
    assert world.jobs() == []


def test_who_comes_back_after_the_end_may_use_the_reserve(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=31)
    world.work()
    assert world.state(dana).seats == ()
    world.only_room_for(1)
    world.subscriber("ann")
    grant: dict[str, Any] = {"products": [Product.objects.get(slug="personal")], "until": clock.now() + DAY}
    overrides.grant(profile=dana, actor="staff:ada", reason="welcome back", **grant)
    world.work()
    assert world.state(dana).seats == (("nextcloud", "assigned"),)
    assert Instance.objects.get(slug="nextcloud-1").allocated_seats == 2


# --- the sweep -------------------------------------------------------------------------------------------------------------------


def test_the_sweep_finds_who_waits_without_a_job(world: World) -> None:
    dana = world.pay(world.signup("dana"))
    world.ring(world.new_events())
    jobs.run(jobs.claim())  # an event is mirrored, and then the queue is lost
    while job := jobs.claim():
        if job.kind == "sync_user_post_checkout":
            job.delete()
            break
        jobs.run(job)
    Job.objects.filter(kind__in=["sync_user_post_checkout", "reconcile"]).delete()
    dana.refresh_from_db()
    assert dana.pending_since is not None
    watches.sweep("periodic")
    world.work()
    assert open_for(world.state(dana))


def test_the_sweep_finds_whose_time_has_come_without_a_job(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    Job.objects.filter(state="queued").delete()
    world.pass_time(days=31)
    watches.sweep("periodic")
    world.work()
    assert world.state(dana).access == "expired"
