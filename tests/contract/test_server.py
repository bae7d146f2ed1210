"""The real server itself: what is missing is said, half of it is never used, two start at once, nothing is left."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import requests
import yaml

from apps.sandbox.run import keycloak_clock, keycloak_distribution, keycloak_server, postgres, realm_file
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.servers import free_port

pytestmark = pytest.mark.xdist_group("keycloak")
ROOT = Path(__file__).resolve().parents[2]
PUBLIC = "https://login.example.com"


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
def keycloak_database(tmp_path: Path) -> Iterator[tuple[str, psycopg.Connection]]:
    """A Postgres for Keycloak alone, on an address of this machine that nobody else listens on, and the owner's connection."""
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(200)}.5"
    socket = postgres.start(tmp_path / "postgres", durable=False, options={"listen_addresses": address})
    try:
        with psycopg.connect(host=socket, user=postgres.NAME, dbname=postgres.NAME, autocommit=True) as owner:
            owner.execute("CREATE ROLE keycloak LOGIN PASSWORD 'x'")
            owner.execute("CREATE DATABASE keycloak OWNER keycloak")
        with psycopg.connect(host=address, user="keycloak", dbname="keycloak", autocommit=True) as connection:
            yield address, connection
    finally:
        postgres.stop(tmp_path / "postgres", remove=True)


@dataclass(frozen=True)
class Composed:
    """A Keycloak that compose.yml describes: its address, its log, and the command that asks whether it is ready."""

    url: str
    log: Path
    health_check: list[str]


@pytest.fixture
def composed(tmp_path: Path, keycloak_database: tuple[str, psycopg.Connection]) -> Iterator[Composed]:
    """A Keycloak as compose.yml runs it for production: its entrypoint, command, files, secrets and database."""
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
        (held / name).write_text(f"secret-of-{name}")
    port, management = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    moved = {
        "/opt/keycloak": str(home),
        "/run/secrets": str(held),
        "$$": "$",
        "0.0.0.0": "127.0.0.1",
        "/9000": f"/{management}",
    }

    def here(text: str) -> str:
        for old, new in moved.items():
            text = text.replace(old, new)
        return text

    given = {name: here(value) for name, value in service["environment"].items() if "${" not in value}
    given |= {"KC_HTTP_PORT": str(port), "KC_HTTP_MANAGEMENT_PORT": str(management), "KC_HOSTNAME": PUBLIC}
    given |= {"KC_DB_URL_HOST": keycloak_database[0]}
    given |= {"JAVA_OPTS_APPEND": keycloak_server.JAVA, "JAVA_OPTS_KC_HEAP": keycloak_server.HEAP}
    passed = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "HOME") if name in os.environ}
    command = [here(word) for word in (*service["entrypoint"], *service["command"])]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=passed | given, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Composed(url, log, [here(word) for word in service["healthcheck"]["test"][1:]])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(home)  # 170 MB


@pytest.mark.long
def test_compose_runs_it_for_production(composed: Composed, keycloak_database: tuple[str, psycopg.Connection]) -> None:
    """Behind a proxy, with a database of its own, its first administrator from a file; refusals show nothing of its inside."""
    url = composed.url
    realm = f"{url}/realms/master"

    def is_ready() -> bool:
        return subprocess.run(composed.health_check, capture_output=True, check=False).returncode == 0

    built = (keycloak_distribution.installed() / "lib/quarkus/build-system.properties").read_text()
    until(is_ready, "its health check passes", seconds=400)
    assert (keycloak_distribution.installed() / "lib/quarkus/build-system.properties").read_text() == built
    said = composed.log.read_text()
    assert "Profile prod activated" in said
    assert "development mode" not in said
    (realms,) = keycloak_database[1].execute("SELECT count(*) FROM realm").fetchone() or (0,)
    assert realms == 1
    found = requests.get(f"{realm}/.well-known/openid-configuration", timeout=10).json()
    assert found["issuer"] == f"{PUBLIC}/realms/master"  # whatever a request says
    admin = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
    proxied = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "login.example.com"}
    for password, right in (("wrong", False), ("secret-of-KEYCLOAK_ADMIN_PASSWORD", True)):
        asked = requests.post(
            f"{realm}/protocol/openid-connect/token", data=admin | {"password": password}, headers=proxied, timeout=30
        )
        assert (asked.status_code == 200) is right, asked.text
    for answer in (
        requests.get(f"{url}/realms/nope", timeout=10),
        requests.get(f"{url}/admin/realms/master", timeout=10),
        requests.post(f"{realm}/protocol/openid-connect/token", data=b"\xff" * 99, timeout=10),
        requests.get(f"{realm}/protocol/openid-connect/auth?client_id=%00", timeout=10),
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
