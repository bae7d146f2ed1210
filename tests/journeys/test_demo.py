"""`manage.py demo` as a person types it: it walks, it starts again, it says what is in its way, and it leaves nothing behind."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from apps.sandbox.run import keycloak_clock, keycloak_server, postgres
from apps.sandbox.run.servers import free_port

pytestmark = pytest.mark.xdist_group("demo")
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 120, 60


class Demo:
    """One demo's folder and ports, and the command that runs it."""

    def __init__(self, data: Path) -> None:
        self.data, self.port, self.sandbox_port = data, free_port(), free_port()

    def command(self, *more: str) -> list[str]:
        ports = ["--port", str(self.port), "--sandbox-port", str(self.sandbox_port)]
        return [sys.executable, "manage.py", "demo", "--data", str(self.data), *ports, *more]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return subprocess.run(
            self.command(*more),
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )

    def left(self) -> dict[int, str]:
        """The processes that belong to it, by their command line, folder or environment: their commands."""
        found = {}
        for process in psutil.process_iter():
            try:
                signs = [*process.cmdline(), process.cwd(), *process.environ().values()]
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if any(sign.startswith(str(self.data)) for sign in signs):
                found[process.pid] = " ".join(process.cmdline())[:100]
        return found

    def database(self) -> set[psutil.Process]:
        """The processes of its Postgres, also where that had to be kept elsewhere."""
        homes = [self.data, *(link.resolve() for link in self.data.rglob("elsewhere"))]
        servers = [one for one in psutil.process_iter(["name", "cwd"]) if one.info["name"] == "postgres"]
        return {one for one in servers if any(Path(one.info["cwd"] or "/").is_relative_to(home) for home in homes)}

    def inbox(self) -> list[str]:
        answer = requests.get(f"http://localhost:{self.sandbox_port}/inbox.json", timeout=10)
        return [mail["subject"] for mail in answer.json()]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that Postgres' own account can reach, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="frontdesk-demo-"))
    made.chmod(0o755)
    yield made
    postgres.stop(made / "postgres", remove=True)
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def walked(folder: Path) -> tuple[Demo, subprocess.CompletedProcess[str]]:
    """A demo that was started for the first time, walked a customer, and ended."""
    demo = Demo(folder)
    return demo, demo.run("--walk")


@pytest.fixture
def start(walked: tuple[Demo, object]) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start it again, on the data that was kept, and wait until it says that it runs."""
    demo, _ = walked
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            demo.command(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C stops everything"):
                return process
        raise AssertionError(f"it ended with {process.wait()}")

    yield start
    for process in running:
        process.terminate()
        process.wait(STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.nightly
def test_the_walk_passes_and_leaves_nothing_running(
    walked: tuple[Demo, subprocess.CompletedProcess[str]],
) -> None:
    demo, done = walked
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "All checks passed. 8 steps" in done.stdout
    for who in ("customer", "Stripe", "Keycloak", "staff"):
        assert f"   {who} " in done.stdout
    assert demo.left() == {}
    clouds = json.loads((demo.data / "sandbox/sandbox.json").read_text())["nextcloud"]
    (account,) = [one for cloud in clouds.values() for one in cloud["users"].values()]
    assert (account["quota"], account["groups"]) == ("600 GB", ["customers"])


@pytest.mark.nightly
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_warm_with_its_data_and_stops_as_a_whole(
    walked: tuple[Demo, object], start: Callable[[], subprocess.Popen[str]], end: signal.Signals
) -> None:
    demo, _ = walked
    began = time.monotonic()
    process = start()
    assert time.monotonic() - began < 90  # 5 s on an idle machine
    assert requests.get(f"http://localhost:{demo.port}/onboarding/", timeout=10).status_code == 200
    assert requests.get(f"http://localhost:{demo.port}/health/", timeout=10).json()["status"] == "ok"
    assert any("Update Your Account" in subject for subject in demo.inbox())
    assert len(demo.left()) >= 3

    process.send_signal(end)
    assert process.wait(STOP_SECONDS) == 0
    assert demo.left() == {}
    assert not list(demo.data.rglob("postmaster.pid"))


@pytest.mark.nightly
def test_all_its_processes_together_take_at_most_450_megabytes(
    walked: tuple[Demo, object], start: Callable[[], subprocess.Popen[str]]
) -> None:
    """As Linux counts shared memory: 720 when each process loaded the application for itself."""
    demo, _ = walked
    family = psutil.Process(start().pid)
    processes = {family, *family.children(recursive=True), *(psutil.Process(pid) for pid in demo.left())}
    assert demo.database()
    processes |= demo.database()
    assert sum(one.memory_full_info().pss for one in processes) < 450 * 1024 * 1024


@pytest.mark.nightly
def test_a_second_demo_is_told_what_is_in_its_way(
    walked: tuple[Demo, object], start: Callable[[], subprocess.Popen[str]]
) -> None:
    demo, _ = walked
    start()
    same = demo.run("--reset")
    assert same.returncode == 1
    assert f"Port {demo.port} is in use" in same.stderr
    elsewhere = Demo(demo.data).run("--reset")
    assert elsewhere.returncode == 1
    assert f"Another demo is using {demo.data}" in elsewhere.stderr
    assert demo.inbox()  # and it has done no harm to the first
    assert requests.get(f"http://localhost:{demo.port}/health/", timeout=10).json()["status"] == "ok"


@pytest.mark.parametrize(("option", "name"), [("--port", "port"), ("--sandbox-port", "sandbox_port")])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_taken_port_is_named(tmp_path: Path, option: str, name: str, address: str) -> None:
    demo = Demo(tmp_path / "data")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as taken:
        taken.bind((address, getattr(demo, name)))
        taken.listen()
        done = demo.run()
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"Port {getattr(demo, name)} is in use. Stop that program or choose another with {option}."
    )
    assert not demo.data.exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["--port", "8123", "--sandbox-port", "8123"], "need different ports"),
        (["--port", "70000"], "port number between 1 and 65535"),
        (["--data", "/dev/null/x"], "cannot be used"),
    ],
)
def test_what_cannot_work_is_said_plainly(tmp_path: Path, wish: list[str], said: str) -> None:
    done = Demo(tmp_path / "data").run(*wish)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.nightly
def test_it_walks_on_a_real_keycloak_and_leaves_nothing(tmp_path: Path) -> None:
    """Its own login and password pages, its mails in the sandbox's inbox, its clock with ours."""
    if reason := keycloak_server.available() or keycloak_clock.missing():
        pytest.skip(reason)
    demo = Demo(tmp_path / "data")
    # Keycloak's mail is taken on the next port, which may be one of the demo's own.
    port = next(one for one in iter(free_port, None) if not {one, one + 1} & {demo.port, demo.sandbox_port})
    done = demo.run("--keycloak", "real", "--keycloak-port", str(port), "--walk")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed." in done.stdout
    assert demo.left() == {}
    postgres.stop(demo.data / "postgres", remove=True)
