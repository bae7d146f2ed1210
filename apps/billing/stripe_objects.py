"""Stripe's objects as dj-stripe mirrors them, for pages that list them. Only billing imports dj-stripe."""

from djstripe.models import Charge, Customer, Dispute, Invoice, Price, Product, Refund, Subscription

MIRRORED: tuple[type, ...] = (Customer, Subscription, Invoice, Charge, Refund, Dispute, Product, Price)
