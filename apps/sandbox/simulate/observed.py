"""What each person has, read from the database's rows and from Keycloak, and from Stripe's stand-in what they paid."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import requests

from apps.sandbox.simulate.expected import Books
from apps.sandbox.simulate.world import OURS, SimulatedWorld

Obj = dict[str, Any]


@dataclass(frozen=True)
class Having:
    """`account`: open, closed, or none. `seats`: app to (state, instance). `groups`: Keycloak's, by instance; `local`: ours."""

    state: str
    account: str
    attributes: dict[str, str]
    groups: frozenset[str]
    local: frozenset[str]
    seats: dict[str, tuple[str, str]]


def read_books(world: SimulatedWorld) -> dict[str, Books]:
    """Everything at Stripe, by customer."""
    for event in world.every("events", **{"types[0]": "invoice.payment_failed"}):
        invoice, moment = event["data"]["object"]["id"], event["created"]
        world.failures[invoice] = min(moment, world.failures.get(invoice, moment))
    found: dict[str, Books] = defaultdict(Books)
    for one in world.every("subscriptions", status="all"):
        found[one["customer"]].subscriptions.append(one)
    for one in world.every("invoices", **{"expand[0]": "data.payments"}):
        found[one["customer"]].invoices.append(one)
    payers = {}
    for one in world.every("charges", **{"expand[0]": "data.refunds"}):
        found[one["customer"]].charges.append(one)
        payers[one["id"]] = one["customer"]
    for one in world.every("disputes"):
        found[payers[one["charge"]]].disputes.append(one)
    return {customer: _with_failures(books, world.failures) for customer, books in found.items()}


def _with_failures(books: Books, failures: dict[str, int]) -> Books:
    own = {one["id"]: failures[one["id"]] for one in books.invoices if one["id"] in failures}
    return Books(books.subscriptions, books.invoices, books.charges, books.disputes, own)


def read_people(world: SimulatedWorld) -> dict[int, Having]:
    """What everybody has, by profile."""
    from apps.accounts.models import UserProfile
    from apps.instances.models import Instance, Seat

    accounts = _Accounts(world)
    seats: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
    live = Seat.objects.exclude(state="released")
    for profile, app, state, instance in live.values_list("profile", "product__slug", "state", "instance__slug"):
        seats[profile][app] = (state, instance)
    groups = {name: slug for name, slug in Instance.objects.values_list("group__name", "slug")}  # noqa: C416
    found = {}
    for row in UserProfile.objects.select_related("user").prefetch_related("user__groups"):
        account = accounts.find(row.keycloak_id or "")
        member = accounts.groups(row.keycloak_id or "") if account else []
        found[row.pk] = Having(
            state=row.access_state,
            account="none" if account is None else "open" if account["enabled"] else "closed",
            attributes=_ours(account),
            groups=frozenset(groups[name] for name in member if name in groups),
            local=frozenset(groups[one.name] for one in row.user.groups.all() if one.name in groups),
            seats=seats[row.pk],
        )
    return found


def _ours(account: Obj | None) -> dict[str, str]:
    attributes = (account or {}).get("attributes") or {}
    return {name: "##".join(values) for name, values in attributes.items() if name in OURS}


class _Accounts:
    """Keycloak's accounts, by the Admin API, past the application."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.realm = f"{world.stack.env['KEYCLOAK_SERVER_URL']}/admin/realms/{world.stack.env['KEYCLOAK_REALM']}"
        self.address = f"{world.stack.env['KEYCLOAK_SERVER_URL']}/realms/{world.stack.env['KEYCLOAK_REALM']}"
        self.form = {
            "grant_type": "client_credentials",
            "client_id": world.stack.env["KEYCLOAK_DOCTOR_CLIENT_ID"],
            "client_secret": world.stack.env["KEYCLOAK_DOCTOR_CLIENT_SECRET"],
        }
        self.session = requests.Session()

    def _get(self, path: str) -> requests.Response:
        answer = self.session.get(f"{self.realm}{path}", timeout=60)
        if answer.status_code == 401:
            token = self.session.post(f"{self.address}/protocol/openid-connect/token", data=self.form, timeout=60)
            token.raise_for_status()
            self.session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            answer = self.session.get(f"{self.realm}{path}", timeout=60)
        return answer

    def find(self, identifier: str) -> Obj | None:
        answer = self._get(f"/users/{identifier}") if identifier else None
        if answer is None or answer.status_code == 404:
            return None
        answer.raise_for_status()
        return dict(answer.json())

    def groups(self, identifier: str) -> list[str]:
        answer = self._get(f"/users/{identifier}/groups")
        answer.raise_for_status()
        return [str(one["path"]) for one in answer.json()]
