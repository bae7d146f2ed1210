"""Two members of staff with one free seat between them: one invitation, one seat; without the lock of the seat there would be two.

And an invitation that is opened in many browsers at once: one sign-up. And one that is withdrawn while its payment begins: who
pays has a seat.
"""

import threading
import time
from functools import partial

import pytest
from django.db.models import QuerySet

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.core import clock
from apps.core.errors import BadInput
from apps.instances.models import Seat
from apps.notifications.models import Notification
from apps.onboarding import invitations, signup_checkout, waitlist
from apps.onboarding.models import WaitlistEntry
from tests.instances import house
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_last_seat_is_given_away_once() -> None:
    product = house.app()
    house.instance(product, 0, 1, 5)
    entries = [
        WaitlistEntry.objects.create(
            email=f"w{number}@example.com", product=product, created_at=clock.now(), confirmed_at=clock.now()
        )
        for number in range(8)
    ]
    calls = [
        partial(waitlist.invite, entry.pk, actor=f"staff:{name}", reason="there is room")
        for entry in entries
        for name in ("ada", "sam")
    ]
    answers = house.at_once(calls, clients=8)
    refused = [one for one in answers if isinstance(one, BadInput)]
    assert len(refused) == len(answers) - 1
    assert WaitlistEntry.objects.filter(state="invited").count() == 1
    assert Seat.objects.filter(state="reserved").count() == 1
    assert Notification.objects.filter(template="waitlist_invited").count() == 1


def opened_at_once(number: int) -> int:
    """How many sign-ups eight clicks on one invitation begin."""
    entry = WaitlistEntry.objects.create(
        email=f"x{number}@example.com", created_at=clock.now(), confirmed_at=clock.now()
    )
    waitlist.invite(entry.pk, actor="staff:ada", reason="there is room")
    house.at_once([partial(waitlist.invited_signup, entry)] * 8, clients=8)
    return Signup.objects.filter(email=entry.email).count()


def test_an_invitation_that_is_clicked_many_times_begins_one_signup() -> None:
    assert [opened_at_once(number) for number in range(5)] == [1] * 5


@pytest.mark.mutant
def test_mutant_without_the_lock_it_begins_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_options: rows)
    assert max(opened_at_once(number) for number in range(20)) > 1


def sold() -> tuple[Product, ProductPrice]:
    product = house.app()
    house.instance(product, 80, 90, 99)
    return product, ProductPrice.objects.create(
        product=product, stripe_price_id="price_1", interval="month", unit_amount=500, currency="eur"
    )


def paying_without_a_seat(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether somebody pays for nothing whose payment begins once the withdrawal has seen that there is none."""
    product, price = sold()
    entry = WaitlistEntry.objects.create(
        email="p@example.com", product=product, created_at=clock.now(), confirmed_at=clock.now()
    )
    waitlist.invite(entry.pk, actor="staff:ada", reason="there is room")
    entry.refresh_from_db()
    signup = waitlist.invited_signup(entry)
    Signup.objects.filter(pk=signup.pk).update(username="p", first_name="Pat", last_name="Lee")
    signup.refresh_from_db()
    begin = partial(signup_checkout.reserve_for_checkout, signup, [(price, 1)], "digest")
    payment = threading.Thread(target=house.at_once, args=([begin],), kwargs={"clients": 1})
    asked = waitlist.is_paying

    def meanwhile(profile: UserProfile | None) -> bool:
        answer = asked(profile)
        payment.start()
        while payment.is_alive() and not somebody_waits():
            time.sleep(0.01)
        return answer

    monkeypatch.setattr(waitlist, "is_paying", meanwhile)
    invitations.withdraw(entry.pk, actor="staff:ada", reason="there is no room")
    payment.join()
    assert Signup.objects.filter(pk=signup.pk, state="checkout").exists()
    return not Seat.objects.filter(profile=entry.profile, state="reserved").exists()


def test_who_begins_to_pay_while_the_invitation_is_withdrawn_has_a_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not paying_without_a_seat(monkeypatch)


@pytest.mark.mutant
def test_mutant_without_the_lock_of_the_subscriber_somebody_pays_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked = waitlist.UserProfile.objects.none()
    monkeypatch.setattr(waitlist.UserProfile.objects, "select_for_update", lambda **_options: unlocked)
    assert paying_without_a_seat(monkeypatch)
