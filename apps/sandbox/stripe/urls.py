"""The addresses of the Stripe stand-in under /stripe: the API, its pages, its scripts, its control switches."""

from django.urls import path

from apps.sandbox.stripe import (
    api,
    checkout_pages,
    control,
    credit_notes,  # noqa: F401  (its routes)
    invoice_pages,
    portal_pages,
    previews,  # noqa: F401  (its routes)
    resources,
)

resources.register()

urlpatterns = [
    path("v1/<path:path>", api.serve),
    path("js/<str:name>", checkout_pages.asset),
    path("dahlia/<str:name>", checkout_pages.asset),
    path("checkout/embedded/<str:secret>", checkout_pages.embedded),
    path("checkout/<str:session_id>", checkout_pages.hosted),
    path("invoice/<str:invoice_id>", invoice_pages.page),
    path("invoice/<str:invoice_id>/pdf", invoice_pages.file),
    path("portal/<str:session_id>", portal_pages.portal_page),
    path("_control/<str:name>", control.serve),
]
