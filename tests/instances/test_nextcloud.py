"""Nextcloud's provisioner against the stand-in: what it does twice is done once, and each refusal says who has to act."""

from functools import partial
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.core.errors import DependencyDown, NeedsOperator
from apps.instances.provisioning import calls
from apps.instances.provisioning.contract import AccountFound, AccountOrder, AccountOwner, ProductHost, is_right
from apps.instances.provisioning.nextcloud import Nextcloud, as_kept
from apps.sandbox.nextcloud.accounts import size_as_text, size_in_bytes
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from tests.instances.products import GB
from tests.sandbox.keycloak_fixture import Standin

ID = "0b7e2c1a-1111-4222-8333-944455556666"
DANA = AccountOwner(ID, "Dana Example", "dana@example.com")
SIZES = st.one_of(st.integers(0, 4096), st.integers(1, 5000).map(lambda gb: gb * GB), st.integers(0, 2**52))


def cloud(standin: Standin, **more: Any) -> Nextcloud:
    host = {
        "name": "cloud-1",
        "dependency": "instance-1",
        "address": f"{standin.url}/nextcloud/cloud-1/",
        "login": ADMIN,
    }
    return Nextcloud(ProductHost(**{**host, "secret": APP_PASSWORD, "group": "customers", **more}))


@given(SIZES)
def test_nobody_gets_less_than_was_paid_for_and_what_is_sent_is_what_is_kept(quota: int) -> None:
    held = cloud_offline.quota_held(quota)
    assert held >= quota
    assert size_in_bytes(size_as_text(held)) == held == as_kept(held)
    assert held - quota <= max(1024, quota * 0.11)


cloud_offline = Nextcloud(ProductHost("cloud-1", "instance-1", "http://127.0.0.1:9", ADMIN, APP_PASSWORD))


@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["ensure", "suspend", "resume", "deprovision", "find"]), max_size=6), st.integers(0, 3000)
)
def test_what_is_done_twice_is_done_once(standin: Standin, verbs: list[str], gb: int) -> None:
    product = cloud(standin)
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
    product.ensure(DANA, quota=gb * GB)
    if (found := product.find(ID)) and not found.enabled:
        product.resume(ID)
    assert product.find(ID) == AccountFound(True, product.quota_held(gb * GB), 0)


def test_a_used_account_an_unlimited_one_and_none(standin: Standin) -> None:
    product = cloud(standin)
    product.ensure(DANA, quota=None)
    assert product.find(ID) == AccountFound(True, None, 0)
    standin.control("nextcloud", host="cloud-1", user=ID, used=7 * GB)
    assert product.find(ID) == AccountFound(True, None, 7 * GB)
    product.ensure(DANA, quota=10 * GB)
    assert product.find(ID) == AccountFound(True, 10 * GB, 7 * GB)
    assert product.find("nobody") is None
    product.suspend("nobody")
    product.deprovision("nobody")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("down", DependencyDown), ("http_401", DependencyDown), ("http_429", DependencyDown), ("http_503", DependencyDown),
        ("lost_answer", DependencyDown), ("http_403", DependencyDown), ("no_rights", DependencyDown),
        ("http_400", NeedsOperator),
    ],
)  # fmt: skip
def test_each_failure_says_who_has_to_act(standin: Standin, mode: str, kind: type[Exception]) -> None:
    product = cloud(standin)
    product.ensure(DANA, quota=GB)
    standin.fault(mode, peer="nextcloud")
    with pytest.raises(kind) as failure:
        product.suspend(ID)
    assert "cloud-1" in str(failure.value)
    assert APP_PASSWORD not in str(failure.value)


def test_not_found_is_believed_of_an_administrator_alone(standin: Standin) -> None:
    """To anybody else Nextcloud says so of accounts that are there: their owners would count as deleted."""
    cloud(standin).ensure(DANA, quota=GB)
    standin.fault("no_rights", peer="nextcloud")
    with pytest.raises(DependencyDown, match="no administrator any more"):
        cloud(standin).find(ID)
    with pytest.raises(NeedsOperator, match="no administrator"):
        cloud(standin).check()
    standin.fault("ok", peer="nextcloud")
    product = cloud(standin)
    assert product.find("nobody") is None
    assert product.find(ID) == AccountFound(True, GB, 0)


def test_what_is_right_is_not_asked_for_again(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    product = cloud(standin)
    product.ensure(DANA, quota=GB)
    found = product.find(ID)
    asked: list[str] = []
    monkeypatch.setattr(product, "_ask", lambda method, path, *_rest, **_more: asked.append(f"{method} {path}"))
    product.ensure(DANA, quota=GB, found=found)
    assert asked == []
    product.ensure(DANA, quota=2 * GB, found=found)
    assert asked == [f"PUT users/{ID}"]


def test_an_instance_that_makes_one_job_wait_too_long_counts_as_down(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = cloud(standin)
    product.ensure(DANA, quota=GB)
    monkeypatch.setattr(calls, "SLOW", -1)  # each call
    monkeypatch.setattr(calls, "PATIENCE", 0)
    assert product.find(ID) is not None
    with pytest.raises(DependencyDown, match="too slow"):
        product.find(ID)


def test_a_check_finds_a_wrong_password_and_what_is_no_nextcloud(standin: Standin) -> None:
    assert cloud(standin).check().startswith("oc")
    with pytest.raises(DependencyDown, match="refuses our login"):
        cloud(standin, secret="wrong").check()
    with pytest.raises(DependencyDown, match="does not answer as Nextcloud does"):
        cloud(standin, address=f"{standin.url}/mailgun").check()


def test_wrong_passwords_are_throttled_and_a_call_without_the_header_is_none(standin: Standin) -> None:
    """The stand-in is as rude as the real one."""
    for _ in range(10):
        with pytest.raises(DependencyDown, match="401"):
            cloud(standin, secret="wrong").check()
    with pytest.raises(DependencyDown, match="429"):
        cloud(standin).check()
    url = f"{standin.url}/nextcloud/cloud-2/ocs/v2.php/cloud/users/{ID}"
    assert requests.get(url, auth=(ADMIN, APP_PASSWORD), timeout=10).status_code == 412
    answer = requests.get(url, auth=(ADMIN, APP_PASSWORD), headers={"OCS-APIRequest": "true"}, timeout=10)
    assert (answer.status_code, answer.text.count("<statuscode>404</statuscode>")) == (404, 1)


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
