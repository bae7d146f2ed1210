"""Routes below /dashboard/."""

from django.urls import path

from apps.dashboard import views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("reset-password/", views.reset_password, name="reset-password"),
    path("billing/", views.billing_portal, name="billing-portal"),
]
