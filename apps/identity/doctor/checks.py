"""The doctor's checks: pure functions from what was read and what is expected to findings; the texts are in `rules`.

Promise: examining the realm changes nothing. Keycloak silently drops undeclared attributes; with the policy ENABLED people
could give themselves access (https://www.keycloak.org/docs/latest/server_admin/#user-profile).
"""

import dataclasses
import re
from collections.abc import Callable, Iterator

from apps.core import clock
from apps.identity import realm_test_email
from apps.identity.admin_client import READ_SECONDS
from apps.identity.doctor import expected as expectations
from apps.identity.doctor import reading
from apps.identity.doctor.client_checks import check_apps, check_mappers, check_rights, check_web_client
from apps.identity.doctor.expected import DENY_LIST_FILE, MIN_PASSWORD_LENGTH, Catalog, Expected, Row
from apps.identity.doctor.fresh_logins import check_fresh_logins
from apps.identity.doctor.languages import check_languages
from apps.identity.doctor.passkeys import check_passkeys
from apps.identity.doctor.reach import check_reach
from apps.identity.doctor.reading import Snapshot
from apps.identity.doctor.recovery_link import check_recovery_link
from apps.identity.doctor.registration import check_registration
from apps.identity.doctor.report import Finding, Report, Severity, group_command, listed, roles_command, set_command
from apps.identity.doctor.rules import RULES, check_settings
from apps.identity.doctor.second_factor import check_second_factor

LENGTH, DENY_LIST = re.compile(r"\blength\((\d+)\)"), re.compile(r"\bpasswordBlacklist\(([^)]+)\)")
SEE_VERSION = "kcadm.sh get serverinfo --fields 'systemInfo(version)'"
SEND_ONE = "Send one to a customer's account made for tests: in the console, or with manage.py doctor --mail USERNAME."


def examine(catalog: Catalog, *, patience: float = READ_SECONDS) -> Report:
    """Check the realm; `patience` is in seconds per answer. Raises DependencyDown or RetryLater when it does not answer."""
    expected = expectations.from_settings(catalog)
    snapshot = reading.read_realm(expected, patience=patience)
    snapshot = dataclasses.replace(snapshot, test_email=realm_test_email.last_test_email())
    return Report(at=clock.now(), findings=diagnose(snapshot, expected))


def diagnose(snapshot: Snapshot, expected: Expected) -> tuple[Finding, ...]:
    """The findings of all checks, the worst first; calls nobody."""
    order = list(Severity)
    found = [finding for check in CHECKS for finding in check(snapshot, expected)]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def check_profile(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """Our attributes are kept, only administrators see or change them, and names are optional."""
    profile = snapshot.profile
    if profile is None:
        yield RULES["profile"].skip(fix=snapshot.not_visible)
        return
    declared = {str(row["name"]): row for row in profile.get("attributes", ())}
    ours = expected.catalog.attributes
    yield _check_policy(str(profile.get(expectations.POLICY) or ""), [n for n in ours if n not in declared], expected)
    commands = (_whole_profile(profile, expected),)
    for name in ours:
        if name in declared:
            yield _check_attribute(name, declared[name].get("permissions") or {}, commands)
    for name in expectations.OPTIONAL_NAMES:
        if name in declared:
            required = declared[name].get("required")
            asked = required is not None and "user" in (required.get("roles") or ("user",))
            yield RULES["attribute.required"].outcome(not asked, name=name, commands=commands)


def _check_policy(policy: str, undeclared: list[str], expected: Expected) -> Finding:
    command = set_command("users/profile", expected.realm, {expectations.POLICY: expectations.ADMIN_EDIT})
    if policy == expectations.ADMIN_EDIT:
        return RULES["profile.kept"].outcome(True)
    if policy == "ENABLED":
        return RULES["profile.open"].failed(commands=(command,))
    names = ", ".join(undeclared)
    return RULES["profile.declared"].outcome(not undeclared, names=names, policy=policy or "off", commands=(command,))


def _check_attribute(name: str, permissions: Row, commands: tuple[str, ...]) -> Finding:
    can_edit, can_view = set(permissions.get("edit") or ()), set(permissions.get("view") or ())
    if can_edit == {"admin"} and can_view <= {"admin"}:
        return RULES["attribute.restricted"].outcome(True, name=name)
    problem = "editable" if "user" in can_edit else "visible" if "admin" in can_edit else "read_only"
    return RULES[f"attribute.{problem}"].failed(name=name, commands=commands)


def _whole_profile(profile: Row, expected: Expected) -> str:
    """The command that fixes all our attributes at once.

    kcadm has no way to name one attribute of the list, so it writes the whole list; a command that fixed one of them alone
    would undo what another had fixed before.
    """
    whole = []
    for row in profile.get("attributes", ()):
        fixed = dict(row)
        if row["name"] in expected.catalog.attributes:
            fixed["permissions"] = expectations.ADMIN_ONLY
        if row["name"] in expectations.OPTIONAL_NAMES:
            fixed.pop("required", None)
        whole.append(fixed)
    return set_command("users/profile", expected.realm, {"attributes": whole})


def check_groups(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """Each exists. Groups below a missing one are not named: its fix creates them too."""
    if snapshot.groups is None:
        yield RULES["group"].skip(fix=snapshot.not_visible)
        return
    for path in expected.groups:
        parent = path.rpartition("/")[0]
        if parent == expected.staff_group and snapshot.groups.get(parent) is None:
            continue
        is_staff_group = path == expected.staff_group
        missing = [one for one in expected.groups if one == path or (is_staff_group and one.startswith(f"{path}/"))]
        yield RULES["group.parent" if path == expected.parent_group else "group.staff"].outcome(
            snapshot.groups.get(path) is not None, path=path, missing=", ".join(missing),
            severity=Severity.WARNING if parent == expected.staff_group else Severity.ERROR,
            commands=tuple(group_command(one, expected.realm) for one in missing),
        )  # fmt: skip


def check_realm(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """Who may register, how long tokens live, what is recorded, and whether emails can leave."""
    row, resource = snapshot.realm, f"realms/{expected.realm}"
    if row is None:
        yield RULES["realm"].skip(fix=snapshot.not_visible)
        return
    yield from check_settings("realm", row, resource, expected.realm)
    yield from _check_password_policy(str(row.get("passwordPolicy") or ""), resource, expected.realm)
    yield RULES["realm.sslRequired"].outcome(
        not expected.is_public or str(row.get("sslRequired") or "").lower() in {"external", "all"},
        site=expected.site, commands=(set_command(resource, expected.realm, {"sslRequired": "external"}),),
    )  # fmt: skip
    smtp = row.get("smtpServer") or {}
    missing = [name for name in ("host", "from") if not smtp.get(name)]
    values = {"smtpServer.host": smtp.get("host") or "smtp.example.com"}
    values["smtpServer.from"] = smtp.get("from") or expected.from_address
    yield RULES["realm.smtpServer"].outcome(
        not missing, host=smtp.get("host"), sender=smtp.get("from"),
        missing=f"no {' and no '.join(missing)} {'are' if len(missing) > 1 else 'is'}",
        commands=(set_command(resource, expected.realm, values),),
    )  # fmt: skip


def _check_password_policy(policy: str, resource: str, realm: str) -> Iterator[Finding]:
    """Keycloak keeps the policy as one text: `length(12) and notUsername(undefined)`."""

    def command(*parts: str) -> tuple[str, ...]:
        return (set_command(resource, realm, {"passwordPolicy": " and ".join(part for part in parts if part)}),)

    found, wanted = LENGTH.search(policy), f"length({MIN_PASSWORD_LENGTH})"
    yield RULES["realm.passwordPolicy"].outcome(
        found is not None and int(found[1]) >= MIN_PASSWORD_LENGTH, length=found[1] if found else "not set",
        commands=command(LENGTH.sub(wanted, policy)) if found else command(wanted, policy),
    )  # fmt: skip
    denied = DENY_LIST.search(policy)
    yield RULES["realm.password_deny_list"].outcome(
        denied is not None, file=denied and denied[1], commands=command(policy, f"passwordBlacklist({DENY_LIST_FILE})")
    )


def check_version(version: str) -> Finding:
    """Whether Keycloak is new enough; empty: it did not say."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if numbers:
        return RULES["server.version"].outcome(numbers >= expectations.OLDEST_VERSION, version=version)
    return RULES["server.version"].skip(fix="Check it as one of them.", commands=(SEE_VERSION,))


def check_server(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """Its version, its clock, the address it believes it has, the canary, and whether emails leave."""
    if not expected.doctor:
        yield _no_doctor(expected.realm)
    yield check_version(snapshot.version)
    yield RULES["server.clock"].outcome(
        abs(snapshot.clock_skew) <= expectations.MAX_SKEW_SECONDS, seconds=abs(snapshot.clock_skew),
        direction="ahead of" if snapshot.clock_skew > 0 else "behind",
    )  # fmt: skip
    issuer = snapshot.issuer
    yield RULES["server.issuer"].outcome(issuer == expected.issuer, found=issuer or "nothing", expected=expected.issuer)
    yield _check_canary(snapshot, expected)
    yield _check_test_email(snapshot)


def _no_doctor(realm: str) -> Finding:
    client, rights = expectations.DOCTOR_CLIENT, expectations.DOCTOR_RIGHTS
    flags = {"serviceAccountsEnabled": True, "standardFlowEnabled": False, "publicClient": False}
    values = {"clientId": client, "protocol": "openid-connect", "fullScopeAllowed": True, **flags}
    create = set_command("clients", realm, values, verb="create")
    grant = roles_command("add", realm, ("--uusername", f"service-account-{client}"), rights)
    return RULES["doctor"].failed(client=client, rights=listed(rights), commands=(create, grant))


def _check_canary(snapshot: Snapshot, expected: Expected) -> Finding:
    if not expected.canary and not snapshot.canary_found:
        return RULES["canary.unset"].failed()
    if snapshot.canary_found is None:
        return RULES["server.canary"].skip(fix=f"First let {expected.sync} in.")
    command = set_command("users", expected.realm, {"username": expected.canary, "enabled": True}, verb="create")
    return RULES["server.canary"].outcome(snapshot.canary_found, canary=expected.canary, commands=(command,))


def _check_test_email(snapshot: Snapshot) -> Finding:
    last = snapshot.test_email
    if last is None or last.no_recipient:
        return RULES["mail.nobody" if last else "mail.test"].skip(fix=SEND_ONE)
    return RULES["mail.test"].outcome(last.sent, reason=last.reason)


CHECKS: tuple[Callable[[Snapshot, Expected], Iterator[Finding]], ...] = (
    check_rights, check_reach, check_web_client, check_apps, check_mappers, check_profile, check_groups, check_realm, check_second_factor,
    check_fresh_logins, check_passkeys, check_registration, check_languages, check_recovery_link, check_server,
)  # fmt: skip
