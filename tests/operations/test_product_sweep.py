"""The sweep for accounts in products whose days are over: everybody gets a turn, whatever cannot be deleted."""

import datetime as dt
from typing import Any

import pytest
from django.db.models import ProtectedError

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.instances.models import Instance, ProductAccount, Provisioning
from apps.onboarding import forgetting
from apps.operations import product_sweep
from tests.instances import house

pytestmark = pytest.mark.django_db


def over(profile: UserProfile, instance: Instance, *, hours: int) -> None:
    ProductAccount.objects.create(
        profile=profile, instance=instance, user_id=f"id-{profile.pk}", state="leaving",
        delete_at=clock.now() - dt.timedelta(hours=hours),
    )  # fmt: skip


def test_what_is_not_deleted_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    product = house.app()
    obeys, silent = house.instance(product), house.instance(product)
    Provisioning.objects.create(instance=obeys, kind="nextcloud", address="https://cloud.example.com", host="cloud")
    ada, bob, eve = house.people(3)
    over(eve, silent, hours=9)  # it takes no orders: nobody can delete there
    over(ada, obeys, hours=5)
    over(bob, obeys, hours=3)
    asked: list[int] = []
    monkeypatch.setattr(product_sweep, "MOST", 1)

    def enqueue_many(people: Any, **_rest: Any) -> None:
        asked.extend(people)

    monkeypatch.setattr(reconcile, "enqueue_many", enqueue_many)
    for _ in range(3):
        product_sweep.sweep_products()
    assert asked == [ada.pk, bob.pk, ada.pk]


def test_nobody_is_removed_of_whose_account_only_our_row_knows() -> None:
    ada, bob = house.people(2)
    over(ada, house.instance(house.app()), hours=1)
    later = clock.now() + dt.timedelta(hours=1)
    assert list(forgetting.abandoned(later)) == [bob]
    with pytest.raises(ProtectedError):
        ada.user.delete()
