"""The real server itself: what is missing is said, half of it is never used, two start at once, nothing is left."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from apps.sandbox.run import keycloak_clock, keycloak_distribution, keycloak_server, realm_file
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.servers import free_port

pytestmark = pytest.mark.xdist_group("keycloak")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KEYCLOAK_URL", raising=False)
    return tmp_path / "frontdesk" / f"keycloak-{keycloak_distribution.VERSION}"


def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Nothing on the path but these scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)


JAVA_17, JAVA_11 = "echo 'openjdk version \"17.0.1\"' >&2", "echo 'openjdk version \"11.0.2\"' >&2"


def test_it_says_in_one_line_what_is_missing(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(tmp_path, monkeypatch)
    assert keycloak_server.available() == "A real Keycloak needs Java 17 or newer, which is not installed."
    with pytest.raises(KeycloakServerError, match="Java 17"):
        keycloak_distribution.installed()
    (tmp_path / "bin" / "java").write_text(f"#!/bin/sh\n{JAVA_11}\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    assert "needs Java 17" in keycloak_server.available()
    (tmp_path / "bin" / "java").write_text(f"#!/bin/sh\n{JAVA_17}\n")
    assert keycloak_server.available() == "A real Keycloak is fetched by Maven (mvn), which is not installed."
    assert keycloak_clock.missing() == "Moving Keycloak's clock needs a JDK (javac), which is not installed."
    monkeypatch.setenv("KEYCLOAK_URL", "http://127.0.0.1:8080")
    assert keycloak_server.available() == ""


def test_a_file_with_another_checksum_is_not_used(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = 'for word in "$@"; do case $word in -DoutputDirectory=*) echo bad > "${word#*=}/{zip}";; esac; done'
    name = f"keycloak-quarkus-dist-{keycloak_distribution.VERSION}.zip"
    only(tmp_path, monkeypatch, java=JAVA_17, mvn=fetch.replace("{zip}", name))
    with pytest.raises(KeycloakServerError, match="It is not used"):
        keycloak_distribution.installed()
    assert not empty_cache.exists()
    assert [path.name for path in empty_cache.parent.iterdir()] == [f"{empty_cache.name}.lock"]


def test_a_fetch_that_fails_says_what_was_said(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(tmp_path, monkeypatch, java=JAVA_17, mvn="echo no network; exit 1")
    with pytest.raises(KeycloakServerError, match="no network"):
        keycloak_distribution.installed()


def test_half_of_it_counts_as_nothing(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_cache / "bin").mkdir(parents=True)
    (empty_cache.parent / f"{empty_cache.name}.part-killed").mkdir()
    only(tmp_path, monkeypatch, java=JAVA_17, mvn="exit 1")
    with pytest.raises(KeycloakServerError, match="mvn"):
        keycloak_distribution.installed()
    assert not list(empty_cache.parent.glob("*.part-*"))


def test_placeholders_are_filled_as_keycloak_fills_them() -> None:
    text = "${A:x}/${B:http://h:1}/${C}/${A:}"
    assert realm_file.filled({"a": [text, 1, None]}, {"A": "1"}) == {"a": ["1/http://h:1/${C}/1", 1, None]}


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A Keycloak as compose.yml runs it: its entrypoint, command, files and secrets; its address, and its log."""
    if reason := keycloak_distribution.missing():
        pytest.skip(reason)
    service = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]["keycloak"]
    home, held, log = tmp_path / "home", tmp_path / "secrets", tmp_path / "log"
    shutil.copytree(
        keycloak_distribution.installed(), home
    )  # the start builds, and through a link it would build there
    for volume in service["volumes"]:
        source, target, _ = volume.split(":")
        place = home / target.removeprefix("/opt/keycloak/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, place)
    held.mkdir()
    for name in service["secrets"]:
        (held / name).write_text("" if name == "KEYCLOAK_ADMIN_PASSWORD" else f"secret-of-{name}")
    port, management = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    moved = {"/opt/keycloak": str(home), "/run/secrets": str(held), "$$": "$", "0.0.0.0": "127.0.0.1"}

    def here(text: str) -> str:
        for old, new in moved.items():
            text = text.replace(old, new)
        return text

    given = {name: here(value) for name, value in service["environment"].items() if "${" not in value}
    given |= {"KC_HTTP_PORT": str(port), "KC_HTTP_MANAGEMENT_PORT": str(management), "KC_HOSTNAME": url}
    given |= {"JAVA_OPTS_APPEND": keycloak_server.JAVA, "JAVA_OPTS_KC_HEAP": keycloak_server.HEAP}
    passed = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "HOME") if name in os.environ}
    command = [here(word) for word in (*service["entrypoint"], *service["command"])]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=passed | given, stdout=out, stderr=out, start_new_session=True)
    try:
        yield url, log
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(home)  # 170 MB


@pytest.mark.long
def test_compose_runs_it_for_production(composed: tuple[str, Path]) -> None:
    url, log = composed
    discovery = f"{url}/realms/frontdesk/.well-known/openid-configuration"

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(discovery, timeout=10).status_code == 200
        return False

    built = (keycloak_distribution.installed() / "lib/quarkus/build-system.properties").read_text()
    until(answers, "the realm is there", seconds=400)
    assert (keycloak_distribution.installed() / "lib/quarkus/build-system.properties").read_text() == built
    said = log.read_text()
    assert "Profile prod activated" in said
    assert "development mode" not in said
    for answer in (
        requests.get(f"{url}/realms/nope", timeout=10),
        requests.get(f"{url}/admin/realms/frontdesk", timeout=10),
        requests.post(f"{url}/realms/frontdesk/protocol/openid-connect/token", data=b"\xff" * 99, timeout=10),
        requests.get(f"{url}/realms/frontdesk/protocol/openid-connect/auth?client_id=%00", timeout=10),
    ):
        assert answer.status_code >= 400
        assert not re.search(r"Exception|\bat (org|io|java)\.|26\.7\.3", answer.text), answer.text


def processes(sign: str) -> list[str]:
    """The names of those whose command line has `sign` in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if sign in " ".join(process.cmdline()):
                found.append(process.name())
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_whoever_started_it_may_be_killed_while_it_starts_and_nothing_is_left(tmp_path: Path, how: int) -> None:
    if reason := keycloak_distribution.missing():
        pytest.skip(reason)
    folder = tmp_path / "kept"
    folder.mkdir()
    program = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"
        "from apps.sandbox.run import keycloak_server\n"
        f"with keycloak_server.running({{}}, folder=pathlib.Path({str(folder)!r})): signal.pause()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KEYCLOAK_URL"}
    home = f"{folder}/home"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment) as starter:
        try:
            until(lambda: "java" in processes(home), "Java runs")
        finally:
            starter.send_signal(how)
    until(lambda: not processes(home), "nothing is left")


def until(true: object, what: str, *, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
