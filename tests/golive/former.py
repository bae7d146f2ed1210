"""A thousand people who were customers before there was a Frontdesk, and their import: by the command, decided and started in the console.

Nobody of them is charged, mailed or locked out, and everybody whose row was ready has what they had.
"""

import csv
import datetime as dt
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, Page, expect

from apps.sandbox.stripe_account import StripeAccount
from tests.golive import people
from tests.golive.chapters import blocks, lines
from tests.golive.machine import KEYCLOAK_PORT, SITE, Terminal
from tests.golive.peers import SANDBOX

FILE = Path("/srv/customers.csv")  # root's alone
PAYING, GRANTED, UNDECIDED, WITHOUT_ACCOUNT, TWICE = 300, 620, 20, 40, 20
ROWS = PAYING + GRANTED + UNDECIDED + WITHOUT_ACCOUNT + TWICE
IMPORTED = PAYING + GRANTED + UNDECIDED
DOMAIN, REALM = "before.example", "kontor"
UNTIL = (dt.datetime.now(dt.UTC) + dt.timedelta(days=90)).date().isoformat()
HEAD = ("email", "first_name", "last_name", "stripe_customer_id", "products", "access_until", "seats")
SECONDS = 180  # without anything that went on
STATE = "SELECT state FROM operations_customerimport"
UNFINISHED = (
    "SELECT count(*) FROM core_job WHERE state IN ('queued', 'running') AND not_before <= now()"
    " AND kind IN ('link_account', 'mirror_customer', 'reconcile')"
)
ACTIVE = (
    "SELECT count(*) FROM accounts_userprofile p JOIN auth_user u ON u.id = p.user_id"
    f" WHERE u.email LIKE '%@{DOMAIN}' AND p.access_state = 'active'"
)
PROGRESS = f"SELECT ({UNFINISHED}), ({ACTIVE}), (SELECT count(*) FROM operations_importrow WHERE state = 'imported')"


def address(number: int) -> str:
    return f"former-{number:04}@{DOMAIN}"


def pay_before(count: int = PAYING + WITHOUT_ACCOUNT) -> list[str]:
    """At Stripe, long before it tells Frontdesk anything: who pays for the plan; the customers' ids in order."""
    shop, found = StripeAccount(SANDBOX), []
    price = shop.get("prices")["data"][0]["id"]
    for number in (*range(PAYING), *range(IMPORTED, IMPORTED + WITHOUT_ACCOUNT))[:count]:
        card = {"payment_method": "pm_card_visa", "invoice_settings[default_payment_method]": "pm_card_visa"}
        made = shop.post("customers", email=address(number), name="Former Customer", **card)["id"]
        shop.post("subscriptions", **{"customer": made, "items[0][price]": price})
        found.append(made)
    return found


class Realm:
    """The house's realm, as its administrator sees it."""

    def __init__(self) -> None:
        self.url, self.session = f"http://127.0.0.1:{KEYCLOAK_PORT}", requests.Session()

    def call(self, method: str, path: str, **options: Any) -> Any:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
        token = requests.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form, timeout=60).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        answer = self.session.request(
            method, f"{self.url}/admin/realms/{REALM}{path}", headers=headers, timeout=120, **options
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def bring_in(self) -> None:
        """Their accounts, of which no group of ours knows; the first has a password."""
        given = {"enabled": True, "emailVerified": True, "firstName": "Former", "lastName": "Customer"}
        users = [given | {"username": f"former-{number:04}", "email": address(number)} for number in range(IMPORTED)]
        users[0]["credentials"] = [{"type": "password", "value": people.PASSWORD, "temporary": False}]
        self.call("POST", "/partialImport", json={"ifResourceExists": "FAIL", "users": users})

    def enabled(self) -> set[str]:
        """Who of them can log in."""
        rows = self.call("GET", f"/users?email={DOMAIN}&max=2000&briefRepresentation=true")
        return {row["email"] for row in rows if row["enabled"]}


def write_file(customers: list[str]) -> None:
    """The sheet of the old shop."""
    rows = [
        dict.fromkeys(HEAD, "") | {"email": address(number), "first_name": "Former", "last_name": "Customer"}
        for number in range(ROWS - TWICE)
    ]
    for row, customer in zip((*rows[:PAYING], *rows[IMPORTED:]), customers, strict=True):
        row["stripe_customer_id"] = customer
    for row in rows[PAYING:IMPORTED]:
        row["seats"] = "nextcloud=cloud-1"
    for row in rows[PAYING : PAYING + GRANTED]:
        row |= {"products": "personal", "access_until": UNTIL}
    FILE.touch(mode=0o600)
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEAD)
        writer.writeheader()
        writer.writerows([*rows, *rows[:TWICE]])


def count_charges() -> int:
    """All that was ever taken from anybody."""
    shop, found, after = StripeAccount(SANDBOX), 0, {}
    while True:
        page = shop.get("charges", limit="100", **after)
        found += len(page["data"])
        if not page["has_more"]:
            return found
        after = {"starting_after": page["data"][-1]["id"]}


def query(sql: str) -> str:
    """What the database says."""
    words = ["runuser", "-u", "postgres", "--", "psql", "-d", "frontdesk", "-At", "-c", sql]
    return subprocess.run(words, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


def import_all(shell: Terminal, chromium: Browser, customers: list[str]) -> None:
    """The whole chapter; AssertionError where somebody lost something or was bothered."""
    realm = Realm()
    realm.bring_in()
    write_file(customers)
    charges, could_enter = count_charges(), realm.enabled()
    assert len(could_enter) == IMPORTED
    join, plan = blocks("customers", "import")
    for line in lines(join):
        said = shell.type(line.replace("customers.csv", str(FILE)).replace("NAME", "admin"), {"Password of": "admin"})
    assert f"joined: {IMPORTED}," in said
    for line in lines(plan):
        filled = line.replace("customers.csv", str(FILE)).replace("NAME", "ada")
        shell.type(filled.replace("WHY", "'Our customers of the old shop'"))
    with people.picture_of_failure(page := people.open_page(chromium)):
        people.enter_again(page, "ada")
        _decide_and_start(page)
    _await(STATE, "done")
    _await(UNFINISHED, "0")
    assert query(ACTIVE) == str(IMPORTED)
    assert query("SELECT allocated_seats FROM instances_instance WHERE slug = 'cloud-1'") == str(IMPORTED + 1)
    assert realm.enabled() == could_enter
    assert count_charges() == charges
    box = requests.get(f"{SANDBOX}/inbox.json", timeout=60).json()
    assert not Counter(to for mail in box for to in mail["to"] if to.endswith(f"@{DOMAIN}"))
    with people.picture_of_failure(page := people.open_page(chromium)):
        people.see_apps(page, "former-0000")


def _decide_and_start(page: Page) -> None:
    """Staff look at the verdicts, grant what nothing pays for, and start."""
    page.goto(f"https://{SITE}/admin/operations/customerimport/")
    page.get_by_role("link", name=re.compile(r"^import \d+$")).first.click()
    decide, start = (
        page.get_by_role("link", name=name, exact=True).or_(page.get_by_role("button", name=name, exact=True)).first
        for name in ("Decide", "Start")
    )
    expect(start).to_be_visible(timeout=SECONDS * 1000)  # it is there when the check is over
    decide.click()
    dialog = page.locator("#dialog")
    answer = dialog.get_by_label("Decision")
    grant = answer.locator("option", has_text=re.compile(rf"^Grant access.*\({UNDECIDED}\)"))
    answer.select_option(grant.get_attribute("value"))
    dialog.get_by_label("Last day of a grant").fill(UNTIL)
    dialog.get_by_label("Reason").fill("They stay until they have chosen a plan")
    dialog.get_by_role("button", name="Decide").click()
    expect(page.get_by_text(f"{UNDECIDED} rows decided.")).to_be_visible()
    start.click()
    dialog.get_by_label("Type how many are imported").fill(str(IMPORTED))
    dialog.get_by_label("Reason").fill("Our customers of the old shop")
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_text(f"{IMPORTED} are being imported.")).to_be_visible()


def _await(sql: str, wanted: str) -> None:
    """Until the database says so, for as long as the import goes on: a machine may be slow, and may not stand still."""
    last, deadline = "", time.monotonic() + SECONDS
    while (found := query(sql)) != wanted:
        if (progress := query(PROGRESS)) != last:
            last, deadline = progress, time.monotonic() + SECONDS
        assert time.monotonic() < deadline, f"Nothing went on for {SECONDS} s: {sql}: {found}"
        time.sleep(2)
