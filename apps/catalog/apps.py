"""What is sold: Product, ProductPrice, and what a paid item entitles to."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Django's handle on the app."""

    name = "apps.catalog"
    verbose_name = "Catalog"
