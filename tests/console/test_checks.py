"""The checks refuse what Unfold would let through, and the settings name only functions that exist."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.utils.module_loading import import_string
from unfold.admin import ModelAdmin
from unfold.decorators import action

from apps.console.base import ConsoleAdmin
from apps.console.checks import check_console, check_page
from apps.console.dialogs import ReasonDialog
from apps.core.models import Job
from config.unfold import UNFOLD

DIALOG = {"title": "Do it", "form_class": ReasonDialog}


class Careless(ConsoleAdmin):
    """Everything that is not allowed."""

    actions = ("bulk",)
    actions_submit_line = ("guarded",)
    actions_detail = (
        "no_dialog",
        {"title": "More", "items": ["no_permission", "no_reason"]},
        "guarded",
    )

    def bulk(self, *_args: Any) -> None: ...

    @action(permissions=["retry_job"])
    def no_dialog(self, *_args: Any) -> None: ...

    @action(dialog=DIALOG)
    def no_permission(self, *_args: Any) -> None: ...

    @action(dialog={"title": "Do it"}, permissions=["retry_job"])
    def no_reason(self, *_args: Any) -> None: ...

    @action(dialog=DIALOG, permissions=["retry_job"])
    def guarded(self, *_args: Any) -> None: ...


def ids(page: Any) -> list[str]:
    return sorted(str(error.id) for error in check_page(page))


def test_the_console_as_it_is_passes() -> None:
    assert check_console() == []


def test_actions_without_a_dialog_a_permission_or_a_reason_are_refused() -> None:
    assert ids(Careless(Job, admin.site)) == [
        "console.E002",
        "console.E003",
        "console.E004",
        "console.E005",
        "console.E005",
    ]


def test_a_page_that_is_not_ours_is_refused() -> None:
    assert ids(ModelAdmin(Job, admin.site)) == ["console.E001"]


def dotted(value: Any) -> Iterator[str]:
    """Every text in the settings that looks like a path into our code."""
    if isinstance(value, str) and value.startswith("apps."):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from dotted(item)


@pytest.mark.parametrize("path", sorted(dotted(UNFOLD)))
def test_every_path_in_the_settings_is_a_function(path: str) -> None:
    assert callable(import_string(path))
