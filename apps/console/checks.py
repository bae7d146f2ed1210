"""System checks that keep the console safe by construction: manage.py refuses to start when a rule is broken.

Unfold runs an action without a dialog on GET, and one without permissions for every staff user; a vendor's own admin
class may mount views of its own. None of these may be registered.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.core import checks
from unfold.forms import BaseDialogForm

from apps.console.base import ConsoleAdmin
from apps.console.dialogs import ReasonDialog

LISTS = ("actions_list", "actions_row", "actions_detail", "actions_submit_line")


@checks.register(checks.Tags.security)
def check_console(
    app_configs: Sequence[AppConfig] | None = None,  # noqa: ARG001  (Django names it)
    **_kwargs: Any,
) -> list[checks.CheckMessage]:
    """Every registered page is a ConsoleAdmin, and each of its actions has a dialog and a permission."""
    return [error for page in admin.site._registry.values() for error in check_page(page)]


def check_page(page: Any) -> Iterable[checks.CheckMessage]:
    """The errors of one registered admin."""
    if not isinstance(page, ConsoleAdmin):
        yield checks.Error(
            f"{page} is not a ConsoleAdmin.",
            hint="Unregister a vendor's admin and show the model through ours.",
            id="console.E001",
        )
        return
    if page.actions:
        yield checks.Error(f"{page} has queryset actions, which have no dialog.", id="console.E002")
    if page.actions_submit_line:
        yield checks.Error(f"{page} has submit line actions, which have no dialog.", id="console.E003")
    for name in action_names(page):
        yield from check_action(page, name)


def action_names(page: ConsoleAdmin) -> list[str]:
    """The names of all Unfold actions of one admin, those in drop-downs included."""
    return sorted({name for kind in LISTS for name in page._extract_action_names(getattr(page, kind))})


def check_action(page: ConsoleAdmin, name: str) -> Iterable[checks.CheckMessage]:
    """The errors of one action."""
    method = getattr(page, name)
    if not getattr(method, "allowed_permissions", None):
        yield checks.Error(f"Action {name} of {page} asks for no permission.", id="console.E004")
    form = (getattr(method, "dialog", None) or {}).get("form_class") or BaseDialogForm
    if not issubclass(form, ReasonDialog):
        yield checks.Error(f"Action {name} of {page} has no dialog that asks for a reason.", id="console.E005")
