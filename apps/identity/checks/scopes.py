"""The default scopes of a client: each is a bundle of what its tokens tell, and a client without it is told nothing of that."""

from collections.abc import Iterator, Mapping

from apps.identity.checks.finding import Finding, add, well
from apps.identity.checks.rules import ERROR
from apps.identity.checks.snapshot import House, Row, Snapshot


def check(client: Row, wanted: Mapping[str, str], seen: Snapshot, house: House, *, prefix: str) -> Iterator[Finding]:
    """One finding for each scope of `wanted`, which maps it to what it gives."""
    has = set(client.get("defaultClientScopes") or ())
    for scope, gives in wanted.items():
        name = f"{prefix}.scope.{scope}"
        if scope in has:
            yield well(name, f"Tokens for {client['clientId']} tell {gives}.")
            continue
        known = (seen.scopes or {}).get(scope)
        place = f"clients/{client['id']}/default-client-scopes/{known['id'] if known else ''}"
        yield Finding(
            id=name,
            severity=ERROR,
            says=f"The client {client['clientId']} lacks the default scope {scope}, which gives {gives}.",
            why="What its tokens do not tell is refused, or taken for missing.",
            fix=f"Clients, {client['clientId']}, Client scopes: add {scope} as a default."
            + ("" if known else f" The realm has no scope {scope}; make it first, as in a new realm."),
            commands=(add(place, house.realm),) if known else (),
        )
