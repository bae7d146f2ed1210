"""Pages, JSON APIs and Monitoring."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import health, heartbeats
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.onboarding.models import OneTimeCode, WaitlistEntry
from tests.specification.people import body, customer, logged_in
from tests.storefront.visitor import (
    ACCOUNT,
    RESEND,
    SEND,
    SESSION,
    VALIDATE,
    VERIFY,
    WAITLIST,
    Visitor,
    code_mailed,
    wrong,
)
from tests.world import World


def text_of(answer: Any, status: int = 200) -> str:
    """The page of an answer with this status."""
    assert answer.status_code == status, answer.content[:500]
    return str(answer.content.decode())


# --- pages -----------------------------------------------------------------------------------------------------------


def test_page_root(world: World) -> None:
    visitor = Client()
    assert visitor.get("/")["Location"] == "/dashboard/"
    login = visitor.get("/dashboard/")["Location"]
    assert login.startswith("/accounts/oidc/keycloak/login/")
    at = visitor.get(login)["Location"]
    assert at.startswith(f"{world.url}/keycloak/realms/frontdesk/protocol/openid-connect/auth")
    assert logged_in(world.subscriber("dana")).get("/", follow=True).redirect_chain == [("/dashboard/", 302)]


def test_page_dashboard(world: World) -> None:
    assert Client().get("/dashboard/").status_code == 302  # login required
    profile = world.subscriber("dana")
    page = text_of(logged_in(profile).get("/dashboard/"))
    assert "https://nextcloud-1.example.com/" in page
    assert "Personal" in page


def test_page_onboarding(shop: dict[str, Product]) -> None:
    visitor = Visitor()
    assert 'name="first_name"' in text_of(visitor.get("/onboarding/"))
    assert visitor.welcome("Dana")["Location"] == "/onboarding/plan/"
    assert Signup.objects.get().first_name == "Dana"
    text_of(visitor.welcome("<b>"), 400)


def test_page_onboarding_plan(shop: dict[str, Product]) -> None:
    visitor = Visitor()
    visitor.welcome()
    page = text_of(visitor.get("/onboarding/plan/"))
    assert 'value="personal"' in page
    assert 'value="support"' in page  # a general add-on
    assert visitor.plan("personal", "month", "support")["Location"] == "/onboarding/addons/"
    assert Signup.objects.get().basket == {"personal": 1, "support": 1}


def test_page_onboarding_addons(shop: dict[str, Product]) -> None:
    visitor = Visitor()
    assert visitor.get("/onboarding/addons/")["Location"] == "/onboarding/"  # one step after the other
    visitor.welcome()
    visitor.plan()
    assert 'name="storage_100"' in text_of(visitor.get("/onboarding/addons/"))
    assert visitor.addons(storage_100="3")["Location"] == "/onboarding/checkout/"
    assert Signup.objects.get().basket == {"personal": 1, "storage_100": 3}


def test_page_onboarding_checkout(shop: dict[str, Product]) -> None:
    page = text_of(Visitor().at_checkout().get("/onboarding/checkout/"))
    assert all(f'name="{field}"' in page for field in ("username", "last_name", "email", "terms"))
    assert "js.stripe.com" in page  # the payment


def test_page_onboarding_success(world: World) -> None:
    visitor, _ = customer(world)
    assert "getting your account ready" in text_of(visitor.get("/onboarding/success/"))
    world.deliver()
    assert "Your account is ready, Dana" in text_of(visitor.get("/onboarding/success/"))
    assert "Dana" not in text_of(Visitor().get("/onboarding/success/"))


def test_page_onboarding_cancel(shop: dict[str, Product]) -> None:
    visitor = Visitor().at_checkout()
    text_of(visitor.get("/onboarding/cancel/"))
    assert Signup.objects.get().basket == {"personal": 1}  # nothing is lost
    text_of(visitor.get("/onboarding/checkout/"))


def test_page_onboarding_waitlist(shop: dict[str, Product]) -> None:
    assert 'name="email"' in text_of(Visitor().get("/onboarding/waitlist/"))
    assert "Personal" in text_of(Visitor().get("/onboarding/waitlist/?product=personal"))


# --- JSON APIs -------------------------------------------------------------------------------------------------------


def test_api_post_onboarding_checkout_validate(shop: dict[str, Product]) -> None:
    visitor = Visitor().proven()
    User.objects.create(username="taken")
    assert body(visitor.api(VALIDATE, username="free.name"))["username"]["available"] is True
    assert body(visitor.api(VALIDATE, username="Taken"))["username"]["available"] is False
    assert body(visitor.api(VALIDATE, email="a@example.com"))["email"] == {"well_formed": True}
    assert body(Visitor().api(VALIDATE, username="free.name"), 409)["error"]["message"]


def test_api_post_onboarding_checkout_session(world: World) -> None:
    visitor = Visitor().proven()
    opened = body(visitor.api(SESSION, **ACCOUNT))
    signup = visitor.signup
    theirs = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    assert (theirs.status, theirs.amount_total, theirs.client_secret) == ("open", 500, opened["client_secret"])
    assert signup.profile is not None
    assert signup.profile.seats.get().state == "reserved"


def test_api_post_onboarding_checkout_send_code(world: World) -> None:
    visitor = Visitor().at_checkout()
    assert body(visitor.api(SEND, email="dana@example.com"))["sent"] is True
    world.work()
    assert len(world.mails("dana@example.com")) == 1
    assert code_mailed_by(world) == 6
    assert OneTimeCode.objects.get().purpose == "signup"


def code_mailed_by(world: World) -> int:
    """How many digits the newest mail's code has; the mail has left, so nothing readable is kept here."""
    assert Notification.objects.get().encrypted in {"", None}
    words = world.standin.inbox()[0]["text"].split()
    return max((len(word) for word in words if word.isdigit()), default=0)


def test_api_post_onboarding_checkout_verify_code(shop: dict[str, Product]) -> None:
    visitor = Visitor().at_checkout()
    visitor.api(SEND, email="dana@example.com")
    code = code_mailed()
    assert body(visitor.api(VERIFY, email="dana@example.com", code=wrong(code)), 400)["error"]["code"] == "wrong_code"
    assert visitor.signup.email_proven_at is None
    assert body(visitor.api(VERIFY, email="dana@example.com", code=code))["proven"] is True
    assert visitor.signup.email_proven_at is not None
    assert visitor.api(VERIFY, email="dana@example.com", code=code).status_code == 400  # once


def test_api_post_onboarding_success_resend_password(world: World) -> None:
    visitor, profile = customer(world)
    assert visitor.api(RESEND).status_code == 403  # not paid, as far as we know
    world.deliver()
    before = len(world.mails(profile))
    assert body(visitor.api(RESEND))["sent"] is True
    world.work()
    assert len(world.mails(profile)) == before + 1
    assert Visitor().api(RESEND).status_code == 403


def test_api_post_onboarding_waitlist_submit(shop: dict[str, Product]) -> None:
    answer = body(Visitor().api(WAITLIST, email="w@example.com", product="personal"))
    assert answer["message"]
    entry = WaitlistEntry.objects.get()
    assert (entry.email, entry.product and entry.product.slug) == ("w@example.com", "personal")
    assert body(Visitor().api(WAITLIST, email="nobody"), 400)["error"]["message"]


def test_api_post_onboarding_webhook(world: World) -> None:
    profile = world.pay(world.signup("dana"))
    events = world.new_events()
    forged = world.post(b"{}", header="t=1,v1=00")
    assert (forged.status_code, Job.objects.filter(kind="handle_event").count()) == (400, 0)
    outside = Client(enforce_csrf_checks=True)
    world.client = outside  # CSRF-exempt: the signature is the proof
    assert set(world.post_events(events)) == {200}
    assert set(world.post_events(events)) == {200}  # again, and no second job
    assert Job.objects.filter(kind="handle_event").count() <= len(events)
    world.work()
    assert world.state(profile).access == "active"


def test_api_post_dashboard_reset_password(world: World) -> None:
    profile = world.subscriber("dana")
    before = len(world.mails(profile))
    assert "message" in body(logged_in(profile).post("/dashboard/reset-password/"))
    world.work()
    assert len(world.mails(profile)) == before + 1
    assert AuditEntry.objects.filter(action="password_email_requested", subject_id=str(profile.pk)).exists()
    assert Client().post("/dashboard/reset-password/").status_code == 302


# --- monitoring ------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked_anew() -> None:
    """Nothing of an earlier answer is remembered."""
    health._parts.cache_clear()


def test_monitoring_get_health(client: Client, db: None, asked_anew: None) -> None:
    answer = body(client.get("/health/"), 503)  # type: ignore[arg-type]
    assert answer["parts"] == {"database": "ok", "migrations": "ok", "worker": "failing"}
    for name in ("worker", "cluster"):
        heartbeats.record_heartbeat(name)
    health._parts.cache_clear()
    assert body(client.get("/health/"))["status"] == "ok"  # type: ignore[arg-type]
    health._parts.cache_clear()


def test_monitoring_get_metrics(client: Client, db: None, settings: Any) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    key = {"Authorization": f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"}
    assert "frontdesk_jobs" in text_of(client.get("/metrics", headers=key))
