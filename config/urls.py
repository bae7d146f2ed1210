"""Every route, by the app that answers it."""

from django.contrib import admin
from django.urls import include, path

from apps.billing.intake import webhook
from apps.core.health import health, live
from apps.core.metrics import metrics
from apps.login.logout import home
from apps.notifications import tracking
from apps.storefront import search_engines, views_language
from apps.storefront.views_billing_terms import how_billing_works

handler400 = "apps.storefront.views_errors.bad_request"
handler403 = "apps.storefront.views_errors.forbidden"
handler404 = "apps.storefront.views_errors.not_found"
handler429 = "apps.storefront.views_errors.too_many"  # allauth's
handler500 = "apps.storefront.views_errors.server_error"

urlpatterns = [
    path("onboarding/webhook/", webhook, name="stripe-webhook"),
    path("mailgun/webhook/", tracking.webhook, name="mailgun-webhook"),
    path("onboarding/", include("apps.storefront.urls")),
    path("how-billing-works/", how_billing_works, name="how-billing-works"),
    path("robots.txt", search_engines.robots_txt, name="robots"),
    path("sitemap.xml", search_engines.sitemap_xml, name="sitemap"),
    path("recovery/", include("apps.storefront.urls_recovery")),
    path("legal/", include("apps.storefront.urls_legal")),
    path("contracts/", include("apps.storefront.urls_contracts")),
    path("dashboard/", include("apps.dashboard.urls")),
    path("", include("apps.login.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("apps.operations.api.urls")),
    path("language/", views_language.choose, name="language"),
    path("health/", health, name="health"),
    path("health/live", live, name="health-live"),
    path("metrics", metrics, name="metrics"),
    path("", home, name="home"),
]
