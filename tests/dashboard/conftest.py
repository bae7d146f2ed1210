"""A subscriber with a plan, an add-on and two apps, as billing and allocation leave one."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.catalog.models import Product
from apps.core import clock
from apps.instances.models import Instance, Seat

DUE = dt.datetime(2027, 3, 14, 12, 0, tzinfo=dt.UTC)


@dataclass
class Catalog:
    plan: Product
    cloud: Product
    notes: Product
    storage: Product
    instance: Instance


@pytest.fixture
def catalog(db: None) -> Catalog:
    cloud = Product.objects.create(
        slug="cloud", name="Cloud", icon="cloud", summary="Your files.", is_app=True, needs_instance=True
    )
    notes = Product.objects.create(slug="notes", name="Notes", icon="note", is_app=True)
    plan = Product.objects.create(slug="home", name="Home plan", placement="plan")
    plan.includes.add(cloud, notes)
    storage = Product.objects.create(slug="storage", name="100 GB", placement="storage", position=9)
    instance = Instance.objects.create(
        slug="cloud-1",
        name="Cloud One",
        product=cloud,
        url="https://cloud-1.example.com/",
        soft_cap=1,
        allocation_cap=2,
        hard_cap=3,
        group=Group.objects.create(name="cloud-1"),
    )
    return Catalog(plan, cloud, notes, storage, instance)


def person(name: str, **more: Any) -> UserProfile:
    """A subscriber who has bought nothing yet."""
    user = User(username=name, first_name=name.title())
    user.set_unusable_password()
    user.save()
    return UserProfile.objects.create(
        **(
            {
                "user": user,
                "email": f"{name}@example.com",
                "keycloak_id": f"kc-{name}",
                "stripe_customer_id": f"cus_{name}",
                "access_state": "active",
                "access_reason": {"code": "paid"},
                "created_at": clock.now(),
            }
            | more
        )
    )


def subscribe(profile: UserProfile, *products: Product, **more: Any) -> Subscription:
    """A subscription with one line per product: 12.50 for plans, two at 2.00 for others, due on DUE."""
    number = Subscription.objects.count()
    subscription = Subscription.objects.create(
        **(
            {
                "stripe_id": f"sub_{number}",
                "customer_id": str(profile.stripe_customer_id),
                "status": "active",
                "stripe_created_at": clock.now(),
                "fetched_at": clock.now(),
            }
            | more
        )
    )
    for place, product in enumerate(products):
        plan = product.placement == "plan"
        UserSubscriptionItem.objects.create(
            profile=profile,
            subscription=subscription,
            stripe_item_id=f"si_{number}_{place}",
            stripe_price_id=f"price_{product.slug}",
            product=product,
            quantity=1 if plan else 2,
            unit_amount=1250 if plan else 200,
            currency="eur",
            interval="month",
            current_period_end=DUE,
        )
    return subscription


def seat(profile: UserProfile, instance: Instance, state: str = "assigned") -> Seat:
    now = clock.now()
    over = {"released_at": now} if state == "released" else {}
    return Seat.objects.create(
        profile=profile,
        product=instance.product,
        instance=instance,
        state=state,
        created_at=now,
        changed_at=now,
        **over,
    )


@pytest.fixture
def nora(catalog: Catalog) -> UserProfile:
    """A subscriber to whom everything has been given."""
    profile = person("nora")
    subscribe(profile, catalog.plan, catalog.storage)
    seat(profile, catalog.instance)
    return profile


@pytest.fixture
def client_of_nora(nora: UserProfile) -> Client:
    client = Client()
    client.force_login(nora.user)
    return client
