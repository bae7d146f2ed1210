"""The groups we lean on: the parent of the instances' groups, and one below the staff group for each role."""

from collections.abc import Iterator

from apps.accounts.roles import ROLES
from apps.identity.checks.finding import Finding, make_group, unknown, well
from apps.identity.checks.rules import ERROR, WARNING
from apps.identity.checks.snapshot import House, Snapshot


def needed(house: House) -> tuple[str, ...]:
    """Their paths, parents first."""
    return (house.parent_group, house.staff_group, *(f"{house.staff_group}/{role}" for role in ROLES))


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """Each is there. Groups below one that is missing are not named: its fix makes them too."""
    if seen.groups is None:
        yield unknown("group", "The groups cannot be seen.", fix=seen.blind)
        return
    for path in needed(house):
        parent = path.rpartition("/")[0]
        if parent == house.staff_group and seen.groups.get(parent) is None:
            continue
        if seen.groups.get(path) is not None:
            yield well(f"group.{path}", f"The group {path} is there.")
            continue
        missing = [path]
        if path == house.staff_group:
            missing = [one for one in needed(house) if one == path or one.startswith(f"{path}/")]
        ours = path == house.parent_group
        yield Finding(
            id=f"group.{path}",
            severity=ERROR if ours or path == house.staff_group else WARNING,
            says=f"There is no group {path}.",
            why="No instance can be given to anybody." if ours else "Nobody can have that role in the console.",
            fix=f"Groups: make {', '.join(missing)}.",
            commands=tuple(make_group(one, house.realm) for one in missing),
        )
