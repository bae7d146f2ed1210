"""Everybody outside of the house: the sandbox as Stripe and Mailgun, a real Keycloak, each at its own name by https."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.run import keycloak_server
from apps.sandbox.run.servers import answers
from tests.golive.machine import AUTHORITY, KEYCLOAK, KEYCLOAK_PORT, SANDBOX_PORT, SITE, SOURCE, STRIPE

SANDBOX = f"http://127.0.0.1:{SANDBOX_PORT}"
SIGNING_KEY = "signing-key-of-the-house"
READY_SECONDS = 300
KEYCLOAK_VALUES = {
    "KC_HOSTNAME": f"https://{KEYCLOAK}", "KC_PROXY_HEADERS": "xforwarded", "KC_TRUSTSTORE_PATHS": str(AUTHORITY),
    "FRONTDESK_URL": "http://127.0.0.1:1", "FRONTDESK_BACKCHANNEL_URL": "http://127.0.0.1:1",
}  # fmt: skip


def serve(folder: Path) -> None:
    """`python -m tests.golive.peers FOLDER`: both, until the one who started us ends; a file `ready` says that they answer."""
    live = f"/etc/letsencrypt/live/{SITE}"
    words = [sys.executable, "-m", "apps.sandbox", "--port", str(SANDBOX_PORT), "--smtp-port", "587"]
    words += ["--smtp-certificate", live, "--mailgun-signing-key", SIGNING_KEY]
    os.environ.pop("KEYCLOAK_URL", None)  # a server that runs elsewhere is not in our network
    env = os.environ | {"SANDBOX_BASE_URL": f"https://{STRIPE[2]}", "SANDBOX_APP_URL": f"https://{SITE}"}
    sandbox = subprocess.Popen(words, cwd=SOURCE, env=env, preexec_fn=stopped_with_parent)  # noqa: PLW1509  (one call into libc)
    with keycloak_server.running(KEYCLOAK_VALUES, port=KEYCLOAK_PORT):
        while not answers(f"{SANDBOX}/inbox.json") and sandbox.poll() is None:
            time.sleep(0.2)
        (folder / "ready").touch()
        sandbox.wait()


def start(folder: Path) -> Callable[[], None]:
    """Begin; the answer waits until they are there."""
    words = [sys.executable, "-m", "tests.golive.peers", str(folder)]
    log = folder / "peers.log"
    with log.open("wb") as said:
        process = subprocess.Popen(words, cwd=SOURCE, stdout=said, stderr=said, preexec_fn=stopped_with_parent)  # noqa: PLW1509

    def wait() -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (folder / "ready").exists():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)

    return wait


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
