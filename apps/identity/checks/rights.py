"""Rights over the realm: our two accounts have what they need and no more, and nobody gets any by being in a group.

With manage-users alone one can put oneself into a group; so a group that hands out rights is a way up (CVE-2026-94000).
What an account may do stands in its own token, which each account shows without asking anybody.
"""

from collections.abc import Iterator

from apps.identity.checks import scopes
from apps.identity.checks.finding import Finding, Severity, roles, unknown, well
from apps.identity.checks.rules import ERROR, WARNING, Rule, applied
from apps.identity.checks.snapshot import House, Snapshot

SYNC = frozenset({"manage-users", "view-users", "query-users", "query-groups"})
DOCTOR = frozenset({"view-realm", "view-users", "view-clients"})
# Rights that only look; view-users brings the queries with it. An account of ours may have them without harm.
HARMLESS = frozenset({"query-users", "query-groups", "query-clients", "query-realms", "view-users"})
LOOKING = HARMLESS | DOCTOR | {"view-events", "view-identity-providers", "view-authorization", "view-organizations",
                               "query-organizations"}  # fmt: skip
SCOPES = {"roles": "its rights"}
WHERE = "Clients, {client}, Service account roles"
SERVICE = (
    Rule(
        setting="fullScopeAllowed", wanted=True, where="the client's dedicated scope",
        wrong="its token carries none of its rights (full scope is off).", right="its token carries its rights.",
        why="Every call to Keycloak is refused; nobody is let in or out.",
    ),
    Rule(
        setting="publicClient", wanted=False, where="Capability config",
        wrong="it needs no secret.", right="it proves itself by its secret.",
        why="Anybody could use its rights.",
    ),
    Rule(
        setting="standardFlowEnabled", wanted=False, where="Capability config", severity=WARNING,
        wrong="people can log in with it.", right="nobody logs in with it.",
        why="A second way in that nobody watches.",
    ),
    Rule(
        setting="directAccessGrantsEnabled", wanted=False, where="Capability config", severity=WARNING,
        wrong="passwords may be sent to it for tokens.", right="no password is sent to it.",
        why="Whoever finds its secret can guess passwords past the login page.",
    ),
)  # fmt: skip


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """Both accounts, their clients, and what hands out rights."""
    yield from _account("sync", house.sync, SYNC, HARMLESS, seen, house)
    if house.doctor:
        yield from _account("doctor", house.doctor, DOCTOR, LOOKING, seen, house)
    for name, client_id in (("sync", house.sync), ("doctor", house.doctor)):
        client = (seen.clients or {}).get(client_id)
        if client is not None:
            resource = f"clients/{client['id']}"
            yield from applied(
                SERVICE, client, prefix=f"{name}.client", resource=resource, realm=house.realm, about=f"{client_id}: "
            )
            yield from scopes.check(client, SCOPES, seen, house, prefix=name)
    yield from _bearers(seen, house)


def _account(
    name: str, client: str, needed: frozenset[str], harmless: frozenset[str], seen: Snapshot, house: House
) -> Iterator[Finding]:
    """It is let in, and has enough rights, and not too many."""
    if client in seen.refusals:
        variable = f"KEYCLOAK_{'ADMIN' if name == 'sync' else 'DOCTOR'}_CLIENT_SECRET"
        yield Finding(
            id=f"{name}.login",
            severity=ERROR,
            says=f"Keycloak does not let {client} in ({seen.refusals[client]}).",
            why="Nobody is let in or out." if name == "sync" else "Most of the realm cannot be seen.",
            fix=f"Make sure that the client is there, enabled and has a service account, and that {variable} is its secret.",
        )
        return
    yield well(f"{name}.login", f"Keycloak lets {client} in.")
    has = seen.rights.get(client, frozenset())
    holder = ("--uusername", f"service-account-{client}")
    given = (seen.given or {}).get(client)
    # What was given and is not in the token is kept out by the client's scope: a finding of its own.
    lacking, extra = needed - has - (given or frozenset()), has - needed - harmless
    if lacking:
        yield Finding(
            id=f"{name}.rights.missing",
            severity=ERROR,
            says=f"The account of {client} lacks {', '.join(sorted(lacking))}.",
            why="What it is for stands still; some answers look like an empty realm.",
            fix=f"{WHERE.format(client=client)}: assign what is missing.",
            commands=(roles("add", house.realm, holder, lacking),),
        )
    else:
        yield well(f"{name}.rights.missing", f"The account of {client} has the rights it needs.")
    if not extra:
        yield well(f"{name}.rights.extra", f"The account of {client} has no right too many.")
        return
    direct = extra if given is None else given - needed - harmless
    yield Finding(
        id=f"{name}.rights.extra",
        severity=ERROR,
        says=f"The account of {client} may do more than it needs: {', '.join(sorted(direct or extra))}.",
        why="Whoever finds its secret has these rights over everybody.",
        fix=f"{WHERE.format(client=client)}: unassign what is too many."
        + ("" if direct else " They come from a group or another role: take it out there."),
        commands=(roles("remove", house.realm, holder, direct),) if direct else (),
    )


def _bearers(seen: Snapshot, house: House) -> Iterator[Finding]:
    """Groups, and the role everybody has."""
    if seen.bearers is None:
        yield unknown(
            "rights.groups", "Whether a group hands out rights over the realm cannot be seen.", fix=seen.blind
        )
        return
    if not seen.bearers:
        yield well("rights.groups", "No group, and no role everybody has, hands out rights over the realm.")
    for bearer in seen.bearers:
        group = bearer.kind == "group"
        option = ("--gid", bearer.id) if group else ("--rname", bearer.name)
        yield Finding(
            id=f"rights.{bearer.kind}.{bearer.name}",
            severity=Severity.ERROR,
            says=f"The {bearer.kind} {bearer.name} hands out {', '.join(sorted(bearer.roles))}.",
            why="Our account puts people into groups: whoever finds its secret becomes an administrator."
            if group
            else "Every account of the realm has these rights.",
            fix=f"{'Groups' if group else 'Realm roles'}, {bearer.name}: unassign them. Administrators live in the realm master.",
            commands=(roles("remove", house.realm, option, bearer.roles),),
        )
