"""The demo's Keycloak: the sandbox's stand-in, or with `--keycloak real` a server of its own with the same realm.

The real one keeps its people in the demo's folder, mails into the sandbox's inbox and follows the sandbox's clock.
"""

import contextlib
import json
from pathlib import Path

from apps.sandbox.run import keycloak_clock, keycloak_server


class RealKeycloak:
    """A real Keycloak on `port`, its mails taken on the next one or on `mail_port`; what it keeps is in `folder`."""

    def __init__(self, *, folder: Path, port: int, site: str, mail_port: int = 0) -> None:
        self.folder, self.port, self.mail_port = folder, port, mail_port or port + 1
        self.values = {
            "FRONTDESK_URL": site,
            "FRONTDESK_BACKCHANNEL_URL": site,
            "KC_SMTP_HOST": "127.0.0.1",
            "KC_SMTP_PORT": str(self.mail_port),
        }
        self._running = contextlib.ExitStack()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports it needs for itself."""
        return self.port, self.mail_port

    def missing(self) -> str:
        """Why it cannot run here, in one line; empty when it can."""
        return keycloak_server.available() or keycloak_clock.missing()

    def made_for_others(self) -> bool:
        """Whether the realm kept from an earlier time has other addresses in it than we would give it now."""
        kept = self.folder / "values.json"
        return kept.exists() and json.loads(kept.read_text()) != self.values

    def start(self, *, clock: Path) -> dict[str, str]:
        """Start it; once it answers, the variables that say where it is. Raises KeycloakServerError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        server = self._running.enter_context(
            keycloak_server.running(self.values, folder=self.folder, port=self.port, clock=clock)
        )
        (self.folder / "values.json").write_text(json.dumps(self.values))
        return {"KEYCLOAK_SERVER_URL": server.url, "KEYCLOAK_REALM": server.realm}

    def stop(self) -> None:
        """Stop it, if it runs."""
        self._running.close()
