"""Which attributes are ours: also those that nothing in the catalog gives any more."""

import pytest
from django.db import IntegrityError

from apps.catalog.entitlements import attribute_names
from apps.catalog.models import Product, ProductPrice
from apps.catalog.product_entitlements import read_catalog

pytestmark = pytest.mark.django_db


def test_a_number_nothing_gives_any_more_is_still_ours_to_remove() -> None:
    product = Product.objects.create(slug="plus", name="Plus", grants={"storage_gb": 100})
    product.grants = {"members": 3}
    product.save()
    assert attribute_names(read_catalog().everything) == {"storage_gb", "members"}


def test_an_app_that_is_one_no_longer_leaves_its_attributes_ours() -> None:
    product = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    product.is_app = False
    product.save(update_fields=["is_app"])
    product.refresh_from_db()
    assert product.names_given == ["has_wiki", "wiki_instance"]
    assert attribute_names(read_catalog().everything) == {"has_wiki", "wiki_instance"}


def test_a_price_by_the_week_is_kept_and_cannot_be_offered() -> None:
    product = Product.objects.create(slug="plus", name="Plus")
    price = ProductPrice.objects.create(
        product=product, stripe_price_id="price_w", interval="week", unit_amount=100, is_active=False
    )
    price.is_active = True
    with pytest.raises(IntegrityError, match="price_offered_by_month_or_year"):
        price.save()
