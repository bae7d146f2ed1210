"""Routes below /contracts/."""

from django.urls import path

from apps.storefront import views_contracts

urlpatterns = [
    path("cancel/", views_contracts.cancel, name="contract-cancel"),
    path("withdraw/", views_contracts.withdraw, name="contract-withdraw"),
]
