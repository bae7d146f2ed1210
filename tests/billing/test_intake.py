"""The webhook's door: what is signed and ours comes in, once."""

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory

from apps.billing import intake
from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.requests import MAX_EVENT_BYTES, read_event_body
from apps.sandbox.bench.rows import execute
from tests.billing.door import FORMER, PATH, SECRET, WRONG, event, nothing_stored, post, raw, sign
from tests.instances.house import at_once


@pytest.fixture(autouse=True)
def secrets(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    settings.STRIPE_WEBHOOK_SECRET_PREVIOUS = FORMER
    settings.WHITENOISE_AUTOREFRESH = True  # else it warns of the folder that only collectstatic makes


@pytest.mark.django_db
def test_a_signed_event_is_stored_with_its_job_in_one_statement(
    django_assert_num_queries: Any,
) -> None:
    body = raw()
    post(raw(id="evt_0"))  # imports, and django-q2's own preparations
    with django_assert_num_queries(1):
        assert post(body).status_code == 200
    row = InboundEvent.objects.get(stripe_event_id="evt_1")
    assert (row.type, row.object_id, row.customer_id) == (
        "customer.subscription.updated",
        "sub_1",
        "cus_1",
    )
    assert (row.state, row.source, row.body) == ("received", "webhook", body.decode())
    assert row.stripe_created_at == dt.datetime.fromtimestamp(1_800_000_000, tz=dt.UTC)
    job = Job.objects.get(kind="handle_event", key="evt_1")
    assert (job.lane, job.state) == ("customer:cus_1", "queued")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["payment_intent.created", "v1.something.new", "setup_intent.succeeded", "x"])
@pytest.mark.fault("F16")
def test_an_event_that_needs_no_work_is_kept_and_that_is_all(kind: str) -> None:
    assert post(raw(type=kind)).status_code == 200
    assert InboundEvent.objects.get().state == "ignored"
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_an_event_that_comes_again_changes_nothing() -> None:
    for _ in range(3):
        assert post(raw()).status_code == 200
    assert (InboundEvent.objects.count(), Job.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_storing_says_whether_the_event_is_new() -> None:
    for kind in ("customer.updated", "payment_intent.created"):
        made = event(id=f"evt_{kind}", type=kind)
        assert intake.store(made, "{}")
        assert not intake.store(made, "{}")


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_has_died_loses_no_event() -> None:
    """A restarted Postgres; nobody asks beforehand whether the connection lives."""
    assert post(raw(id="evt_before")).status_code == 200
    (pid,) = execute("SELECT pg_backend_pid()")[0]
    server = connection.copy()
    with server.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    server.close()
    answer = post(raw(id="evt_after"))
    assert answer.status_code == 200
    assert execute("SELECT pg_backend_pid()")[0] != (pid,)
    assert InboundEvent.objects.filter(stripe_event_id="evt_after").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F01")
def test_of_fifty_doubles_at_once_one_is_stored() -> None:
    """F01: 50 deliveries of one event by 16 clients."""
    body = raw()
    answers = at_once([lambda: post(body).status_code] * 50, clients=16)
    assert answers == [200] * 50
    assert (InboundEvent.objects.count(), Job.objects.count()) == (1, 1)


@pytest.mark.mutant
@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F01")
def test_without_the_unique_id_doubles_would_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    asks_first = intake.STORE.replace("'handle_event', stripe_event_id", "'handle_event', stripe_event_id || random()")
    mutant = asks_first.replace("VALUES (%(id)s,", "VALUES (%(id)s || random(),")
    assert mutant != asks_first
    monkeypatch.setattr(intake, "STORE", mutant)
    body = raw()
    at_once([lambda: post(body).status_code] * 20, clients=8)
    assert InboundEvent.objects.count() == 20


@pytest.mark.django_db
@pytest.mark.parametrize("secret", [SECRET, FORMER])
def test_both_secrets_are_good_during_a_rotation(secret: str) -> None:
    assert post(raw(), sign(raw(), secret)).status_code == 200


@pytest.mark.django_db
def test_a_header_with_a_signature_of_each_secret_is_good() -> None:
    stamp, new = sign(raw()).split(",")
    old = sign(raw(), WRONG).split(",")[1]
    assert post(raw(), f"{stamp},{old},{new}").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("late", [-300, -299, -1, 0, 1, 299, 300])
@pytest.mark.fault("F12")
def test_a_stamp_within_five_minutes_is_good(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    header = sign(raw(), late=late)
    stamp = int(header.split(",")[0][2:])
    monkeypatch.setattr(clock, "timestamp", lambda: stamp + late)
    assert post(raw(), header).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("late", [-(10**9), -3600, -301, 301, 3600, 10**9])
@pytest.mark.fault("F12")
def test_a_stamp_that_is_off_by_more_is_refused(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    header = sign(raw(), late=late)
    stamp = int(header.split(",")[0][2:])
    monkeypatch.setattr(clock, "timestamp", lambda: stamp + late)
    assert post(raw(), header).status_code == 400
    assert nothing_stored()


@pytest.mark.django_db
def test_a_body_of_256_kib_is_good_and_one_byte_more_is_not() -> None:
    empty = len(raw(padding=""))
    full = raw(padding="x" * (MAX_EVENT_BYTES - empty))
    assert len(full) == MAX_EVENT_BYTES
    assert post(full + b" ").status_code == 413
    assert nothing_stored()
    assert post(full).status_code == 200


@pytest.mark.parametrize("length", ["262145", "99999999999999", "²", "1" * 5000, "-1", "x"])
def test_a_length_that_cannot_be_right_is_refused_before_reading(length: str) -> None:
    request = RequestFactory().post(PATH, raw(), content_type="application/json", CONTENT_LENGTH=length)
    with pytest.raises(BadInput) as caught:
        read_event_body(request)
    assert caught.value.status == 413


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["a\x00b", "\ud800", "\U0001f600", "é", "line\nbreak"])
def test_odd_characters_in_the_payload_are_kept_as_they_came(value: str) -> None:
    odd = {"object": {"id": value, "customer": value, "object": "invoice", "note": value}}
    assert post(raw(data=odd, type="invoice.paid", request=value)).status_code == 200
    row = InboundEvent.objects.get()
    assert (row.object_id, row.customer_id) == ("", "")
    assert json.loads(row.body)["data"]["object"]["note"] == value


@pytest.mark.django_db
@pytest.mark.parametrize(
    "version", [None, ..., "2026-05-27.dahlia", "2026-08-26.dahlia", "2020-08-27", "2026-10-28.endive"]
)
def test_every_version_is_good(version: Any) -> None:
    """Staff are told of other releases: tests/field/test_whose_event.py."""
    assert post(raw(api_version=version)).status_code == 200
