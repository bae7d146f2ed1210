"""Routes below /recovery/."""

from django.urls import path

from apps.storefront import views_recovery

urlpatterns = [
    path("", views_recovery.recovery, name="recovery"),
]
