"""What web and worker may call, in a process that is restricted as they are: a hook cannot be taken off again."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from apps.core import egress
from apps.sandbox.run.servers import free_port
from tests.security.test_no_redirects import Server
from tests.world import ROOT

TRY = """
import json, socket, sys, urllib.request
import django; django.setup()
from apps.core import alerts, egress
from apps.billing.stripe_client import calling_stripe
from apps.core.errors import DependencyDown
import requests

egress.restrict_calls()

def outcome(call):
    try:
        call()
    except Exception as error:
        while error.__context__ is not None:
            error = error.__context__
        return type(getattr(error, "reason", error)).__name__
    return "answered"

def stripe():
    with calling_stripe() as client:
        client.v1.customers.retrieve("cus_1")

here = sys.argv[1]
print(json.dumps({
    "peer": outcome(lambda: socket.create_connection(("localhost", int(here)), timeout=5).close()),
    "stripe": outcome(stripe),
    "name": outcome(lambda: requests.get("http://attacker.example.com/", timeout=5)),
    "metadata": outcome(lambda: urllib.request.urlopen("http://169.254.169.254/latest", timeout=5)),
    "other spelling": outcome(lambda: socket.create_connection(("127.1", int(here)), timeout=5)),
    "bytes": outcome(lambda: socket.getaddrinfo(b"attacker.example.com", 80)),
    "old": outcome(lambda: socket.gethostbyname("attacker.example.com")),
    "alert": alerts.deliver("Trouble", "Nobody pays."),
}))
"""


def test_only_the_hosts_that_the_settings_name_are_called() -> None:
    """Two servers here: one is Stripe's and named `localhost`, the other takes alerts at 127.0.0.1, which no setting else names."""
    server = Server()
    ours = {
        "STRIPE_API_HOST": f"http://localhost:{free_port()}", "KEYCLOAK_SERVER_URL": "https://login.example.com",
        "MAILGUN_API_URL": "https://api.mailgun.net/v3", "BASE_URL": "http://localhost:8000",
        "ALERT_URLS": f"json://127.0.0.1:{server.server_port}", "DJANGO_SETTINGS_MODULE": "config.settings",
        "OUTBOUND_HOSTS": "",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(server.server_port)], cwd=ROOT, env=os.environ | ours, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("peer") == "answered"
    assert found.pop("stripe") == "ConnectionRefusedError"  # it was tried: nobody listens there
    assert found.pop("alert") == []
    assert set(found.values()) == {"HostRefused"}, found
    assert done.stderr.count("call_refused") + done.stdout.count("call_refused") == len(found)


def test_the_list_is_that_of_the_settings(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BASE_URL, settings.KEYCLOAK_SERVER_URL = "https://desk.example.com", "https://Login.example.com:8443/auth"
    settings.STRIPE_API_HOST, settings.OUTBOUND_HOSTS = "https://api.stripe.com", ["hooks.example.com"]
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": "https://api.eu.mailgun.net/v3"}
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    assert egress.allowed_hosts() - {settings.DATABASES["default"]["HOST"]} == {
        "desk.example.com", "login.example.com", "api.stripe.com", "api.eu.mailgun.net", "hooks.example.com", "proxy.example.com",
    }  # fmt: skip


@pytest.mark.parametrize("file", ["config/serve.py", "apps/core/management/commands/worker.py"])
def test_web_and_worker_are_restricted_before_they_begin(file: str) -> None:
    assert "    restrict_calls()\n" in (ROOT / file).read_text()
