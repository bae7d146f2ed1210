"""Groups in Keycloak: those directly below our parent group are ours; every other group is never touched.

Groups are found by path (`subGroups` in Keycloak's lists is incomplete since 23) and made when missing.
"""

import re
from urllib.parse import quote

from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core.errors import NeedsOperator, RetryLater
from apps.identity import edge

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def memberships(admin: KeycloakAdmin, keycloak_id: str, *, below: str) -> frozenset[str]:
    """The paths of an account's groups below the group `below`."""
    found = edge.read(f"list the groups of account {keycloak_id}", lambda: admin.get_user_groups(keycloak_id))
    return frozenset(group["path"] for group in found if group["path"].startswith(f"{below}/"))


def join(admin: KeycloakAdmin, keycloak_id: str, path: str) -> None:
    """Put an account into the group `path`, made when missing. NeedsOperator when the path is not ours."""
    name = _own(path)
    group = find(admin, path) or _make(admin, name, path)
    edge.write(f"put account {keycloak_id} into {path}", lambda: admin.group_user_add(keycloak_id, group))


def leave(admin: KeycloakAdmin, keycloak_id: str, path: str) -> None:
    """Take an account out of the group `path`; nothing to do when there is no such group. NeedsOperator as above."""
    _own(path)
    group = find(admin, path)
    if group is not None:
        edge.write(
            f"take account {keycloak_id} out of {path}",
            lambda: admin.group_user_remove(keycloak_id, group),
        )


def _own(path: str) -> str:
    """The last part of a path directly below our parent group; NeedsOperator for every other path."""
    parent, _, name = path.rpartition("/")
    if parent != settings.KEYCLOAK_PARENT_GROUP or not NAME.fullmatch(name):
        raise NeedsOperator(
            f"The group {path[:120]} is not directly below {settings.KEYCLOAK_PARENT_GROUP}; it is not ours to change."
        )
    return name


def find(admin: KeycloakAdmin, path: str) -> str | None:
    """The id of a group by its path; None when there is no such group."""
    try:
        found = edge.read(
            f"find the group {path}",
            lambda: admin.get_group_by_path(quote(path.lstrip("/"))),
            expect=(404,),
        )
    except edge.Refusal:
        return None
    return str(found["id"])


def _make(admin: KeycloakAdmin, name: str, path: str) -> str:
    """Make the group below our parent; two workers may do so at once. Returns its id."""
    parent = find(admin, settings.KEYCLOAK_PARENT_GROUP)
    if parent is None:
        raise NeedsOperator(f"Keycloak has no group {settings.KEYCLOAK_PARENT_GROUP}; make it there.")
    edge.write(
        f"make the group {path}",
        lambda: admin.create_group({"name": name}, parent=parent, skip_exists=True),
    )
    made = find(admin, path)
    if made is None:
        raise RetryLater(f"Keycloak made the group {path} but does not show it.")
    return made
