"""Whatever is posted to a JSON API: a 4xx with a sentence, and nothing changed."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.storefront.models import OneTimeCode, WaitlistEntry
from tests.storefront.visitor import (
    ACCOUNT,
    RESEND,
    SEND,
    SESSION,
    VALIDATE,
    VERIFY,
    WAITLIST,
    Visitor,
)

# What each API understands; every mutation of it below is wrong.
RIGHT: dict[str, dict[str, Any]] = {
    SEND: {"email": "new@example.com"},
    VERIFY: {"email": "new@example.com", "code": "123456"},
    VALIDATE: {"username": "free.name"},
    SESSION: ACCOUNT,
    WAITLIST: {"email": "new@example.com"},
    RESEND: {},
}
TABLES = (Signup, UserProfile, OneTimeCode, Notification, Job, WaitlistEntry, AuditEntry)
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
    st.just("' OR 1=1 --"),
)


def deep(levels: int) -> Any:
    return {"deeper": deep(levels - 1)} if levels else "end"


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """An API and a body it must refuse."""
    url = draw(st.sampled_from(sorted(RIGHT)))
    body = dict(RIGHT[url])
    kind = draw(st.sampled_from(["type", "text", "missing", "extra", "deep", "huge", "not_json", "not_object"]))
    texts = sorted(name for name in body if name not in {"terms", "last_name"})
    if kind == "not_json":
        return url, draw(st.binary(min_size=1, max_size=60).filter(lambda raw: not raw.strip().startswith(b"{")))
    if kind == "not_object":
        return url, json.dumps(draw(NOT_TEXT.filter(lambda value: not isinstance(value, dict)))).encode()
    if kind == "extra" or not texts:
        body[draw(st.text(min_size=1, max_size=12).map(lambda name: f"x{name}"))] = draw(NOT_TEXT)
    elif kind == "deep":
        body[texts[0]] = deep(draw(st.integers(1, 200)))
    elif kind == "huge":
        body[texts[0]] = "a" * draw(st.integers(16_400, 40_000))
    else:
        name = draw(st.sampled_from(texts))
        if kind == "missing":
            del body[name]
        else:
            body[name] = draw(NOT_TEXT if kind == "type" else BAD_TEXT)
    return url, json.dumps(body).encode()


def state() -> list[Any]:
    return [list(table._default_manager.order_by("pk").values()) for table in TABLES]


def test_bad_input_gets_a_sentence_and_changes_nothing(shop: dict[str, Product], no_limits: None) -> None:
    visitor = Visitor().proven()
    before = state()

    @settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
    @given(requests())
    @example((SEND, b'{"email": NaN}'))
    @example((SESSION, b"[" * 5000))
    def refuse(request: tuple[str, bytes]) -> None:
        url, body = request
        answer = visitor.client.post(url, body, content_type="application/json")
        assert answer.headers["Content-Type"] == "application/json", (url, body)
        found = answer.json()
        if url == VALIDATE and answer.status_code == 200:  # a name nobody can have is an answer, not an error
            assert found["username"]["available"] is False
            assert found["username"]["message"]
        else:
            assert 400 <= answer.status_code < 500, (url, body, answer.content)
            assert found["error"]["message"]
        assert state() == before

    refuse()


def test_forms_bear_any_text(shop: dict[str, Product], no_limits: None) -> None:
    text = st.text(max_size=80) | st.sampled_from(["\x00", "a" * 5000, "🙂", "%00", "\r\nSet-Cookie: a=b"])

    @settings(max_examples=150)
    @given(st.sampled_from(["", "plan/", "addons/", "waitlist/submit/"]), text, text)
    def bear(page: str, one: str, two: str) -> None:
        visitor = Visitor()
        if page in {"plan/", "addons/"}:
            visitor.welcome()
            if page == "addons/":
                visitor.plan()
        form = dict.fromkeys(("first_name", "interval", "plan", "storage_100", "email"), one)
        form |= {"addons": two, "product": two}
        answer = visitor.client.post(f"/onboarding/{page}", form)
        assert answer.status_code < 500

    bear()


def test_addresses_with_any_query_are_borne(shop: dict[str, Product]) -> None:
    for query in (
        "session_id=%00",
        "session_id=" + "a" * 3000,
        "product=%00",
        "product=%F0%9F",
        "product=" + "a" * 3000,
    ):
        for page in ("success/", "success/state/", "waitlist/"):
            assert Visitor().get(f"/onboarding/{page}?{query}").status_code in {200, 404}
