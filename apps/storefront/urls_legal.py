"""Routes below /legal/."""

from django.urls import path

from apps.storefront import views_legal

urlpatterns = [
    path("<slug:name>/", views_legal.document, name="legal"),
    path("<slug:name>/<str:version>/", views_legal.document, name="legal-version"),
]
