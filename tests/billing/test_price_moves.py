"""A price that staff give to another product while a customer is being mirrored: the lines end with the new product."""

import threading

import pytest
from django.db import OperationalError, connection, transaction

from apps.billing import fact_rows
from apps.catalog.models import Product, ProductPrice

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def price() -> ProductPrice:
    old = Product.objects.create(slug="old", name="Old")
    return ProductPrice.objects.create(product=old, stripe_price_id="price_1", interval="month", unit_amount=500)


def move_meanwhile(to: Product) -> bool:
    """Whether somebody else can give the price to another product right now."""
    done: list[bool] = []

    def try_it() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
                done.append(bool(ProductPrice.objects.filter(stripe_price_id="price_1").update(product=to)))
        except OperationalError:
            done.append(False)
        finally:
            connection.close()

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return done[0]


def test_a_price_stays_where_it_is_until_the_lines_are_written(price: ProductPrice) -> None:
    new = Product.objects.create(slug="new", name="New")
    with transaction.atomic():
        assert fact_rows.lock_prices(["price_1"])["price_1"].product.slug == "old"
        assert not move_meanwhile(new)
    assert move_meanwhile(new)
    with transaction.atomic():
        assert fact_rows.lock_prices(["price_1"])["price_1"].product.slug == "new"


@pytest.mark.mutant
def test_mutant_without_the_lock_it_moves_under_the_hand(price: ProductPrice) -> None:
    new = Product.objects.create(slug="new", name="New")
    with transaction.atomic():
        ProductPrice.objects.in_bulk(field_name="stripe_price_id")
        assert move_meanwhile(new)
