"""A populated house of one release, whose web and worker are those of another at a word, on the same database and with the same peers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import override

from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.run.servers import WEB, WEB_APPLICATION, answers
from tests.faults.outage import Stack, wait_for
from tests.upgrade.releases import Release

LAST_LINE = "Log in as a customer: "
STOP_SECONDS, READY_SECONDS = 60, 180
WAITING = "SELECT kind, key FROM core_job WHERE state IN ('queued', 'running') AND not_before <= to_timestamp(%s)"


def populate(release: Release, house: "House") -> None:
    """`manage.py demo --populate` of a release, stopped when its year is over."""
    command = [release.python, "manage.py", "demo", "--populate", "--data", str(house.data)]
    command += ["--port", str(house.port), "--sandbox-port", str(house.sandbox_port)]
    env = os.environ | {"XDG_CACHE_HOME": str(house.data.parent / "cache"), "DJANGO_SETTINGS_MODULE": "config.settings"}
    process = subprocess.Popen(
        command, cwd=release.root, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=stopped_with_parent,  # noqa: PLW1509  (one call into libc)
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if LAST_LINE in line:
            process.send_signal(signal.SIGINT)
    process.wait(STOP_SECONDS)
    assert LAST_LINE in "".join(said), "".join(said[-40:])


class House(Stack):
    """`serve` and `close` are what `docker compose up` and `stop` do with web and worker."""

    def serve(self, release: Release) -> float:
        """Start a release's web and worker; the seconds until it answers."""
        began = time.monotonic()
        web = [release.python, "-m", "config.serve", *WEB.split(), "--port", str(self.port), *WEB_APPLICATION.split()]
        self._launch_in(release.root, "web", web)
        self._launch_in(release.root, "worker", [release.python, "manage.py", "worker"])
        self._until("web", lambda: answers(f"{self.site}/health/"))
        return time.monotonic() - began

    def close(self) -> None:
        """Let web and worker finish what they do."""
        ours = [self.processes.pop(name) for name in ("web", "worker") if name in self.processes]
        for process in ours:
            process.terminate()
        for process in ours:
            process.wait(STOP_SECONDS)

    def wait_until_idle(self) -> None:
        """Until every event is handled and no job is due."""
        wait_for(self._is_idle, what="nothing left to do", seconds=READY_SECONDS)

    def _is_idle(self) -> bool:
        events = self.ask("SELECT 1 FROM billing_inboundevent WHERE state = 'received' LIMIT 1")
        return not events and not self.ask(WAITING, self.now())

    @override
    def stop(self) -> None:
        self.close()
        super().stop()

    def _launch_in(self, root: Path, name: str, command: list[str]) -> None:
        self.root = root
        self._launch(name, command)


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
