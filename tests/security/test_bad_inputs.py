"""Ten thousands of bad inputs, made from config/openapi.json: each answer is as the document says, and no refusal changes anything."""

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

from apps.core import heartbeats
from apps.core.errors import BadInput
from tests.security.api_document import Sender, Spoil, browsers_at_every_step, load
from tests.test_json_apis import quick_codes
from tests.world import World

__all__ = ["quick_codes"]

SAME_INPUTS = bool(os.environ.get("CI"))  # what a merge is judged by is the same each time; by hand they are new ones
SPOILS = st.one_of(
    st.builds(Spoil, st.sampled_from(["cut", "byte", "twice", "long"]), st.integers(0, 100_000)),
    st.builds(
        Spoil, st.just("type"), st.just(0),
        st.sampled_from(["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "a/b; c=\"",
                         "application/json; charset=utf-16", "application/xml"]),
    ),
    st.builds(Spoil, st.just("query"), st.just(0), st.text(max_size=300)),
)  # fmt: skip
OPERATIONS: dict[str, Any] = {one.ok().label: one.ok() for one in load().get_all_operations()}
TAKING = [one for one in OPERATIONS.values() if one.body or one.query]


@pytest.fixture
def sender(world: World, quick_codes: None, settings: Any) -> Iterator[Sender]:
    """The application in the world of a few customers; its limits are there, and far away."""
    settings.LIMITS = dict.fromkeys(settings.LIMITS, ((1000000, 1),))
    made = Sender(browsers_at_every_step(world))
    logging.disable(logging.CRITICAL)  # a line for each refusal, which pytest would keep
    for signal in (
        request_started,
        request_finished,
    ):  # at them Django closes the connection, the test's transaction with it
        signal.disconnect(close_old_connections)
    yield made
    logging.disable(logging.NOTSET)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_each_answer_is_as_the_document_says_and_a_refusal_changes_nothing(sender: Sender) -> None:
    send_all(sender, list(OPERATIONS), number=400)


@pytest.mark.nightly
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("label", OPERATIONS)
def test_thousands_do_too(sender: Sender, label: str, pytestconfig: pytest.Config) -> None:
    """In all, or 50,000 with `--full-counts`; each operation is a test, so that several processes share them."""
    send_all(sender, [label], number=50_000 if pytestconfig.getoption("--full-counts") else 4_000)


def send_all(sender: Sender, labels: list[str], *, number: int) -> None:
    """The share that these operations have of so many inputs."""
    began, expected = time.monotonic(), 0
    for operation in (OPERATIONS[label] for label in labels):
        # those that take nothing have little to get wrong
        share = -(-number // len(TAKING)) if operation in TAKING else number // 100
        expected += share
        while share > 0 and (done := _run(sender, operation, share)):
            share -= done
    _report(sender, time.monotonic() - began)
    assert sender.count >= expected * 0.9


def _run(sender: Sender, operation: Any, number: int) -> int:
    before = sender.count
    cases = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    people = st.sampled_from(sorted(sender.browsers.cookies))

    @hypothesis.settings(
        max_examples=number, database=None, derandomize=SAME_INPUTS, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.one_of(*cases), people, st.none() | SPOILS)
    def send(case: Any, who: str, spoil: Spoil | None) -> None:
        sender.send(case, who, spoil=spoil)

    send()
    return sender.count - before


def _report(sender: Sender, seconds: float) -> None:
    statuses = Counter[int]()
    for (_, status), count in sender.statuses.items():
        statuses[status] += count
    print(f"{sender.count} inputs, {sender.refused} refused, in {seconds:.0f} s: {dict(statuses)}")  # noqa: T201
    print(json.dumps({f"{label} {status}": count for (label, status), count in sorted(sender.statuses.items())}))  # noqa: T201


@pytest.mark.parametrize("fault", ["writes", "tells", "breaks"])
def test_a_refusal_that_writes_tells_or_breaks_is_seen(
    sender: Sender, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_text: str) -> None:
        if fault == "writes":
            heartbeats.record_heartbeat("made up")
        if fault == "breaks":
            raise LookupError("of ours")
        raise BadInput("KeyError: 'email' is missing." if fault == "tells" else "That is no address.")

    case = load()["/recovery/send-code/"]["post"].Case(body={"email": "a@b.example"}, media_type="application/json")
    sender.send(case, "stranger")
    monkeypatch.setattr("apps.storefront.recovery_session.parse_address", refuse)
    with pytest.raises((AssertionError, FailureGroup)):
        sender.send(case, "stranger")
