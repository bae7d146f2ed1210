"""How far the account that manages customers reaches: nobody of staff, no group of others. Keycloak itself tells it so.

Each group and account that Keycloak shows says what the asking account may do to it (`access`); reading that changes nothing
and counts every role and permission. https://www.keycloak.org/docs/latest/server_admin/#_fine_grained_permissions
"""

import json
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apps.identity.doctor.expected import MANAGES_ALL, PERMISSIONS_CLIENT, Expected, Row
from apps.identity.doctor.report import Finding, listed, roles_command, set_command
from apps.identity.doctor.rules import RULES
from apps.identity.groups import find_group

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

PEOPLE = 90  # in one question about accounts
OVER_MEMBERS = ("manage", "manage-members", "manage-membership", "manage-membership-of-members")
CHANGES = frozenset({"manage", "manageMembers", "manageMembership"})


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the account may change: of each group by its path; of how many members of staff; `ids` of those groups."""

    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    staff: int = 0


def read_reach(sync: "AdminSession", expected: Expected) -> Reach | None:
    """As Keycloak tells `sync`; None when it may not see groups."""
    admin, page = sync.admin, {"max": 100, "briefRepresentation": True}
    tops = sync.ask("list the groups", lambda: admin.get_groups(page))
    if not tops:
        return None
    rows: dict[str, Row] = {row["path"]: row for top in tops for row in (top, *top.get("subGroups", ()))}
    for path in {expected.parent_group, expected.staff_group} - rows.keys():  # deeper in the tree
        if key := find_group(admin, path):
            top = sync.ask(f"show the group {path}", lambda key=key: admin.get_group(key, query=page)) or {}  # type: ignore[misc]
            rows |= {row["path"]: row for row in (top, *top.get("subGroups", ())) if row}
    people: set[str] = set()
    for key in (row["id"] for path, row in rows.items() if _is_below(path, expected.staff_group)):
        members = sync.ask("list staff", lambda key=key: admin.get_group_members(key, page))  # type: ignore[misc]
        people |= {str(one["id"]) for one in members or ()}
    asked = {"search": f"id:{' '.join(sorted(people)[:PEOPLE])}", "max": PEOPLE, "briefRepresentation": True}
    shown = sync.ask("show staff", lambda: admin.get_users(asked)) if people else []
    return Reach(
        groups={path: frozenset(name for name in CHANGES if _access(row).get(name)) for path, row in rows.items()},
        ids={path: str(row["id"]) for path, row in rows.items()},
        staff=sum(bool(_access(one).get("manage")) for one in shown or ()),
    )


def _access(row: Row) -> Row:
    return row.get("access") or {}


def _is_below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(f"{parent}/")


def check_reach(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """It manages customers, and neither staff nor other people's groups."""
    reach, sync = snapshot.reach, expected.sync
    if sync in snapshot.refusals or reach is None:
        return  # a finding of its own: it is not let in, or lacks the right to see groups
    if MANAGES_ALL in snapshot.rights.get(sync, ()):
        yield RULES["sync.manages_all"].failed(
            client=sync,
            right=MANAGES_ALL,
            parent=expected.parent_group,
            commands=_move_commands(snapshot, reach, expected),
        )
        return
    staff = [path for path, may in reach.groups.items() if may and _is_below(path, expected.staff_group)]
    what = [f"the groups {listed(staff)}"] if staff else []
    what += [f"{reach.staff} of their members"] if reach.staff else []
    yield RULES["sync.staff"].outcome(
        not what,
        client=sync,
        what=" and ".join(what),
        commands=tuple(_keep_off(path, reach, expected) for path in staff),
    )
    if expected.parent_group not in reach.groups:
        return  # a finding of its own
    others = [
        path for path, may in reach.groups.items()
        if may and path not in staff and not _is_below(path, expected.parent_group)
    ]  # fmt: skip
    yield RULES["sync.groups"].outcome(
        not others, client=sync, groups=listed(others),
        commands=tuple(_keep_off(path, reach, expected, scopes=("manage", "manage-membership")) for path in others),
    )  # fmt: skip
    yield from _check_customers(reach, expected)


def _check_customers(reach: Reach, expected: Expected) -> Iterator[Finding]:
    parent, sync = expected.parent_group, expected.sync
    instances = [path for path in reach.groups if path != parent and _is_below(path, parent)]
    closed = [path for path in instances if "manageMembership" not in reach.groups[path]]
    commands: tuple[str, ...] = ()
    if CHANGES - reach.groups[parent]:
        commands += (_permit(f"{sync} manages {parent} {reach.ids[parent][:8]}", expected, [reach.ids[parent]]),)
    if closed:
        ids = [reach.ids[path] for path in closed]
        commands += (_permit(f"{sync} fills {ids[0][:8]}", expected, ids, scopes=("manage-membership",)),)
    yield RULES["sync.customers"].outcome(not commands, client=sync, parent=parent, commands=commands)


# --- kcadm --------------------------------------------------------------------------------------------------------------


def _move_commands(snapshot: "Snapshot", reach: Reach, expected: Expected) -> tuple[str, ...]:
    """From one role over everybody to permissions for customers only; what is there already is left out."""
    sync, there, ids = expected.sync, snapshot.policies, reach.ids
    staff = [key for path, key in ids.items() if _is_below(path, expected.staff_group)]
    others = [
        key for path, key in ids.items()
        if not _is_below(path, expected.staff_group) and not _is_below(path, expected.parent_group)
    ]  # fmt: skip
    customers = [ids[expected.parent_group]] if expected.parent_group in ids else []
    yes, no = f"is {sync}", f"is not {sync}"
    commands = {
        yes: _policy(yes, expected, "POSITIVE"),
        no: _policy(no, expected, "NEGATIVE"),
        f"{sync} fills groups": _permit(f"{sync} fills groups", expected, [], scopes=("manage-membership",)),
        f"{sync} manages customers": customers and _permit(f"{sync} manages customers", expected, customers),
        f"{sync} keeps off staff": staff and _permit(f"{sync} keeps off staff", expected, staff, policy=no),
        f"{sync} leaves other groups alone": others
        and _permit(f"{sync} leaves other groups alone", expected, others, scopes=("manage-membership",), policy=no),
    }
    holder = ("--uusername", f"service-account-{sync}")
    return (
        set_command(f"realms/{expected.realm}", expected.realm, {"adminPermissionsEnabled": True}),
        *(command for name, command in commands.items() if command and name not in there),
        roles_command("remove", expected.realm, holder, frozenset({MANAGES_ALL})),
    )


def _keep_off(path: str, reach: Reach, expected: Expected, scopes: Collection[str] = OVER_MEMBERS) -> str:
    """Refuse the account that group. The id is in the name: a group made again has none of its old permissions."""
    name = f"{expected.sync} keeps off {path} {reach.ids[path][:8]}"
    return _permit(name, expected, [reach.ids[path]], scopes=scopes, policy=f"is not {expected.sync}")


def _policy(name: str, expected: Expected, logic: str) -> str:
    users = [f"service-account-{expected.sync}"]
    return _create("policy/user", expected, {"name": name, "logic": logic, "users": users})


def _permit(
    name: str, expected: Expected, ids: Iterable[str], scopes: Collection[str] = OVER_MEMBERS, policy: str = ""
) -> str:
    """A permission over groups; without `ids`, over all of them."""
    values = {"name": name, "resourceType": "Groups", "resources": list(ids), "scopes": list(scopes)}
    values["policies"] = [policy or f"is {expected.sync}"]
    return _create("permission/scope", expected, {key: value for key, value in values.items() if value})


def _create(what: str, expected: Expected, values: Mapping[str, object]) -> str:
    find = [
        "kcadm.sh",
        "get",
        "clients",
        "-r",
        expected.realm,
        "-q",
        f"clientId={PERMISSIONS_CLIENT}",
        "--fields",
        "id",
    ]
    words = ["-r", expected.realm]
    for name, value in values.items():
        words += ["-s", f"{name}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]
    place = f'"clients/$({shlex.join(find)} --format csv --noquotes)/authz/resource-server/{what}"'
    return f"kcadm.sh create {place} {shlex.join(words)}"
