"""The addresses of the customer API."""

from django.urls import path, re_path

from apps.operations.api import views

urlpatterns = [
    path("v1/openapi.json", views.show_document, name="api-document"),
    path("v1/customers", views.find_customers, name="api-customers"),
    path("v1/customers/<str:number>", views.show_customer, name="api-customer"),
    path("v1/customers/<str:number>/history", views.show_history, name="api-history"),
    path("v1/changes", views.list_changes, name="api-changes"),
    re_path(r"^.*$", views.show_nothing, name="api-nothing"),
]
