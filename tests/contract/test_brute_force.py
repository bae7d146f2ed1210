"""A temporary lock after wrong passwords is the server's own business: it is no `enabled: false`, and we never lift it."""

from apps.identity.protocol import Identity
from tests.contract.servers import REFUSED, Server
from tests.sandbox.keycloak_fixture import PASSWORD, Browser

WRONG_PASSWORDS = 6  # one more than the realm file's failureFactor


def locked(server: Server) -> tuple[str, str]:
    """Somebody who typed wrong passwords until the server closed its ears; id and name."""
    user_id, name = server.make(groups=["/frontdesk"])
    server.set_password(user_id)
    browser = Browser()
    _, page = server.start_login(browser)
    for _ in range(WRONG_PASSWORDS):
        page = server.fill_in(browser, page, name, "wrong password")
    assert is_locked(server, name)
    return user_id, name


def is_locked(server: Server, name: str) -> bool:
    """Whether the right password is refused now."""
    browser = Browser()
    _, page = server.start_login(browser)
    return REFUSED in server.fill_in(browser, page, name, PASSWORD).text


def test_a_temporary_lock_does_not_look_disabled(identity: Identity, server: Server) -> None:
    """keycloak/keycloak#28713, #29336, #11726: read as `enabled: false` by older servers, and then saved as such."""
    user_id, _ = locked(server)
    found = identity.get_user(user_id)
    assert found is not None
    assert found.enabled


def test_our_writes_neither_lift_the_lock_nor_make_it_permanent(identity: Identity, server: Server) -> None:
    user_id, name = locked(server)
    identity.update_user(user_id, attributes={"has_nextcloud": "true"}, first_name="Nora")
    assert is_locked(server, name)
    user = server.user(user_id)
    assert (user["enabled"], user["firstName"], user["attributes"]["has_nextcloud"]) == (True, "Nora", ["true"])


def test_enabling_an_account_that_is_enabled_writes_nothing(identity: Identity, server: Server) -> None:
    """A PUT with `enabled: true` would clear the record of failed logins."""
    user_id, name = locked(server)
    identity.update_user(user_id, enabled=True, attributes={"has_nextcloud": None})
    assert is_locked(server, name)
