"""What a plan includes is never sold a second time beside it."""

import pytest

from apps.accounts.models import Signup
from apps.core import clock
from apps.onboarding import basket
from apps.onboarding.basket import Shop

pytestmark = pytest.mark.django_db


def test_an_addon_the_plan_includes_is_dropped_and_costs_nothing(shop):
    shop["family"].includes.add(shop["support"])
    signup = Signup.objects.create(created_at=clock.now())
    basket.choose_plan(Shop.load(), signup, interval="month", slug="family", addons=["support"])
    assert signup.basket == {"family": 1}


def test_an_addon_chosen_before_the_plan_included_it_is_neither_shown_nor_charged(shop):
    signup = Signup.objects.create(created_at=clock.now(), basket={"family": 1, "support": 1})
    shop["family"].includes.add(shop["support"])
    order = Shop.load().order(signup)
    assert order is not None
    assert order.basket == {"family": 1}
    assert order.total == 1250
