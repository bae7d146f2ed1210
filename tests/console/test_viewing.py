"""An admin looks at the console as a role: with no more than both may, changing nothing, and with an easy way out."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from apps.console import viewing
from apps.console.checks import action_names
from apps.core.models import AuditEntry
from tests.console.conftest import World
from tests.console.desk import dialog, send
from tests.rows import writes

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
BANNER = "You view the console as {} and can change nothing."


def view_as(client: Client, role: str) -> Any:
    return client.post(reverse("admin:roles_view", args=[role]))


@pytest.fixture
def ada(staff: Staff) -> Client:
    """An admin."""
    return staff("admin")


def opened(client: Client, row: Any, page: str) -> dict[str, int]:
    """The answer of each dialog about a row."""
    names = action_names(admin.site._registry[type(row)])  # type: ignore[arg-type]
    return {name: client.get(address).status_code for name, address in _dialogs(row, page, names)}


def _dialogs(row: Any, page: str, names: list[str]) -> Iterator[tuple[str, str]]:
    of_list = {"sync_selected"}
    for name in names:
        yield name, reverse(f"admin:{page}_{name}") if name in of_list else dialog(row, name)


@pytest.mark.parametrize("role", ["viewer", "support", "operator"])
def test_every_dialog_answers_as_it_does_to_that_role(role: str, ada: Client, world: World, staff: Staff) -> None:
    own = opened(ada, world.profiles[0], "accounts_userprofile")
    assert view_as(ada, role)["Location"] == reverse("admin:index")
    seen = opened(ada, world.profiles[0], "accounts_userprofile")
    assert seen == opened(staff(role), world.profiles[0], "accounts_userprofile")
    assert seen != own
    assert ada.get(reverse("admin:realm")).status_code == staff(role).get(reverse("admin:realm")).status_code
    assert BANNER.format(role) in ada.get(reverse("admin:index")).content.decode()
    assert BANNER.format(role) in ada.get(reverse("admin:accounts_userprofile_changelist")).content.decode()
    assert AuditEntry.objects.get(action="viewed_as_role").after == {"role": role}


def test_nothing_can_be_changed_and_one_click_ends_it(ada: Client, world: World) -> None:
    view_as(ada, "operator")
    before = kept()
    answer = send(ada, world.profiles[0], "sync_now")
    assert answer["HX-Redirect"] == reverse("admin:index")
    assert ada.post(reverse("admin:sessions_end", args=["all"])).status_code == 302
    assert kept() == before
    assert "Nothing was changed" in ada.get(reverse("admin:index")).content.decode()
    assert view_as(ada, "none")["Location"] == reverse("admin:roles")
    assert BANNER.format("operator") not in ada.get(reverse("admin:index")).content.decode()
    assert send(ada, world.profiles[0], "sync_now")["HX-Redirect"].endswith("/change/")


def kept() -> dict[str, int]:
    """All that an action may write."""
    return {
        name: count
        for name, count in writes().items()
        if not name.startswith(("auth_", "usersessions", "django_session"))
    }


def test_it_never_gives_more_than_ones_own_rights(ada: Client, world: World) -> None:
    view_as(ada, "operator")
    refund = Permission.objects.get(codename="override_access")
    Group.objects.get(name="admin").permissions.remove(refund)
    assert ada.get(dialog(world.profiles[0], "hold")).status_code == 403
    user = User.objects.get(username="admin-ada")
    user.groups.set([Group.objects.get(name="viewer")])
    assert ada.get(dialog(world.profiles[0], "sync_now")).status_code == 403


def test_only_admins_begin_and_only_with_a_lesser_role(world: World, staff: Staff) -> None:
    for role in ("viewer", "support", "operator"):
        assert view_as(staff(role), "viewer").status_code == 403
        assert "View as" not in staff(role).get(reverse("admin:roles")).content.decode()
    ada = staff("admin")
    assert "View as" in ada.get(reverse("admin:roles")).content.decode()
    for role in ("admin", "boss"):
        assert view_as(ada, role).status_code == 404
    assert ada.get(reverse("admin:roles_view", args=["viewer"])).status_code == 405


def test_it_ends_by_itself_and_sessions_of_others_are_out_of_sight(ada: Client, staff: Staff) -> None:
    view_as(ada, "viewer")
    assert "Other staff" not in ada.get(reverse("admin:sessions")).content.decode()
    session = ada.session
    session[viewing.VIEWING] = session[viewing.VIEWING] | {"until": time.time() - 1}
    session.save()
    assert "Other staff" in ada.get(reverse("admin:sessions")).content.decode()
    assert BANNER.format("viewer") not in ada.get(reverse("admin:index")).content.decode()
