"""Forgetting while a system is down, or while the person comes back: nobody who pays is forgotten, and nothing stays half done."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import ErasureAttempt, Signup, UserProfile
from apps.core import clock, jobs, retention
from apps.core.errors import BadInput
from apps.core.models import Dependency, Job
from apps.instances.models import Seat
from apps.onboarding import forgetting, recovery, signup_checkout
from apps.operations import privacy
from tests.field.test_forgetting import DAY, give_up, is_deleted
from tests.operations.test_privacy import BY, columns_with, leave
from tests.world import World


def abandoned(world: World, name: str) -> UserProfile:
    """Somebody who gave up long ago."""
    profile = give_up(world, name)
    age(profile)
    return profile


def age(profile: UserProfile) -> None:
    then = clock.now() - 40 * DAY
    UserProfile.objects.filter(pk=profile.pk).update(created_at=then)
    Signup.objects.filter(profile=profile).update(created_at=then, state="expired", ended_at=then)
    Seat.objects.filter(profile=profile).update(state="released", reserved_until=None, released_at=then)
    Job.objects.all().delete()


def forget(profile: UserProfile) -> None:
    jobs.KINDS[forgetting.KIND].handler(str(profile.pk))


def in_the_middle(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Stripe is asked, and then this happens before anything goes."""
    ask = forgetting.is_billed

    def asked(customer: str) -> bool:
        answer = ask(customer)
        happens()
        return answer

    monkeypatch.setattr(forgetting, "is_billed", asked)


def test_who_pays_while_stripe_is_asked_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = abandoned(world, "dana")
    in_the_middle(monkeypatch, lambda: world.pay(world.signup("dana")))
    forget(dana)
    world.deliver()
    assert world.state(dana).access == "active"
    assert not is_deleted(world, dana)


def test_who_opens_a_payment_while_stripe_is_asked_can_pay_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The customer went first: the payment that was just open could not be made, or its subscription was canceled at once."""
    dana, back = abandoned(world, "dana"), world.signup("dana")
    in_the_middle(monkeypatch, lambda: signup_checkout.open_checkout(back, ui="embedded"))
    forget(dana)
    world.work()
    monkeypatch.undo()
    paid = world.pay(back)
    world.deliver()
    assert (paid.pk, world.state(paid).access) == (dana.pk, "active")


@pytest.mark.mutant
def test_mutant_without_the_second_look_a_payer_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = abandoned(world, "dana")
    in_the_middle(monkeypatch, lambda: world.pay(world.signup("dana")))
    monkeypatch.setattr(forgetting, "abandoned", lambda _before: UserProfile.objects.all())
    forget(dana)
    assert not UserProfile.objects.filter(pk=dana.pk).exists()


def test_who_comes_back_after_the_rows_are_gone_begins_anew(world: World) -> None:
    """The customer of before is deleted at Stripe later, and nobody pays as it any more."""
    dana = abandoned(world, "dana")
    forget(dana)
    back = world.pay(world.signup("dana"))
    world.deliver()
    assert back.stripe_customer_id != dana.stripe_customer_id
    assert (world.state(back).access, is_deleted(world, dana), is_deleted(world, back)) == ("active", True, False)


@pytest.mark.parametrize("when", ["before", "between"])
def test_stripe_may_be_down_in_the_middle(world: World, when: str) -> None:
    dana = abandoned(world, "dana")
    if when == "between":
        forget(dana)
    world.fault("stripe", "down")
    retention.prune_all()
    world.work()
    assert Dependency.objects.filter(name="stripe").exists()
    assert UserProfile.objects.filter(pk=dana.pk).exists() == (when == "before")
    world.fault("stripe", "ok")
    world.pass_time(seconds=200)
    Dependency.objects.all().delete()
    world.retry()
    assert not UserProfile.objects.exists()
    assert is_deleted(world, dana)
    assert world.jobs() == []


def test_keycloak_may_be_down_while_somebody_is_erased(world: World) -> None:
    quentin = world.subscriber("quentin")
    account = quentin.keycloak_id
    leave(world, quentin)
    world.fault("keycloak", "down")
    privacy.erase(quentin, **BY)
    world.work()
    assert Job.objects.get(kind="delete_account").state == "queued"
    world.fault("keycloak", "ok")
    Dependency.objects.all().delete()
    world.retry()
    assert world.admin("GET", f"/users/{account}").status_code == 404
    world.deliver()
    assert columns_with("quentin@") == set()
    assert world.jobs() == []


def test_a_payment_that_opens_while_the_person_is_erased_is_refused(world: World) -> None:
    """The page had read the person before; the erasure was faster."""
    quentin = world.subscriber("quentin")
    leave(world, quentin)
    as_read_before = UserProfile.objects.select_related("user").get(pk=quentin.pk)
    assert recovery.read_status(as_read_before).next_step == "renew"
    privacy.erase(quentin, **BY)
    with pytest.raises(BadInput):
        recovery.payment_url(as_read_before)
    assert not Signup.objects.filter(state="checkout").exists()
    world.work()
    assert columns_with("quentin@example.com") == set()


def test_who_pays_now_or_is_of_staff_is_not_erased(world: World) -> None:
    payer, member = world.subscriber("payer"), world.subscriber("member")
    for one in (payer, member):
        leave(world, one)
        one.refresh_from_db()
    recovery.payment_url(payer)
    with pytest.raises(BadInput, match="payment is open"):
        privacy.erase(payer, **BY)
    member.user.is_staff = True
    member.user.save()
    with pytest.raises(BadInput, match="staff"):
        privacy.erase(member, **BY)
    UserProfile.objects.update(access_state="expired", final_expiry_at=clock.now() - 400 * DAY)
    Job.objects.all().delete()
    retention.prune_all()
    jobs.drain()
    assert {one.email for one in UserProfile.objects.all()} == {"payer@example.com", "member@example.com"}
    assert ErasureAttempt.objects.exclude(refusal="").count() == 2


def test_who_has_paid_at_stripe_unseen_is_kept_and_noted(world: World) -> None:
    dana = abandoned(world, "dana")
    world.pay(world.signup("dana"))
    age(dana)
    forget(dana)
    assert ErasureAttempt.objects.get(profile=dana).refusal == "Stripe has an invoice or a running subscription."
    assert not is_deleted(world, dana)
