"""A realm to break and fix: one of its own on each server, with the doctor's commands run as an operator would."""

import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from apps.identity import keycloak as module
from apps.identity.doctor import expected, reading
from apps.identity.doctor.checks import diagnose
from apps.identity.doctor.expected import Catalog
from apps.identity.doctor.report import Finding, Severity
from apps.sandbox.run import keycloak_distribution, keycloak_realm
from tests.contract import servers
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import APP, PROJECT

APPS = frozenset({"nextcloud", "vaultwarden"})
CATALOG = Catalog(apps=APPS, seats=APPS, grants=frozenset({"storage_gb"}))
BAD = (Severity.ERROR, Severity.WARNING)
SHIM = f'#!/bin/sh\nexec "{sys.executable}" "{PROJECT}/tests/contract/kcadm.py" "$@"\n'
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


class Clinic:
    """The realm, its doctor, and a shell that is logged in by kcadm."""

    def __init__(self, server: Server, folder: Path, *, real: bool) -> None:
        self.server, self.folder, self.real, self.spoilt = server, folder, real, True
        self.home, self._root, self._since = server.keycloak, {}, -60.0
        self.environment = os.environ | {"KCADM_SERVER": self.home, "KCADM_LOGIN": " ".join(server.login)}
        self.quick = self._with_shim()

    def _with_shim(self) -> dict[str, str]:
        shim = self.folder / "kcadm.sh"
        shim.write_text(SHIM)
        shim.chmod(0o755)
        return self.environment | {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    @functools.cached_property
    def shell(self) -> dict[str, str]:
        """With Keycloak's own kcadm where there is one, logged in once; it keeps its login below `user.home`."""
        if not self.real or keycloak_distribution.missing():
            return self.quick
        programs = keycloak_distribution.installed() / "bin"
        options = {"PATH": f"{programs}:{os.environ['PATH']}", "KC_OPTS": f"{JAVA} -Duser.home={self.folder}"}
        shell = self.environment | options
        username, password = self.server.login
        login = ["--server", self.home, "--realm", "master", "--user", username, "--password", password]
        subprocess.run(["kcadm.sh", "config", "credentials", *login], env=shell, check=True, capture_output=True)
        return shell

    # --- the realm -----------------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """As the realm file has it; only if something has changed it."""
        if not self.spoilt:
            return
        if self.real:
            self.close()
            port = self.root("GET", "", realm="frontdesk").json()["smtpServer"]["port"]
            values = servers.values(self.server.told, port) | {"FRONTDESK_BACKCHANNEL_URL": APP}
            self.server.at(self.home, keycloak_realm.make(self.home, self.server.login, values))
        else:
            self.server.control("reset")
            self._since = -60.0
            told = {"backchannel.logout.url": f"{APP}/oidc/backchannel-logout/"}
            self.change_client("frontdesk-web", attributes=told)
        self.server.forget_bearers()
        self.spoilt = False

    def close(self) -> None:
        """Remove a realm that was made."""
        if self.real and self.server.realm != "frontdesk":
            keycloak_realm.remove(self.home, self.server.login, self.server.realm)

    def root(self, method: str, path: str, json: Any = None, *, realm: str = "") -> requests.Response:
        """Something an operator does by hand; it has to work."""
        url = f"{self.home}/admin/realms/{realm or self.server.realm}{path}"
        if time.monotonic() - self._since > 30:
            self._root, self._since = self.server.root(), time.monotonic()
        answer = requests.request(method, url, headers=self._root, json=json, timeout=20)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer

    def client(self, name: str) -> dict[str, Any]:
        (found,) = self.root("GET", f"/clients?clientId={name}").json()
        return dict(found)

    def change_client(self, name: str, **fields: Any) -> None:
        row = self.client(name)
        attributes = row["attributes"] | fields.pop("attributes", {})
        self.root("PUT", f"/clients/{row['id']}", row | fields | {"attributes": attributes})

    def group(self, path: str) -> str:
        return str(self.root("GET", f"/group-by-path{path}").json()["id"])

    def rights(self) -> str:
        return str(self.client("realm-management")["id"])

    def right(self, name: str) -> dict[str, Any]:
        return dict(self.root("GET", f"/clients/{self.rights()}/roles/{name}").json())

    def account(self, name: str) -> str:
        return str(self.root("GET", f"/clients/{self.client(name)['id']}/service-account-user").json()["id"])

    # --- the doctor ------------------------------------------------------------------------------------------------------

    def findings(self) -> dict[str, Finding]:
        wanted = expected.from_settings(CATALOG)
        return {one.id: one for one in diagnose(reading.read_realm(wanted), wanted)}

    def bad(self) -> dict[str, Finding]:
        return {name: one for name, one in self.findings().items() if one.severity in BAD}

    def run(self, command: str, *, by_hand: bool = False) -> None:
        """One line of a finding, in a shell; `by_hand`: without Java."""
        environment = self.quick if by_hand else self.shell
        done = subprocess.run(["bash", "-ec", command], check=False, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def point_at(clinic: Clinic, settings: Any) -> None:
    """Settings as an operator would write them for this realm."""
    settings.KEYCLOAK_SERVER_URL = clinic.home
    settings.KEYCLOAK_REALM = clinic.server.realm
    settings.KEYCLOAK_ISSUER = clinic.server.issuer
    settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "frontdesk-sync", "dev-only-sync-secret"
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor"
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
    settings.SITE_LANGUAGES = ["en", "de"]
    module._client.cache_clear()


@contextlib.contextmanager
def standin(folder: Path) -> Iterator[Clinic]:
    """A sandbox of its own."""
    with servers.standin(folder / "clock") as server:
        yield Clinic(server, folder, real=False)


@contextlib.contextmanager
def keycloak(shared: Server, folder: Path) -> Iterator[Clinic]:
    """A realm of its own on the server that runs."""
    server = Server(shared.url, shared.told, shared.clock)
    server.at(shared.keycloak, "frontdesk")
    server.login = shared.login
    clinic = Clinic(server, folder, real=True)
    try:
        yield clinic
    finally:
        clinic.close()
