"""The realm's groups: a tree of names, found by id or by path, shown as Keycloak's Admin API shows them."""

import uuid
from collections.abc import Callable
from typing import Any

from apps.sandbox.keycloak import realm
from apps.sandbox.keycloak.answers import failed, refused

Row = dict[str, Any]


def every() -> dict[str, Row]:
    """All groups by id."""
    found: dict[str, Row] = realm.state()["groups"]
    return found


def find(group_id: str) -> Row:
    """A group by id. Raises RefusedError (404)."""
    group = every().get(group_id)
    if group is None:
        raise failed(404, "Could not find group by id")
    return group


def by_path(path: str) -> Row | None:
    """A group by its path, with or without the slash in front."""
    wanted = "/" + path.strip("/")
    return next((row for row in every().values() if row["path"] == wanted), None)


def children(parent_id: str | None) -> list[Row]:
    """The groups directly under a group (None: the top), by name."""
    rows = [row for row in every().values() if row["parentId"] == parent_id]
    return sorted(rows, key=lambda row: row["name"])


def create(given: Row, parent: Row | None) -> Row:
    """Make a group under `parent` (None: at the top). Raises RefusedError: 400 without a name, 409 when it is there."""
    name = name_in(given)
    _check_free(name, parent["id"] if parent else None)
    path = f"{parent['path'] if parent else ''}/{name}"
    row: Row = {
        "id": _new_id(path),
        "name": name,
        "path": path,
        "parentId": parent["id"] if parent else None,
        "attributes": given.get("attributes") or {},
    }
    every()[row["id"]] = row
    return row


def change(group: Row, name: str, parent: Row | None) -> None:
    """Rename a group, or move it under another `parent`. Raises RefusedError (409) when that name is there."""
    if (name, parent["id"] if parent else None) != (group["name"], group["parentId"]):
        _check_free(name, parent["id"] if parent else None)
    group |= {"name": name, "parentId": parent["id"] if parent else None}
    group["path"] = f"{parent['path'] if parent else ''}/{name}"
    for child in children(group["id"]):
        change(child, child["name"], group)


def delete(group: Row) -> None:
    """Remove a group and all below it, and everybody's membership in them."""
    for child in children(group["id"]):
        delete(child)
    del every()[group["id"]]
    for user in realm.state()["users"].values():
        user["groups"] = [group_id for group_id in user["groups"] if group_id != group["id"]]


def _new_id(path: str) -> str:
    fixed = realm.fixed_id(realm.name(), "group", path)
    return fixed if fixed not in every() else str(uuid.uuid4())


def name_in(given: Row) -> str:
    """The name of a group's representation. Raises RefusedError (400)."""
    name = given.get("name")
    if not isinstance(name, str) or not name.strip():
        raise refused(400, "Group name is missing")
    return name


def _check_free(name: str, parent_id: str | None) -> None:
    if any(row["name"] == name for row in children(parent_id)):
        kind = "Sibling" if parent_id else "Top level"
        raise refused(409, f"{kind} group named '{name}' already exists.")


def as_json(
    group: Row, *, brief: bool, count: bool = True, access: Callable[[Row], Row] | None = None, search: str = ""
) -> Row:
    """Keycloak's representation. `search`: also show those below whose name contains it."""
    shown: Row = {"id": group["id"], "name": group["name"], "path": group["path"]}
    if group["parentId"]:
        shown["parentId"] = group["parentId"]
    below = children(group["id"])
    if count:
        shown["subGroupCount"] = len(below)
    shown["subGroups"] = [
        as_json(child, brief=brief, count=count, access=access, search=search)
        for child in below
        if search and contains(child, search)
    ]
    if not brief:
        shown |= {"attributes": group["attributes"], "realmRoles": [], "clientRoles": group.get("clientRoles", {})}
    if access is not None:
        shown["access"] = access(group)
    return shown


def contains(group: Row, text: str) -> bool:
    """Whether this group or one below it has `text` in its name."""
    return text.lower() in group["name"].lower() or any(contains(child, text) for child in children(group["id"]))


def of_user(user: Row) -> list[Row]:
    """The groups a user is in, by name."""
    rows = [every()[group_id] for group_id in user["groups"]]
    return sorted(rows, key=lambda row: row["name"])
