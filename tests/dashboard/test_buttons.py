"""The buttons: password mail and billing portal. For oneself only, not too often, and kind when something is away."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.billing.stripe_client import client as client_to_stripe
from apps.core.models import AuditEntry, Job
from tests.dashboard.conftest import person

PASSWORD, BILLING = "/dashboard/reset-password/", "/dashboard/billing/"
FORM = {"accept": "text/html,application/xhtml+xml"}


def said(answer: HttpResponse) -> str:
    """The message that the next page will show."""
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def mails() -> list[str]:
    return list(Job.objects.filter(kind="send_keycloak_password_reset_email").values_list("key", flat=True))


def test_a_script_gets_a_message_and_the_mail_is_queued(client_of_nora: Client, nora: UserProfile) -> None:
    answer = client_of_nora.post(PASSWORD)
    assert answer.status_code == 200
    assert answer.json() == {"message": "We're emailing nora@example.com a link to choose a new password."}
    assert mails() == [str(nora.pk)]
    entry = AuditEntry.objects.get(action="password_email_requested")
    assert (entry.subject_id, entry.actor) == (str(nora.pk), "customer")


def test_a_form_gets_the_page_back_with_the_message(client_of_nora: Client) -> None:
    answer = client_of_nora.post(PASSWORD, headers=FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
    assert "We're emailing" in said(answer)
    assert b"We&#x27;re emailing" in client_of_nora.get("/dashboard/").content


def test_a_fourth_mail_within_the_hour_is_refused(client_of_nora: Client) -> None:
    for _ in range(3):
        assert client_of_nora.post(PASSWORD).status_code == 200
    answer = client_of_nora.post(PASSWORD)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "too_many"
    assert AuditEntry.objects.count() == 3
    assert "several times" in said(client_of_nora.post(PASSWORD, headers=FORM))


def test_the_mail_is_always_ones_own(client_of_nora: Client, nora: UserProfile) -> None:
    other = person("omar")
    client_of_nora.post(PASSWORD, {"profile": other.pk, "email": other.email, "key": other.pk})
    assert mails() == [str(nora.pk)]


def test_an_account_that_is_being_made_gets_no_mail_yet(db: None, client: Client) -> None:
    client.force_login(person("omar", keycloak_id=None).user)
    assert client.post(PASSWORD).status_code == 409
    assert mails() == []


@pytest.mark.parametrize("path", [PASSWORD, BILLING])
def test_whose_login_has_ended_comes_back_to_the_dashboard(path: str, client: Client, db: None) -> None:
    answer = client.post(path, headers=FORM, follow=False)
    assert (
        answer["Location"] == "/accounts/oidc/keycloak/login/?next=/dashboard/"
    )  # a page, unlike the button's own address
    assert "nothing was done" in said(answer)
    answer = client.post(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_login")
    assert mails() == []


def test_staff_have_no_mail_and_no_subscription_here(db: None, client: Client) -> None:
    client.force_login(User.objects.create(username="sam", is_staff=True))
    assert client.post(PASSWORD).status_code == 403
    assert "no subscription" in said(client.post(BILLING))


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    """A process keeps one client to Stripe; each test here is a process of its own."""
    client_to_stripe.cache_clear()
    yield
    client_to_stripe.cache_clear()


@pytest.fixture
def portal(settings: Any) -> Iterator[list[str]]:
    """A Stripe that opens portals; the list holds what it was asked."""
    asked: list[str] = []

    class Stripe(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append(f"{self.path}?{body}")
            answer = (
                b'{"id": "bps_1", "object": "billing_portal.session", "url": "https://billing.stripe.com/p/session/1"}'
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Stripe)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    settings.STRIPE_API_HOST = f"http://127.0.0.1:{server.server_port}"
    yield asked
    server.shutdown()
    server.server_close()


def test_manage_subscription_leads_to_stripe(client_of_nora: Client, portal: list[str]) -> None:
    answer = client_of_nora.post(BILLING)
    assert answer["Location"] == "https://billing.stripe.com/p/session/1"
    (asked,) = portal
    assert "customer=cus_nora" in asked
    assert "return_url=http%3A%2F%2Flocalhost%3A8000%2Fdashboard%2F" in asked.replace("://", "%3A%2F%2F")


def test_update_payment_details_leads_straight_there(client_of_nora: Client, portal: list[str]) -> None:
    client_of_nora.post(BILLING, {"flow": "payment_method_update"})
    assert "payment_method_update" in portal[0]


def test_a_flow_that_is_not_offered_is_refused(client_of_nora: Client, portal: list[str]) -> None:
    answer = client_of_nora.post(BILLING, {"flow": "subscription_cancel"})
    assert (answer["Location"], portal) == ("/dashboard/", [])


def test_a_stripe_that_is_away_is_told_kindly(client_of_nora: Client, settings: Any) -> None:
    settings.STRIPE_API_HOST = "http://127.0.0.1:9"
    answer = client_of_nora.post(BILLING)
    assert answer["Location"] == "/dashboard/"
    assert "can't reach our payment partner" in said(answer)


def test_somebody_without_a_customer_is_told_so(db: None, client: Client, portal: list[str]) -> None:
    client.force_login(person("omar", stripe_customer_id=None).user)
    assert "no subscription to manage yet" in said(client.post(BILLING))
    assert portal == []
