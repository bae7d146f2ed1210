"""The user profile: which attributes there are, who may hold which value, and what happens to undeclared ones.

https://www.keycloak.org/docs/latest/server_admin/#user-profile
"""

from typing import Any

import regex

from apps.core.addresses import ascii_domain
from apps.sandbox.keycloak import realm
from apps.sandbox.keycloak.answers import RefusedError

Row = dict[str, Any]

NAMES = ("username", "email", "firstName", "lastName")
LANGUAGE = "locale"  # kept while internationalization is on, and dropped otherwise, whatever the profile says (26.7.3)
SYMBOLS = r"<>&\"\n-\r\x85\u2028\u2029$%!#?§;*~/\\|\^=\[\]{}()\x00-\x1f\x7f"
MUST_MATCH = {
    "username-prohibited-characters": (
        regex.compile(rf"[^{SYMBOLS}'\s,:`]+"),
        "error-username-invalid-character",
    ),
    "person-name-prohibited-characters": (regex.compile(rf"[^{SYMBOLS}]+"), "error-person-name-invalid-character"),
    "up-username-not-idn-homograph": (
        regex.compile(r"[\p{Latin}\p{Common}]+"),
        "error-username-invalid-character",
    ),
}
ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~\x80-\uffff-]+"
LOCAL_PART = regex.compile(rf'{ATOM}(\.{ATOM})*|"[^"\\\x00-\x1f]+"', regex.IGNORECASE)
LABEL = (
    r"[a-z\x80-\uffff0-9!#$%&'*+/=?^`{|}~]([a-z\x80-\uffff0-9!#$%&'*+/=?^`{|}~-]*[a-z\x80-\uffff0-9!#$%&'*+/=?^`{|}~])?"
)
DOMAIN = regex.compile(rf"{LABEL}(\.{LABEL})*|\[[0-9.]+\]|\[IPv6:[0-9a-f:.]+\]", regex.IGNORECASE)


def check(values: dict[str, list[str]]) -> None:
    """Raise RefusedError (400) in Keycloak's form when a value breaks its attribute's validations."""
    complaints = [
        complaint
        for declared in realm.state()["profile"]["attributes"]
        for complaint in _complaints(declared, values.get(declared["name"], []))
    ]
    if len(complaints) == 1:
        raise RefusedError(400, complaints[0])
    if complaints:
        raise RefusedError(400, {"errors": complaints})


def _complaints(declared: Row, values: list[str]) -> list[Row]:
    name = declared["name"]
    found = []
    if len(values) > 1 and declared.get("multivalued") is not True:
        found.append({"field": name, "errorMessage": "error-invalid-multivalued-size", "params": [name, 0, 1]})
    if not any(value.strip() for value in values):
        if _is_required(declared.get("required")):
            found.append({"field": name, "errorMessage": "error-user-attribute-required", "params": [name]})
        return found
    rules: dict[str, Row] = declared.get("validations", {})
    for rule, config in sorted(rules.items(), key=lambda row: row[0] != "length"):
        for value in values:
            broken = _broken(rule, config, value) if value.strip() else None
            if broken is not None:
                message = config.get("error-message") or broken[0]
                found.append({"field": name, "errorMessage": message, "params": [name, *broken[1]]})
    return found


def _is_required(rule: Row | None) -> bool:
    """Of accounts that administrators make; not what is asked of the person at login, or by scope."""
    return rule is not None and ("admin" in rule.get("roles", []) or not (rule.get("roles") or rule.get("scopes")))


def _broken(rule: str, config: Row, value: str) -> tuple[str, list[Any]] | None:
    if rule == "length":
        return _length(config, value)
    if rule == "email":
        return _email(config, value)
    if rule == "options" and value not in config.get("options", []):
        return "error-invalid-value", []
    if rule == "pattern" and not regex.fullmatch(_ascii(config["pattern"]), value, regex.V1):
        return "error-pattern-no-match", [config["pattern"]]
    pattern, message = MUST_MATCH.get(rule, (None, ""))
    return None if pattern is None or pattern.fullmatch(value) else (message, [])


def _ascii(pattern: str) -> str:
    """Java's classes of letters are of ASCII letters."""
    return pattern.replace(r"\p{Alpha}", "[a-zA-Z]").replace(r"\w", "[a-zA-Z_0-9]")


def _email(config: Row, value: str) -> tuple[str, list[Any]] | None:
    local, _, domain = value.rpartition("@")
    too_long = len(local) > int(config.get("max-local-length", 64)) or any(
        len(ascii_domain(label)) > 63 for label in domain.split(".")
    )
    if too_long or not LOCAL_PART.fullmatch(local) or not DOMAIN.fullmatch(domain):
        return "error-invalid-email", [value]
    # The realm has a mail server, and it does not say that it takes UTF-8.
    return None if local.isascii() else ("error-non-ascii-local-part-email", [])


def _length(config: Row, value: str) -> tuple[str, list[Any]] | None:
    """Counted in UTF-16, without the spaces around it."""
    low, high = (int(config[name]) if name in config else None for name in ("min", "max"))
    text = value if str(config.get("trim-disabled")).lower() == "true" else value.strip()
    length = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if (low or 0) <= length <= (high if high is not None else length):
        return None
    end = "" if low is not None and high is not None else "-too-long" if low is None else "-too-short"
    return f"error-invalid-length{end}", [low, high]


def kept(attributes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of an administrator's attributes that are stored: declared ones, undeclared by policy, no empty values."""
    profile = realm.state()["profile"]
    declared = {row["name"] for row in profile["attributes"] if "admin" in row.get("permissions", {}).get("edit", [])}
    all_are = profile.get("unmanagedAttributePolicy") in {"ENABLED", "ADMIN_EDIT"}
    speaks = bool(realm.settings_of_realm().get("internationalizationEnabled"))
    return {
        name: [value for value in values if value]
        for name, values in attributes.items()
        if name not in NAMES and (speaks if name == LANGUAGE else all_are or name in declared) and any(values)
    }


def values_of(given: object) -> list[str]:
    """One attribute's values as Keycloak reads them: a list of texts; a single text counts as a list of one."""
    rows = given if isinstance(given, list) else [given]
    return [str(row) for row in rows if row is not None]
