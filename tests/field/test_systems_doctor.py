"""The doctor for Stripe, Mailgun and ourselves finds what operators met only when a customer did (ecosystem B3 to B11)."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from apps.billing import doctor as stripe_doctor
from apps.core import heartbeats
from apps.core.findings import Finding, Severity
from apps.operations import doctor
from tests.world import World

URL = "http://localhost:8000/onboarding/webhook/"


def by_id(findings: Any) -> dict[str, Finding]:
    return {one.id: one for one in findings}


def test_a_missing_right_and_an_unbuyable_price_are_named(world: World) -> None:
    world.shop.control("settings", missing_rights=["invoice_read"])
    found = by_id(doctor.examine_systems())
    assert "“Invoice: read”" in found["stripe.right.invoices"].fix
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


def test_ourselves(db: None, settings: Any) -> None:
    heartbeats.record_heartbeat("worker")
    heartbeats.record_heartbeat("cluster")
    assert {one.severity for one in doctor.check_frontdesk()} == {Severity.PASSED}
    settings.HTTPS, settings.SECURE_SSL_REDIRECT, settings.OIDC_RP_CLIENT_SECRET = True, True, "dev-only-web-secret"
    found = by_id(doctor.check_frontdesk())
    assert {key for key, one in found.items() if one.severity == Severity.ERROR} == {"site.proxy", "site.secrets"}


def test_the_command_prints_findings_and_fails_on_errors(world: World) -> None:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--systems", stdout=out)
    assert "workers.alive" in out.getvalue()
    assert "Fix: Start `manage.py worker`." in out.getvalue()
