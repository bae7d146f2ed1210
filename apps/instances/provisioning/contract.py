"""What a product has to understand to obey: the contract of a provisioner, and the rule that says when an account is right.

Promises a provisioner must keep: every verb is idempotent and says nothing of earlier calls; each raises only the errors of
core/errors.py, DependencyDown for all that concerns the whole instance (away, our login refused) and NeedsOperator for what
only staff can fix about one account; none is called inside a transaction; `find` changes nothing.

Others add theirs as a Python entry point of the group `frontdesk.provisioners`: its name is the kind that staff choose, and it is
called with a ProductHost.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from apps.core.errors import NeedsOperator, WorkError


@dataclass(frozen=True)
class ProductHost:
    """One instance as a provisioner reaches it. `dependency`: what core/dependencies.py knows it by; `group`: empty for none."""

    name: str
    dependency: str
    address: str
    login: str
    secret: str
    group: str = ""


@dataclass(frozen=True)
class AccountOwner:
    """Whose account it is. `user_id`: the account's id; `name`: what others see of it at first; `email`: in small letters."""

    user_id: str
    name: str
    email: str


@dataclass(frozen=True)
class AccountOrder:
    """What an account should be. `quota`: bytes; None: not ours to set. `email`: its owner's, in small letters."""

    exists: bool
    enabled: bool
    quota: int | None = None
    email: str = ""


@dataclass(frozen=True)
class AccountFound:
    """An account as the product has it now. `quota`: bytes, None without a limit; `used`: bytes, None when unknown.

    `email`: in small letters, where the owner's login finds the account by it alone; None: it finds it by something better.
    """

    enabled: bool
    quota: int | None
    used: int | None
    in_group: bool = True
    email: str | None = None


class NotTold(WorkError):
    """The product takes orders, and does not say what it has."""


class AddressRefused(NeedsOperator):
    """What receives at our address refuses us, whatever account it is asked about."""


class ProductConnection(Protocol):
    """A product on one instance. `user_id` is the account's id there: its owner's Keycloak id.

    Beside `label`, a class may have `needs_login = False`: it knows us by no name there; and `may_move = True`: whatever its address,
    it is the same product, so the address can be changed while accounts are there.
    """

    label: ClassVar[str]

    def check(self) -> str:
        """Raise when it cannot be reached, or we may not change accounts.

        Returns what tells this server from all others, whatever address it is called by; empty: nothing does.
        """

    def quota_held(self, quota: int) -> int:
        """The smallest quota of at least `quota` bytes that the product can keep exactly."""

    def find(self, user_id: str) -> AccountFound | None:
        """The account with what it uses; None: there is none, which is not to be said by one that lacks the right to see it."""


@runtime_checkable
class Receiver(ProductConnection, Protocol):
    """One that is told the whole of what an account should be, each time, and sees to the steps itself; `find` may raise NotTold."""

    def tell(self, user_id: str, order: AccountOrder) -> AccountFound | None:
        """Say it. The account as it is then, or as it should be where the product does not say."""


class Provisioner(ProductConnection, Protocol):
    """One that is commanded step by step."""

    def ensure(self, owner: AccountOwner, *, quota: int | None, found: AccountFound | None = None) -> None:
        """Make the account exist, in its group, with this quota, where its owner's login finds it. A suspended one is resumed first.

        `found`: as `find` has just read it; what is right is left alone.
        """

    def suspend(self, user_id: str) -> None:
        """Let nobody in, also not by passwords of programs. The data stays."""

    def resume(self, user_id: str) -> None:
        """End `suspend`."""

    def deprovision(self, user_id: str) -> None:
        """Delete the account with its data. One that is gone already is fine."""


def is_right(order: AccountOrder, found: AccountFound | None) -> bool:
    """Whether nothing is left to do. An account that should be closed and is gone is as closed as can be."""
    if found is None:
        return not (order.exists and order.enabled)
    if not order.exists:
        return False
    if not order.enabled:
        return not found.enabled
    is_found_by_login = found.email in (None, order.email)
    return found.enabled and found.in_group and is_found_by_login and order.quota in (None, found.quota)
