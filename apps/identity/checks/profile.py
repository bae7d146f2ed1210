"""The user profile: our attributes are kept, and nobody but administrators may see or change them.

Keycloak drops an attribute it does not know without a word, and answers 201; with the policy ENABLED people could give
themselves access (https://www.keycloak.org/docs/latest/server_admin/#user-profile).
"""

from collections.abc import Iterator

from apps.identity.checks.finding import Finding, Severity, assign, unknown, well
from apps.identity.checks.rules import ERROR
from apps.identity.checks.snapshot import House, Row, Snapshot

POLICY, KEPT = "unmanagedAttributePolicy", "ADMIN_EDIT"
OURS = {"view": ["admin"], "edit": ["admin"]}
NAMES = ("firstName", "lastName")
WHERE = "Realm settings, User profile"


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """The policy, each declared attribute of ours, and the names."""
    if seen.profile is None:
        yield unknown("profile", "The user profile cannot be seen.", fix=seen.blind)
        return
    declared = {str(row["name"]): row for row in seen.profile.get("attributes", ())}
    yield _policy(seen.profile, declared, house)
    for name in house.sold.attributes:
        if name in declared:
            yield _attribute(name, seen.profile, house)
    for name in NAMES:
        if name in declared:
            yield _optional(name, seen.profile, house)


def _policy(profile: Row, declared: dict[str, Row], house: House) -> Finding:
    policy = str(profile.get(POLICY) or "")
    undeclared = [name for name in house.sold.attributes if name not in declared]
    name = f"profile.{POLICY}"
    if policy == KEPT:
        return well(name, "Attributes that are not declared are kept, for administrators only.")
    if policy != "ENABLED" and not undeclared:
        return well(name, "All our attributes are declared; others are not kept.")
    open_to_all = policy == "ENABLED"
    says = "People may change attributes that are not declared."
    why = "Anybody can give themselves an app that is not declared, on Keycloak's own account page."
    if not open_to_all:
        says = (
            f"Keycloak drops {', '.join(undeclared)} without a word: not declared, and the policy is {policy or 'off'}."
        )
        why = "Who pays for it is not let in."
    return Finding(
        id=name,
        severity=ERROR,
        says=says,
        why=why,
        fix=f"{WHERE}, or General: set Unmanaged Attributes to “Only administrators can write”.",
        commands=(assign("users/profile", house.realm, {POLICY: KEPT}),),
    )


def _attribute(name: str, profile: Row, house: House) -> Finding:
    permissions = _row(profile, name).get("permissions") or {}
    may_edit, may_view = set(permissions.get("edit") or ()), set(permissions.get("view") or ())
    if may_edit == {"admin"} and may_view <= {"admin"}:
        return well(f"profile.{name}", f"{name} is for administrators only.")
    if "user" in may_edit:
        says, why = f"People may change their own {name}.", "They can give themselves what they have not paid for."
    elif "admin" not in may_edit:
        says, why = f"Nobody may write {name}.", "It is dropped without a word; who pays is not let in."
    else:
        says, why = f"People are shown their {name}.", "It is of no use to them, and tells how the house is built."
    serious = "user" in may_edit or "admin" not in may_edit
    return Finding(
        id=f"profile.{name}",
        severity=ERROR if serious else Severity.WARNING,
        says=says,
        why=why,
        fix=f"{WHERE}, {name}: only admins can edit, only admins can view.",
        commands=(_mended(profile, house),),
    )


def _optional(name: str, profile: Row, house: House) -> Finding:
    demanded = _row(profile, name).get("required")
    asks = demanded is not None and "user" in (demanded.get("roles") or ("user",))
    if not asks:
        return well(f"profile.{name}", f"{name} is optional.")
    return Finding(
        id=f"profile.{name}",
        severity=Severity.WARNING,
        says=f"Keycloak demands {name}.",
        why="Who gave none at the signup is stopped by a form at the first login.",
        fix=f"{WHERE}, {name}: switch Required field off.",
        commands=(_mended(profile, house),),
    )


def _row(profile: Row, name: str) -> Row:
    found: Row = next(row for row in profile["attributes"] if row["name"] == name)
    return found


def _mended(profile: Row, house: House) -> str:
    """The command of every finding about a declared attribute: it mends all of them.

    kcadm has no way to name one attribute of the list, so the whole list is written; a command that mended one of them
    alone would undo what another had mended before.
    """
    whole = []
    for row in profile["attributes"]:
        mended = dict(row)
        if row["name"] in house.sold.attributes:
            mended["permissions"] = OURS
        if row["name"] in NAMES:
            mended.pop("required", None)
        whole.append(mended)
    return assign("users/profile", house.realm, {"attributes": whole})
