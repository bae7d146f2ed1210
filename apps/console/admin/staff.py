"""Staff and their groups, to read: both come from Keycloak at each login and are changed there."""

from typing import Any, ClassVar, override

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.console.base import ConsoleAdmin
from apps.console.columns import time_column


@admin.register(User)
class StaffAdmin(ConsoleAdmin):
    """People who may come in here."""

    few = True
    list_display = ("username", "full_name", "email", "roles", "active", "seen")
    prefetched = ("groups",)
    search_by: ClassVar[dict[str, str]] = {
        "text": "username__icontains first_name__icontains last_name__icontains email__icontains",
        "email": "email__icontains", "number": "pk",
    }  # fmt: skip
    search_help_text = "Username or address"
    fields = ("username", ("full_name", "email"), "roles", "active", ("seen", "joined"))

    seen = time_column("last_login", "Last login")
    joined = time_column("date_joined", "Since")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Staff only; subscribers have their own pages."""
        return super().get_queryset(request).filter(is_staff=True)

    @admin.display(description="Name")
    def full_name(self, row: User) -> str:
        return row.get_full_name() or "–"

    @admin.display(description="Roles")
    def roles(self, row: User) -> str:
        """The groups Keycloak named at the last login."""
        return ", ".join(sorted(group.name for group in row.groups.all())) or "–"

    @admin.display(description="Active", boolean=True)
    def active(self, row: User) -> bool:
        """Whether they may log in."""
        return row.is_active


@admin.register(Group)
class GroupAdmin(ConsoleAdmin):
    """Roles of staff and groups of instances."""

    few = True
    list_display = ("name",)
    ordering = ("name",)
    search_by: ClassVar[dict[str, str]] = {"text": "name__icontains", "number": "pk"}
    search_help_text = "Name"
    fields = ("name", "rights")

    @admin.display(description="May")
    def rights(self, row: Group) -> SafeString:
        """What its members may do."""
        found = (
            Permission.objects.filter(group=row)
            .select_related("content_type")
            .order_by("content_type__app_label", "codename")
        )
        names = [(f"{right.content_type.app_label}: {right.name}",) for right in found]
        return (
            format_html('<ul class="fd-plain">{}</ul>', format_html_join("", "<li>{}</li>", names))
            if names
            else SafeString("–")
        )
