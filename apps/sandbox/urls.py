"""What the sandbox serves: three peers under their prefixes, the inbox, the control API and a page over it all."""

from django.urls import include, path

urlpatterns = [
    path("stripe/", include("apps.sandbox.stripe.urls")),
    path("keycloak/", include("apps.sandbox.keycloak.urls")),
    path("mailgun/", include("apps.sandbox.mailgun.urls")),
    path("", include("apps.sandbox.pages")),
]
