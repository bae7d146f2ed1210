"""What everybody has, on all sides, and what one more customer has to go through; asked without the code of either release."""

import json
import subprocess
from collections import Counter
from typing import Any

import requests

from apps.sandbox.walk import Walk
from tests.upgrade.house import House
from tests.upgrade.releases import Release

PROFILES = (
    "SELECT p.id, u.username, u.email, p.stripe_customer_id, p.subscription_status, p.access_state"
    " FROM accounts_userprofile p JOIN auth_user u ON u.id = p.user_id ORDER BY p.id"
)
SEATS = (
    "SELECT s.profile_id, o.slug, i.slug, s.state FROM instances_seat s JOIN instances_instance i ON i.id = s.instance_id"
    " JOIN catalog_product o ON o.id = s.product_id ORDER BY s.id"
)
OVERRIDES = "SELECT id, profile_id, kind, ends_at FROM access_accessoverride ORDER BY id"
DRIFTED = (
    "SELECT DISTINCT u.username FROM operations_drift d JOIN accounts_userprofile p ON p.id = d.profile_id"
    " JOIN auth_user u ON u.id = p.user_id WHERE d.resolved_at IS NULL"
)
TRAIL = "SELECT id, hash FROM core_auditentry ORDER BY id"
SIGN_UP = "import sys; from apps.sandbox.walk import Walk; one = Walk(*sys.argv[1:]); one.sign_up(); one.gets_account(); one.log_in()"

Having = dict[str, dict[Any, Any]]


def see(house: House) -> Having:
    """Each row of each side, by its key."""
    tables = {name: house.ask(sql) for name, sql in (("profile", PROFILES), ("seat", SEATS), ("override", OVERRIDES))}
    found: Having = {"trail": dict(house.ask(TRAIL)), "account": accounts(house)}
    found["profile"] = {row[0]: row for row in tables["profile"]}
    found["seat"] = {(row[0], row[1], row[2], number): row[3] for number, row in enumerate(tables["seat"])}
    found["override"] = {row[0]: row for row in tables["override"]}
    return found


def accounts(house: House) -> dict[str, Any]:
    """Of Keycloak: who can log in, with which entitlements and groups; but for whom somebody has changed by hand, as a sync mends that."""
    realm, drifted = Walk(house.site, house.sandbox), {name for (name,) in house.ask(DRIFTED)}
    found = {}
    for user in realm.keycloak("users", max="2000", briefRepresentation="false"):
        if user["username"] in drifted:
            continue
        groups = sorted(one["path"] for one in realm.keycloak(f"users/{user['id']}/groups"))
        found[user["username"]] = (user["enabled"], user.get("attributes") or {}, groups)
    return found


def lost(before: Having, after: Having) -> list[str]:
    """What somebody had and has no more, or has otherwise."""
    return [
        f"{side} {key}: {value} became {after[side].get(key)}"
        for side, rows in before.items()
        for key, value in rows.items()
        if after[side].get(key) != value
    ]


def addresses(house: House) -> set[str]:
    """Of all who are in the house."""
    return {email for (email,) in house.ask("SELECT email FROM auth_user")}


def emails(house: House, to: set[str]) -> Counter[tuple[str, str]]:
    """All that ever left to these people: how often to whom about what."""
    box = requests.get(f"{house.sandbox}/inbox.json", timeout=60).json()
    return Counter((address, one["subject"]) for one in box for address in one["to"] if address in to)


def sign_up(house: House, release: Release) -> None:
    """One more, in the words of the release that serves: signs up, pays, logs in and sees the app."""
    house.ask("DELETE FROM core_ratelimit")  # all come from one address
    command = [release.python, "-c", SIGN_UP, house.site, house.sandbox]
    done = subprocess.run(
        command, cwd=release.root, env=house.env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


# --- what the house says of itself ------------------------------------------------------------------------------------


def violated(house: House, release: Release) -> set[str]:
    """Who breaks a law, or why it is broken."""
    rows = json.loads(release.manage("check_laws", "--json", env=house.env, codes=(0, 1, 2)))
    assert len(rows) > 10
    broken = [row for row in rows if row["state"] == "violated"]
    return {f"{row['law']} {one['kind']} {one['id']}: {one['words']}" for row in broken for one in row["violations"]}


def complaints(house: House, release: Release) -> dict[str, tuple[str, str]]:
    """Each row of the doctor: how it is, and what it says."""
    realm = json.loads(release.manage("doctor", "--json", env=house.env, codes=(0, 1)))["findings"]
    rows = realm + json.loads(release.manage("doctor", "--systems", "--json", env=house.env, codes=(0, 1)))
    return {row["id"]: (row["severity"], row["message"]) for row in rows}
