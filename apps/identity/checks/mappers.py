"""What tokens carry: groups for us (staff are known by them), and for each app's client who may enter, and where.

An app has a client of its own in the realm, named like its product; where there is none, there is nothing to look at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from apps.identity.checks.finding import Finding, assign, well
from apps.identity.checks.rules import ERROR
from apps.identity.checks.snapshot import House, Row, Snapshot

MODELS = "protocol-mappers/models"
GROUPS, ATTRIBUTE = "oidc-group-membership-mapper", "oidc-usermodel-attribute-mapper"
EVERYWHERE = {f"{place}.token.claim": "true" for place in ("id", "access", "userinfo", "introspection")}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A claim, by a mapper of that `kind` with that `config`, in one of the `places`; `new` is for one that is made anew."""

    claim: str
    kind: str
    config: Mapping[str, str]
    places: tuple[str, ...]
    why: str
    new: Mapping[str, str] = field(default_factory=dict)

    def wrong(self, mapper: Row) -> dict[str, str]:
        """What to change of a mapper of this kind; nothing when it is good."""
        has = mapper.get("config") or {}
        found = {name: value for name, value in self.config.items() if has.get(name) != value}
        if not any(has.get(f"{place}.token.claim") == "true" for place in self.places):
            found[f"{self.places[0]}.token.claim"] = "true"
        return found


STAFF = Wish(
    claim="groups",
    kind=GROUPS,
    config={"claim.name": "groups", "full.path": "true"},
    places=("id",),
    why="Staff are known by their groups' full paths: nobody gets into the console.",
)


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """The mappers of our login client, then those of each app that has a client. Says nothing of what cannot be seen."""
    clients = seen.clients or {}
    if (web := clients.get(house.web)) is not None:
        yield _mapper(web, STAFF, seen, house)
    for app in sorted(house.sold.apps):
        if (client := clients.get(app)) is not None:
            yield from _of_app(app, client, seen, house)


def _of_app(app: str, client: Row, seen: Snapshot, house: House) -> Iterator[Finding]:
    for name, label in ((f"has_{app}", "boolean"), (f"{app}_instance", "String")):
        if name.startswith("has_") or app in house.sold.seats:
            wish = Wish(
                claim=name, kind=ATTRIBUTE, config={"claim.name": name, "user.attribute": name}, places=("id", "userinfo"),
                new={"jsonType.label": label}, why="The app cannot tell who has paid, or which instance is theirs.",
            )  # fmt: skip
            yield _mapper(client, wish, seen, house)


def _mapper(client: Row, wish: Wish, seen: Snapshot, house: House) -> Finding:
    """Whether a mapper of the client, or of one of its default scopes, fills the claim."""
    client_id, name = str(client["clientId"]), f"mapper.{client['clientId']}.{wish.claim}"
    made = [(place, row) for place, row in _all_of(client, seen) if row["protocolMapper"] == wish.kind]
    made = [(place, row) for place, row in made if (row.get("config") or {}).get("claim.name") == wish.claim]
    if any(not wish.wrong(row) for _, row in made):
        return well(name, f"Tokens for {client_id} carry {wish.claim}.")
    if made:
        place, row = made[0]
        wrong = wish.wrong(row)
        says = f"The mapper {row['name']} of {client_id} does not fill {wish.claim} as it should: {', '.join(wrong)}."
        values = {f'config."{field}"': value for field, value in wrong.items()}
        command = assign(f"{place}/{row['id']}", house.realm, values)
    else:
        says = f"Tokens for {client_id} do not carry {wish.claim}."
        config = {**wish.config, **wish.new, **EVERYWHERE}
        new = {"name": wish.claim, "protocol": "openid-connect", "protocolMapper": wish.kind, "config": config}
        command = assign(f"clients/{client['id']}/{MODELS}", house.realm, new, verb="create")
    return Finding(
        id=name,
        severity=ERROR,
        says=says,
        why=wish.why,
        fix=f"Clients, {client_id}, Client scopes, its dedicated scope: a mapper that puts {wish.claim} into the ID token.",
        commands=(command,),
    )


def _all_of(client: Row, seen: Snapshot) -> Iterator[tuple[str, Row]]:
    """The mappers that fill a client's tokens, each with the resource it is in: its own, and its default scopes'."""
    for row in client.get("protocolMappers") or ():
        yield f"clients/{client['id']}/{MODELS}", row
    for scope in client.get("defaultClientScopes") or ():
        shared = (seen.scopes or {}).get(scope) or {}
        for row in shared.get("protocolMappers") or ():
            yield f"client-scopes/{shared['id']}/{MODELS}", row
