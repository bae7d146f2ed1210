"""Whatever is posted to a JSON API: a 4xx with a sentence, and nothing changed anywhere in the database but limits."""

import json
from typing import Any

import argon2
import pytest
from django.db import connection
from django.http import HttpResponse
from django.urls import Resolver404, resolve
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from apps.catalog.models import Product
from apps.core.models import Job
from apps.onboarding import codes
from tests.billing.door import SECRET, event, sign
from tests.dashboard.conftest import person
from tests.storefront.conftest import no_limits, shop
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
)
from tests.world import World

__all__ = ["no_limits", "shop"]

WEBHOOK, RESET = "/onboarding/webhook/", "/dashboard/reset-password/"
RECOVERY = {
    "/recovery/send-code/": {"email": "new@example.com"},
    "/recovery/verify-code/": {"email": "new@example.com", "code": "ABCD1234"},
    "/recovery/checkout-session/": {},
}
# What each API of the specification understands; every mutation of it below is wrong.
RIGHT: dict[str, dict[str, Any]] = {
    VALIDATE: {"username": "free.name"},
    SESSION: ACCOUNT,
    SEND: {"email": "new@example.com"},
    VERIFY: {"email": "new@example.com", "code": "123456"},
    RESEND: {},
    WAITLIST: {"email": "new@example.com"},
    WEBHOOK: event(),
    RESET: {},
    **RECOVERY,
}
OPTIONAL = {"terms", "last_name", "created", "livemode", "data", "api_version"}  # a text in them is not always wrong
NOT_TEXT = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip
BAD_TEXT = st.one_of(
    st.text(min_size=260, max_size=400),
    st.text(max_size=10).map(lambda text: f"{text}\x00"),
    st.just("\ud800"),
    st.text(alphabet="<>{}\\\x01\x1f", min_size=1, max_size=8),
    st.just(""),
)
KINDS = [
    "missing", "extra", "type", "text", "oversized", "nul", "deep", "utf8", "twice", "not_json", "not_object",
]  # fmt: skip
BATCH = 10  # requests between two looks at the database


def deep(levels: int) -> Any:
    return {"deeper": deep(levels - 1)} if levels else "end"


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """An API and a body it must refuse."""
    url = draw(st.sampled_from(sorted(RIGHT)))
    body = dict(RIGHT[url])
    kind = draw(st.sampled_from(KINDS))
    texts = sorted(name for name, value in body.items() if isinstance(value, str) and name not in OPTIONAL)
    if kind == "not_json":
        return url, draw(st.binary(min_size=1, max_size=60).filter(lambda raw: not raw.strip().startswith(b"{")))
    if kind == "not_object":
        return url, json.dumps(draw(NOT_TEXT.filter(lambda value: not isinstance(value, dict)))).encode()
    if kind == "utf8":
        return url, draw(
            st.sampled_from([b'{"email": "\xff"}', b'{"\xc3\x28": 1}', b"\xed\xa0\x80", b'{"code": "\xf0\x9f"}'])
        )
    if kind == "twice" and url != WEBHOOK:  # who signed it has said what it means
        name = draw(st.sampled_from(sorted(body) or ["x"]))
        return url, f"{{{json.dumps(name)}: 1, {json.dumps(body)[1:-1] or json.dumps(name) + ': 2'}}}".encode()
    if not texts or (kind in {"extra", "twice"} and url != WEBHOOK):  # Stripe may add fields at any time
        body[draw(st.text(min_size=1, max_size=12).map(lambda name: f"x{name}"))] = draw(NOT_TEXT)
        return url, json.dumps(body).encode()
    name = draw(st.sampled_from(texts))
    _spoil(draw, kind, body, name)
    if kind == "text" and name == "email" and url in RECOVERY:  # no address at all: answered like an unknown one
        body[name] = f"{body[name]}\x00"
    if kind == "text" and url == WEBHOOK:  # whatever words Stripe signs are kept; only what no event holds is wrong
        assume(not all(value.isprintable() and 0 < len(value) <= 80 for value in (body["id"], body["type"])))
    return url, json.dumps(body).encode()


def _spoil(draw: st.DrawFn, kind: str, body: dict[str, Any], name: str) -> None:
    """Make the field `name` wrong in the way of `kind`."""
    if kind == "missing":
        del body[name]
    elif kind == "deep":
        body[name] = deep(draw(st.integers(1, 200)))
    elif kind == "oversized":
        body[name] = "a" * draw(st.integers(16_400, 40_000))
    elif kind == "nul":
        body[name] = f"{body[name]}\x00"
    else:
        body[name] = draw(BAD_TEXT if kind == "text" else NOT_TEXT)


FINGERPRINT = "SELECT '{0}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {0} t"


class Rows:
    """All tables but those of limits and sessions, as one look at them."""

    def __init__(self) -> None:
        names = set(connection.introspection.table_names()) - {"core_ratelimit", "django_session"}
        self.statement = " UNION ALL ".join(FINGERPRINT.format(name) for name in sorted(names))

    def look(self) -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute(self.statement)
            return dict(cursor.fetchall())


def sentence(answer: HttpResponse) -> str:
    """What a refusal says."""
    assert answer.headers["Content-Type"] == "application/json", answer.content[:300]
    found = answer.json()["error"]  # type: ignore[attr-defined]
    return str(found if isinstance(found, str) else found["message"])


@pytest.fixture
def quick_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of codes that cost nothing; what they cost an attacker is measured elsewhere."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(codes, "HASHER", hasher)
    monkeypatch.setattr(codes, "UNMATCHABLE_HASH", hasher.hash("nobody"))


@pytest.fixture
def visitor(shop: dict[str, Product], no_limits: None, quick_codes: None, settings: Any) -> Visitor:
    """A browser that has proven its mailbox in the wizard and belongs to a subscriber too."""
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    known = Visitor().proven()
    signup = known.client.session["signup"]
    known.client.force_login(person("nora").user)
    session = known.client.session
    session["signup"] = signup
    session.save()
    return known


def post(visitor: Visitor, url: str, body: bytes) -> HttpResponse:
    headers = {"Stripe-Signature": sign(body)} if url == WEBHOOK else {}
    answer: HttpResponse = visitor.client.post(url, body, content_type="application/json", headers=headers)
    return answer


@pytest.mark.parametrize("number", [300, pytest.param(2000, marks=pytest.mark.nightly)])
def test_bad_input_gets_a_sentence_and_changes_nothing(visitor: Visitor, number: int) -> None:
    rows, cases = Rows(), 0
    before = rows.look()

    @settings(max_examples=number // BATCH, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.lists(requests(), min_size=BATCH, max_size=BATCH))
    @example([(SEND, b'{"email": NaN}'), (SESSION, b"[" * 5000), (WEBHOOK, b"a" * 300_000), (RESET, b'{"a": 1}')])
    @example([(url, b" ") for url in sorted(RIGHT)])
    def refuse(batch: list[tuple[str, bytes]]) -> None:
        nonlocal cases
        for url, body in batch:
            answer = post(visitor, url, body)
            cases += 1
            if url == VALIDATE and answer.status_code == 200:  # a name nobody can have is an answer, not an error
                assert answer.json()["username"]["available"] is False  # type: ignore[attr-defined]
            else:
                assert 400 <= answer.status_code < 500, (url, body[:300], answer.content[:300])
                assert sentence(answer).rstrip("”").endswith((".", "?")), (url, body[:300], answer.content)
        after = rows.look()
        assert {name for name in before if before[name] != after[name]} == set(), [
            (url, body[:99]) for url, body in batch
        ]

    refuse()
    assert cases >= number


def test_every_api_is_there(visitor: Visitor) -> None:
    missing = []
    for url in RIGHT:
        try:
            resolve(url)
        except Resolver404:
            missing.append(url)
    assert missing == []
    for url in RIGHT:
        assert visitor.get(url).status_code == 405, url


# --- what was right, sent again ----------------------------------------------------------------------------------------


def test_a_code_is_good_once(shop: dict[str, Product], no_limits: None) -> None:
    visitor = Visitor().at_checkout()
    visitor.api(SEND, email="dana@example.com")
    right = {"email": "dana@example.com", "code": code_mailed()}
    assert visitor.api(VERIFY, **right).status_code == 200
    rows = Rows()
    before = rows.look()
    assert visitor.api(VERIFY, **right).status_code == 400
    after = rows.look()
    assert {name for name in before if before[name] != after[name]} <= {"onboarding_onetimecode"}  # a try is counted


def test_a_waitlist_entry_sent_again_changes_nothing(shop: dict[str, Product], no_limits: None) -> None:
    answers = [Visitor().api(WAITLIST, email="dana@example.com").content]
    rows = Rows()
    before = rows.look()
    answers.append(Visitor().api(WAITLIST, email="dana@example.com").content)
    assert rows.look() == before
    assert answers[0] == answers[1]


def test_a_payment_and_an_event_sent_again_change_nothing(world: World) -> None:
    visitor = Visitor().proven()
    first = visitor.api(SESSION, **ACCOUNT).content
    rows = Rows()
    before = rows.look()
    assert visitor.api(SESSION, **ACCOUNT).content == first
    assert rows.look() == before

    opened = json.loads(first)
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})
    events = world.new_events()
    assert set(world.post_events(events)) == {200}
    before = rows.look()
    assert set(world.post_events(events)) == {200}  # Stripe is told that it need not send it again
    assert rows.look() == before
    assert Job.objects.filter(kind="handle_event", state="queued").exists()


def test_a_password_mail_asked_for_again_is_still_one_mail(visitor: Visitor) -> None:
    for _ in range(2):
        assert visitor.client.post(RESET).status_code == 200
    assert Job.objects.filter(kind="send_keycloak_password_reset_email").count() == 1
