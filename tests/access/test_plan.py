"""The plan from what is to what should be: exact, in a safe order, and blind for what is not ours."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.access import plan
from apps.access.plan import Observed, ObservedAccount, ObservedSeat, Step, diff
from apps.access.policy import Account, Decision, SeatDecision
from apps.catalog.entitlements import NOTHING, Entitlements, attribute_names
from apps.core.reasons import Reason, ReasonCode
from apps.core.states import AccessState

APPS = ("nextcloud", "vaultwarden")
ALL = Entitlements(frozenset({*APPS, "wiki"}), frozenset(APPS), {"storage_gb": 1})
OWNED = attribute_names(ALL)
GROUPS = {app: f"/frontdesk/{app}-1" for app in APPS}
FOREIGN = {"department": "sales", "onboarding_id": "abc"}


def decision(state: AccessState, entitled: Entitlements = NOTHING, waiting: frozenset[str] = frozenset()) -> Decision:
    """A decision as the policy makes it."""
    accounts = {AccessState.ACTIVE: Account.ENABLED, AccessState.GRACE: Account.ENABLED}
    accounts |= {AccessState.RECOVERING: Account.ENABLED, AccessState.NONE: Account.UNTOUCHED}
    seats = {AccessState.ACTIVE: SeatDecision.ASSIGNED, AccessState.GRACE: SeatDecision.ASSIGNED}
    seats |= {AccessState.EXPIRED: SeatDecision.RELEASED, AccessState.NONE: SeatDecision.UNTOUCHED}
    wish = seats.get(state, SeatDecision.RETAINED)
    given = entitled if wish == SeatDecision.ASSIGNED else NOTHING
    kept = waiting - given.seats if wish == SeatDecision.ASSIGNED or state == AccessState.ON_HOLD else frozenset[str]()
    return Decision(state, accounts.get(state, Account.DISABLED), wish, Reason(ReasonCode.PAID), given, kept)


def act(observed: Observed, step: Step) -> Observed:  # noqa: C901, PLR0912  (one line for each kind of step)
    """What the real `apply` does, in memory, on a Keycloak and instances that never fail."""
    account = observed.account
    match step:
        case plan.CreateAccount(attributes):
            return replace(observed, account=ObservedAccount(True, attributes, frozenset()))
        case plan.AssignSeat(product):
            seat = observed.seats.get(product) or ObservedSeat(f"{product}-1", "", GROUPS[product])
            return replace(observed, seats={**observed.seats, product: replace(seat, state="assigned")})
        case plan.RetainSeat(product):
            seat = replace(observed.seats[product], state="retained")
            return replace(observed, seats={**observed.seats, product: seat})
        case plan.ReleaseSeat(product):
            return replace(
                observed,
                seats={name: seat for name, seat in observed.seats.items() if name != product},
            )
        case plan.SetLocalGroups(groups):
            return replace(observed, local_groups=groups)
    assert account is not None
    match step:
        case plan.UpdateAccount(enabled, attributes):
            kept = {name: value for name, value in account.attributes.items() if name not in attributes}
            kept |= {name: value for name, value in attributes.items() if value is not None}
            flag = account.enabled if enabled is None else enabled
            return replace(observed, account=replace(account, enabled=flag, attributes=kept))
        case plan.JoinGroup(group):
            return replace(observed, account=replace(account, groups=account.groups | {group}))
        case plan.LeaveGroup(group):
            return replace(observed, account=replace(account, groups=account.groups - {group}))
        case plan.EndSessions():
            return replace(observed, account=replace(account, sessions=0))
    raise AssertionError(step)


def settle(wanted: Decision, observed: Observed) -> Observed:
    """Look and apply until there is nothing left to do; at most the rounds reconcile has."""
    for _ in range(4):
        steps = diff(wanted, observed)
        if not steps:
            return observed
        for step in steps:
            observed = act(observed, step)
    assert diff(wanted, observed) == ()
    return observed


STATES = st.sampled_from(list(AccessState))
ENTITLED = st.sampled_from(
    [
        Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100}),
        Entitlements(frozenset(APPS), frozenset(APPS), {"storage_gb": 500}),
        Entitlements(frozenset({"wiki"}), frozenset(), {}),
        NOTHING,
    ]
)
DECISIONS = st.builds(decision, STATES, ENTITLED, st.frozensets(st.sampled_from(APPS)))


@st.composite
def anything(draw: st.DrawFn) -> Observed:
    """Any state the world can be in, sensible or not."""
    names = st.sampled_from(sorted(OWNED))
    attributes = draw(st.dictionaries(names, st.sampled_from(["true", "100", "nextcloud-9", "x##y"])))
    groups = st.frozensets(st.sampled_from([*GROUPS.values(), "/frontdesk/old-7"]))
    account = ObservedAccount(
        draw(st.booleans()),
        {**FOREIGN, **attributes},
        draw(groups),
        sessions=draw(st.integers(0, 2)),
    )
    if account.enabled:
        account = replace(account, sessions=0)  # they are counted only for disabled accounts
    states = st.sampled_from(["reserved", "assigned", "retained"])
    seats = {app: ObservedSeat(f"{app}-1", draw(states), GROUPS[app]) for app in draw(st.sets(st.sampled_from(APPS)))}
    return Observed(draw(st.none() | st.just(account)), seats, draw(groups), OWNED)


@given(DECISIONS, anything())
@settings(max_examples=150)
def test_after_a_plan_is_carried_out_the_next_one_is_empty(wanted: Decision, observed: Observed) -> None:
    is_so(wanted, settle(wanted, observed))


@pytest.mark.long
@given(anything(), st.lists(st.tuples(DECISIONS, st.integers(0, 8)), min_size=2, max_size=12))
@settings(max_examples=600)
@pytest.mark.fault("F03")
def test_a_life_of_looks_that_died_ends_as_its_last_decision_says(
    observed: Observed, life: list[tuple[Decision, int]]
) -> None:
    """F03, pure: each look carries out so many steps and dies; the last one is the sweep's."""
    for wanted, carried_out in life:
        for step in diff(wanted, observed)[:carried_out]:
            observed = act(observed, step)
    last = life[-1][0]
    is_so(last, settle(last, observed))


def is_so(wanted: Decision, settled: Observed) -> None:
    """What is equals what should be."""
    assert diff(wanted, settled) == ()
    if wanted.account == Account.ENABLED:
        assert settled.account is not None
        instances = {app: settled.seats[app].instance for app in wanted.entitlements.seats}
        ours = {name: value for name, value in settled.account.attributes.items() if name in OWNED}
        assert ours == wanted.entitlements.attributes(instances)
        assert settled.account.groups == settled.local_groups == {GROUPS[app] for app in wanted.entitlements.seats}
    elif settled.account is not None:
        assert not settled.account.enabled
        assert not settled.account.sessions
        assert settled.account.groups == settled.local_groups == frozenset()
        assert not OWNED & settled.account.attributes.keys()


@given(DECISIONS, anything())
@settings(max_examples=150)
def test_what_is_not_ours_never_appears_in_a_step(wanted: Decision, observed: Observed) -> None:
    for step in diff(wanted, observed):
        if isinstance(step, plan.UpdateAccount):
            assert not FOREIGN.keys() & step.attributes.keys()
    settled = settle(wanted, observed)
    if observed.account is not None:
        assert settled.account is not None
        assert FOREIGN.items() <= settled.account.attributes.items()


def closes(step: Step) -> bool:
    return isinstance(step, (plan.LeaveGroup, plan.EndSessions)) or (
        isinstance(step, plan.UpdateAccount) and (step.enabled is False or None in step.attributes.values())
    )


def opens(step: Step) -> bool:
    return isinstance(step, plan.JoinGroup) or (
        isinstance(step, plan.UpdateAccount) and (step.enabled is True or any(step.attributes.values()))
    )


@given(DECISIONS, anything())
@settings(max_examples=150)
def test_closing_comes_before_opening(wanted: Decision, observed: Observed) -> None:
    steps = diff(wanted, observed)
    last_close = max((number for number, step in enumerate(steps) if closes(step)), default=-1)
    first_open = min((number for number, step in enumerate(steps) if opens(step)), default=len(steps))
    assert last_close < first_open
    assert not any(closes(step) and opens(step) for step in steps)


@given(DECISIONS, anything(), st.data())
@settings(max_examples=120)
def test_it_converges_from_wherever_a_run_died(wanted: Decision, observed: Observed, data: st.DataObject) -> None:
    steps = diff(wanted, observed)
    died = observed
    for step in steps[: data.draw(st.integers(0, len(steps)))]:
        died = act(died, step)
    one, other = settle(wanted, died), settle(wanted, observed)
    assert (one.account, one.seats, one.local_groups) == (
        other.account,
        other.seats,
        other.local_groups,
    )


@given(DECISIONS, anything())
def test_every_step_has_a_sentence_for_staff(wanted: Decision, observed: Observed) -> None:
    for step in diff(wanted, observed):
        assert step.sentence.endswith(".")
        assert step.sentence[0].isupper()


def account(*, enabled: bool = True, sessions: int = 0, **attributes: str) -> ObservedAccount:
    return ObservedAccount(enabled, attributes, frozenset(), sessions)


def kinds(steps: tuple[Step, ...]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_the_first_look_makes_the_account_and_the_seat() -> None:
    wanted = decision(AccessState.ACTIVE, ALL)
    held = Observed(
        None,
        {"nextcloud": ObservedSeat("nextcloud-1", "reserved", GROUPS["nextcloud"])},
        frozenset(),
        OWNED,
    )
    assert kinds(diff(wanted, held)) == ["AssignSeat", "AssignSeat", "CreateAccount"]


@pytest.mark.parametrize(
    "state", [AccessState.SUSPENDED, AccessState.CANCELED, AccessState.ON_HOLD, AccessState.EXPIRED]
)
def test_a_disabled_account_with_sessions_left_is_logged_out(state: AccessState) -> None:
    found = Observed(account(enabled=False, sessions=1), owned_attributes=OWNED)
    assert kinds(diff(decision(state), found)) == ["EndSessions"]


def test_nobody_is_touched_who_never_paid_and_has_no_account() -> None:
    held = Observed(
        None,
        {"nextcloud": ObservedSeat("nextcloud-1", "reserved", GROUPS["nextcloud"])},
        frozenset(),
        OWNED,
    )
    assert diff(decision(AccessState.NONE), held) == ()


def test_an_account_a_grant_has_left_is_closed() -> None:
    found = Observed(account(has_wiki="true"), owned_attributes=OWNED)
    assert diff(decision(AccessState.NONE), found) == (
        plan.UpdateAccount(False, {"has_wiki": None}),
        plan.EndSessions(),
    )


def test_a_seat_somebody_is_paying_for_is_left_alone() -> None:
    held: Mapping[str, ObservedSeat] = {"nextcloud": ObservedSeat("nextcloud-1", "reserved", GROUPS["nextcloud"])}
    assert diff(decision(AccessState.EXPIRED), Observed(None, held, frozenset(), OWNED)) == ()


@pytest.mark.parametrize(
    ("state", "seat", "steps"),
    [
        (AccessState.ACTIVE, "assigned", (plan.RetainSeat("nextcloud"),)),
        (AccessState.ACTIVE, "retained", ()),
        (AccessState.ACTIVE, "reserved", ()),
        (AccessState.ON_HOLD, "reserved", (plan.RetainSeat("nextcloud"),)),
    ],
)
def test_a_seat_that_is_kept_waits(state: AccessState, seat: str, steps: tuple[Step, ...]) -> None:
    there = Observed(
        account(enabled=state == AccessState.ACTIVE),
        {"nextcloud": ObservedSeat("nextcloud-1", seat, GROUPS["nextcloud"])},
        owned_attributes=OWNED,
    )
    assert diff(decision(state, NOTHING, frozenset({"nextcloud"})), there) == steps
    if state == AccessState.ACTIVE and seat != "reserved":
        assert diff(decision(state), there) == (plan.ReleaseSeat("nextcloud"),)


def test_a_moved_seat_moves_group_and_attribute() -> None:
    wanted = decision(AccessState.ACTIVE, Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"})))
    old, new = "/frontdesk/nextcloud-1", "/frontdesk/nextcloud-2"
    there = ObservedAccount(True, {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1"}, frozenset({old}))
    seats = {"nextcloud": ObservedSeat("nextcloud-2", "assigned", new)}
    assert diff(wanted, Observed(there, seats, frozenset({old}), OWNED)) == (
        plan.LeaveGroup(old),
        plan.SetLocalGroups(frozenset()),
        plan.JoinGroup(new),
        plan.SetLocalGroups(frozenset({new})),
        plan.UpdateAccount(None, {"nextcloud_instance": "nextcloud-2"}),
    )
