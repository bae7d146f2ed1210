"""What the sandbox serves: peers under their prefixes, the inbox, the control API and a page over it all."""

from django.urls import include, path

urlpatterns = [
    path("stripe/", include("apps.sandbox.stripe.urls")),
    path("keycloak/", include("apps.sandbox.keycloak.urls")),
    path("mailgun/", include("apps.sandbox.mailgun.urls")),
    path("nextcloud/", include("apps.sandbox.nextcloud.urls")),
    path("receiver/", include("apps.sandbox.receiver.urls")),
    path("immich/", include("apps.sandbox.immich.urls")),
    path("", include("apps.sandbox.pages")),
]
