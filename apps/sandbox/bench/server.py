"""A Postgres and a sandbox that live as long as one benchmark, and Django pointed at them. Nobody's data is touched."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import django
import requests
from django.core.management import call_command

from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.run import postgres
from apps.sandbox.run.demo_environment import LEAVE_OUT, environment
from apps.sandbox.run.demo_keycloak import RealKeycloak
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.postgres_programs import PostgresError
from apps.sandbox.run.servers import free_port

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60


@contextlib.contextmanager
def throwaway(*, real_keycloak: bool = False) -> Iterator[Path]:
    """Start both, set Django up and make the tables and the demo's catalog; removes everything at the end.

    `real_keycloak`: a server of its own takes the place of the stand-in; KeycloakServerError where it cannot run.
    """
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-bench-"))
    try:
        host = postgres.start(folder / "postgres")
        port = free_port()
        _set_environment(folder, host=host, sandbox=f"http://127.0.0.1:{port}")
        mail = free_port() if real_keycloak else 0
        with _sandbox(folder, port, mail=mail), _keycloak(folder, mail) if real_keycloak else contextlib.nullcontext():
            django.setup()
            _discard_logs()
            call_command("demo_prepare", verbosity=0)
            yield folder
            from django.db import connection

            connection.close()
    finally:
        postgres.stop(folder / "postgres", remove=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree((folder / "postgres/elsewhere").readlink())
        shutil.rmtree(folder)


def _discard_logs() -> None:
    """Every line is made, as in production, and written to nobody's terminal."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(Path(os.devnull).open("w"))  # noqa: SIM115  (until the process ends)
    warnings.filterwarnings("ignore", message="No directory at")  # a checkout has no collected static files


def _set_environment(folder: Path, *, host: str, sandbox: str) -> None:
    database = {
        "POSTGRES_HOST": host, "POSTGRES_PORT": "5432", "POSTGRES_DB": postgres.NAME, "POSTGRES_USER": postgres.NAME,
        "POSTGRES_PASSWORD": "not-asked-for",
    }  # fmt: skip
    ours = environment(data=folder, site=f"http://127.0.0.1:{free_port()}", sandbox=sandbox, database=database)
    for name in [name for name in os.environ if name.startswith(LEAVE_OUT)]:
        del os.environ[name]
    os.environ.update(ours | {"LOG_LEVEL": "INFO", "DJANGO_SETTINGS_MODULE": "apps.sandbox.bench.settings"})


@contextlib.contextmanager
def _sandbox(folder: Path, port: int, *, mail: int) -> Iterator[None]:
    command = [sys.executable, "-m", "apps.sandbox", "--port", str(port), "--smtp-port", str(mail)]
    command += ["--clock-file", str(folder / "clock")]
    site = os.environ["SANDBOX_APP_URL"]  # where nothing listens until a path starts the web server
    command += ["--webhook-url", f"{site}/onboarding/webhook/", "--webhook-secret", os.environ["STRIPE_WEBHOOK_SECRET"]]
    with (folder / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, preexec_fn=stopped_with_parent)  # noqa: S603, PLW1509
    try:
        _wait_for(f"http://127.0.0.1:{port}/control/clock", process)
        deliver_events("drop")
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def _keycloak(folder: Path, mail: int) -> Iterator[None]:
    server = RealKeycloak(folder=folder / "keycloak", port=free_port(), site=os.environ["BASE_URL"], mail_port=mail)
    if reason := server.missing():
        raise KeycloakServerError(reason)
    try:
        os.environ.update(server.start(clock=folder / "clock"))
        yield
    finally:
        server.stop()


def deliver_events(mode: str) -> None:
    """`deliver` or `drop` what Stripe has to tell."""
    address = f"{os.environ['SANDBOX_BASE_URL']}/control/webhooks"
    requests.post(address, json={"mode": mode}, timeout=30).raise_for_status()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own address)
            return
        time.sleep(0.05)
    raise PostgresError("The sandbox of the benchmark does not start.")
