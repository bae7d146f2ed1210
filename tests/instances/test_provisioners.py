"""What each provisioner keeps of the contract, against its stand-in: what it does twice is done once, and each refusal says who acts."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.core.errors import DependencyDown, NeedsOperator
from apps.instances.provisioning import calls
from apps.instances.provisioning.contract import AccountFound, AccountOrder, is_right
from tests.instances.peers import DANA, ID, PEERS, Peer
from tests.instances.products import GB
from tests.sandbox.keycloak_fixture import Standin

VERBS = ["ensure", "suspend", "resume", "deprovision", "find"]
FOUND = AccountFound(True, None, None)
each = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.kind)


def is_open(found: Any, quota: int, *, used: int = 0) -> bool:
    return is_right(AccountOrder(True, True, quota, DANA.email), found) and found.used == used


@each
@examples(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(VERBS), max_size=6), st.integers(0, 3000))
def test_what_is_done_twice_is_done_once(standin: Standin, peer: Peer, verbs: list[str], gb: int) -> None:
    product = peer.connect(standin)
    if (before := product.find(ID)) and not before.enabled:
        product.resume(ID)
    product.ensure(DANA, quota=gb * GB)
    asks = {"ensure": lambda: product.ensure(DANA, quota=gb * GB)}
    for verb in verbs:
        ask = asks.get(verb) or partial(getattr(product, verb), ID)
        if verb == "resume" and product.find(ID) is None:
            continue
        ask()
        once = product.find(ID)
        ask()
        assert product.find(ID) == once
    if (found := product.find(ID)) and not found.enabled:
        product.resume(ID)
    product.ensure(DANA, quota=gb * GB)
    assert is_open(product.find(ID), product.quota_held(gb * GB))


@each
def test_a_used_account_an_unlimited_one_and_none(standin: Standin, peer: Peer) -> None:
    product = peer.connect(standin)
    product.ensure(DANA, quota=None)
    found = product.find(ID)
    assert found is not None
    assert (found.enabled, found.quota, found.used) == (True, None, 0)
    standin.control(peer.kind, host="cloud-1", user=ID, used=7 * GB)
    product.ensure(DANA, quota=10 * GB)
    assert is_open(product.find(ID), 10 * GB, used=7 * GB)
    product.suspend(ID)
    found = product.find(ID)
    assert found is not None
    assert (found.enabled, found.used) == (False, 7 * GB)  # the data stays
    assert product.find("nobody") is None
    product.suspend("nobody")
    product.deprovision("nobody")
    product.deprovision(ID)
    assert product.find(ID) is None


@each
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("down", DependencyDown), ("http_401", DependencyDown), ("http_429", DependencyDown), ("http_503", DependencyDown),
        ("lost_answer", DependencyDown), ("http_403", DependencyDown), ("no_rights", DependencyDown),
        ("http_400", NeedsOperator),
    ],
)  # fmt: skip
def test_each_failure_says_who_has_to_act(standin: Standin, peer: Peer, mode: str, kind: type[Exception]) -> None:
    product = peer.connect(standin)
    product.ensure(DANA, quota=GB)
    standin.fault(mode, peer=peer.kind)
    with pytest.raises(kind) as failure:
        product.suspend(ID)
    assert "cloud-1" in str(failure.value)
    assert peer.secret not in str(failure.value)


@each
def test_not_found_is_believed_of_an_administrator_alone(standin: Standin, peer: Peer) -> None:
    """Else the owners of accounts that are there would count as deleted."""
    peer.connect(standin).ensure(DANA, quota=GB)
    standin.fault("no_rights", peer=peer.kind)
    with pytest.raises(DependencyDown, match=r"administrator|rights"):
        peer.connect(standin).find(ID)
    with pytest.raises(NeedsOperator, match="administrator"):
        peer.connect(standin).check()
    standin.fault("ok", peer=peer.kind)
    product = peer.connect(standin)
    assert product.find("nobody") is None
    assert is_open(product.find(ID), GB)


@each
def test_what_is_right_is_not_asked_for_again(standin: Standin, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    product = peer.connect(standin)
    product.ensure(DANA, quota=GB)
    found = product.find(ID)
    asked: list[str] = []
    plain = requests.request
    monkeypatch.setattr(
        requests, "request", lambda method, *rest, **more: asked.append(method) or plain(method, *rest, **more)
    )
    product.ensure(DANA, quota=GB, found=found)
    assert asked == []
    product.ensure(DANA, quota=2 * GB, found=found)
    assert asked == ["PUT"]


@each
def test_an_instance_that_makes_one_job_wait_too_long_counts_as_down(
    standin: Standin, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = peer.connect(standin)
    product.ensure(DANA, quota=GB)
    monkeypatch.setattr(calls, "SLOW", -1)  # each call
    monkeypatch.setattr(calls, "PATIENCE", 0)
    assert product.find(ID) is not None
    with pytest.raises(DependencyDown, match="too slow"):
        product.find(ID)


@each
def test_a_check_finds_a_wrong_secret_and_what_is_another_product(standin: Standin, peer: Peer) -> None:
    with pytest.raises(DependencyDown, match="refuses our login"):
        peer.connect(standin, secret="wrong").check()
    with pytest.raises(DependencyDown, match=f"does not answer as {peer.label} does"):
        peer.connect(standin, address=f"{standin.url}/mailgun").check()


@each
def test_a_server_is_the_same_by_each_of_its_names(standin: Standin, peer: Peer) -> None:
    first = peer.connect(standin).check()
    standin.control(peer.kind, host="photos", same_as="cloud-1")
    assert first
    assert peer.connect(standin, address=f"{standin.url}/{peer.kind}/photos").check() == first
    assert peer.connect(standin, address=f"{standin.url}/{peer.kind}/cloud-2").check() not in ("", first)


@each
@given(st.one_of(st.integers(0, 4096), st.integers(1, 5000).map(lambda gb: gb * GB), st.integers(0, 2**52)))
def test_nobody_gets_less_than_was_paid_for(peer: Peer, quota: int) -> None:
    held = peer.offline().quota_held(quota)
    assert held >= quota
    assert held - quota <= max(1024, quota * 0.11)


def test_an_address_counts_where_the_login_finds_the_account_by_it() -> None:
    order = AccountOrder(True, True, None, DANA.email)
    found = replace(FOUND, email="dana@old.example.com")
    assert not is_right(order, found)
    assert is_right(order, replace(found, email=DANA.email))
    assert is_right(replace(order, enabled=False), replace(found, enabled=False))


@pytest.mark.parametrize(
    ("order", "found", "right"),
    [
        (AccountOrder(True, True, 5), AccountFound(True, 5, None), True),
        (AccountOrder(True, True, None), AccountFound(True, 7, None), True),
        (AccountOrder(True, True, 5), AccountFound(True, None, None), False),
        (AccountOrder(True, True, 5), AccountFound(False, 5, None), False),
        (AccountOrder(True, True, 5), AccountFound(True, 5, None, in_group=False), False),
        (AccountOrder(True, True, 5), None, False),
        (AccountOrder(True, False, 5), AccountFound(True, 5, None), False),
        (AccountOrder(True, False, 5), AccountFound(False, 9, None), True),
        (AccountOrder(True, False, 5), None, True),
        (AccountOrder(False, False), AccountFound(False, 5, None), False),
        (AccountOrder(False, False), None, True),
    ],
)
def test_when_nothing_is_left_to_do(order: AccountOrder, found: AccountFound | None, right: bool) -> None:
    assert is_right(order, found) is right
