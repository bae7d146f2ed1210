"""The realm doctor's page on the stand-in: it does not call Keycloak itself, shows what is wrong and how to fix it, and sends an email."""

import itertools
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
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
from apps.identity.doctor import reading
from apps.operations.doctor import current_catalog
from tests.console.desk import REASON
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


@pytest.fixture
def shop(town: World, settings: Any) -> World:
    """The demo's shop, with settings as the demo has them; the realm is healthy except for what a test does to it."""
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor"
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
    return town


def findings(client: Client) -> str:
    return client.get(reverse("admin:realm_findings")).content.decode()


def test_the_page_loads_at_once_and_calls_nobody(shop: World, staff: Staff) -> None:
    client = staff("operator")
    client.get(reverse("admin:realm"))
    shop.fault("keycloak", "down")
    with CaptureQueriesContext(connection) as captured:
        text = client.get(reverse("admin:realm")).content.decode()
    assert len(captured) <= 11, "\n".join(query["sql"][:120] for query in captured.captured_queries)
    assert f'hx-get="{reverse("admin:realm_findings")}"' in text
    assert "Checking Keycloak" in text


def test_a_healthy_realm_is_reported_in_one_sentence(shop: World, staff: Staff) -> None:
    client = staff("operator")
    findings(client)
    with CaptureQueriesContext(connection) as captured:
        text = findings(client)
    assert len(captured) <= 6, "\n".join(query["sql"][:120] for query in captured.captured_queries)
    assert "completed checks passed." in text
    assert "2 checks skipped." in text
    assert "Errors" not in text


def test_what_is_wrong_comes_with_why_and_how_and_a_command_to_copy(shop: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_PARENT_GROUP = "/elsewhere"
    text = findings(staff("admin"))
    assert "1 error;" in text
    assert "There is no group /elsewhere." in text
    assert "Nobody can be assigned to an instance." in text
    assert "kcadm.sh create groups -r frontdesk -s name=/elsewhere".replace("/", "") in text
    assert "data-copy" in text
    assert "secret" not in text.replace("its secret", "").replace("CLIENT_SECRET", "")


def test_names_from_outside_are_never_markup(shop: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = "<script>alert(1)</script>"
    text = findings(staff("admin"))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_an_unavailable_keycloak_is_reported(shop: World, staff: Staff) -> None:
    shop.fault("keycloak", "down")
    text = findings(staff("operator"))
    assert "The realm cannot be checked now. Keycloak" in text
    assert "kcadm" not in text


def test_a_slow_keycloak_holds_the_page_for_three_patiences_at_most(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(step=25)  # what each answer takes: always less than one patience
    monkeypatch.setattr(reading, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    assert "so slowly" in realm.examine_realm(patience=60).problem
    assert next(seconds) <= 3 * 60 + 2 * 25


def test_without_the_doctors_account_it_says_what_is_missing(shop: World, staff: Staff, settings: Any) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = ""
    text = findings(staff("operator"))
    assert "no read-only account is set" in text
    assert "KEYCLOAK_DOCTOR_CLIENT_ID" in text


def test_a_test_email_is_requested_with_a_reason_and_its_outcome_is_shown(shop: World, staff: Staff) -> None:
    client = staff("operator")
    assert "No test email has been sent" in findings(client)
    data = {"_form_submitted": "on", "reason": REASON, "to": " stranger.stan "}
    answer = client.post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == reverse("admin:realm")
    jobs.drain()
    assert shop.mails("stranger.stan@example.com") == ["Update Your Account"]
    assert "The last test email was sent." in findings(client)
    lines = AuditEntry.objects.filter(subject_kind="realm").order_by("id").values_list("action", "actor", "reason")
    assert list(lines) == [
        ("test_email_requested", "staff:operator-ada", REASON),
        ("test_email_sent", "system", ""),
    ]


@pytest.mark.parametrize(
    ("to", "fault", "says"),
    [
        ("nobody.there", "ok", "had no recipient"),
        ("stranger.stan", "mail_fails", "could not be sent"),
        ("stranger.stan", "down", "could not be sent"),
    ],
)
def test_a_test_email_that_does_not_leave_is_reported_and_is_no_stuck_job(
    to: str, fault: str, says: str, shop: World, staff: Staff
) -> None:
    client = staff("operator")
    data = {"_form_submitted": "on", "reason": REASON, "to": to}
    client.post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    shop.fault("keycloak", fault)
    jobs.drain()
    shop.fault("keycloak", "ok")
    assert says in findings(client)
    assert shop.jobs("blocked", "dead") == []


@pytest.mark.parametrize("to", ["", " ", "x" * 151, "a\x00b"], ids=["empty", "blank", "long", "NUL"])
def test_a_missing_recipient_is_refused_in_the_dialog(to: str, shop: World, staff: Staff) -> None:
    data = {"_form_submitted": "on", "reason": REASON, "to": to}
    answer = staff("operator").post(reverse("admin:realm_mail"), data, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "HX-Redirect" not in answer
    assert not AuditEntry.objects.filter(subject_kind="realm").exists()


def test_what_the_doctor_expects_follows_the_catalog(shop: World) -> None:
    found = current_catalog()
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


def test_the_exit_code_of_the_command_tells_the_outcome(shop: World, settings: Any) -> None:
    code, text = command()
    assert code == 0
    assert "All 89 completed checks passed." in text
    assert "realm.registrationAllowed" not in text
    assert "realm.registrationAllowed" in command("-v", "2")[1]
    settings.KEYCLOAK_STAFF_GROUP = "/nobody"
    code, text = command()
    assert code == 1
    assert "Fix: Groups: create /nobody, /nobody/viewer" in text
    assert "$ kcadm.sh create groups -r frontdesk -s name=nobody" in text
    shop.fault("keycloak", "down")
    code, text = command()
    assert code == 2
    assert "Keycloak" in text


def test_the_command_speaks_json(shop: World, settings: Any) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = ""
    code, text = command("--json", "--mail", "stranger.stan")
    assert code == 0
    found = {one["id"]: one for one in json.loads(text)["findings"]}
    assert found["server.canary"]["severity"] == "warning"
    assert found["mail.test"]["severity"] == "passed"
    assert shop.mails("stranger.stan@example.com") == ["Update Your Account"]


def test_the_command_reports_an_email_that_did_not_leave(shop: World) -> None:
    code, text = command("--mail", "nobody.there")
    assert code == 1
    assert "The realm has no account with that username" in text
    shop.fault("keycloak", "mail_fails")
    code, text = command("--mail", "stranger.stan")
    assert code == 1
    assert "mail.test: The last test email could not be sent" in text
    shop.fault("keycloak", "down")
    assert command("--mail", "stranger.stan")[0] == 2


def test_accounts_of_an_import_join_by_an_administrator(
    shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run changes nothing; staff are refused, and named."""
    stan, ada = (shop.admin("GET", f"/users?username={name}").json()[0] for name in ("stranger.stan", "ada"))
    (ours,) = (row["id"] for row in shop.admin("GET", "/groups").json() if row["path"] == "/frontdesk")
    shop.admin("DELETE", f"/users/{stan['id']}/groups/{ours}")
    file = tmp_path / "customers.csv"
    file.write_text(f"email,keycloak_id\nstranger.stan@example.com,\n,{ada['id']}\nnew@example.com,\n")
    monkeypatch.setenv("SETUP_KEYCLOAK_PASSWORD", "admin")

    def join(*more: str) -> list[str]:
        out = StringIO()
        with pytest.raises(CommandError, match="refused accounts"):
            call_command("join_customers", str(file), "--administrator", "admin", *more, stdout=out)
        return out.getvalue().splitlines()

    def groups() -> list[str]:
        return [row["path"] for row in shop.admin("GET", f"/users/{stan['id']}/groups").json()]

    *named, last = join("--dry-run")
    assert named[0].startswith(f"{ada['id']}: refused. This is staff")
    assert named[1] == "new@example.com: no such account."
    assert last == "would join: 1, in the group already: 0, no such account: 1, refused: 1"
    assert "/frontdesk" not in groups()
    assert join()[-1].startswith("joined: 1")
    assert "/frontdesk" in groups()
    assert "already: 1" in join()[-1]
    monkeypatch.setenv("SETUP_KEYCLOAK_PASSWORD", "wrong")
    with pytest.raises(CommandError, match="or not with this password"):
        call_command("join_customers", str(file), "--administrator", "admin")
    with pytest.raises(CommandError, match="Say --administrator"):
        call_command("join_customers", str(file))


def test_customers_of_an_older_realm_join_the_group_that_is_managed(shop: World) -> None:
    """While our account still has manage-users; without it, those outside are named."""
    dana, eve = shop.subscriber("dana"), shop.subscriber("eve")
    (ours,) = (row["id"] for row in shop.admin("GET", "/groups").json() if row["path"] == "/frontdesk")
    shop.admin("DELETE", f"/users/{dana.keycloak_id}/groups/{ours}")
    out = StringIO()
    with pytest.raises(CommandError, match=f"refused: {dana.keycloak_id}"):
        call_command("join_customers", stdout=out)
    (account,) = shop.admin("GET", "/users?username=service-account-frontdesk-sync").json()
    (management,) = shop.admin("GET", "/clients?clientId=realm-management").json()
    right = shop.admin("GET", f"/clients/{management['id']}/roles/manage-users").json()
    shop.admin("POST", f"/users/{account['id']}/role-mappings/clients/{management['id']}", json=[right])
    call_command("join_customers", stdout=out)
    assert out.getvalue().split("\n")[:2] == ["In the group: 1 of 2.", "In the group: 2 of 2."]
    for profile in (dana, eve):
        paths = [row["path"] for row in shop.admin("GET", f"/users/{profile.keycloak_id}/groups").json()]
        assert (paths[0], len(paths)) == ("/frontdesk", 2)
