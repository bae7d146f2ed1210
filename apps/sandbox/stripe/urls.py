"""The addresses of the Stripe stand-in under /stripe: the API, its pages, its scripts, its switches."""

from django.urls import path

# Importing a resource module registers its addresses with routing.py.
from apps.sandbox.stripe import (
    api,
    catalogue,
    checkout,
    checkout_pages,
    control,
    coupons,
    customers,
    invoice_api,
    money_api,
    plumbing,
    portal,
    portal_pages,
    returns_api,
    subscription_api,
)

RESOURCES = (
    catalogue,
    checkout,
    coupons,
    customers,
    invoice_api,
    money_api,
    plumbing,
    portal,
    returns_api,
    subscription_api,
)

urlpatterns = [
    path("v1/<path:path>", api.serve),
    path("js/<str:name>", checkout_pages.asset),
    path("dahlia/<str:name>", checkout_pages.asset),
    path("checkout/embedded/<str:secret>", checkout_pages.embedded),
    path("checkout/<str:session_id>", checkout_pages.hosted),
    path("portal/<str:session_id>", portal_pages.portal_page),
    path("_control/<str:name>", control.serve),
]
