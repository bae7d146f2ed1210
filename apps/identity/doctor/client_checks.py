"""The doctor's checks of clients: our accounts' rights, the client people log in with, and what its tokens carry.

With manage-users alone an account can add itself to a group, so a group that grants rights is a way up (CVE-2026-94000).
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from apps.identity.doctor import expected as expectations
from apps.identity.doctor.expected import MAPPER_PATH, Expected, ExpectedMapper, Row
from apps.identity.doctor.reading import Snapshot
from apps.identity.doctor.report import (
    Finding,
    Severity,
    add_command,
    delete_command,
    listed,
    roles_command,
    set_command,
)
from apps.identity.doctor.rules import RULES, check_settings, settings_of


def _scopes(
    client: Row, wanted: Mapping[str, str], snapshot: Snapshot, realm: str, *, prefix: str
) -> Iterator[Finding]:
    for scope, adds in wanted.items():
        known = (snapshot.scopes or {}).get(scope)
        command = add_command(f"clients/{client['id']}/default-client-scopes/{known['id']}", realm) if known else ""
        yield RULES["scope"].outcome(
            scope in (client.get("defaultClientScopes") or ()),
            prefix=prefix, scope=scope, client=client["clientId"], adds=adds, commands=(command,) if known else (),
            create_first="" if known else f" The realm has no scope {scope}; create it first, as in a new realm.",
        )  # fmt: skip


def check_rights(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """Our two accounts have what they need and no more, and nobody gets rights by being in a group."""
    accounts = {"sync": expected.sync} | ({"doctor": expected.doctor} if expected.doctor else {})
    for account, client_id in accounts.items():
        refusal = snapshot.refusals.get(client_id)
        yield RULES[f"{account}.login"].outcome(refusal is None, client=client_id, refusal=refusal)
        if refusal is None:
            yield from _account_rights(account, client_id, snapshot, expected.realm)
    for account, client_id in accounts.items():
        client = (snapshot.clients or {}).get(client_id)
        if client is not None:
            resource = f"clients/{client['id']}"
            yield from check_settings("service", client, resource, expected.realm, account=account, client=client_id)
            yield from _scopes(client, expectations.SERVICE_SCOPES, snapshot, expected.realm, prefix=account)
    if snapshot.role_grants is None:
        yield RULES["rights.groups"].skip(fix=snapshot.not_visible)
        return
    if not snapshot.role_grants:
        yield RULES["rights.groups"].outcome(True)
    for grant in snapshot.role_grants:
        option = ("--gid", grant.id) if grant.kind == "group" else ("--rname", grant.name)
        command = roles_command("remove", expected.realm, option, grant.roles)
        yield RULES[f"rights.{grant.kind}"].failed(name=grant.name, rights=listed(grant.roles), commands=(command,))


def _account_rights(account: str, client_id: str, snapshot: Snapshot, realm: str) -> Iterator[Finding]:
    """It has enough rights, and not too many."""
    needed, allowed = expectations.RIGHTS[account]
    has = snapshot.rights.get(client_id, frozenset())
    granted = (snapshot.granted or {}).get(client_id)
    # What was granted and is not in the token is kept out by the client's scope: a finding of its own.
    missing, extra = needed - has - (granted or frozenset()), has - needed - allowed
    direct = extra if granted is None else granted - needed - allowed
    holder = ("--uusername", f"service-account-{client_id}")
    yield RULES["rights.missing"].outcome(
        not missing, account=account, client=client_id, rights=listed(missing),
        commands=(roles_command("add", realm, holder, missing),),
    )  # fmt: skip
    yield RULES["rights.extra"].outcome(
        not extra, account=account, client=client_id, rights=listed(direct or extra),
        elsewhere="" if direct else " They come from a group or another role; remove them there.",
        commands=(roles_command("remove", realm, holder, direct),) if direct else (),
    )  # fmt: skip


def check_web_client(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """What it may do, where it may send people, and who is told about a logout."""
    if snapshot.clients is None:
        yield RULES["web"].skip(client=expected.web, fix=snapshot.not_visible)
        return
    client = snapshot.clients.get(expected.web)
    if client is None:
        yield RULES["web"].failed(client=expected.web, commands=(_create_web_client(expected),))
        return
    yield from check_settings("web", client, f"clients/{client['id']}", expected.realm)
    yield from _addresses(client, expected)
    yield from _scopes(client, expectations.WEB_SCOPES, snapshot, expected.realm, prefix="web")
    offline = [
        kind for kind in ("optional", "default") if expectations.OFFLINE in (client.get(f"{kind}ClientScopes") or ())
    ]
    scope = (snapshot.scopes or {}).get(expectations.OFFLINE)
    yield RULES["web.offline_access"].outcome(
        not offline, client=expected.web,
        commands=tuple(
            delete_command(f"clients/{client['id']}/{kind}-client-scopes/{scope['id']}", expected.realm)
            for kind in offline if scope
        ),
    )  # fmt: skip


def _create_web_client(expected: Expected) -> str:
    values = {
        "clientId": expected.web,
        "protocol": "openid-connect",
        "redirectUris": expected.redirect_uris,
        'attributes."post.logout.redirect.uris"': f"{expected.site}/",
        'attributes."backchannel.logout.url"': expected.logout_url,
        "defaultClientScopes": list(expectations.WEB_SCOPES),
        "optionalClientScopes": [],
    } | {rule.field: rule.wanted for rule in settings_of("web")}
    return set_command("clients", expected.realm, values, verb="create")


def _addresses(client: Row, expected: Expected) -> Iterator[Finding]:
    """Where Keycloak may send people after a login and a logout, and where it tells us about logouts."""
    attributes, resource = client.get("attributes") or {}, f"clients/{client['id']}"

    def command(field: str, value: Any) -> tuple[str, ...]:
        return (set_command(resource, expected.realm, {field: value}),)

    found, wanted = set(client.get("redirectUris") or ()), set(expected.redirect_uris)
    differences = {"missing": sorted(wanted - found), "not ours": sorted(found - wanted)}
    yield RULES["web.redirectUris"].outcome(
        found == wanted, wanted=" and ".join(expected.redirect_uris),
        difference="; ".join(f"{what}: {', '.join(urls)}" for what, urls in differences.items() if urls),
        commands=command("redirectUris", expected.redirect_uris),
    )  # fmt: skip
    home, name = f"{expected.site}/", "post.logout.redirect.uris"
    allowed = [url for url in str(attributes.get(name) or "").split("##") if url]
    yield RULES[f"web.{name}"].outcome(
        allowed == [home], found=", ".join(allowed) or "no address", wanted=home,
        severity=Severity.WARNING if home in allowed else Severity.ERROR, commands=command(f'attributes."{name}"', home),
    )  # fmt: skip
    url, name = str(attributes.get("backchannel.logout.url") or ""), "backchannel.logout.url"
    internal = urlsplit(url).path == expectations.LOGOUT_PATH
    yield RULES[f"web.{name}"].outcome(
        url == expected.logout_url or _same_machine(url, expected.logout_url), found=url or "nobody",
        wanted=expected.logout_url, severity=Severity.WARNING if internal else Severity.ERROR,
        unless=" It is right only if that is an internal address of this site." if internal else "",
        commands=command(f'attributes."{name}"', expected.logout_url),
    )  # fmt: skip


def _same_machine(found: str, wanted: str) -> bool:
    """Whether both are the same port and path of this machine, by any of its names."""
    one, other = urlsplit(found), urlsplit(wanted)
    same = (one.scheme, one.port, one.path) == (other.scheme, other.port, other.path)
    return same and {one.hostname, other.hostname} <= {"localhost", "127.0.0.1"}


def check_apps(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """The clients of the apps: whole redirect URIs, and PKCE."""
    for name in sorted(expected.catalog.apps):
        client = (snapshot.clients or {}).get(name)
        if client is None:
            continue
        wild = [url for url in client.get("redirectUris") or () if "*" in url]
        yield RULES["apps.redirectUris"].outcome(not wild, client=name, found=", ".join(wild))
        yield from check_settings("app", client, f"clients/{client['id']}", expected.realm, client=name)


def check_mappers(snapshot: Snapshot, expected: Expected) -> Iterator[Finding]:
    """The mappers of our login client, then of each app that has a client of its own; nothing of what is not visible."""
    wanted = {expected.web: [expectations.STAFF_MAPPER]}
    wanted |= {app: expected.catalog.mappers(app) for app in sorted(expected.catalog.apps)}
    for name, mappers in wanted.items():
        if (client := (snapshot.clients or {}).get(name)) is not None:
            for mapper in mappers:
                yield _check_mapper(client, mapper, snapshot, expected.realm)


def _check_mapper(client: Row, wanted: ExpectedMapper, snapshot: Snapshot, realm: str) -> Finding:
    """Whether a mapper of the client, or of one of its default scopes, fills the claim."""
    values: dict[str, Any] = {"client": str(client["clientId"]), "claim": wanted.claim, "why": wanted.why}
    found = [
        (resource, row) for resource, row in _mappers_of(client, snapshot)
        if row["protocolMapper"] == wanted.kind and (row.get("config") or {}).get("claim.name") == wanted.claim
    ]  # fmt: skip
    right = any(not wanted.differences(row) for _, row in found)
    if right or not found:
        config = {**wanted.config, **wanted.extra, **expectations.ALL_TOKENS}
        new = {"name": wanted.claim, "protocol": "openid-connect", "protocolMapper": wanted.kind, "config": config}
        command = set_command(f"clients/{client['id']}/{MAPPER_PATH}", realm, new, verb="create")
        return RULES["mapper.missing"].outcome(right, commands=(command,), **values)
    resource, row = found[0]
    differences = wanted.differences(row)
    changes = {f'config."{field}"': value for field, value in differences.items()}
    command = set_command(f"{resource}/{row['id']}", realm, changes)
    return RULES["mapper.wrong"].failed(
        mapper=row["name"], differences=", ".join(differences), commands=(command,), **values
    )


def _mappers_of(client: Row, snapshot: Snapshot) -> Iterator[tuple[str, Row]]:
    """The mappers that fill a client's tokens, each with the resource it is in: its own, and its default scopes'."""
    for row in client.get("protocolMappers") or ():
        yield f"clients/{client['id']}/{MAPPER_PATH}", row
    for scope in client.get("defaultClientScopes") or ():
        shared = (snapshot.scopes or {}).get(scope) or {}
        for row in shared.get("protocolMappers") or ():
            yield f"client-scopes/{shared['id']}/{MAPPER_PATH}", row
