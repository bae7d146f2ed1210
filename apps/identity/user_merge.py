"""How a user representation is changed without losing what others wrote: pure functions over dictionaries.

Keycloak has no PATCH: a PUT with `attributes` replaces all of them, and removes an email address and names it does not
mention (measured on 26.7.3). So each write sends the whole representation, and is compared with what is read back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Representation = dict[str, Any]

# Left out of what is sent. `requiredActions` and `enabled` absent leave them as they are: sending them could bring back an
# action the person has just done, or clear the record of failed logins. The others are not accepted or computed.
NOT_SENT = ("requiredActions", "enabled", "access", "groups", "userProfileMetadata")
KEPT_FIELDS = ("email", "firstName", "lastName")


@dataclass(frozen=True, kw_only=True)
class UserChange:
    """What a caller changes: plain fields by Keycloak's names, attributes with None for "remove"."""

    fields: Mapping[str, str | bool] = field(default_factory=dict)
    attributes: Mapping[str, str | None] = field(default_factory=dict)


def attributes_of(user: Representation) -> dict[str, list[str]]:
    """The attributes as lists of texts, empty ones dropped: Keycloak does not store empty values."""
    stored: Mapping[str, Any] = user.get("attributes") or {}
    found = {name: [str(value) for value in values if value != ""] for name, values in stored.items()}
    return {name: values for name, values in found.items() if values}


def unapplied(user: Representation, change: UserChange) -> list[str]:
    """The names of what `change` wants and `user` does not have, sorted."""
    stored = attributes_of(user)
    wrong = [name for name, value in change.fields.items() if not _same(name, user.get(name), value)]
    wrong += [name for name, value in change.attributes.items() if stored.get(name, []) != ([value] if value else [])]
    return sorted(wrong)


def lost_values(before: Representation, after: Representation, change: UserChange) -> list[str]:
    """The names of what `before` held, `change` did not touch, and `after` no longer shows."""
    kept = attributes_of(after)
    gone = [name for name in attributes_of(before) if name not in change.attributes and name not in kept]
    gone += [name for name in KEPT_FIELDS if name not in change.fields and before.get(name) and not after.get(name)]
    return sorted(gone)


def merged(user: Representation, change: UserChange, *, restore: Representation | None = None) -> Representation:
    """The whole representation to PUT: `user` with `change`, and with what `restore` held and `user` has lost."""
    stored = attributes_of(user)
    body = {name: value for name, value in user.items() if name not in NOT_SENT}
    if restore is not None:
        stored = attributes_of(restore) | stored
        body |= {name: restore[name] for name in KEPT_FIELDS if restore.get(name) and not body.get(name)}
    for name, value in change.attributes.items():
        if value:
            stored[name] = [value]
        else:
            stored.pop(name, None)
    return body | dict(change.fields) | {"attributes": stored}


def _same(name: str, stored: object, wanted: str | bool) -> bool:
    """Whether a field is as wanted; addresses come back in lower case, an empty text as absent."""
    if isinstance(wanted, bool):
        return bool(stored) is wanted
    found = str(stored or "")
    return found.lower() == wanted.lower() if name == "email" else found == wanted
