"""What the sync account may do to whom, on both servers: customers are its own, staff and the realm are out of its reach.

As seen on 26.7.3: a permission for a group says nothing of the groups below it, so filling groups is permitted for all of them
and refused for those of staff; a person in a group that refuses is out of reach whatever other groups they are in; and the
role manage-users passes all permissions (view-users does not).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from apps.core.errors import NeedsOperator
from apps.identity.protocol import Identity, NewUser
from apps.identity.reach import OutOfReach
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import PASSWORD

SYNC = "frontdesk-sync"
CUSTOMERS, STAFF, ADMINS = "/frontdesk", "/staff", "/staff/admin"
NEW_PASSWORD = {"type": "password", "value": "another horse battery", "temporary": False}
UPDATE = ["UPDATE_PASSWORD"]


class Stage(NamedTuple):
    """A realm with a customer, somebody of staff, and somebody who is both."""

    server: Server
    ids: dict[str, str]

    def sync(self, method: str, path: str, json: Any = None) -> int:
        """The status that the sync account gets; names in braces become ids."""
        return self.server.call(method, path.format(**self.ids), json=json, client=SYNC).status_code

    def paths(self, who: str) -> set[str]:
        return {row["path"] for row in self.server.call("GET", f"/users/{self.ids[who]}/groups").json()}


@pytest.fixture
def stage(server: Server) -> Iterator[Stage]:
    people = {"customer": [CUSTOMERS], "colleague": [ADMINS], "both": [CUSTOMERS, ADMINS], "stranger": []}
    ids = {who: server.make(groups=groups)[0] for who, groups in people.items()}
    for name in (CUSTOMERS, STAFF, ADMINS, "/newsletter"):
        ids[name.rpartition("/")[2]] = server.group_id(name)
    for name in ("realm-management", "frontdesk-web", "admin-permissions"):
        ids[name] = server.call("GET", f"/clients?clientId={name}").json()[0]["id"]
    (account,) = server.call("GET", f"/users?username=service-account-{SYNC}").json()
    yield Stage(server, ids | {"itself": account["id"]})
    for who in people:
        server.call("DELETE", f"/users/{ids[who]}")


PERMIT = {"name": "more", "resourceType": "Users", "scopes": ["manage"], "policies": ["is frontdesk-sync"]}
RIGHTS = "role-mappings/clients/{realm-management}"
CALLS: list[tuple[str, str, Any]] = [
    # the realm and its clients
    ("GET", "/clients", None),
    ("GET", "/clients/{frontdesk-web}", None),
    ("GET", "/clients/{frontdesk-web}/client-secret", None),
    ("POST", "/clients/{frontdesk-web}/client-secret", None),
    ("POST", "/clients", {"clientId": "another"}),
    ("DELETE", "", None),
    ("PUT", "", {"registrationAllowed": True}),
    ("POST", "/logout-all", None),
    ("POST", "/partialImport", {"users": []}),
    ("GET", "/events", None),
    ("GET", "/admin-events", None),
    ("DELETE", "/admin-events", None),
    ("GET", "/identity-provider/instances", None),
    ("POST", "/identity-provider/instances", {"alias": "another", "providerId": "oidc"}),
    ("PUT", "/users/profile", {"attributes": []}),
    ("GET", "/components", None),
    ("POST", "/components", {}),
    ("GET", "/authentication/flows", None),
    ("PUT", "/authentication/required-actions/UPDATE_PASSWORD", {}),
    ("POST", "/roles", {"name": "another"}),
    ("PUT", "/default-groups/{admin}", None),
    ("GET", "/clients/{admin-permissions}/authz/resource-server/policy", None),
    ("POST", "/clients/{admin-permissions}/authz/resource-server/permission/scope", PERMIT),
    ("POST", "/clients/{admin-permissions}/authz/resource-server/policy/user", {"name": "more", "users": []}),
    # rights
    ("POST", f"/users/{{itself}}/{RIGHTS}", [{"name": "realm-admin"}]),
    ("POST", f"/users/{{customer}}/{RIGHTS}", [{"name": "realm-admin"}]),
    ("POST", f"/groups/{{frontdesk}}/{RIGHTS}", [{"name": "realm-admin"}]),
    ("POST", "/users/{customer}/role-mappings/realm", [{"name": "offline_access"}]),
    # becoming staff
    ("PUT", "/users/{itself}/groups/{admin}", None),
    ("PUT", "/users/{customer}/groups/{admin}", None),
    ("PUT", "/users/{customer}/groups/{staff}", None),
    ("PUT", "/users/{stranger}/groups/{admin}", None),
    ("PUT", "/users/{customer}/groups/{newsletter}", None),
    ("POST", "/users", {"username": "ct-way-up", "groups": [ADMINS]}),
    ("POST", "/users", {"username": "ct-way-up", "groups": [CUSTOMERS, ADMINS]}),
    ("POST", "/users", {"username": "ct-way-up", "groups": [ADMINS, CUSTOMERS]}),
    ("POST", "/users", {"username": "ct-way-up", "groups": []}),
    ("POST", "/users", {"username": "ct-way-up"}),
    ("POST", "/groups/{staff}/children", {"name": "owner"}),
    ("POST", "/groups/{admin}/children", {"name": "owner"}),
    # the groups' paths
    ("POST", "/groups", {"name": "staff-two"}),
    ("POST", "/groups", {"id": "{admin}", "name": "admin"}),
    ("POST", "/groups/{frontdesk}/children", {"id": "{staff}", "name": "staff"}),
    ("POST", "/groups/{frontdesk}/children", {"id": "{admin}", "name": "admin"}),
    ("POST", "/groups/{staff}/children", {"id": "{frontdesk}", "name": "frontdesk"}),
    ("PUT", "/groups/{admin}", {"name": "boss"}),
    ("PUT", "/groups/{staff}", {"name": "former"}),
    ("PUT", "/groups/{newsletter}", {"name": "former"}),
    ("DELETE", "/groups/{admin}", None),
    ("DELETE", "/groups/{staff}", None),
    *(  # people who are not customers alone
        (method, f"/users/{{{who}}}{path}", body)
        for who in ("colleague", "both", "stranger", "itself")
        for method, path, body in (
            ("PUT", "", {"email": "thief@example.com"}),
            ("PUT", "", {"enabled": False}),
            ("PUT", "/reset-password", NEW_PASSWORD),
            ("PUT", "/execute-actions-email", UPDATE),
            ("PUT", "/send-verify-email", None),
            ("POST", "/logout", None),
            ("DELETE", "/consents/frontdesk-web", None),
            ("DELETE", "/groups/{admin}", None),
            ("PUT", "/groups/{frontdesk}", None),
            ("DELETE", "", None),
            ("POST", "/impersonation", None),
        )
    ),
    ("POST", "/users/{customer}/impersonation", None),
]


def filled(body: Any, ids: dict[str, str]) -> Any:
    """A body whose group is named by its id."""
    given = body.get("id") if isinstance(body, dict) else None
    return body | {"id": given.format(**ids)} if given else body


def test_staff_the_realm_and_strangers_are_out_of_its_reach(stage: Stage) -> None:
    """Each is refused, and nothing has changed; 404 and 409 are for paths the server does not have or names that are taken."""
    before = {who: (stage.server.user(stage.ids[who]), stage.paths(who)) for who in ("colleague", "both", "stranger")}
    got = {(method, path, str(body)): stage.sync(method, path, filled(body, stage.ids)) for method, path, body in CALLS}
    assert len(got) == len(CALLS) > 80
    assert {call: status for call, status in got.items() if status not in {403, 404}} == {}
    assert sum(status == 403 for status in got.values()) >= len(CALLS) - 3
    for who, was in before.items():
        assert (stage.server.user(stage.ids[who]), stage.paths(who)) == was, who
    assert stage.server.group_id(ADMINS) == stage.ids["admin"]
    assert stage.server.call("GET", "/users?username=ct-way-up&exact=true").json() == []


def test_an_instance_group_cannot_be_named_into_the_path_of_staff(stage: Stage) -> None:
    for name in ("staff", "newsletter"):
        answer = stage.server.call("PUT", f"/groups/{stage.ids['frontdesk']}", json={"name": name}, client=SYNC)
        assert answer.status_code == 409
    assert stage.server.group_id(CUSTOMERS) == stage.ids["frontdesk"]


def test_a_group_named_like_the_path_of_staff_makes_nobody_staff(stage: Stage, identity: Identity) -> None:
    """A slash in a name passes, and tokens then say a path that is another group's: roles are read from the groups themselves."""
    customer, colleague, path = stage.ids["customer"], stage.ids["colleague"], f"/groups/{stage.ids['frontdesk']}"
    assert stage.server.call("PUT", path, json={"name": "staff/admin"}, client=SYNC).status_code == 204
    try:
        assert stage.paths("customer") == {ADMINS}
        assert (identity.staff_groups(customer), identity.staff_groups(colleague)) == (frozenset(), {ADMINS})
    finally:
        assert stage.server.call("PUT", path, json={"name": "frontdesk"}).status_code == 204
    child = stage.server.call("POST", f"{path}/children", json={"name": "staff/admin"}, client=SYNC).json()["id"]
    assert stage.sync("PUT", f"/users/{customer}/groups/{child}") == 204
    assert identity.staff_groups(customer) == frozenset()
    assert stage.server.call("DELETE", f"/groups/{child}").status_code == 204


def test_an_instance_group_that_is_refused_to_us_is_named(stage: Stage, identity: Identity) -> None:
    name, authz = stage.server.name(), f"/clients/{stage.ids['admin-permissions']}/authz/resource-server"
    made = stage.server.call("POST", f"/groups/{stage.ids['frontdesk']}/children", json={"name": name}).json()["id"]
    refusal = {"name": name, "resourceType": "Groups", "resources": [made], "policies": [f"is not {SYNC}"]}
    given = stage.server.call("POST", f"{authz}/permission/scope", json=refusal | {"scopes": ["manage-membership"]})
    assert given.status_code == 201
    with pytest.raises(OutOfReach, match=f"who is in {CUSTOMERS}/{name}"):
        identity.join_group(stage.ids["customer"], f"{CUSTOMERS}/{name}")
    assert stage.paths("customer") == {CUSTOMERS}
    assert stage.server.call("DELETE", f"{authz}/policy/{given.json()['id']}").status_code == 204
    identity.join_group(stage.ids["customer"], f"{CUSTOMERS}/{name}")
    assert stage.server.call("DELETE", f"/groups/{made}").status_code == 204


def test_without_the_customers_group_no_account_is_made(stage: Stage, identity: Identity, settings: Any) -> None:
    settings.KEYCLOAK_PARENT_GROUP, name = "/nowhere", stage.server.name()
    with pytest.raises(NeedsOperator, match="no group /nowhere"):
        identity.create_user(
            NewUser(username=name, email=f"{name}@example.com", first_name="", last_name="", onboarding_id=name)
        )
    assert identity.username_taken(name) is False


def test_customers_are_its_own(stage: Stage) -> None:
    """All that the application does, by the same account."""
    name = stage.server.name()
    given = {"username": name, "email": f"{name}@example.com", "enabled": True, "emailVerified": True}
    made = stage.server.call(
        "POST", "/users", client=SYNC,
        json=given | {"groups": [CUSTOMERS], "attributes": {"onboarding_id": ["1"]}, "requiredActions": UPDATE},
    )  # fmt: skip
    assert made.status_code == 201
    user = {"user": made.headers["Location"].rsplit("/", 1)[-1]}
    stage = Stage(stage.server, stage.ids | user)
    group = stage.server.call(
        "POST", f"/groups/{stage.ids['frontdesk']}/children", json={"name": stage.server.name()}, client=SYNC
    )
    assert group.status_code == 201
    stage.ids["instance"] = group.json()["id"]
    for method, path, body, status in (
        ("PUT", "/users/{user}/groups/{instance}", None, 204),
        ("PUT", "/users/{user}/execute-actions-email", UPDATE, 204),
        ("PUT", "/users/{user}", given | {"attributes": {"has_nextcloud": ["true"]}, "enabled": False}, 204),
        ("PUT", "/users/{user}/reset-password", NEW_PASSWORD | {"value": PASSWORD}, 204),
        ("GET", "/users/{user}/sessions", None, 200),
        ("POST", "/users/{user}/logout", None, 204),
        ("GET", "/users/{user}/consents", None, 200),
        ("GET", "/users/{user}/credentials", None, 200),
        ("GET", "/groups/{instance}/members", None, 200),
        ("GET", "/groups/{frontdesk}/children", None, 200),
        ("DELETE", "/users/{user}/groups/{instance}", None, 204),
        ("DELETE", "/users/{user}", None, 204),
    ):
        assert stage.sync(method, path, body) == status, (method, path)
    assert stage.server.call("DELETE", f"/groups/{stage.ids['instance']}").status_code == 204


def test_it_finds_everybody_so_that_no_name_is_sold_twice(stage: Stage) -> None:
    for query in ("username=admin.ada", "email=admin.ada@example.com", "username=stranger.stan"):
        assert len(stage.server.call("GET", f"/users?{query}&exact=true", client=SYNC).json()) == 1


def test_what_it_may_do_is_shown_to_it(stage: Stage) -> None:
    """What the doctor goes by."""
    shown = {
        who: stage.server.call("GET", f"/users/{stage.ids[who]}", client=SYNC).json()["access"]["manage"]
        for who in ("customer", "colleague", "both", "stranger")
    }
    assert shown == {"customer": True, "colleague": False, "both": False, "stranger": False}
    rows = stage.server.call("GET", f"/groups/{stage.ids['staff']}/children", client=SYNC).json()
    rows += stage.server.call("GET", "/groups", client=SYNC).json()
    reach = {row["path"]: {name for name, may in row["access"].items() if may} for row in rows}
    assert reach[CUSTOMERS] >= {"manage", "manageMembers", "manageMembership"}
    assert all(reach[path] == {"view", "viewMembers"} for path in reach if path.startswith((STAFF, "/newsletter")))
