"""The realm of production on a real Keycloak: a password for customers, a second factor for staff (config/keycloak/realm.json)."""

import hashlib
import hmac
import html
import os
import re
import shlex
import subprocess
import sys
import time
from typing import Any

import pytest
import requests

from apps.core.models import AuditEntry
from apps.identity.doctor import expected, reading, registration
from apps.identity.doctor.checks import diagnose
from apps.identity.doctor.expected import Catalog
from tests.contract.servers import Server
from tests.login.conftest import LOGIN, Person, fresh_keys, local, subscriber
from tests.sandbox.keycloak_fixture import PASSWORD, PROJECT, action, query_of

__all__ = ["fresh_keys"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("keycloak")]
CONSOLE = "/admin/"
STEP = 30  # seconds of a one-time code


def account(server: Server, **more: Any) -> tuple[str, str]:
    user_id, name = server.make(firstName="Nora", lastName="New", **more)
    server.set_password(user_id)
    return user_id, name


def one_time_code(secret: str, *, later: int = 0) -> str:
    """RFC 6238, as an authenticator app does it; `later` counts steps, as Keycloak takes no code twice."""
    counter = int(time.time()) // STEP + later
    digest = hmac.digest(secret.encode(), counter.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def set_up(server: Server, person: Person, page: requests.Response) -> tuple[str, str]:
    """Set an authenticator app up on Keycloak's page; its secret, and the address we are sent back to."""
    found = re.search(r'name="totpSecret" value="([^"]+)"', page.text)
    assert found, page.text
    secret = html.unescape(found[1])
    form = {"totpSecret": secret, "totp": one_time_code(secret), "userLabel": "phone"}
    answer = server.follow(person.there, person.there("POST", action(page), data=form))
    assert answer.status_code == 302, answer.text
    return secret, answer.headers["Location"]


def type_password(server: Server, person: Person, address: str, name: str) -> requests.Response:
    """Keycloak's answer to the password: the next page, or the way back."""
    page = server.follow(person.there, person.there("GET", address))
    return server.follow(person.there, server.fill_in(person.there, page, name))


def type_code(server: Server, person: Person, page: requests.Response, secret: str) -> requests.Response:
    assert 'name="otp"' in page.text, page.text
    return server.follow(person.there, person.there("POST", action(page), data={"otp": one_time_code(secret, later=1)}))


def prove_again(server: Server, person: Person, path: str) -> requests.Response:
    """Keycloak's answer to the password that it asks for before a change.

    It counts whole seconds: in the second of a login it asks for no new one, so that second must be over.
    """
    time.sleep(1.1)
    asked = server.follow(person.there, person.there("GET", person.to_keycloak(path)))
    assert 'name="password"' in asked.text, asked.text
    return server.follow(person.there, person.there("POST", action(asked), data={"password": PASSWORD}))


def acr_of_last_login() -> str:
    return str(AuditEntry.objects.filter(after__has_key="acr").latest("at").after["acr"])


def test_a_customer_types_a_password_and_no_code(site: Server) -> None:
    user_id, name = account(site)
    subscriber(user_id, name)
    person = Person(site)
    back = type_password(site, person, person.to_keycloak(), name)
    assert back.status_code == 302
    assert person.here.get(local(back.headers["Location"]))["Location"] == "/dashboard/"
    assert person.here.get("/dashboard/").status_code == 200
    again = Person(site)
    again.there = person.there
    assert again.there("GET", again.to_keycloak()).status_code == 302  # single sign-on


def test_staff_set_a_second_factor_up_and_are_asked_for_it_once(site: Server) -> None:
    name = account(site, groups=["/staff/support"])[1]
    first = Person(site)
    page = type_password(site, first, first.to_keycloak(f"{LOGIN}?next={CONSOLE}"), name)
    secret, back = set_up(site, first, page)
    assert first.here.get(local(back))["Location"] == CONSOLE
    assert first.here.get(CONSOLE).status_code == 200
    assert acr_of_last_login() == "2"
    second = Person(site)
    page = type_password(site, second, second.to_keycloak(f"{LOGIN}?next={CONSOLE}"), name)
    answer = type_code(site, second, page, secret)
    assert answer.status_code == 302, answer.text
    assert second.here.get(local(answer.headers["Location"]))["Location"] == CONSOLE
    third = Person(site)  # the same browser, a new session of ours: Keycloak still knows the second factor
    third.there = second.there
    answer = third.there("GET", third.to_keycloak(f"{LOGIN}?next={CONSOLE}"))
    assert answer.status_code == 302, answer.text


def test_staff_at_the_customers_door_are_sent_for_the_second_factor(site: Server) -> None:
    name = account(site, groups=["/staff/support"])[1]
    person = Person(site)
    back = type_password(site, person, person.to_keycloak(), name)
    weak = person.here.get(local(back.headers["Location"]))
    assert person.user_id is None
    page = type_password(site, person, person.to_keycloak(str(weak["Location"])), name)
    _, back_again = set_up(site, person, page)
    assert person.here.get(local(back_again)).status_code == 302
    assert person.here.get(CONSOLE).status_code == 200


def test_a_customers_own_second_factor_is_asked_for(site: Server) -> None:
    user_id, name = account(site, requiredActions=["CONFIGURE_TOTP"])
    subscriber(user_id, name)
    person, thief = Person(site), Person(site)
    secret, _ = set_up(site, person, type_password(site, person, person.to_keycloak(), name))
    page = type_password(site, thief, thief.to_keycloak(), name)
    assert page.status_code == 200
    answer = type_code(site, thief, page, secret)
    assert answer.status_code == 302


def test_a_customer_sets_a_second_factor_up_from_the_account_page(site: Server) -> None:
    user_id, name = account(site)
    subscriber(user_id, name)
    person, page = Person(site), "/dashboard/account/"
    back = type_password(site, person, person.to_keycloak(), name)
    assert person.here.get(local(back.headers["Location"])).status_code == 302
    asked = prove_again(site, person, f"{LOGIN}?as=authenticator&next={page}")
    _, returned = set_up(site, person, asked)
    answer = person.here.get(local(returned))
    assert (answer["Location"], query_of(returned)["kc_action_status"]) == (page, "success")
    assert "Your authenticator app is set up." in person.here.get(page).content.decode()
    asked = prove_again(site, person, f"{LOGIN}?as=password&next={page}")
    assert 'name="otp"' in asked.text


def doctor_says(name: str = "realm.staff_acr") -> str:
    wanted = expected.from_settings(Catalog())
    found = {one.id: one for one in diagnose(reading.read_realm(wanted), wanted)}
    return found[name].severity.value


def test_a_realm_that_cannot_ask_is_told_of(site: Server) -> None:
    realm = site.call("GET", "").json()
    assert doctor_says() == "passed"
    site.call("PUT", "", json=realm | {"browserFlow": "browser"})  # as every realm has it at first
    try:
        assert doctor_says() == "error"
        person, name = Person(site), account(site, groups=["/staff/support"])[1]
        back = type_password(site, person, person.to_keycloak(f"{LOGIN}?next={CONSOLE}"), name)
        weak = person.here.get(local(back.headers["Location"]))
        back = type_password(site, person, person.to_keycloak(str(weak["Location"])), name)
        told = person.here.get(local(back.headers["Location"]))
        assert (told.status_code, person.user_id) == (403, None)
        assert f'href="{html.escape(str(weak["Location"]))}"' in told.content.decode()
    finally:
        site.call("PUT", "", json=realm)


def test_a_flow_bound_to_our_client_itself_is_the_one_that_counts(site: Server) -> None:
    (web,) = site.call("GET", "/clients?clientId=frontdesk-web").json()
    flows = {row["alias"]: row["id"] for row in site.call("GET", "/authentication/flows").json()}

    def bind(flow: str) -> None:
        row = web | {"authenticationFlowBindingOverrides": {"browser": flow}}
        assert site.call("PUT", f"/clients/{web['id']}", json=row).status_code == 204

    try:
        bind(flows["browser"])
        assert doctor_says() == "error"
        bind(flows["browser with levels"])
        assert doctor_says() == "passed"
    finally:
        bind("")
    assert doctor_says() == "passed"


def test_a_level_that_is_switched_off_does_not_count(site: Server) -> None:
    place = "/authentication/flows/browser%20with%20levels/executions"
    (row,) = (row for row in site.call("GET", place).json() if row["displayName"] == "level 2")
    site.call("PUT", place, json=row | {"requirement": "DISABLED"})
    try:
        assert doctor_says() == "error"
    finally:
        site.call("PUT", place, json=row)
    assert doctor_says() == "passed"


def test_a_flow_that_replaces_the_second_factor_is_told_of(site: Server) -> None:
    realm = site.call("GET", "").json()
    assert doctor_says("realm.reset_second_factor") == "passed"
    site.call("PUT", "", json=realm | {"resetCredentialsFlow": "reset credentials"})
    try:
        assert doctor_says("realm.reset_second_factor") == "warning"
    finally:
        site.call("PUT", "", json=realm)


def test_a_realm_as_keycloak_makes_it_lets_people_change_their_address_without_a_fresh_login(
    site: Server, settings: Any
) -> None:
    settings.BASE_URL = "https://frontdesk.example.com"
    assert doctor_says("realm.fresh_logins") == "passed"
    place = "/authentication/required-actions/UPDATE_EMAIL"
    row = site.call("GET", place).json()
    site.call("PUT", place, json=row | {"enabled": False, "config": {}})
    wanted = expected.from_settings(Catalog())
    (found,) = (one for one in diagnose(reading.read_realm(wanted), wanted) if one.id == "realm.fresh_logins")
    assert found.severity.value == "warning"
    (command,) = found.commands
    kcadm(site, command)
    assert doctor_says("realm.fresh_logins") == "passed"


def test_a_realm_that_takes_clients_of_strangers_is_told_of(site: Server, settings: Any) -> None:
    settings.BASE_URL = "https://frontdesk.example.com"
    kind, thief = registration.KIND, {"redirect_uris": ["https://thief.example/"]}

    def register() -> int:
        return requests.post(f"{site.issuer}/clients-registrations/openid-connect", json=thief, timeout=10).status_code

    assert (doctor_says("realm.client_registration"), register()) == ("passed", 403)
    for row in site.call("GET", "/components", params={"type": kind}).json():
        if (row["subType"], row["providerId"]) == ("anonymous", registration.POLICY):
            site.call("DELETE", f"/components/{row['id']}")
    assert register() == 201
    wanted = expected.from_settings(Catalog())
    found = {one.id: one for one in diagnose(reading.read_realm(wanted), wanted)}["realm.client_registration"]
    assert found.severity.value == "error"
    kcadm(site, found.commands[0])
    assert (doctor_says("realm.client_registration"), register()) == ("passed", 403)


def kcadm(server: Server, command: str) -> None:
    """Run a line of a finding as an operator does, by the few verbs of tests/contract/kcadm.py."""
    program = [sys.executable, f"{PROJECT}/tests/contract/kcadm.py", *shlex.split(command)[1:]]
    given = {"KCADM_SERVER": server.keycloak, "KCADM_LOGIN": " ".join(server.login)}
    subprocess.run(program, env=os.environ | given, check=True, timeout=60)
