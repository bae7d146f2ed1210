"""Groups in Keycloak: those directly below our parent group are ours; every other group is never touched.

Groups are found by path (`subGroups` in Keycloak's lists is incomplete since 23) and created when missing.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import quote

from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core.errors import NeedsOperator, RetryLater
from apps.identity import api_errors

PAGE = 500
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def staff_paths(admin: KeycloakAdmin, keycloak_id: str) -> frozenset[str]:
    """The paths of an account's groups directly below the staff group, by their ids: a path alone proves nothing.

    A group may be called `staff/admin`, and its path is then that of another one (seen on 26.7.3).
    """
    found = api_errors.read(f"list the groups of account {keycloak_id}", lambda: admin.get_user_groups(keycloak_id))
    above = f"{settings.KEYCLOAK_STAFF_GROUP}/"
    claimed = [row for row in found if row["path"].removeprefix(above) == row["name"]]
    if not claimed:
        return frozenset()
    key = _genuine(admin, settings.KEYCLOAK_STAFF_GROUP)
    return frozenset(row["path"] for row in claimed if key and row.get("parentId") == key)


def _genuine(admin: KeycloakAdmin, path: str) -> str | None:
    """The id of the group that has this path by each name above it; None when another one bears a slash in its name."""
    key: str | None = None
    names = path.strip("/").split("/")
    for depth, name in enumerate(names, 1):
        find = partial(admin.get_group_by_path, quote("/".join(names[:depth])))
        try:
            row = api_errors.read(f"find the group {path}", find, expect=(404,))
        except api_errors.Refusal:
            return None
        if row["name"] != name or row.get("parentId") != key:
            return None
        key = str(row["id"])
    return key


def own_paths(admin: KeycloakAdmin, keycloak_id: str) -> frozenset[str]:
    """The paths of an account's groups that are ours; not those which somebody made below ours, or with a name we never give."""
    found = api_errors.read(f"list the groups of account {keycloak_id}", lambda: admin.get_user_groups(keycloak_id))
    return frozenset(group["path"] for group in found if _name_of_own(group["path"]))


def join_group(admin: KeycloakAdmin, keycloak_id: str, path: str) -> None:
    """Put an account into the group `path`, created when missing. NeedsOperator when the path is not ours."""
    name = _own(path)
    group = find_group(admin, path) or _create(admin, name, path)
    api_errors.write(f"put account {keycloak_id} into {path}", lambda: admin.group_user_add(keycloak_id, group))


def leave_group(admin: KeycloakAdmin, keycloak_id: str, path: str) -> None:
    """Take an account out of the group `path`; nothing to do when there is no such group. NeedsOperator as above."""
    _own(path)
    group = find_group(admin, path)
    if group is not None:
        api_errors.write(
            f"take account {keycloak_id} out of {path}", lambda: admin.group_user_remove(keycloak_id, group)
        )


def _own(path: str) -> str:
    """The last part of a path directly below our parent group; NeedsOperator for every other path."""
    name = _name_of_own(path)
    if not name:
        raise NeedsOperator(
            f"The group {path[:120]} is not directly below {settings.KEYCLOAK_PARENT_GROUP}; it is not ours to change."
        )
    return name


def _name_of_own(path: str) -> str:
    """The last part of a path directly below our parent group; empty for every other path."""
    parent, _, name = path.rpartition("/")
    return name if parent == settings.KEYCLOAK_PARENT_GROUP and NAME.fullmatch(name) else ""


def find_group(admin: KeycloakAdmin, path: str) -> str | None:
    """The id of a group by its path; None when there is no such group."""
    try:
        found = api_errors.read(
            f"find the group {path}", lambda: admin.get_group_by_path(quote(path.lstrip("/"))), expect=(404,)
        )
    except api_errors.Refusal:
        return None
    return str(found["id"])


def find_parent(admin: KeycloakAdmin) -> str:
    """The id of our parent group. NeedsOperator when it is not there."""
    parent = find_group(admin, settings.KEYCLOAK_PARENT_GROUP)
    if parent is None:
        raise NeedsOperator(f"Keycloak has no group {settings.KEYCLOAK_PARENT_GROUP}; create it there.")
    return parent


def list_below(admin: KeycloakAdmin, path: str) -> dict[str, str]:
    """The groups directly below the group `path`: path to id; none when it is not there."""
    parent = find_group(admin, path)
    if parent is None:
        return {}
    rows = _pages(f"list the groups below {path}", lambda query: admin.get_group_children(parent, query))
    return {str(row["path"]): str(row["id"]) for row in rows}


def list_members(admin: KeycloakAdmin, group_id: str) -> frozenset[str]:
    """The ids of the accounts in a group."""
    rows = _pages(f"list the members of group {group_id}", lambda query: admin.get_group_members(group_id, query))
    return frozenset(str(row["id"]) for row in rows)


def _pages(doing: str, call: Callable[[dict[str, Any]], Any]) -> Iterator[dict[str, Any]]:
    for first in count(0, PAGE):
        query = {"first": first, "max": PAGE, "briefRepresentation": True}
        rows = api_errors.read(doing, lambda query=query: call(query))  # type: ignore[misc]
        yield from rows
        if len(rows) < PAGE:
            return


def _create(admin: KeycloakAdmin, name: str, path: str) -> str:
    """Create the group below our parent; two workers may do so at once. Returns its id."""
    parent = find_parent(admin)
    api_errors.write(
        f"create the group {path}", lambda: admin.create_group({"name": name}, parent=parent, skip_exists=True)
    )
    created = find_group(admin, path)
    if created is None:
        raise RetryLater(f"Keycloak created the group {path} but does not show it.")
    return created
