"""Orders to products follow from the decision: exact, none twice, closing before opening, and nothing is taken that may be due."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.access import plan_products as orders
from apps.access.plan import Observed, ObservedAccount, ObservedSeat, diff, is_loss
from apps.access.plan_products import ObservedProduct
from apps.access.policy import Decision
from apps.catalog.entitlements import Entitlements
from apps.core.states import AccessState
from tests.access.test_plan import decision

GB = 1024**3
ASSIGNED = ObservedSeat("cloud-1", "assigned", "/frontdesk/cloud-1")
RETAINED = replace(ASSIGNED, state="retained")
ACCOUNT = ObservedAccount(True, {}, frozenset())


def bought(gb: int) -> Entitlements:
    return Entitlements(frozenset({"cloud"}), frozenset({"cloud"}), {"storage_gb": gb})


def product(state: str = "", quota: int | None = None, **more: Any) -> ObservedProduct:
    return ObservedProduct("cloud", "cloud-1", "Nextcloud", "storage_gb", 30, state, quota, **more)


def planned(
    wanted: Decision, seat: ObservedSeat | None, *products: ObservedProduct, account: Any = ACCOUNT
) -> list[Any]:
    seen = Observed(account, {"cloud": seat} if seat else {}, products=products)
    return [step for step in diff(wanted, seen) if isinstance(step, orders.ProductStep)]


def act(one: ObservedProduct, step: Any) -> ObservedProduct:
    """What apply writes down."""
    match step:
        case orders.OpenInProduct() | orders.SetQuota():
            return replace(one, state="open", quota=step.quota)
        case orders.SuspendInProduct():
            return replace(one, state="suspended")
        case orders.LeaveProduct():
            return replace(one, state="leaving")
    return replace(one, state="deleted", is_over=False)


ACTIVE, SUSPENDED, EXPIRED = AccessState.ACTIVE, AccessState.SUSPENDED, AccessState.EXPIRED


@pytest.mark.parametrize(
    ("state", "gb", "seat", "one", "sentences"),
    [
        (ACTIVE, 500, ASSIGNED, product(), ["Open the account in Nextcloud, host cloud-1 with 500 GB."]),
        (ACTIVE, 500, ASSIGNED, product("open", 100 * GB), ["Set quota to 500 GB in Nextcloud, host cloud-1."]),
        (ACTIVE, 1536, ASSIGNED, product("open", 100 * GB), ["Set quota to 1.5 TB in Nextcloud, host cloud-1."]),
        (ACTIVE, 500, ASSIGNED, product("open", 500 * GB), []),
        (ACTIVE, 500, ASSIGNED, product("suspended", 500 * GB), ["Open the account in Nextcloud, host cloud-1 with 500 GB."]),
        (ACTIVE, 500, ASSIGNED, product("other id", 500 * GB), ["Open the account in Nextcloud, host cloud-1 with 500 GB."]),
        (SUSPENDED, 500, ASSIGNED, product("open", 500 * GB), ["Suspend the account in Nextcloud, host cloud-1."]),
        (SUSPENDED, 500, RETAINED, product("suspended"), []),
        (SUSPENDED, 500, RETAINED, product("leaving"), ["Suspend the account in Nextcloud, host cloud-1."]),
        (EXPIRED, 0, None, product("suspended"), ["Suspend the account in Nextcloud, host cloud-1, and delete it after 30 days."]),
        (EXPIRED, 0, None, product("leaving"), []),
        (EXPIRED, 0, None, product("leaving", is_over=True), ["Delete the account in Nextcloud, host cloud-1, with its data."]),
        (EXPIRED, 0, None, product("deleted"), []),
        (EXPIRED, 0, None, product(), []),
        (SUSPENDED, 500, RETAINED, product(), []),
        (SUSPENDED, 500, RETAINED, product(may_be_there=True), ["Suspend the account in Nextcloud, host cloud-1."]),
        (EXPIRED, 0, None, product(may_be_there=True), []),
        (ACTIVE, 500, ASSIGNED, product(may_be_there=True), ["Open the account in Nextcloud, host cloud-1 with 500 GB."]),
    ],
)  # fmt: skip
def test_each_order_and_its_sentence(
    state: AccessState, gb: int, seat: ObservedSeat | None, one: ObservedProduct, sentences: list[str]
) -> None:
    steps = planned(decision(state, bought(gb)), seat, one)
    assert [step.sentence for step in steps] == sentences


def test_an_account_of_a_former_login_leaves_beside_the_one_that_is_in_use() -> None:
    now = product("open", 500 * GB, user_id="new")
    for state, over, sentences in [
        ("open", False, ["Suspend the account in Nextcloud, host cloud-1, and delete it after 30 days."]),
        ("leaving", False, []),
        ("leaving", True, ["Delete the account in Nextcloud, host cloud-1, with its data."]),
    ]:
        former = product(state, 500 * GB, user_id="old", is_former=True, is_over=over)
        steps = planned(decision(ACTIVE, bought(500)), ASSIGNED, now, former)
        assert [(step.sentence, step.user_id) for step in steps] == [(one, "old") for one in sentences]


def test_nobody_gets_an_account_in_a_product_before_the_one_in_keycloak() -> None:
    assert planned(decision(ACTIVE, bought(5)), ASSIGNED, product(), account=None) == []


def test_a_smaller_quota_is_a_loss_and_a_larger_one_is_none() -> None:
    (smaller,) = planned(decision(ACTIVE, bought(5)), ASSIGNED, product("open", 9 * GB))
    (larger,) = planned(decision(ACTIVE, bought(9)), ASSIGNED, product("open", 5 * GB))
    assert (is_loss(smaller), is_loss(larger)) == (True, False)


def test_an_account_without_a_limit_gets_none_while_not_all_is_known() -> None:
    wanted = decision(ACTIVE, bought(5))
    assert planned(replace(wanted, partial=True), ASSIGNED, product("open")) == []
    (step,) = planned(wanted, ASSIGNED, product("open"))
    assert is_loss(step)


def test_without_a_number_no_quota_is_set() -> None:
    (step,) = planned(decision(ACTIVE, bought(5)), ASSIGNED, replace(product(), quota_grant=""))
    assert (step.quota, step.sentence) == (None, "Open the account in Nextcloud, host cloud-1.")


STATES = st.sampled_from(["", "open", "suspended", "leaving", "deleted", "other id"])
PRODUCTS = st.builds(
    lambda instance, state, quota, over: replace(
        product(state, quota), instance=instance, is_over=over and state == "leaving"
    ),
    st.sampled_from(["cloud-1", "cloud-2"]), STATES, st.none() | st.integers(0, 9).map(lambda gb: gb * GB), st.booleans(),
)  # fmt: skip


@given(
    st.sampled_from(list(AccessState)), st.integers(0, 9), st.booleans(), st.sampled_from([ASSIGNED, RETAINED, None]),
    st.lists(PRODUCTS, max_size=2, unique_by=lambda one: one.instance),
)  # fmt: skip
def test_done_once_it_is_done_and_of_what_is_partly_known_nothing_is_taken(
    state: AccessState, gb: int, partial: bool, seat: ObservedSeat | None, products: list[ObservedProduct]
) -> None:
    wanted = replace(decision(state, bought(gb)), partial=partial)
    steps = planned(wanted, seat, *products)
    if partial and wanted.account == "enabled":
        assert not any(map(is_loss, steps))
    for _ in range(2):  # an account that is suspended for good is deleted once its days are over
        by_place = {step.instance: step for step in planned(wanted, seat, *products)}
        products = [act(one, by_place[one.instance]) if one.instance in by_place else one for one in products]
    assert planned(wanted, seat, *products) == []
