"""Stripe's products and prices in the mirror, and in our own price table where we sell them."""

from typing import Any

import djstripe.models
from django.conf import settings
from django.db import transaction

from apps.billing.stripe_client import calling_stripe
from apps.catalog.models import ProductPrice


def ensure_mirrored(price_id: str) -> None:
    """Fetch a price and its product into the mirror unless they are there."""
    if not djstripe.models.Price.objects.filter(id=price_id).exists():
        refresh(price_id)


def refresh(object_id: str) -> None:
    """Fetch the present price or product and mirror it; a price of ours takes over amount and activity from Stripe."""
    with calling_stripe() as client:
        if object_id.startswith("price_"):
            price = client.v1.prices.retrieve(object_id)
            product = client.v1.products.retrieve(price["product"])
        else:
            price, product = None, client.v1.products.retrieve(object_id)
        if not getattr(product, "deleted", False):
            _sync(djstripe.models.Product, product)
    if price is not None and not getattr(price, "deleted", False):
        with transaction.atomic():
            _sync(djstripe.models.Price, price)
            ProductPrice.objects.filter(stripe_price_id=price["id"]).update(
                unit_amount=price["unit_amount"] or 0,
                currency=price["currency"],
                is_active=price["active"],
            )


def withdraw(object_id: str) -> None:
    """A price or product was deleted at Stripe: its prices are no longer offered. Who pays them keeps them."""
    gone = ProductPrice.objects.filter(stripe_price_id=object_id) | ProductPrice.objects.filter(
        product__stripe_product_id=object_id
    )
    gone.update(is_active=False)


def _sync(model: Any, stripe_object: Any) -> None:
    model.sync_from_stripe_data(stripe_object, api_key=settings.STRIPE_SECRET_KEY)


def create_product(*, slug: str, name: str) -> str:
    """Create a product at Stripe, once per slug and day (its idempotency key); returns `prod_…`."""
    params: Any = {"name": name, "metadata": {"slug": slug}}
    with calling_stripe() as client:
        return str(client.v1.products.create(params, {"idempotency_key": f"product:{slug}"})["id"])


def create_price(*, product_id: str, interval: str, unit_amount: int, currency: str) -> str:
    """Create a recurring price (minor units); returns `price_…`."""
    params: Any = {
        "product": product_id,
        "currency": currency,
        "unit_amount": unit_amount,
        "recurring": {"interval": interval},
        "tax_behavior": "inclusive",
    }
    key = f"price:{product_id}:{interval}:{unit_amount}:{currency}"
    with calling_stripe() as client:
        return str(client.v1.prices.create(params, {"idempotency_key": key})["id"])
