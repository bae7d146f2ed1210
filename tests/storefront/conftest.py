"""A small catalog without anything outside, and visitors who go through the wizard."""

from typing import Any

import pytest
from django.contrib.auth.models import Group

from apps.catalog.models import Product, ProductPrice
from apps.core import limits
from apps.instances.models import Instance
from tests.storefront.visitor import Visitor


def sell(slug: str, *, prices: dict[str, int], **fields: Any) -> Product:
    product = Product.objects.create(slug=slug, name=slug.replace("_", " ").title(), **fields)
    for interval, amount in prices.items():
        ProductPrice.objects.create(
            product=product,
            stripe_price_id=f"price_{slug}_{interval}",
            interval=interval,
            unit_amount=amount,
        )
    return product


@pytest.fixture
def shop(db: None) -> dict[str, Product]:
    """Personal (also yearly), family, an add-on for all, one for family only, and storage; one place left for each app."""
    cloud = sell("nextcloud", prices={}, is_app=True, needs_instance=True)
    made = {
        "nextcloud": cloud,
        "personal": sell("personal", prices={"month": 500, "year": 5000}, placement="plan"),
        "family": sell("family", prices={"month": 1250}, placement="plan", position=1),
        "support": sell("support", prices={"month": 700, "year": 7000}, placement="general"),
    }
    made["domain"] = sell("domain", prices={"month": 200}, placement="general", parent=made["family"])
    made["storage_100"] = sell("storage_100", prices={"month": 150, "year": 1500}, placement="storage", max_quantity=10)
    for plan in ("personal", "family"):
        made[plan].includes.add(cloud)
    Instance.objects.create(
        slug="cloud-1", name="Cloud 1", product=cloud, url="https://cloud.example.com/",
        soft_cap=1, allocation_cap=2, hard_cap=3, group=Group.objects.create(name="cloud-1"),
    )  # fmt: skip
    return made


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rate limits count, but never refuse."""
    monkeypatch.setattr(limits, "would_allow", lambda **_subjects: True)
    monkeypatch.setattr(limits, "allow", lambda **_subjects: True)
