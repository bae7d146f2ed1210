"""A subscriber takes a copy of their data and deletes their account, after a fresh login; nobody else's."""

import datetime as dt
import json
import time
from typing import Any

import pytest
from django.test import Client

from apps.access import overrides
from apps.accounts import legal_holds
from apps.accounts.models import PrivacyRequest, UserProfile
from apps.billing.models import Subscription
from apps.core import clock, retention
from apps.core.models import AuditEntry, Job
from apps.instances.models import Seat
from apps.login import reauthentication
from apps.operations import own_erasure
from apps.operations.models import DataCopy
from tests.dashboard.conftest import person
from tests.dashboard.test_dashboard import text
from tests.operations.test_privacy import columns_with
from tests.world import World

DATA, DELETE = "/dashboard/account/data/", "/dashboard/account/delete/"
ASK, READ, FILE, CONFIRM = f"{DATA}ask/", f"{DATA}read/", f"{DATA}file/", f"{DELETE}confirm/"
BY = {"actor": "staff:ada", "reason": "the case of last week"}


def browser_of(profile: UserProfile, *, fresh: bool = True) -> Client:
    client = Client()
    client.force_login(profile.user)
    session = client.session
    session[reauthentication.FRESH_UNTIL] = int(time.time()) + (200 if fresh else -1)
    session.save()
    return client


def erased(profile: UserProfile) -> bool:
    profile.refresh_from_db()
    return profile.email.endswith("@erased.invalid")


@pytest.mark.parametrize("address", [DATA, READ, FILE, DELETE, ASK, CONFIRM])
def test_a_visitor_and_an_old_login_are_asked_to_log_in(address: str, nora: UserProfile, client: Client) -> None:
    for one in (client, browser_of(nora, fresh=False)):
        answer = one.post(address, {"username": "nora"}) if address in (ASK, CONFIRM) else one.get(address)
        page = DELETE if address.startswith(DELETE) else DATA
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/oidc/keycloak/login/")
        assert f"next={page}" in answer["Location"].replace("%2F", "/")
    assert not DataCopy.objects.exists()
    assert not PrivacyRequest.objects.exists()


def test_a_copy_is_made_told_read_and_gone_after_a_week(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    client = browser_of(dana)
    assert "Ask for a copy" in text(client.get(DATA))
    assert client.post(ASK)["Location"] == DATA
    assert "We're putting it together." in text(client.get(DATA))
    world.work()
    (mail,) = [one for one in world.standin.inbox("dana@example.com") if "copy of your data" in one["subject"]]
    assert DATA in mail["text"]
    assert "Read it" in text(client.get(DATA))
    page = text(client.get(READ))
    for words in ("Your subscription and access", "dana@example.com", "Your seats"):
        assert words in page, words
    answer = client.get(FILE)
    found = json.loads(answer.content)
    assert found["accounts.UserProfile"][0]["email"] == "dana@example.com"
    assert answer["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert answer["Cache-Control"] == "no-store"
    assert "erik" not in answer.content.decode()
    assert "dana@example.com" not in DataCopy.objects.get().encrypted
    assert AuditEntry.objects.filter(subject_id=str(dana.pk), action="person_exported", actor="customer").count() == 2

    others = browser_of(erik)
    assert "Ask for a copy" in text(others.get(DATA))
    assert others.get(READ)["Location"] == others.get(FILE)["Location"] == DATA

    DataCopy.objects.update(ready_at=clock.now() - dt.timedelta(days=8), expires_at=clock.now() - dt.timedelta(days=1))
    assert client.get(READ)["Location"] == DATA
    retention.prune_all()
    assert not DataCopy.objects.exists()


def test_one_copy_is_made_at_a_time_and_three_a_day(nora: UserProfile) -> None:
    client = browser_of(nora)
    for _ in range(5):
        client.post(ASK)
    assert Job.objects.filter(kind="prepare_data_copy").count() == 1
    for _ in range(4):
        DataCopy.objects.update(ready_at=clock.now(), expires_at=clock.now() + dt.timedelta(days=1), encrypted="x")
        client.post(ASK)
    assert AuditEntry.objects.filter(action="copy_requested").count() == 3
    assert client.get(READ)["Location"] == DATA  # what cannot be read any more is no fault
    assert not DataCopy.objects.exists()


def test_deleting_ends_the_subscription_and_forgets_the_person(world: World) -> None:
    gone, other = world.subscriber("quentin"), world.subscriber("other")
    customer, account = gone.stripe_customer_id or "", gone.keycloak_id or ""
    client = browser_of(gone)
    page = text(client.get(DELETE))
    assert "Your subscription ends at once." in page
    wrong = client.post(CONFIRM, {"username": "other"})
    assert (wrong.status_code, "That isn't your username." in text(wrong)) == (400, True)
    assert not PrivacyRequest.objects.exists()

    assert client.post(CONFIRM, {"username": " Quentin "})["Location"] == DELETE
    assert "Your account is being deleted" in text(client.get(DELETE))
    world.deliver()
    assert erased(gone)
    assert client.get("/dashboard/").status_code == 302
    (mail,) = [one for one in world.standin.inbox("quentin@example.com") if "is deleted" in one["subject"]]
    assert f"number {AuditEntry.objects.get(action='person_erased').pk}" in mail["text"]
    (found,) = world.shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data
    assert (found["status"], found["cancellation_details"]["comment"]) == ("canceled", None)
    assert world.admin("GET", f"/users/{account}").status_code == 404
    assert not Seat.objects.filter(profile=gone).exclude(state="released").exists()
    assert PrivacyRequest.objects.get().state == "done"
    assert not Job.objects.filter(state__in=["blocked", "dead"]).exists()
    assert columns_with("quentin") <= {"notifications_notification.to"}  # of the receipt, until emails go
    assert not erased(other)
    assert world.admin("GET", f"/users/{other.keycloak_id}").status_code == 200


def test_the_job_may_run_twice_and_die_between_stripe_and_us(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = world.subscriber("dana")
    browser_of(dana).post(CONFIRM, {"username": "dana"})

    def die(_profile: UserProfile) -> None:
        raise RuntimeError("the worker died")

    with monkeypatch.context() as broken:
        broken.setattr(own_erasure, "_erase", die)
        world.work()
    assert Subscription.objects.get(customer_id=dana.stripe_customer_id).status == "canceled"
    assert not erased(dana)
    world.retry()
    assert erased(dana)
    own_erasure.delete_account(str(dana.pk))
    assert AuditEntry.objects.filter(action="person_erased").count() == 1


@pytest.mark.parametrize("why", ["owed", "hold", "legal hold"])
def test_what_is_owed_or_kept_is_left_to_staff(why: str, world: World) -> None:
    dana = world.subscriber("dana")
    if why == "owed":
        Subscription.objects.update(status="past_due")
    elif why == "hold":
        overrides.hold(profile=dana, **BY)
    else:
        legal_holds.place(dana, **BY)
    client = browser_of(dana)
    assert ("A payment is open" in text(client.get(DELETE))) == (why == "owed")
    client.post(CONFIRM, {"username": "dana"})
    assert "We've received your request" in text(client.get(DELETE))
    own_erasure.delete_account(str(dana.pk))
    assert not Job.objects.filter(kind=own_erasure.KIND).exists()
    assert not erased(dana)
    assert world.stripe_state(dana)["status"] == "active"
    (request,) = PrivacyRequest.objects.all()
    assert (request.kind, request.state, request.opened_by) == ("erasure", "open", "customer")


def test_nobody_is_deleted_whose_request_was_answered(world: World) -> None:
    dana = world.subscriber("dana")
    browser_of(dana).post(CONFIRM, {"username": "dana"})
    PrivacyRequest.objects.update(state="withdrawn", closed_by="staff:ada", closed_at=clock.now())
    world.work()
    assert not erased(dana)
    assert world.stripe_state(dana)["status"] == "active"


def test_another_subscriber_and_a_visitor_delete_nobody(nora: UserProfile) -> None:
    omar = person("omar")
    answers: list[Any] = [
        browser_of(omar).post(CONFIRM, {"username": "nora"}),
        Client().post(CONFIRM, {"username": "nora"}),
    ]
    assert [one.status_code for one in answers] == [400, 302]
    assert not PrivacyRequest.objects.exists()


def test_who_pays_what_was_owed_asks_once_more_and_is_deleted(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    client = browser_of(dana)
    client.post(CONFIRM, {"username": dana.user.username})
    world.work()
    assert not erased(dana)
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id)
    world.deliver()
    client = browser_of(dana)
    assert "is being deleted" not in text(client.get(DELETE))
    client.post(CONFIRM, {"username": dana.user.username})
    world.deliver()
    assert erased(dana)
