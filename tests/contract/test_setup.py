"""What `manage.py setup` makes in a real Keycloak: the realm of production, once, and the first member of staff, who can log in."""

import re
import secrets
from typing import Any

import pytest

from apps.core.setup_steps import Outcome, Step
from apps.identity import realm_setup
from apps.sandbox.run import keycloak_realm
from tests.contract.servers import Server

pytestmark = pytest.mark.xdist_group("keycloak")
OURS = {
    "FRONTDESK_NAME": "Kontor & Söhne", "FRONTDESK_URL": "https://kontor.example", "FRONTDESK_WEB_SECRET": "web-secret", "FRONTDESK_SYNC_SECRET": "sync-secret",
    "FRONTDESK_DOCTOR_SECRET": "doctor-secret", "SMTP_HOST": "smtp.kontor.example", "SMTP_FROM": "login@kontor.example",
    "OIDC_RP_CLIENT_SECRET": "web-secret", "KEYCLOAK_ADMIN_CLIENT_SECRET": "sync-secret", "KEYCLOAK_DOCTOR_CLIENT_SECRET": "doctor-secret",
}  # fmt: skip


def set_up(server: Server, values: dict[str, str], **more: Any) -> list[Step]:
    user, password = server.login
    return list(
        realm_setup.set_up(
            user, more.get("password", password), values=values, staff=("ada.admin", "ada@kontor.example")
        )
    )


def test_the_realm_is_made_once_and_somebody_can_log_in(keycloak_process: Server, settings: Any) -> None:
    server = Server(keycloak_process.url, keycloak_process.told, keycloak_process.clock)
    server.login = keycloak_process.login
    realm = f"kontor-{secrets.token_hex(4)}"
    server.at(keycloak_process.keycloak, realm)
    settings.KEYCLOAK_SERVER_URL, settings.KEYCLOAK_REALM = server.keycloak, realm
    try:
        version, made, canary, staff = set_up(server, OURS)
        assert [one.outcome for one in (version, made, canary, staff)] == [Outcome.KEPT, *[Outcome.MADE] * 3]
        assert "is new enough" in version.sentence
        assert canary.values == {"KEYCLOAK_CANARY_USERNAME": "frontdesk-canary"}
        found = server.call("GET", "").json()
        assert (found["realm"], found["smtpServer"]["host"]) == (realm, "smtp.kontor.example")
        assert found["displayName"] == "Kontor & Söhne"
        (user,) = server.call("GET", "/users?username=ada.admin").json()
        assert [one["path"] for one in server.call("GET", f"/users/{user['id']}/groups").json()] == ["/staff/admin"]
        password = re.search(r"the password (\S+),", staff.sentence)
        assert password
        refused = server.token(
            "admin-cli", grant_type="password", username="ada.admin", password=password[1], client_secret=None
        )
        assert "Account is not fully set up" in refused.text  # it is right, and has to be changed at the first login

        again = set_up(server, OURS | {"KEYCLOAK_ADMIN_CLIENT_SECRET": "another"})
        assert [one.outcome for one in again] == [Outcome.KEPT, Outcome.KEPT, Outcome.MADE, Outcome.KEPT, Outcome.KEPT]
        assert again[2].values == {"KEYCLOAK_ADMIN_CLIENT_SECRET": "sync-secret"}
        server.call("DELETE", f"/users/{user['id']}")
        server.new_user("ada.admin", email="anna@customer.example", firstName="Anna", lastName="A")
        *_, customer = set_up(server, OURS)  # nobody becomes an administrator because of a name
        assert (customer.outcome, "somebody with another address" in customer.sentence) == (Outcome.TO_DO, True)
        (wrong,) = set_up(server, OURS, password="no")
        assert (wrong.outcome, wrong.sentence) == (
            Outcome.FAILED,
            "Keycloak does not know this administrator, or not with this password.",
        )
    finally:
        keycloak_realm.remove(server.keycloak, server.login, realm)
