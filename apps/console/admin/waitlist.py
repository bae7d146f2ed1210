"""Who waits for a product that is full. The model is the storefront's, a neighbour: it is reached by its label."""

from typing import ClassVar

from django.apps import apps
from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from apps.console.base import ConsoleAdmin
from apps.console.columns import link_column, state_column, time_column


@admin.register(apps.get_model("storefront", "WaitlistEntry"))
class WaitlistAdmin(ConsoleAdmin):
    """The line, the longest waiting first."""

    list_display = ("email", "product_link", "state_label", "joined", "confirmed", "invited")
    list_filter = (("state", ChoicesDropdownFilter), ("product", RelatedDropdownFilter))
    list_select_related = ("product",)
    ordering = ("created_at", "pk")
    search_by: ClassVar[dict[str, str]] = {"email": "email__iexact", "uuid": "pk"}
    search_help_text = "Address"
    fields = ("email", "product_link", "state_label", ("joined", "confirmed", "invited"))

    product_link = link_column("product", "Waits for")
    state_label = state_column()
    joined = time_column("created_at", "Joined")
    confirmed = time_column("confirmed_at", "Confirmed")
    invited = time_column("invited_at", "Invited")
