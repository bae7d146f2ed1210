"""The webhook's door: what is forged, stale, malformed or not ours stays outside without a trace (F13)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.billing import intake
from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.errors import BadInput
from tests.billing.door import FORMER, PATH, SECRET, WRONG, event, nothing_stored, post, raw, sign


@pytest.fixture(autouse=True)
def secrets(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    settings.STRIPE_WEBHOOK_SECRET_PREVIOUS = FORMER
    settings.WHITENOISE_AUTOREFRESH = True  # else it warns of the folder that only collectstatic makes


GOOD = raw()
FORGED: dict[str, Callable[[], tuple[bytes, str]]] = {
    "no header": lambda: (GOOD, ""),
    "no signature": lambda: (GOOD, f"t={clock.timestamp()}"),
    "no time": lambda: (GOOD, sign(GOOD).split(",")[1]),
    "wrong secret": lambda: (GOOD, sign(GOOD, WRONG)),
    "empty secret": lambda: (GOOD, sign(GOOD, "")),
    "v0 alone": lambda: (GOOD, sign(GOOD).replace("v1=", "v0=")),
    "v2 alone": lambda: (GOOD, sign(GOOD).replace("v1=", "v2=")),
    "empty signature": lambda: (GOOD, sign(GOOD).split("v1=")[0] + "v1="),
    "half a signature": lambda: (GOOD, sign(GOOD)[:-8]),
    "a letter changed in the signature": lambda: (GOOD, sign(GOOD)[:-1] + "g"),
    "non-ascii signature": lambda: (GOOD, sign(GOOD)[:-1] + "é"),
    "signature of another body": lambda: (GOOD, sign(GOOD + b" ")),
    "altered body": lambda: (GOOD.replace(b"cus_1", b"cus_2"), sign(GOOD)),
    "time altered after signing": lambda: (GOOD, sign(GOOD, late=100).replace("t=", "t=1", 1)),
    "replayed with a fresh time": lambda: (
        GOOD,
        f"t={clock.timestamp()},{sign(GOOD, late=4000).split(',')[1]}",
    ),
    "time is text": lambda: (GOOD, sign(GOOD).replace("t=", "t=x")),
    "time is negative": lambda: (GOOD, sign(GOOD).replace("t=", "t=-")),
    "time is a fraction": lambda: (GOOD, sign(GOOD).replace(",", ".5,", 1)),
    "time is superscript": lambda: (GOOD, sign(GOOD).replace("t=", "t=²")),
    "time of five thousand digits": lambda: (
        GOOD,
        "t=" + "1" * 5000 + "," + sign(GOOD).split(",")[1],
    ),
    "time zero": lambda: (GOOD, "t=0," + sign(GOOD).split(",")[1]),
    "two times, the first stale": lambda: (GOOD, "t=1," + sign(GOOD)),
    "only commas": lambda: (GOOD, ",,,,"),
    "only equals signs": lambda: (GOOD, "===="),
    "stale": lambda: (GOOD, sign(GOOD, late=301)),
    "from the future": lambda: (GOOD, sign(GOOD, late=-302)),
    "empty body, signed for another": lambda: (b"", sign(GOOD)),
}


def signed(body: bytes) -> Callable[[], tuple[bytes, str]]:
    return lambda: (body, sign(body))


MALFORMED = {
    "empty": signed(b""),
    "not json": signed(b"{"),
    "not utf-8": signed(b'{"a": "\xff"}'),
    "utf-16": signed(GOOD.decode().encode("utf-16")),
    "a raw NUL": signed(GOOD.replace(b"evt_1", b"evt\x001")),
    "a list": signed(b"[]"),
    "a number": signed(b"1"),
    "a number of five thousand digits": signed(b'{"created": ' + b"1" * 5000 + b"}"),
    "null": signed(b"null"),
    "nested too deep": signed(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "no object": signed(raw(object=...)),
    "another object": signed(raw(object="charge")),
    "no id": signed(raw(id=...)),
    "id is a number": signed(raw(id=7)),
    "id is empty": signed(raw(id="")),
    "id is too long": signed(raw(id="e" * 256)),
    "id with NUL": signed(raw(id="evt_\x00")),
    "id with a lone surrogate": signed(raw(id="evt_\ud800")),
    "type is null": signed(raw(type=None)),
    "type is empty": signed(raw(type="")),
    "type is too long": signed(raw(type="x" * 81)),
    "type with a lone surrogate": signed(raw(type="price.\udfff")),
    "created is text": signed(raw(created="now")),
    "created is yes": signed(raw(created=True)),
    "created is negative": signed(raw(created=-1)),
    "created is far": signed(raw(created=2**40)),
    "created is a fraction": signed(raw(created=1.5)),
    "livemode is text": signed(raw(livemode="false")),
    "livemode is missing": signed(raw(livemode=...)),
    "the other mode": signed(raw(livemode=True)),
    "data is a list": signed(raw(data=[])),
    "data is empty": signed(raw(data={})),
    "data's object is text": signed(raw(data={"object": "sub_1"})),
    "a version that is none": signed(raw(api_version={"a": 1})),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", FORGED | MALFORMED)
@pytest.mark.fault("F13")
def test_it_refuses_without_a_trace(kind: str, django_assert_num_queries: Any) -> None:
    """F13."""
    body, header = (FORGED | MALFORMED)[kind]()
    with django_assert_num_queries(0):
        answer = post(body, header)
    assert answer.status_code in {400, 413}
    assert answer.json()["error"].endswith(".")
    assert nothing_stored()


@pytest.mark.mutant
@pytest.mark.django_db
def test_without_our_own_check_a_stamp_from_the_future_would_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "TOLERANCE_SECONDS", 10**12)
    assert post(GOOD, sign(GOOD, late=-3600)).status_code == 200


@pytest.mark.mutant
@pytest.mark.django_db
def test_without_the_signature_a_forged_event_would_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "_signed_with", lambda *_: True)
    assert post(GOOD, sign(GOOD, WRONG)).status_code == 200
    assert not nothing_stored()


@pytest.mark.django_db
def test_an_empty_secret_opens_nothing(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = settings.STRIPE_WEBHOOK_SECRET_PREVIOUS = ""
    assert post(GOOD, sign(GOOD, "")).status_code == 400
    assert nothing_stored()


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_taken(method: str) -> None:
    assert getattr(Client(), method)(PATH).status_code == 405
    assert nothing_stored()


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["garbage", "1.2.3.4, é", "\\x00", "a" * 4000, "::1%eth0"])
def test_a_garbage_forwarded_address_harms_nothing(address: str, settings: Any) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    assert post(GOOD, HTTP_X_FORWARDED_FOR=address).status_code == 200


# --- what nobody thought of ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["id", "object", "type", "created", "livemode", "data", "api_version", "account", "request"])
MUTATED = st.dictionaries(FIELDS, JSON, max_size=3).map(lambda changes: json.dumps(event() | changes).encode())
INNER = st.dictionaries(st.sampled_from(["id", "object", "customer", "charge"]), JSON).map(
    lambda subject: json.dumps(event(data={"object": subject})).encode()
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()) | MUTATED | INNER


@pytest.mark.django_db
@given(body=BODIES, good=st.booleans(), header=st.text(st.characters(max_codepoint=255), max_size=80))
@hypothesis_settings(
    max_examples=500,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_body_and_no_header_breaks_the_door(body: bytes, good: bool, header: str) -> None:
    before = InboundEvent.objects.count()
    given = sign(body) if good else header.replace("\r", "").replace("\n", "")
    answer = post(body, given)
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        assert InboundEvent.objects.count() == before


@given(body=BODIES)
@hypothesis_settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_parsed_can_be_stored(body: bytes) -> None:
    try:
        parsed = intake.parse(body)
    except BadInput:
        return
    assert parsed["id"].isascii()
    assert 0 < len(parsed["type"]) <= 80
