"""One subscriber as Stripe, Frontdesk and Keycloak have them now, side by side, and which of the three says something else.

Reads only. Stripe decides what is paid, our rows and terms what follows from it, and Keycloak should say just that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.access.facts import read_facts
from apps.access.observe import account_of
from apps.access.policy import Account, decide
from apps.accounts.models import UserProfile
from apps.billing import comparison
from apps.core.errors import WorkError
from apps.core.reason_sentences import reason_sentence
from apps.core.states import AccessState, SubscriptionStatus
from apps.identity.protocol import KeycloakUser
from apps.operations import drift

STRIPE, OURS, KEYCLOAK = "Stripe", "Frontdesk", "Keycloak"


@dataclass(frozen=True)
class Side:
    """What one of the three says; `differs`: what of it is not as the others have it; `problem`: why it could not be asked."""

    name: str
    says: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ThreeWay:
    """The three, and the verdict in a sentence."""

    sides: tuple[Side, ...]
    verdict: str
    agree: bool


def compare_three_ways(profile: UserProfile) -> ThreeWay:
    """Ask Stripe and Keycloak about one subscriber. One that does not answer is said so; the others are compared."""
    sides = (_asked(STRIPE, lambda: _stripe(profile)), _ours(profile), _asked(KEYCLOAK, lambda: _keycloak(profile)))
    return ThreeWay(sides, _verdict(sides), agree=not any(one.differs or one.problem for one in sides))


def _asked(name: str, ask: Callable[[], Side]) -> Side:
    try:
        return ask()
    except WorkError as error:
        return Side(name, problem=error.reason)


def _verdict(sides: tuple[Side, ...]) -> str:
    silent = [one.name for one in sides if one.problem]
    wrong = [one.name for one in sides if one.differs]
    others = [one.name for one in sides if not one.differs and not one.problem]
    asked = f" {' and '.join(silent)} could not be asked." if silent else ""
    if not wrong:
        return (
            f"{' and '.join(others) if len(others) < 3 else 'All three'} agree.{asked}"
            if len(others) > 1
            else asked.strip()
        )
    verb = "says" if len(wrong) == 1 else "say"
    than = f" than {' and '.join(others)}" if others else ""
    return f"{' and '.join(wrong)} {verb} something else{than}.{asked}"


def _stripe(profile: UserProfile) -> Side:
    customer = profile.stripe_customer_id
    if not customer:
        return Side(STRIPE, ("There is no customer.",))
    listing = comparison.read_customer(customer)
    says = tuple(
        f"{key} is {_status(one['status'])}, with {_lines(one['lines'])}." for key, one in listing.theirs.items()
    )
    differs = []
    for key in listing.find_differences():
        theirs, row = listing.theirs.get(key), listing.ours.get(key)
        here = f"here it is {_status(row.status)}" if row else "here there is no such subscription"
        there = f"is {_status(theirs['status'])} at Stripe" if theirs else "is gone at Stripe"
        same = bool(theirs and row and theirs["status"] == row.status)
        differs.append(f"{key} has other lines, dates or a pause than here." if same else f"{key} {there}, {here}.")
    return Side(STRIPE, says or ("There is no subscription.",), tuple(differs))


def _status(value: str) -> str:
    return str(SubscriptionStatus(value).label).lower()


def _lines(lines: list[Any]) -> str:
    return f"{len(lines)} line{'' if len(lines) == 1 else 's'}"


def _ours(profile: UserProfile) -> Side:
    """What is decided from our rows, against what was decided and applied last."""
    decision = decide(read_facts(profile))
    apps = ", ".join(sorted(decision.entitlements.apps)) or "nothing"
    says = [f"Access is {decision.state.label.lower()}, entitled to {apps}."]
    if decision.account in (Account.ENABLED, Account.DISABLED):
        says.append(f"The account should be {decision.account}.")
    says.append(f"Told to the subscriber: “{reason_sentence(decision.reason)}”")
    last = AccessState(profile.access_state)
    differs = []
    if last != decision.state:
        differs.append(
            f"The last sync left access {last.label.lower()}, and by our rows it is {decision.state.label.lower()}: a sync is due."
        )
    elif profile.pending_since is not None:
        says.append("A sync is in progress.")
    return Side(OURS, tuple(says), tuple(differs))


def _keycloak(profile: UserProfile) -> Side:
    account = account_of(profile)
    found = drift.find_differences(profile, account)
    differs = [step for one in found for step in one.steps]
    return Side(KEYCLOAK, _describe_account(account), tuple(f"To be as decided: {step}" for step in differs))


def _describe_account(account: KeycloakUser | None) -> tuple[str, ...]:
    if account is None:
        return ("There is no account.",)
    groups = ", ".join(sorted(account.groups)) or "no group of ours"
    return (f"The account is {'enabled' if account.enabled else 'disabled'}, in {groups}.",)
