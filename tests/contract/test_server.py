"""The real server itself: what is missing is said, half of it is never used, two start at once, nothing is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from apps.sandbox.run import keycloak_clock, keycloak_distribution, keycloak_server, realm_file
from apps.sandbox.run.keycloak_distribution import KeycloakServerError

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


def until(true: object, what: str) -> None:
    deadline = time.monotonic() + 40
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
