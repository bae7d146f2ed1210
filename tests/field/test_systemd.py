"""The units in config/systemd are sound, and what they start runs: the site answers, the worker gives a sign of life, both end when asked."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.db import connection

from apps.core.models import Heartbeat
from apps.operations.setup import files
from apps.sandbox.run.servers import free_port
from tests.image.dockerfile import parse
from tests.world import ROOT

UNITS = ROOT / "config/systemd"
SECONDS = 60


def settings_of(unit: str) -> dict[str, list[str]]:
    """What the unit says with what all have in common, each setting with all its values."""
    found: dict[str, list[str]] = {}
    for file in (UNITS / "frontdesk-.service.d/common.conf", UNITS / f"{unit}.service"):
        for line in file.read_text().splitlines():
            if match := re.match(r"(\w+)=(.*)", line):
                found.setdefault(match[1], []).append(match[2])
    return found


def test_systemd_takes_them(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    shutil.copytree(UNITS, tmp_path / "units")
    for file in (tmp_path / "units").rglob("*.*"):
        if file.is_file():
            text = file.read_text().replace("/opt/frontdesk/.venv/bin/python", sys.executable)
            text = text.replace("/usr/local/sbin/frontdesk-manage", str(UNITS / "frontdesk-manage"))
            file.write_text(text.replace("/opt/frontdesk/config", str(ROOT / "config")))
    units = [str(one) for one in sorted((tmp_path / "units").glob("*.*")) if one.is_file()]
    said = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert [line for line in said.stderr.splitlines() if "frontdesk" in line] == []


def test_each_service_is_given_the_secrets_that_compose_gives_it() -> None:
    for unit in ("frontdesk-web", "frontdesk-worker", "frontdesk-migrate"):
        given = settings_of(unit)
        lent = {one.partition(":")[0] for one in given["LoadCredential"]}
        assert all(
            one == f"{name}:/etc/frontdesk/secrets/{name}"
            for one in given["LoadCredential"]
            for name in [one.partition(":")[0]]
        )
        others = {"POSTGRES_PASSWORD", "KEYCLOAK_ADMIN_PASSWORD", "KEYCLOAK_DB_PASSWORD", "GRAFANA_ADMIN_PASSWORD"}
        others -= {"POSTGRES_PASSWORD"} if unit == "frontdesk-migrate" else set()
        assert lent == set(files.lent_secrets(ROOT)) - others
        words = " ".join([*given["Environment"], *given["ExecStart"]])
        assert set(re.findall(r"%d/(\w+)", words)) == lent


def test_an_upgrade_stops_nobody_while_tables_change() -> None:
    """Requires= would stop web and worker for the whole migration, and leave them down where it fails (systemd.unit(5))."""
    for unit in ("frontdesk-web", "frontdesk-worker"):
        text = (UNITS / f"{unit}.service").read_text()
        assert "Requires=" not in text
        assert "Wants=frontdesk-migrate.service" in text


def test_the_web_server_has_the_flags_of_the_image() -> None:
    command = parse((ROOT / "Dockerfile").read_text())[-1].last("CMD")
    assert command is not None
    flags = re.sub(r".*python -m config\.serve", "", command.words()[2]).replace("0.0.0.0", "127.0.0.1")
    assert settings_of("frontdesk-web")["ExecStart"][0].endswith(f"python -m config.serve{flags}")


@contextmanager
def started(unit: str, folder: Path, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command of the unit, here, on the tests' database."""
    words = shlex.split(settings_of(unit)["ExecStart"][0])
    words = words[words.index("/opt/frontdesk/.venv/bin/python") :]
    words = [sys.executable, *(changes.get(word, word) for word in words[1:])]
    ours = {
        "POSTGRES_DB": connection.settings_dict["NAME"],
        "RESTORE_MARKER_FILE": str(folder / "marker"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=ROOT, env=os.environ | ours, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
        process.terminate()
        process.wait(SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)


def wait_for(true: object, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():  # type: ignore[operator]
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_site_answers_and_ends_when_asked(tmp_path: Path) -> None:
    port = free_port()

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/health/live", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    with started("frontdesk-web", tmp_path, **{"8000": str(port)}) as process:
        wait_for(answers, process, tmp_path)
    assert process.returncode == 0


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_worker_gives_a_sign_of_life_and_ends_when_asked(tmp_path: Path) -> None:
    Heartbeat.objects.all().delete()
    with started("frontdesk-worker", tmp_path) as process:
        wait_for(Heartbeat.objects.filter(name__startswith="worker").exists, process, tmp_path)
    assert process.returncode == 0


def test_commands_get_settings_and_secrets_as_they_stand(tmp_path: Path) -> None:
    """The script, without changing the user: what it hands on, with spaces and signs of the shell in it."""
    (tmp_path / "bin").mkdir()
    setpriv = tmp_path / "bin/setpriv"
    setpriv.write_text(
        '#!/bin/sh\nprintf "%s|" "$BRAND_PROMISES" "$BRAND_NAME" "$STRIPE_SECRET_KEY" "${MAILGUN_API_KEY-unset}"'
        ' "$TAX_NOTE" "$POSTGRES_USER" "$POSTGRES_PASSWORD" "$@"\n'
    )
    setpriv.chmod(0o755)
    (tmp_path / "secrets").mkdir()
    (tmp_path / ".env").write_text(
        "# a comment\nBRAND_PROMISES=Any time | $HOME `id`\nBRAND_NAME=Kontor\nMAILGUN_API_KEY=\n#LOG_LEVEL=INFO\n"
        'TAX_NOTE="it\'s \\"net\\" \\$5 # on request"\nPOSTGRES_USER=frontdesk\n'
    )
    (tmp_path / "secrets/STRIPE_SECRET_KEY").write_text("rk_test_1\n")
    (tmp_path / "secrets/MAILGUN_API_KEY").write_text("\n")
    (tmp_path / "secrets/POSTGRES_PASSWORD").write_text("owner\n")
    (tmp_path / "secrets/POSTGRES_APP_PASSWORD").write_text("app\n")
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "FRONTDESK_SETTINGS": str(tmp_path), "FRONTDESK_CODE": str(ROOT)}
    said = subprocess.run(
        [str(UNITS / "frontdesk-manage"), "doctor", "-v", "2"], env=env, capture_output=True, text=True, check=True
    )
    assert said.stdout.split("|")[:2] == ["Any time ", " $HOME `id`"]
    assert said.stdout.split("|")[2:8] == [
        "Kontor",
        "rk_test_1",
        "unset",
        'it\'s "net" $5 # on request',
        "frontdesk_app",
        "app",
    ]
    assert said.stdout.endswith("manage.py|doctor|-v|2|")
