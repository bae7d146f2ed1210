"""The realm's users: kept, found, created, changed and shown exactly as Keycloak's Admin API does it.

Changing follows Keycloak's PUT: a key that is not sent is left alone, except that sending `attributes` replaces them
all and removes an email, first name or last name that is not sent with them.
"""

import re
from typing import Any

from apps.sandbox import clock
from apps.sandbox.keycloak import groups, profile, realm
from apps.sandbox.keycloak.answers import RefusedError, failed, refused, unknown_error
from apps.sandbox.keycloak.profile import values_of

Row = dict[str, Any]

# fmt: off
FIELDS = frozenset({
    "id", "username", "email", "emailVerified", "enabled", "firstName", "lastName",
    "attributes", "requiredActions", "groups", "createdTimestamp", "totp",
    "disableableCredentialTypes", "notBefore", "access", "credentials", "realmRoles",
    "clientRoles", "self", "origin", "federationLink", "serviceAccountClientId",
    "userProfileMetadata", "clientConsents", "federatedIdentities", "socialLinks",
    "applicationRoles",
})
# fmt: on
# fmt: off
ACTIONS = frozenset({
    "UPDATE_PASSWORD", "VERIFY_EMAIL", "UPDATE_PROFILE", "CONFIGURE_TOTP", "VERIFY_PROFILE",
    "TERMS_AND_CONDITIONS", "delete_account", "update_user_locale", "webauthn-register",
    "webauthn-register-passwordless", "delete_credential", "CONFIGURE_RECOVERY_AUTHN_CODES",
    "UPDATE_EMAIL", "idp_link",
})
# fmt: on


def every() -> dict[str, Row]:
    """All users by id, service accounts too."""
    found: dict[str, Row] = realm.state()["users"]
    return found


def find(user_id: str) -> Row | None:
    """A user by id."""
    return every().get(user_id)


def find_by(key: str, value: str) -> Row | None:
    """The user whose `key` ("username" or "email") is `value`, in any case."""
    wanted = value.strip().lower()
    return next((row for row in every().values() if wanted and row[key] == wanted), None)


def create(given: Row) -> Row:
    """Make a user from Keycloak's representation. Raises RefusedError as Keycloak answers (400, 409, 500)."""
    _check_shape(given)
    username = str(given.get("username") or "").strip().lower()
    email = str(given.get("email") or "").strip().lower()
    if not username:
        raise refused(400, "User name is missing")
    _check_taken(username=username, email=email, own_id="")
    attributes = _attributes(given)
    names = {name: str(given.get(name) or "") for name in ("firstName", "lastName")}
    _check_values({"username": username, "email": email, **names}, attributes)
    members = [groups.by_path(str(path)) for path in given.get("groups") or []]
    if None in members:
        raise unknown_error()
    row: Row = {
        "id": _new_id(username),
        "username": username,
        "email": email,
        "emailVerified": bool(given.get("emailVerified")),
        "enabled": bool(given.get("enabled")),
        **names,
        "attributes": profile.kept(attributes),
        "requiredActions": _actions(given.get("requiredActions") or []),
        "groups": [group["id"] for group in members if group],
        "createdTimestamp": clock.now() * 1000,
        "notBefore": 0,
        "era": 0,
        "passwords": [],
        "failures": {"count": 0, "until": 0},
        "serviceAccountClientId": "",
        "clientRoles": {},
    }
    every()[row["id"]] = row
    return row


def _new_id(username: str) -> str:
    """The same id for the same name after a reset, another one for a name that comes back after a deletion."""
    born = realm.state()["born"]
    born[username] = born.get(username, 0) + 1
    turn = [str(born[username])] if born[username] > 1 else []
    return realm.fixed_id(realm.name(), "user", username, *turn)


def update(row: Row, given: Row) -> None:
    """Keycloak's PUT. Raises RefusedError (400, 409) before anything is changed."""
    _check_shape(given)
    username = str(given.get("username") or row["username"]).strip().lower()
    if username != row["username"] and not realm.settings_of_realm()["editUsernameAllowed"]:
        raise RefusedError(
            400, {"field": "username", "errorMessage": "error-user-attribute-read-only", "params": ["username"]}
        )
    names = {name: _kept_name(row, given, name) for name in ("email", "firstName", "lastName")}
    names["email"] = names["email"].strip().lower()
    _check_taken(username=username, email=names["email"], own_id=row["id"])
    replaces = given.get("attributes") is not None
    attributes = _attributes(given) if replaces else row["attributes"]
    _check_values({"username": username, **names}, attributes)
    row.update(names, username=username)
    row["attributes"] = profile.kept(attributes)
    for key in ("enabled", "emailVerified"):
        if given.get(key) is not None:
            row[key] = given[key]
    if given.get("requiredActions") is not None:
        row["requiredActions"] = _actions(given["requiredActions"])
    if given.get("enabled") is True:
        row["failures"] = {"count": 0, "until": 0}


def _kept_name(row: Row, given: Row, name: str) -> str:
    """A name's new value: sent, else removed when attributes are sent, else as it was."""
    if given.get(name) is not None:
        return str(given[name])
    return "" if given.get("attributes") is not None else str(row[name])


def _attributes(given: Row) -> dict[str, list[str]]:
    found = given.get("attributes")
    return {name: values_of(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _actions(given: list[Any]) -> list[str]:
    return [action for action in dict.fromkeys(given) if action in ACTIONS]


def _check_shape(given: Row) -> None:
    """Refuse what Keycloak's JSON reader refuses: unknown fields, wrong types."""
    wrong_type = failed(400, "unknown_error", "Cannot parse the JSON")
    for name, value in given.items():
        if name not in FIELDS:
            raise failed(
                400,
                f'Invalid json representation for UserRepresentation. Unrecognized field "{name}" at line 1 column 1.',
            )
        if value is not None and not _has_type(name, value):
            raise wrong_type


def _has_type(name: str, value: object) -> bool:
    if name in {"enabled", "emailVerified"}:
        return isinstance(value, bool)
    if name == "attributes":
        return isinstance(value, dict | list)  # a list counts as no attributes at all
    if name in {"groups", "requiredActions"}:
        return isinstance(value, list) and all(isinstance(row, str | int) for row in value)
    if name == "credentials":
        return isinstance(value, list) and all(isinstance(row, dict) for row in value)
    return name not in profile.NAMES or isinstance(value, str | int)


def _check_taken(*, username: str, email: str, own_id: str) -> None:
    for key, value in (("email", email), ("username", username)):
        other = find_by(key, value)
        if other is not None and other["id"] != own_id:
            raise refused(409, f"User exists with same {key}")


def _check_values(names: dict[str, str], attributes: dict[str, list[str]]) -> None:
    profile.check({**attributes, **{name: [value] for name, value in names.items()}})


def delete(row: Row) -> None:
    """Remove a user with all their sessions; nobody is told (no back-channel logout)."""
    del every()[row["id"]]
    for kind in ("sessions", "offline"):
        kept = realm.state()[kind]
        for sid in [sid for sid, session in kept.items() if session["user"] == row["id"]]:
            del kept[sid]


def as_json(row: Row, *, brief: bool = False, access: Row | None = None) -> Row:
    """Keycloak's representation of a user; empty names and attributes are left out as Keycloak does."""
    shown: Row = {"id": row["id"], "username": row["username"]}
    shown |= {name: row[name] for name in ("firstName", "lastName", "email") if row[name]}
    shown["emailVerified"] = row["emailVerified"]
    if row["attributes"] and not brief:
        shown["attributes"] = row["attributes"]
    shown |= {"enabled": row["enabled"], "createdTimestamp": row["createdTimestamp"]}
    if not brief:
        shown |= {"totp": bool(row.get("otp")), "disableableCredentialTypes": []}
        shown |= {"requiredActions": row["requiredActions"], "notBefore": row["notBefore"]}
    if row["serviceAccountClientId"] and not brief:
        shown["serviceAccountClientId"] = row["serviceAccountClientId"]
    if access is not None:
        shown["access"] = access
    return shown


def search(query: dict[str, str]) -> list[Row]:
    """The users a query finds, by username. `search` looks at all names; else the named fields and `q` must all match."""
    rows = sorted(every().values(), key=lambda row: row["username"])
    enabled = query.get("enabled", "").lower()
    if enabled:
        rows = [row for row in rows if row["enabled"] is (enabled == "true")]
    text = query.get("search")
    if text is not None:
        if text.startswith("id:"):
            wanted = text.removeprefix("id:").split()
            return [every()[one] for one in wanted if one in every()]
        return [
            row for row in _without_service_accounts(rows) if all(_found(row, word) for word in text.lower().split())
        ]
    if not any(query.get(key) for key in FILTERS):
        return _without_service_accounts(rows)
    return [row for row in rows if _matches(row, query)]


FILTERS = ("username", "email", "firstName", "lastName", "emailVerified", "enabled", "q")


def _without_service_accounts(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row["serviceAccountClientId"]]


def _found(row: Row, word: str) -> bool:
    """Keycloak's search: `"x"` exact, `*x*` anywhere, otherwise a prefix."""
    exact = re.fullmatch(r'"(.*)"', word)
    pattern = re.escape(exact[1]) if exact else ".*".join(re.escape(part) for part in word.split("*")) + ".*"
    names = ("username", "email", "firstName", "lastName")
    return any(re.fullmatch(pattern, row[name].lower()) for name in names)


def _matches(row: Row, query: dict[str, str]) -> bool:
    exact = query.get("exact", "").lower() == "true"
    for name in ("username", "email", "firstName", "lastName"):
        wanted, value = query.get(name, "").lower(), row[name].lower()
        if wanted and not (value == wanted if exact else wanted in value):
            return False
    verified = query.get("emailVerified", "").lower()
    if verified and row["emailVerified"] is not (verified == "true"):
        return False
    pairs = re.findall(r'([^\s:"]+):(?:"([^"]*)"|(\S+))', query.get("q", ""))
    if query.get("q") and not pairs:
        return not row["serviceAccountClientId"]
    return all((quoted or plain) in row["attributes"].get(name, []) for name, quoted, plain in pairs)
