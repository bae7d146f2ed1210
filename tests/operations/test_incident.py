"""Incident mode: while it holds, billing takes nothing on any path; when it is over, everybody held back is decided about again."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from apps.access import freezes, overrides, policy
from apps.access.models import AccessFreeze, HeldBackLoss
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.operations import incident, safeguard, sweeps
from apps.operations.models import SafeguardReview
from tests.access.people import DAY, closed, open_for, sync_now
from tests.world import State, World

WHY: dict[str, Any] = {"actor": "staff:ada", "reason": "Stripe reports payments as failed"}
HOUR = dt.timedelta(hours=1)


def freeze(*, hours: float = 48, product: Product | None = None) -> AccessFreeze:
    return incident.begin(product=product, until=clock.now() + hours * HOUR, **WHY)


def has_apps(state: State) -> bool:
    return state.account is True and bool(state.groups) and "has_nextcloud" in state.attributes


# --- how access is lost ----------------------------------------------------------------------------------------------


def refund(world: World) -> UserProfile:
    """The money of the running period goes back."""
    found = world.subscriber()
    world.shop.control("refund", charge=world.charge(found))
    return found


def fail_payment(world: World) -> UserProfile:
    """A renewal is not paid, and there are no days of grace."""
    found = world.subscriber()
    world.shop.control("settings", end="past_due")
    world.shop.control("payments", customer=found.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    return found


def cancel(world: World) -> UserProfile:
    """The subscription ends at once."""
    found = world.subscriber()
    world.shop.v1.subscriptions.cancel(found.stripe_subscription_id or "")
    return found


LOSSES: list[Callable[[World], UserProfile]] = [refund, fail_payment, cancel]


# --- and on which path -----------------------------------------------------------------------------------------------


def by_webhook(world: World, _found: UserProfile) -> None:
    world.deliver()


def by_sweep(world: World, _found: UserProfile) -> None:
    """No event arrives; the comparison with Stripe finds it."""
    world.skip()
    world.sweep()


def by_sync_now(world: World, found: UserProfile) -> None:
    world.deliver()
    sync_now(world, found)


def by_night(world: World, _found: UserProfile) -> None:
    world.deliver()
    sweeps.reconcile_all("periodic")
    world.work()


PATHS: list[Callable[[World, UserProfile], None]] = [by_webhook, by_sweep, by_sync_now, by_night]


@pytest.mark.parametrize(
    ("lose", "path"), [*((one, by_webhook) for one in LOSSES), *((refund, one) for one in PATHS[1:])]
)
def test_nothing_is_lost_on_any_path_and_nobody_is_told_of_a_loss(
    world: World, lose: Callable[[World], UserProfile], path: Callable[[World, UserProfile], None]
) -> None:
    dana = lose(world)
    freeze()
    emails = set(world.notifications(dana))
    path(world, dana)

    state = world.state(dana)
    assert (state.access, open_for(state)) == ("active", True)
    (held,) = HeldBackLoss.objects.all()
    demanded = "canceled" if lose is cancel else "suspended"
    assert (held.profile_id, held.state, "Disable the account" in held.steps[0]) == (dana.pk, demanded, True)
    assert AuditEntry.objects.filter(action="loss_held_back", subject_id=str(dana.pk)).count() == 1
    told = set(world.notifications(dana)) - emails - {"keycloak_set_password", "welcome"}
    assert told <= {"refunded"}, told  # that money went back is true, and no loss
    dana.refresh_from_db()
    assert dana.access_sentence == "We are checking your subscription. Nothing changes for you in the meantime."
    world.assert_laws_hold()


@pytest.mark.mutant
@pytest.mark.parametrize("lose", LOSSES)
def test_without_the_guard_it_would_be_lost(
    world: World, lose: Callable[[World], UserProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "hold_back", lambda _facts, demanded: demanded)
    dana = lose(world)
    freeze()
    world.deliver()
    assert closed(world.state(dana))


def test_what_a_date_ends_is_held_back_too_and_the_forecast_says_until_when(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 3
    dana = fail_payment(world)
    world.deliver()
    assert world.state(dana).access == "grace"
    dana.refresh_from_db()
    left = (dana.access_until or clock.now()) - clock.now()
    world.pass_time(seconds=int(left.total_seconds()) - 3600)
    running = freeze()
    sync_now(world, dana)
    dana.refresh_from_db()
    losses = [one for one in dana.forecast if one.get("is_loss")]
    assert [one["change"] for one in losses] == ["freeze_ends"]
    world.pass_time(seconds=7200)
    world.sweep()

    state = world.state(dana)
    assert (state.access, open_for(state)) == ("grace", True)
    dana.refresh_from_db()
    assert dana.access_sentence.startswith("Your last payment failed. You keep access for now.")
    (coming,) = (one for one in dana.forecast if one["change"] == "freeze_ends")
    assert (coming["at"], coming["state"]) == (running.until.isoformat(), "suspended")
    assert not set(world.notifications(dana)) & {"access_ends_soon"}

    incident.change_end(running, until=clock.now() + 60 * HOUR, **WHY)
    world.work()
    dana.refresh_from_db()
    assert AccessFreeze.objects.get().until.isoformat() in [one["at"] for one in dana.forecast]
    world.assert_laws_hold()


def test_a_kept_seat_is_not_released_meanwhile(world: World, settings: Any) -> None:
    settings.FINAL_EXPIRY_DAYS = 10
    dana = cancel(world)
    world.deliver()
    world.pass_time(days=9.5)
    running = freeze()
    world.pass_time(days=1)
    world.sweep()
    assert (world.state(dana).access, world.state(dana).seats) == ("canceled", (("nextcloud", "retained"),))
    assert HeldBackLoss.objects.get().state == "expired"
    assert "expired" not in world.notifications(dana)
    incident.end(running, **WHY)
    world.work()
    assert (world.state(dana).access, world.state(dana).seats) == ("expired", ())
    world.assert_laws_hold()


def test_staff_put_on_hold_and_billing_gives_as_ever(world: World) -> None:
    freeze()
    dana, erin = world.subscriber("dana"), world.subscriber("erin")  # signing up goes on
    assert open_for(world.state(dana))
    overrides.hold(profile=dana, **WHY)
    world.work()
    assert (world.state(dana).access, world.state(dana).account) == ("on_hold", False)
    assert has_apps(world.state(erin))
    assert not HeldBackLoss.objects.exists()


def test_a_freeze_of_one_product_covers_those_who_have_it(world: World) -> None:
    other = Product.objects.exclude(slug="nextcloud").first()
    assert other is not None
    freeze(product=other)
    dana = refund(world)
    world.deliver()
    assert closed(world.state(dana))

    freeze(product=Product.objects.get(slug="nextcloud"))
    erin = world.subscriber("erin")
    world.shop.control("refund", charge=world.charge(erin))
    world.deliver()
    assert has_apps(world.state(erin))


# --- when it is over -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [True, False])
def test_when_it_is_over_everybody_held_back_is_decided_about_again(world: World, by_hand: bool) -> None:
    running = freeze()
    dana, erin = refund(world), world.subscriber("erin")
    world.shop.control("payments", customer=erin.stripe_customer_id, mode="fail")
    world.deliver()
    world.shop.control("refund", charge=world.charge(erin))
    world.deliver()
    assert HeldBackLoss.objects.count() == 2
    overrides.grant(profile=erin, products=[erin.items.get().product], until=clock.now() + 90 * DAY, **WHY)
    world.work()
    assert HeldBackLoss.objects.get().profile == dana  # the other is granted what it would have lost

    if by_hand:
        incident.end(running, **WHY)
    else:
        world.pass_time(days=2.1)
    world.sweep()
    assert (world.state(dana).access, closed(world.state(dana))) == ("suspended", True)
    assert has_apps(world.state(erin))
    assert not HeldBackLoss.objects.exists()
    (entry,) = AuditEntry.objects.filter(action="incident_ended")
    assert entry.actor == ("staff:ada" if by_hand else "system")
    job = Job.objects.filter(kind="reconcile", key=str(dana.pk), reason=incident.REASON).latest("pk")
    assert job.importance == Job.Importance.CHANGE
    world.assert_laws_hold()


def test_the_safeguard_still_asks_about_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until staff approve, the rows go on protecting, whatever else asks for a sync."""
    running = freeze()
    dana = refund(world)
    world.deliver()
    monkeypatch.setattr(safeguard, "FLOOR", 0)
    incident.end(running, **WHY)
    world.work()
    assert "The end of incident mode would take access from 1 of 1" in Job.objects.get(kind=incident.KIND).last_error
    sync_now(world, dana)
    world.sweep()
    assert open_for(world.state(dana))
    assert Job.objects.filter(kind=incident.KIND).count() == 1  # nobody asks again each minute

    safeguard.approve(SafeguardReview.objects.get(), expected=1, **WHY)
    world.work()
    assert closed(world.state(dana))
    assert not HeldBackLoss.objects.exists()


def test_a_process_killed_at_the_end_leaves_nobody_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    running = freeze()
    dana = refund(world)
    world.deliver()

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as killed:
        killed.setattr(incident, "release", die)
        incident.end(running, **WHY)
        with pytest.raises(SystemExit):
            world.work()
    Job.objects.filter(kind=incident.KIND).delete()  # not even its job is left
    assert open_for(world.state(dana))
    world.sweep()
    assert closed(world.state(dana))


# --- races -----------------------------------------------------------------------------------------------------------


def begin_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Incident mode begins right before this step of a reconcile that has decided to take access."""
    from apps.identity.keycloak import Keycloak

    verb = getattr(Keycloak, step)

    def beginning(*args: Any, **kwargs: Any) -> Any:
        if not AccessFreeze.objects.exists():
            freeze()
        return verb(*args, **kwargs)

    monkeypatch.setattr(Keycloak, step, beginning)


@pytest.mark.parametrize("step", ["get_user", "update_user", "leave_group", "end_sessions"])
def test_a_sync_that_runs_while_it_begins_stops_and_gives_back_what_it_took(
    world: World, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = refund(world)
    begin_at(step, monkeypatch)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account) == ("active", True)
    assert HeldBackLoss.objects.count() == 1
    assert "recovered" not in world.notifications(dana)
    world.assert_laws_hold()


@pytest.mark.mutant
def test_without_its_guard_the_sync_would_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezes, "refuse_if_begun", lambda *_: None)
    dana = refund(world)
    begin_at("update_user", monkeypatch)
    world.deliver()
    assert closed(world.state(dana))


def test_a_loss_that_was_decided_and_never_applied_is_held_back_when_it_is_tried_again(world: World) -> None:
    dana = refund(world)
    world.fault("keycloak", "down", path="/admin/")
    world.deliver()
    dana.refresh_from_db()
    assert dana.access_state == "suspended"
    freeze()
    world.fault("keycloak", "ok")
    world.retry()
    state = world.state(dana)
    assert (state.access, open_for(state)) == ("active", True)


# --- rules -----------------------------------------------------------------------------------------------------------


def test_it_ends_within_three_days_is_one_for_each_scope_and_can_be_prolonged(world: World) -> None:
    with pytest.raises(BadInput, match="within 72 hours"):
        freeze(hours=73)
    with pytest.raises(BadInput, match="in the future"):
        freeze(hours=-1)
    running = freeze(hours=70)
    with pytest.raises(BadInput, match="on for everybody already"):
        freeze()
    world.pass_time(days=2)
    incident.change_end(running, until=clock.now() + 72 * HOUR, **WHY)
    world.pass_time(days=2)
    incident.watch()
    assert AccessFreeze.in_force(clock.now()).exists()
    assert AttentionItem.objects.get(cause="incident").resolved_at is None  # for more than a day
    incident.end(running, **WHY)
    assert AttentionItem.objects.get(cause="incident").resolved_at
    for change in (
        lambda: incident.end(running, **WHY),
        lambda: incident.change_end(running, until=clock.now() + HOUR, **WHY),
    ):
        with pytest.raises(BadInput, match="over already"):
            change()
