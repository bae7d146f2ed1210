"""The realm doctor's page on the stand-in: it asks nothing by itself, shows what is wrong and how to mend it, and sends a mail."""

import json
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.console import realm
from apps.core import jobs
from apps.core.models import AuditEntry
from tests.console.desk import REASON
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


@pytest.fixture
def house(town: World, settings: Any) -> World:
    """The demo's shop, with settings as the demo has them; the realm is well but for what a test does to it."""
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor"
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
    return town


def look(client: Client) -> str:
    return client.get(reverse("admin:realm_findings")).content.decode()


def test_the_page_is_there_at_once_and_asks_nobody(house: World, staff: Staff) -> None:
    client = staff("operator")
    client.get(reverse("admin:realm"))
    house.fault("keycloak", "down")
    with CaptureQueriesContext(connection) as captured:
        text = client.get(reverse("admin:realm")).content.decode()
    assert len(captured) <= 11, "\n".join(query["sql"][:120] for query in captured.captured_queries)
    assert f'hx-get="{reverse("admin:realm_findings")}"' in text
    assert "Asking Keycloak" in text


def test_a_realm_that_is_well_is_told_in_one_sentence(house: World, staff: Staff) -> None:
    client = staff("operator")
    look(client)
    with CaptureQueriesContext(connection) as captured:
        text = look(client)
    assert len(captured) <= 6, "\n".join(query["sql"][:120] for query in captured.captured_queries)
    assert "checks that could be made are well." in text
    assert "2 checks could not be made." in text
    assert "To be mended" not in text


def test_what_is_wrong_comes_with_why_and_how_and_a_command_to_copy(house: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_PARENT_GROUP = "/elsewhere"
    text = look(staff("admin"))
    assert "1 error;" in text
    assert "There is no group /elsewhere." in text
    assert "No instance can be given to anybody." in text
    assert "kcadm.sh create groups -r frontdesk -s name=/elsewhere".replace("/", "") in text
    assert "data-copy" in text
    assert "secret" not in text.replace("its secret", "").replace("CLIENT_SECRET", "")


def test_names_from_outside_are_never_markup(house: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = "<script>alert(1)</script>"
    text = look(staff("admin"))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_away_is_said_so(house: World, staff: Staff) -> None:
    house.fault("keycloak", "down")
    text = look(staff("operator"))
    assert "The realm cannot be looked at now. Keycloak" in text
    assert "kcadm" not in text


def test_a_slow_keycloak_holds_the_page_for_three_patiences_at_most(house: World) -> None:
    assert realm.look(patience=0.5).report is not None
    house.fault("keycloak", "slow", delay_ms=300)
    began = time.monotonic()
    assert "so slowly" in realm.look(patience=0.5).problem
    assert time.monotonic() - began < 5


def test_without_the_doctors_account_it_says_what_is_missing(house: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = ""
    text = look(staff("operator"))
    assert "no read-only account is set" in text
    assert "KEYCLOAK_DOCTOR_CLIENT_ID" in text


def test_a_test_mail_is_asked_for_with_a_reason_and_what_came_of_it_is_shown(house: World, staff: Staff) -> None:
    client = staff("operator")
    assert "No test mail has been sent" in look(client)
    data = {"_form_submitted": "on", "reason": REASON, "to": " stranger.stan "}
    answer = client.post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == reverse("admin:realm")
    jobs.drain()
    assert house.mails("stranger.stan@example.com") == ["Update Your Account"]
    assert "The last test mail has left." in look(client)
    lines = AuditEntry.objects.filter(subject_kind="realm").order_by("id").values_list("action", "actor", "reason")
    assert list(lines) == [
        ("test_mail_requested", "staff:operator-ada", REASON),
        ("test_mail_sent", "system", ""),
    ]


@pytest.mark.parametrize(
    ("to", "fault", "says"),
    [
        ("nobody.there", "ok", "had nobody to go to"),
        ("stranger.stan", "mail_fails", "could not be sent"),
        ("stranger.stan", "down", "could not be sent"),
    ],
)
def test_a_test_mail_that_does_not_leave_is_told_and_is_no_stuck_job(
    to: str, fault: str, says: str, house: World, staff: Staff
) -> None:
    client = staff("operator")
    data = {"_form_submitted": "on", "reason": REASON, "to": to}
    client.post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    house.fault("keycloak", fault)
    jobs.drain()
    house.fault("keycloak", "ok")
    assert says in look(client)
    assert house.jobs("blocked", "dead") == []


@pytest.mark.parametrize("to", ["", " ", "x" * 151, "a\x00b"], ids=["empty", "blank", "long", "NUL"])
def test_nobody_to_mail_is_refused_in_the_dialog(to: str, house: World, staff: Staff) -> None:
    data = {"_form_submitted": "on", "reason": REASON, "to": to}
    answer = staff("operator").post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "HX-Redirect" not in answer
    assert not AuditEntry.objects.filter(subject_kind="realm").exists()


def test_what_is_sold_follows_the_catalogue(house: World) -> None:
    found = realm.sold()
    assert found.apps == found.seats == {"nextcloud", "vaultwarden"}
    assert found.grants == {"storage_gb"}


# --- manage.py doctor --------------------------------------------------------------------------------------------------


def command(*words: str) -> tuple[int, str]:
    """Its exit code and what it printed."""
    out = StringIO()
    try:
        call_command("doctor", *words, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_by_its_exit_code_how_it_is(house: World, settings: Any) -> None:
    code, text = command()
    assert code == 0
    assert "All 78 checks that could be made are well." in text
    assert "realm.registrationAllowed" not in text
    assert "realm.registrationAllowed" in command("-v", "2")[1]
    settings.KEYCLOAK_STAFF_GROUP = "/nobody"
    code, text = command()
    assert code == 1
    assert "Fix: Groups: make /nobody, /nobody/viewer" in text
    assert "$ kcadm.sh create groups -r frontdesk -s name=nobody" in text
    house.fault("keycloak", "down")
    code, text = command()
    assert code == 2
    assert "Keycloak" in text


def test_the_command_speaks_json(house: World, settings: Any) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = ""
    code, text = command("--json", "--mail", "stranger.stan")
    assert code == 0
    found = {one["id"]: one for one in json.loads(text)["findings"]}
    assert found["server.canary"]["severity"] == "warning"
    assert found["mail.test"]["severity"] == "ok"
    assert house.mails("stranger.stan@example.com") == ["Update Your Account"]


def test_the_command_tells_of_a_mail_that_did_not_leave(house: World) -> None:
    code, text = command("--mail", "nobody.there")
    assert code == 1
    assert "The realm has no account of that name" in text
    house.fault("keycloak", "mail_fails")
    code, text = command("--mail", "stranger.stan")
    assert code == 1
    assert "mail.test: The last test mail could not be sent" in text
    house.fault("keycloak", "down")
    assert command("--mail", "stranger.stan")[0] == 2
