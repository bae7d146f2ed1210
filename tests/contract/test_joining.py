"""Accounts that a realm had before us join our group by an administrator's login; those with rights over the realm do not."""

from typing import Any

import pytest

from apps.core.errors import NeedsOperator
from apps.core.models import AuditEntry
from apps.identity import joining
from apps.identity.joining import Joining, JoinOutcome, Named
from tests.contract.conftest import point_at
from tests.contract.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def paths(server: Server, user: str) -> list[str]:
    return [row["path"] for row in server.call("GET", f"/users/{user}/groups").json()]


def join(server: Server, *accounts: Named, write: bool = True) -> list[Joining]:
    return list(joining.join(*server.login, accounts, write=write))


def test_accounts_join_by_id_or_address_once_and_not_in_a_dry_run(server: Server, settings: Any) -> None:
    point_at(server, settings)
    one, two = server.name(), server.name()
    first = server.new_user(one, email=f"{one}@example.com")
    second = server.new_user(two, email=f"{two}@example.com")
    here = (Named(keycloak_id=first), Named(email=f"{two}@example.com"))
    asked = (*here, Named(keycloak_id=UNKNOWN), Named(email="nobody.here@example.com"))
    expected = [JoinOutcome.JOINED, JoinOutcome.JOINED, JoinOutcome.MISSING, JoinOutcome.MISSING]
    assert [done.outcome for done in join(server, *asked, write=False)] == expected
    assert paths(server, first) == paths(server, second) == []
    assert [done.outcome for done in join(server, *asked)] == expected
    assert paths(server, first) == paths(server, second) == ["/frontdesk"]
    lines = AuditEntry.objects.filter(action="group_joined", actor=f"keycloak:{server.login[0]}")
    assert {line.subject_id for line in lines} == {first, second}
    assert [done.outcome for done in join(server, *here)] == [JoinOutcome.MEMBER, JoinOutcome.MEMBER]


def test_no_account_joins_with_rights_of_administration_of_staff_or_of_a_program(server: Server, settings: Any) -> None:
    """Rights given to the account, and by a group."""
    point_at(server, settings)
    (rights,) = server.call("GET", "/clients?clientId=realm-management").json()
    right = server.call("GET", f"/clients/{rights['id']}/roles/manage-users").json()
    direct, grouped, staff = (server.new_user(server.name()) for _ in range(3))
    (client,) = server.call("GET", "/clients?clientId=frontdesk-doctor").json()
    program = server.call("GET", f"/clients/{client['id']}/service-account-user").json()
    server.call("POST", f"/users/{direct}/role-mappings/clients/{rights['id']}", json=[right])
    made = server.call("POST", "/groups", json={"name": server.name()})
    group = made.headers["Location"].rsplit("/", 1)[-1]
    server.call("POST", f"/groups/{group}/role-mappings/clients/{rights['id']}", json=[right])
    server.call("PUT", f"/users/{grouped}/groups/{group}")
    server.call("PUT", f"/users/{staff}/groups/{server.group_id('/staff/viewer')}")
    try:
        done = join(server, *(Named(keycloak_id=key) for key in (direct, grouped, staff, program["id"])))
    finally:
        server.call("DELETE", f"/groups/{group}")
    assert [one.outcome for one in done] == [JoinOutcome.REFUSED] * 4
    assert ["rights over the realm" in one.why for one in done] == [True, True, False, False]
    assert ("staff" in done[2].why, "a program" in done[3].why) == (True, True)
    assert all("/frontdesk" not in paths(server, one.named.keycloak_id) for one in done)


def test_a_wrong_password_is_a_sentence(server: Server, settings: Any) -> None:
    point_at(server, settings)
    with pytest.raises(NeedsOperator, match="or not with this password"):
        list(joining.join(server.login[0], "wrong", [], write=True))
