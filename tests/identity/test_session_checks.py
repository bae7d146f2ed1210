"""A login is only as good as its account: whoever is disabled, deleted or demoted is out within a minute."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from apps.accounts.models import UserProfile
from apps.core.errors import WorkError
from apps.core.models import AuditEntry
from apps.identity import keycloak as client
from apps.identity import session_checks
from tests.login.conftest import Person, fresh_keys, keycloak, nora, person
from tests.sandbox.keycloak_fixture import Standin

__all__ = ["fresh_keys", "keycloak", "nora", "person"]  # the fixtures


@pytest.fixture(autouse=True)
def admin_client(keycloak: Standin, settings: Any) -> None:
    settings.KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
    settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
    client._client.cache_clear()


def inside(person: Person) -> bool:
    return person.here.get("/dashboard/").status_code == 200


def groups(keycloak: Standin, path: str) -> str:
    return str(keycloak.call("GET", f"/group-by-path{path}").json()["id"])


def test_an_account_disabled_in_keycloak_is_logged_out(person: Person, keycloak: Standin, nora: UserProfile) -> None:
    person.log_in("nora")
    session_checks.check_logins("")
    assert inside(person)
    keycloak.call("PUT", f"/users/{nora.keycloak_id}", json={"enabled": False})
    session_checks.check_logins("")
    assert not inside(person)
    entry = AuditEntry.objects.get(action="sessions_ended")
    assert (entry.subject_kind, entry.after) == ("profile", {"sessions": 1})


def test_an_account_deleted_in_keycloak_is_logged_out(person: Person, keycloak: Standin, nora: UserProfile) -> None:
    person.log_in("nora")
    keycloak.call("DELETE", f"/users/{nora.keycloak_id}")
    session_checks.check_logins("")
    assert not inside(person)


@pytest.mark.fault("F68")
def test_a_removed_role_is_gone_without_a_login(person: Person, keycloak: Standin) -> None:
    person.log_in("support.sam")
    assert person.here.get("/admin/").status_code == 200
    sam = keycloak.call("GET", "/users", params={"username": "support.sam", "exact": "true"}).json()[0]["id"]
    try:
        keycloak.call("DELETE", f"/users/{sam}/groups/{groups(keycloak, '/staff/support')}")
        session_checks.check_logins("")
        assert person.here.get("/admin/").status_code != 200
        user = User.objects.get(username="support.sam")
        assert (user.is_staff, user.groups.count()) == (False, 0)
    finally:
        keycloak.call("PUT", f"/users/{sam}/groups/{groups(keycloak, '/staff/support')}")


def test_a_lower_role_takes_effect_at_once_and_the_login_stays(person: Person, keycloak: Standin) -> None:
    person.log_in("admin.ada")
    ada = keycloak.call("GET", "/users", params={"username": "admin.ada", "exact": "true"}).json()[0]["id"]
    admin, viewer = groups(keycloak, "/staff/admin"), groups(keycloak, "/staff/viewer")
    try:
        keycloak.call("DELETE", f"/users/{ada}/groups/{admin}")
        keycloak.call("PUT", f"/users/{ada}/groups/{viewer}")
        session_checks.check_logins("")
        assert person.here.get("/admin/").status_code == 200
        assert [group.name for group in User.objects.get(username="admin.ada").groups.all()] == ["viewer"]
    finally:
        keycloak.call("PUT", f"/users/{ada}/groups/{admin}")
        keycloak.call("DELETE", f"/users/{ada}/groups/{viewer}")


def test_while_keycloak_is_unavailable_nobody_is_logged_out(
    person: Person, keycloak: Standin, nora: UserProfile
) -> None:
    person.log_in("nora")
    keycloak.fault("down")
    with pytest.raises(WorkError):
        session_checks.check_logins("")
    keycloak.fault("ok")
    assert inside(person)


def test_only_recently_active_accounts_are_checked(person: Person, nora: UserProfile, monkeypatch: Any) -> None:
    person.log_in("nora")
    assert [account.user for account in session_checks.logins_in_use()] == [nora.user]
    monkeypatch.setattr(session_checks, "RECENT", -session_checks.RECENT)
    assert session_checks.logins_in_use() == []
