"""What the manual says, typed: the code, its settings, the services, the proxy, the doctor. What a reader has to fill in is here."""

import json
import re
import shutil
import time
from pathlib import Path

import requests

from apps.sandbox.stripe_account import KEY, StripeAccount
from tests.golive import machine, peers
from tests.golive.chapters import blocks, lines, table
from tests.golive.machine import KEYCLOAK, SITE, SMTP, SOURCE, Terminal

# What `manage.py setup` asks, by words of the question, and what the operator of this house says.
ANSWERS = {
    "as customers will write it": f"https://{SITE}",
    "Your name, on pages and in emails": "Kontor",
    "support address shown to people": f"hilfe@{SITE}",
    "Keycloak's address": f"https://{KEYCLOAK}",
    "The realm of customers and staff": "kontor",
    "Stripe's restricted key": KEY,
    "Stripe's publishable key": "pk_test_0123456789abcdefghijklmnop",
    "Mailgun's key": "key-0123456789abcdef",
    "Mailgun's sending domain": "mail.example.com",
    "Mailgun's API": "",
    "Mailgun's HTTP webhook signing key": peers.SIGNING_KEY,
    "An administrator of the whole Keycloak": "admin",
    "Their password": "admin",
    "The username of the first member of staff": "ada",
    "Their email address": "ada@kontor.example",
    "The SMTP server for Keycloak's own emails": SMTP,
    "Its port": "",
    "Their sender": "login@mail.example.com",
    "The user there": "kontor",
    "The password there": "an smtp password",
}
ENV, LEGAL = Path("/etc/frontdesk/.env"), Path("/srv/frontdesk-legal")
SECONDS = 120
WAITS = (
    "has not been compared completely yet",
    "LOG_FILE names no file",
)  # why a law is not looked at on the first day


def sell_at_stripe() -> None:
    """In Stripe's dashboard: what the chapter asks for under Products and prices."""
    shop = StripeAccount(peers.SANDBOX)
    product = shop.post("products", name="Personal")
    price = {"product": product["id"], "unit_amount": 500, "currency": "eur", "recurring[interval]": "month"}
    shop.post("prices", **price)


def install_code(shell: Terminal) -> None:
    """Up to `manage.py setup`, which needs the peers."""
    repository = machine.repository()
    for line in lines(blocks("systemd", "install")[0]):
        if "manage.py setup" not in line:
            shell.type(line.replace("ADDRESS", f"file://{repository}"))


def set_up(shell: Terminal) -> str:
    """`manage.py setup`, and once more, which makes nothing; returns the first password of staff."""
    (line,) = (one for one in lines(blocks("systemd", "install")[0]) if "manage.py setup" in one)
    said = shell.type(line, ANSWERS)
    assert "All is set up." in said, said
    first = re.search(r"with the password (\S+),", said)
    assert first, said
    again = shell.type(line, ANSWERS)
    assert " made " not in again, again
    return first[1]


def start(shell: Terminal) -> None:
    """Legal texts, database, units and proxy."""
    shutil.copytree(SOURCE / "apps/sandbox/legal", LEGAL)
    ENV.write_text(re.sub(r"(?m)^LEGAL_FOLDER=.*$", f"LEGAL_FOLDER={LEGAL}", ENV.read_text()))
    _, database, units = blocks("systemd", "install")
    password = Path("/etc/frontdesk/secrets/POSTGRES_PASSWORD").read_text().strip()
    for line in lines(database):
        shell.type(line, {"password for new role": password, "again": password})
    for line in lines(units):
        shell.type(line)
    (server,) = (one for one in blocks("proxy", "your-own") if "listen 443" in one)
    Path("/etc/nginx/sites-available/frontdesk").write_text(server)
    (switched_on,) = (one for one in blocks("proxy", "your-own") if "sites-enabled" in one)
    for line in lines(switched_on):
        if "certbot" not in line:
            shell.type(line)
    _await_health()


def _await_health() -> None:
    """Stripe and people come by the name, and with http are led to https."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            answer = requests.get(f"http://{SITE}/health/", timeout=5, verify=str(machine.AUTHORITY))
            if answer.ok or time.monotonic() > deadline:
                break
        except requests.RequestException:
            assert time.monotonic() < deadline, "The site does not answer."
        time.sleep(0.5)
    assert (answer.status_code, answer.url) == (200, f"https://{SITE}/health/"), answer.text


def back_up(shell: Terminal) -> None:
    """At once, as the chapter Without containers says under Backups; else the timer does it within an hour."""
    shell.type("systemctl start backup-frontdesk")


def ask_doctor(shell: Terminal, *, mail_to: str) -> None:
    """Every row is green, but for those of which the chapter says that they stay."""
    said = shell.type(f"frontdesk-manage doctor --mail {mail_to} --json 2>/dev/null")
    rows = json.loads(said)["findings"] + json.loads(shell.type("frontdesk-manage doctor --systems --json 2>/dev/null"))
    assert len(rows) > 100
    left = {row["id"]: row for row in rows if row["severity"] != "passed"}
    assert left.keys() == set(table("go-live", "7. The doctor")), left


def check_laws(shell: Terminal) -> None:
    """All that can be looked at hold; the others say that they wait for a comparison, which takes hours, or for a log file."""
    found = json.loads(shell.type("frontdesk-manage check_laws --json 2>/dev/null || [ $? = 2 ]"))
    assert found
    left = [one for one in found if one["state"] != "ok"]
    broken = [one for one in left if one["state"] != "unknown" or not any(words in one["reason"] for words in WAITS)]
    assert not broken, broken
