"""The doctor for Stripe, Mailgun and ourselves finds what operators met only when a customer did (ecosystem B3 to B11)."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from apps.billing import doctor as stripe_doctor
from apps.catalog.models import ProductPrice
from apps.core import attention, clock, heartbeats, jobs, restore_marker
from apps.core.findings import Finding, Severity
from apps.identity.doctor.report import Report
from apps.operations import doctor
from tests.world import World

URL = "http://localhost:8000/onboarding/webhook/"


def by_id(findings: Any) -> dict[str, Finding]:
    return {one.id: one for one in findings}


def test_a_missing_right_and_an_unbuyable_price_are_named(world: World) -> None:
    world.shop.control("settings", missing_rights=["invoice_read"])
    found = by_id(doctor.examine_systems())
    assert "“Invoice: read”" in found["stripe.right.invoices"].fix
    assert found["stripe.right.invoices"].severity == Severity.ERROR
    assert found["stripe.right.customers"].severity == Severity.PASSED
    assert found["mailgun.domain"].severity == Severity.PASSED
    assert any(key.startswith("stripe.price.price_") and one.severity == Severity.PASSED for key, one in found.items())
    assert all(one.why and one.fix for one in found.values() if one.severity in {Severity.ERROR, Severity.WARNING})


@pytest.mark.parametrize(
    ("endpoint", "wrong"),
    [
        ({"url": URL, "status": "enabled", "api_version": "2026-08-26.dahlia", "enabled_events": ["*"]}, set()),
        ({"url": "https://elsewhere/", "status": "enabled", "enabled_events": ["*"]}, {"url"}),
        ({"url": URL, "status": "disabled", "api_version": "2026-08-26.dahlia", "enabled_events": ["*"]}, {"state"}),
        ({"url": URL, "status": "enabled", "api_version": None, "enabled_events": ["*"]}, {"version"}),
        (
            {"url": URL, "status": "enabled", "api_version": "2026-08-26.dahlia", "enabled_events": ["invoice.paid"]},
            {"events"},
        ),
    ],
)
def test_the_endpoint_is_judged(endpoint: dict[str, Any], wrong: set[str]) -> None:
    found = stripe_doctor.check_endpoint({"data": [endpoint]})
    assert {one.id.rpartition(".")[2] for one in found if one.severity != Severity.PASSED} == wrong


def test_ourselves(db: None, settings: Any, tmp_path: Path) -> None:
    settings.RESTORE_MARKER_FILE = str(tmp_path / "marker")
    restore_marker.advance()
    heartbeats.record_heartbeat("worker")
    heartbeats.record_heartbeat("cluster")
    texts = ("terms", "privacy", "imprint", "withdrawal")
    settings.BRAND = settings.BRAND | {f"{name}_url": f"https://operator.example/{name}" for name in texts}
    assert {one.severity for one in doctor.check_frontdesk()} == {Severity.PASSED}
    settings.HTTPS, settings.SECURE_SSL_REDIRECT, settings.OIDC_RP_CLIENT_SECRET = True, True, "dev-only-web-secret"
    found = by_id(doctor.check_frontdesk())
    assert {key for key, one in found.items() if one.severity == Severity.ERROR} == {"site.proxy", "site.secrets"}
    assert found["site.backups"].severity == Severity.WARNING


@pytest.mark.parametrize(("live", "severity"), [(True, Severity.ERROR), (False, Severity.WARNING)])
def test_a_site_that_sells_without_an_imprint(settings: Any, live: bool, severity: Severity) -> None:
    settings.STRIPE_LIVE_MODE = live
    settings.BRAND = settings.BRAND | {"terms_url": "https://a.example/", "privacy_url": "https://a.example/"}
    found = by_id(doctor.check_law())
    assert (found["site.law"].severity, found["site.law"].message) == (severity, "There is no imprint.")
    assert found["site.withdrawal"].severity == Severity.WARNING
    settings.WITHDRAWAL_DAYS = 0
    assert by_id(doctor.check_law())["site.withdrawal"].severity == Severity.PASSED


def severities(findings: Any, start: str) -> dict[str, Severity]:
    return {one.id: one.severity for one in findings if one.id.startswith(start)}


def test_a_set_up_account_passes_every_check(world: World, settings: Any) -> None:
    """Until now endpoint, portal and tax were skipped in the sandbox: nothing said that the checks work."""
    world.shop.control("endpoint", url=URL)
    found = severities(doctor.examine_systems(), "stripe.")
    assert set(found.values()) == {Severity.PASSED}
    assert found.keys() >= {
        "stripe.endpoint.url", "stripe.endpoint.events", "stripe.deliveries", "stripe.portal", "stripe.tax", "stripe.right.customers.write",
    }  # fmt: skip


def test_what_is_not_set_up_at_stripe_is_named(world: World) -> None:
    world.shop.control("endpoint", url=URL, status="disabled", events=["invoice.paid"], version="2024-06-20")
    world.shop.control(
        "settings",
        portal_saved=False,
        tax="pending",
        missing_rights=["subscription_write", "billing_portal_session_write"],
    )
    found = severities(doctor.examine_systems(), "stripe.")
    assert {key for key, one in found.items() if one == Severity.ERROR} == {
        "stripe.endpoint.state", "stripe.endpoint.events", "stripe.portal", "stripe.right.subscriptions.write",
        "stripe.right.portal_sessions.write",
    }  # fmt: skip
    assert {key for key, one in found.items() if one == Severity.WARNING} == {"stripe.endpoint.version", "stripe.tax"}


def test_asking_for_a_right_to_write_changes_nothing(world: World) -> None:
    world.subscriber("dana")
    doctor.examine_systems()  # the stand-in saves the portal's configuration when it is first asked for
    before = world.shop.control("state")
    doctor.examine_systems()
    after = world.shop.control("state")
    assert (after["objects"], after["events"]) == (before["objects"], before["events"])


def test_when_stripe_is_away_one_check_says_so_and_nobody_waits_for_the_others(db: None, settings: Any) -> None:
    found = severities(doctor.examine_systems(), "stripe.")
    assert found == {"stripe.mode": Severity.PASSED, "stripe.answer": Severity.SKIPPED}


def test_published_secrets_are_found_by_trying_them(world: World, settings: Any) -> None:
    """ecosystem B11: the realm file that compose.yml imports has secrets that everybody can read."""
    [finding] = [one for one in doctor.examine_systems() if one.id == "realm.published_secrets"]
    assert finding.severity == Severity.WARNING
    assert "nextcloud" in finding.message
    settings.HTTPS = True
    [finding] = [one for one in doctor.examine_systems() if one.id == "realm.published_secrets"]
    assert finding.severity == Severity.ERROR


def test_a_secret_that_keycloaks_import_left_unfilled_is_found_by_trying_it(world: World) -> None:
    """config/keycloak/realm.json without its variables: the secret is `${FRONTDESK_SYNC_SECRET}`, word for word."""
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
    token = requests.post(
        f"{world.url}/keycloak/realms/master/protocol/openid-connect/token", data=form, timeout=10
    ).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    for client in world.standin.call("GET", "/clients", headers=headers).json():
        own = {"secret": "${FRONTDESK_DOCTOR_SECRET}" if client["clientId"] == "frontdesk-doctor" else "its own"}
        assert world.standin.call("PUT", f"/clients/{client['id']}", headers=headers, json=own).status_code == 204
    [finding] = [one for one in doctor.examine_systems() if one.id == "realm.published_secrets"]
    assert finding.message.endswith(": frontdesk-doctor.")


def test_people_of_the_rehearsals_are_found(world: World, settings: Any) -> None:
    settings.HTTPS = True
    found = by_id(doctor.examine_systems())["realm.published_people"]
    assert (found.severity, found.message.rpartition(": ")[2]) == (
        Severity.ERROR,
        "admin.ada, support.sam, stranger.stan.",
    )
    for name in ("admin.ada", "support.sam"):
        assert world.admin("DELETE", f"/users/{world.users(name)[0]['id']}").status_code == 204
    stan = world.users("stranger.stan")[0]
    assert world.admin("PUT", f"/users/{stan['id']}", json=stan | {"email": "stan@other.example"}).status_code == 204
    assert by_id(doctor.examine_systems())["realm.published_people"].severity == Severity.PASSED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_WEBHOOK_SECRET", "whsec_sandbox_0123456789abcdef0123456789abcdef"),
        ("PROMETHEUS_METRICS_API_KEY", "metrics-0123456789abcdef0123456789abcdef"),
        ("KEYCLOAK_DOCTOR_CLIENT_SECRET", "${FRONTDESK_DOCTOR_SECRET}"),
    ],
)
def test_a_setting_copied_from_the_demo_is_told(db: None, name: str, value: str, settings: Any) -> None:
    """With the demo's signing secret anybody can tell us that they have paid."""
    settings.HTTPS = True
    setattr(settings, name, value)
    found = by_id(doctor.check_frontdesk())["site.secrets"]
    assert found.severity == Severity.ERROR
    assert name in found.message


def items() -> dict[str, str]:
    return dict(attention.open_items().filter(cause=attention.Cause.DOCTOR).values_list("key", "sentence"))


def test_each_error_is_an_attention_item_until_its_check_passes(world: World) -> None:
    world.shop.control("endpoint", url=URL)
    jobs.defer(doctor.KIND, "")
    world.work()
    assert not items()
    world.shop.control("settings", portal_saved=False, missing_rights=["invoice_read"])
    jobs.defer(doctor.KIND, "")
    world.work()
    assert items().keys() == {"stripe.portal", "stripe.right.invoices"}
    assert "save it once" in items()["stripe.portal"]
    world.shop.control("settings", portal_saved=True, missing_rights=["subscription_read"])
    jobs.defer(doctor.KIND, "")
    world.work()
    assert items().keys() == {"stripe.right.subscriptions"}


def test_an_item_stays_while_its_check_cannot_be_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("stripe.portal", "stripe.price.gone"):
        attention.report(attention.Cause.DOCTOR, key, "Something.")
    skipped = [Finding(id="stripe.answer", severity=Severity.SKIPPED, message="Stripe does not answer.")]
    monkeypatch.setattr(doctor, "examine_systems", lambda: skipped)
    doctor.report_errors()
    assert items().keys() >= {"stripe.portal", "stripe.price.gone"}
    monkeypatch.setattr(doctor, "examine_systems", list)
    monkeypatch.setattr(doctor, "examine", lambda _catalog: Report(at=clock.now(), findings=()))
    doctor.report_errors()
    assert not items()


def test_an_item_ends_with_its_check_though_another_is_skipped(world: World) -> None:
    """Keycloak shows its version to none of our accounts, so one check is skipped each night: that must not keep every item."""
    price = ProductPrice.objects.get(stripe_price_id=world.price("personal"))
    world.shop.v1.prices.update(price.stripe_price_id, {"active": False})
    doctor.report_errors()
    assert f"stripe.price.{price.stripe_price_id}" in items()
    ProductPrice.objects.filter(pk=price.pk).update(is_active=False)
    doctor.report_errors()
    assert f"stripe.price.{price.stripe_price_id}" not in items()


def test_what_is_wrong_elsewhere_is_told_while_keycloak_is_away(world: World, settings: Any) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID, settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = (
        "frontdesk-doctor",
        "dev-only-doctor-secret",
    )
    attention.report(attention.Cause.DOCTOR, "attribute.gone", "Something.")
    world.shop.control("settings", portal_saved=False)
    world.fault("keycloak", "http_503")
    jobs.defer(doctor.KIND, "")
    world.work()
    assert items().keys() >= {"stripe.portal", "attribute.gone"}
    world.fault("keycloak", "ok")
    world.pass_time(seconds=600)
    world.work()
    assert world.jobs() == []
    assert "attribute.gone" not in items()


def test_the_command_prints_findings_and_fails_on_errors(world: World) -> None:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--systems", stdout=out)
    assert "workers.alive" in out.getvalue()
    assert "Fix: Start `manage.py worker`." in out.getvalue()


def test_the_command_tells_of_the_other_systems_while_keycloak_is_away(world: World) -> None:
    world.shop.control("settings", portal_saved=False)
    world.fault("keycloak", "http_503")
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("doctor", stdout=out)
    assert failed.value.returncode == 2
    assert "stripe.portal" in out.getvalue()
