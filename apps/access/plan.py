"""The difference between the decision and what was observed, as a list of steps. Pure: no Django, no I/O.

`diff` is level-triggered: it depends only on the present, so after applying a plan the next one is empty.
Attributes and groups that are not ours never appear in a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from apps.access.plan_products import ObservedProduct, ProductStep, close_in_products, open_in_products
from apps.access.policy import Account, Decision, SeatDecision


@dataclass(frozen=True)
class ObservedAccount:
    """The Keycloak user as read now; `groups` are paths below our parent group only."""

    enabled: bool
    attributes: Mapping[str, str]
    groups: frozenset[str]
    sessions: int = 0


@dataclass(frozen=True)
class ObservedSeat:
    """A live seat: its instance, its state, and the group that gives access to the instance."""

    instance: str
    state: str
    group: str


@dataclass(frozen=True)
class Observed:
    """What was observed. `seats` by product slug; `local_groups` are the Django groups that belong to instances.

    `products`: the instances that take orders for this person. `proven`: the account that is to be linked instead of creating one.
    """

    account: ObservedAccount | None
    seats: Mapping[str, ObservedSeat] = field(default_factory=dict)
    local_groups: frozenset[str] = frozenset()
    owned_attributes: frozenset[str] = frozenset()
    products: tuple[ObservedProduct, ...] = ()
    proven: str = ""


class _SentenceStep:
    """A step with a fixed sentence for staff around its fields."""

    words: ClassVar[str]
    takes_access = False  # Keycloak gives more than is due, and the step ends that

    @property
    def sentence(self) -> str:
        return self.words.format(**vars(self))


@dataclass(frozen=True)
class CreateAccount(_SentenceStep):
    """Create the account with its attributes, after the seats that these name."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    words: ClassVar[str] = "Create the Keycloak account and email a link to set the password."


@dataclass(frozen=True)
class LinkAccount(_SentenceStep):
    """Make the account that they have proven to be theirs the subscriber's, instead of creating one."""

    account: str
    words: ClassVar[str] = "Link the Keycloak account {account}, with which they signed up."


@dataclass(frozen=True)
class AssignSeat(_SentenceStep):
    """Assign a seat of `product`: the reserved or retained one, or a new one."""

    product: str
    words: ClassVar[str] = "Assign a seat on {product}."


@dataclass(frozen=True)
class RetainSeat(_SentenceStep):
    """Keep the seat while access is withheld."""

    product: str
    words: ClassVar[str] = "Keep the seat on {product}, without access."


@dataclass(frozen=True)
class ReleaseSeat(_SentenceStep):
    product: str
    words: ClassVar[str] = "Release the seat on {product}."


@dataclass(frozen=True)
class UpdateAccount:
    """One write of the account: `enabled` (None: unchanged) and attributes (None removes); `was`: these attributes before."""

    enabled: bool | None
    attributes: Mapping[str, str | None]
    was: Mapping[str, str | None] = field(default_factory=dict, compare=False)

    @property
    def takes_access(self) -> bool:
        """Keycloak gives more than is due."""
        return self.enabled is False or None in self.attributes.values()

    @property
    def sentence(self) -> str:
        parts = [] if self.enabled is None else ["Enable the account" if self.enabled else "Disable the account"]
        parts += [f"set {name} to {value}" for name, value in self.attributes.items() if value is not None]
        parts += [f"remove {name}" for name, value in self.attributes.items() if value is None]
        text = ", ".join(parts)
        return f"{text[:1].upper()}{text[1:]}."


@dataclass(frozen=True)
class JoinGroup(_SentenceStep):
    """Let in to an instance."""

    group: str
    words: ClassVar[str] = "Join the group {group}."


@dataclass(frozen=True)
class LeaveGroup(_SentenceStep):
    group: str
    takes_access = True
    words: ClassVar[str] = "Leave the group {group}."


@dataclass(frozen=True)
class SetLocalGroups:
    """Make the Django groups of instances these."""

    groups: frozenset[str]
    takes_access = False  # Keycloak's groups are what opens the apps

    @property
    def sentence(self) -> str:
        return f"Set the local groups to {', '.join(sorted(self.groups)) or 'none'}."


@dataclass(frozen=True)
class EndSessions(_SentenceStep):
    words: ClassVar[str] = "End all sessions."


Step = (
    CreateAccount
    | LinkAccount
    | AssignSeat
    | RetainSeat
    | ReleaseSeat
    | UpdateAccount
    | JoinGroup
    | LeaveGroup
    | SetLocalGroups
    | EndSessions
    | ProductStep
)


def is_loss(step: Step) -> bool:
    """Whether a step takes something: in Keycloak, or a seat that is in use or kept."""
    return step.takes_access or isinstance(step, RetainSeat | ReleaseSeat | EndSessions)


def diff(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    """The steps from `observed` to `decision`, in the order to apply them; empty when in sync.

    Of a partial decision nothing is taken away: what is not known may have given it. Closing comes before opening: access
    that is no longer due ends even if a later step fails.
    """
    if decision.account == Account.AS_IS:
        return ()
    if decision.account == Account.UNTOUCHED:
        if observed.account is None:
            return ()
        # Only a grant can have created it; the grant has ended, and nothing was ever paid.
        decision = replace(decision, account=Account.DISABLED, seats=SeatDecision.RELEASED)
    if decision.partial and decision.account == Account.ENABLED:
        decision, observed = _keeping(decision, observed)
    groups = _wanted_groups(decision, observed)
    closing = (
        *_close_account(decision, observed),
        *_leave(groups, observed),
        *_end_sessions(decision, observed),
        *_close_products(decision, observed),
    )
    opening = (
        *_join(decision, groups, observed),
        *_open_account(decision, observed),
        *_open_products(decision, observed),
    )
    return (*closing, *_seats(decision, observed), *_create(decision, observed), *opening)


def _keeping(decision: Decision, observed: Observed) -> tuple[Decision, Observed]:
    """A partial decision with the seats and the larger numbers that are there, and nothing to take away."""
    due = decision.entitlements
    seats = {app: seat for app, seat in observed.seats.items() if seat.state == "assigned" or app in due.seats}
    present = observed.account.attributes if observed.account else {}
    grants = {name: max(amount, _number(present.get(name))) for name, amount in due.grants.items()}
    kept = replace(due, seats=due.seats | seats.keys(), grants=grants)
    return replace(decision, entitlements=kept), replace(observed, seats=seats, owned_attributes=frozenset())


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _create(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    if not _is_to_be_created(decision, observed):
        return ()
    if observed.proven:
        return (LinkAccount(observed.proven),)
    return (CreateAccount(_wanted_attributes(decision, observed)),)


def _is_to_be_created(decision: Decision, observed: Observed) -> bool:
    return observed.account is None and decision.account == Account.ENABLED


def _assigned(decision: Decision, observed: Observed) -> dict[str, ObservedSeat]:
    """Seats that are assigned and due."""
    return {
        product: seat
        for product, seat in observed.seats.items()
        if seat.state == "assigned" and product in decision.entitlements.seats
    }


def _seats(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    due = decision.entitlements.seats if decision.seats == SeatDecision.ASSIGNED else frozenset[str]()
    steps: list[Step] = [AssignSeat(product) for product in sorted(due - _assigned(decision, observed).keys())]
    for product in sorted(observed.seats.keys() - due):
        state, is_retained = observed.seats[product].state, decision.seats == SeatDecision.RETAINED
        if state == "reserved":
            # Somebody is paying for it right now, and it ends automatically; or has paid, and is on hold.
            steps += [RetainSeat(product)] if is_retained and product in decision.kept else []
        elif not is_retained and product not in decision.kept:
            steps.append(ReleaseSeat(product))
        elif state == "assigned":
            steps.append(RetainSeat(product))
    return tuple(steps)


def _wanted_groups(decision: Decision, observed: Observed) -> frozenset[str]:
    return frozenset(seat.group for seat in _assigned(decision, observed).values())


def _wanted_attributes(decision: Decision, observed: Observed) -> dict[str, str]:
    instances = {product: seat.instance for product, seat in _assigned(decision, observed).items()}
    return decision.entitlements.attributes(instances)


def _close_account(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    """One write that removes: attributes no longer due, and `enabled` if the account should be disabled."""
    account = observed.account
    if account is None:
        return ()
    gone = account.attributes.keys() & observed.owned_attributes - _wanted_attributes(decision, observed).keys()
    disable = account.enabled and decision.account == Account.DISABLED
    if not gone and not disable:
        return ()
    was = {name: account.attributes.get(name) for name in sorted(gone)}
    return (UpdateAccount(False if disable else None, dict.fromkeys(was), was),)


def _open_account(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    """One write that adds: attributes that are due, and `enabled` if the account should be enabled."""
    account = observed.account
    if account is None or decision.account != Account.ENABLED:
        return ()
    wanted = sorted(_wanted_attributes(decision, observed).items())
    changes = {name: value for name, value in wanted if account.attributes.get(name) != value}
    if not changes and account.enabled:
        return ()
    was = {name: account.attributes.get(name) for name in changes}
    return (UpdateAccount(None if account.enabled else True, changes, was),)


def _leave(groups: frozenset[str], observed: Observed) -> tuple[Step, ...]:
    present = observed.account.groups if observed.account else frozenset[str]()
    steps: list[Step] = [LeaveGroup(group) for group in sorted(present - groups)]
    if observed.local_groups - groups:
        steps.append(SetLocalGroups(observed.local_groups & groups))
    return tuple(steps)


def _join(decision: Decision, groups: frozenset[str], observed: Observed) -> tuple[Step, ...]:
    nowhere = frozenset() if _is_to_be_created(decision, observed) else groups  # else there is nobody to join
    present = observed.account.groups if observed.account else nowhere
    steps: list[Step] = [JoinGroup(group) for group in sorted(groups - present)]
    if groups - observed.local_groups:
        steps.append(SetLocalGroups(groups))
    return tuple(steps)


def _open_at(decision: Decision, observed: Observed) -> dict[str, str]:
    """Where each seat is in use, by product."""
    due = _assigned(decision, observed) if decision.account == Account.ENABLED else {}
    return {product: seat.instance for product, seat in due.items()}


def _close_products(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    if decision.partial and decision.account == Account.ENABLED:
        return ()
    open_at = _open_at(decision, observed)
    kept_at = {product: seat.instance for product, seat in observed.seats.items()}
    return close_in_products(observed.products, open_at=open_at, kept_at=kept_at)


def _open_products(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    if observed.account is None:
        return ()  # an account in a product bears the id of the one in Keycloak
    open_at, grants = _open_at(decision, observed), decision.entitlements.grants
    return open_in_products(observed.products, open_at=open_at, grants=grants, keeps=decision.partial)


def _end_sessions(decision: Decision, observed: Observed) -> tuple[Step, ...]:
    """Also when an earlier run disabled the account and died before the logout."""
    account = observed.account
    if account is None or decision.account != Account.DISABLED:
        return ()
    return (EndSessions(),) if account.enabled or account.sessions else ()
