"""What the accounts in products should be, as steps: by the same decision as access in Keycloak. Pure: no Django, no I/O.

An account is open where its seat is in use; suspended where the seat waits; without a seat there it is suspended, kept for some
days, and deleted. Its quota is the number that the product's instance names. A step is done when the order is written down
(instances/provisioning/accounts.py): the product gets it as soon as it answers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, override

from apps.catalog.entitlements import bytes_granted, describe_bytes


@dataclass(frozen=True)
class ObservedProduct:
    """One instance that takes orders, and what was ordered there for this person.

    `state`: of the account; empty: never ordered. `quota_grant`: the number that is its quota; empty: none is set.
    `keep_days`: for which an account without a seat is kept; `is_over`: they have passed. `may_be_there`: people with a Keycloak
    account may have made one by logging in before the instance took orders. `user_id`: of the account; `is_former`: it belongs to a
    Keycloak account that the person no longer has, and only leaves.
    """

    product: str
    instance: str
    label: str
    quota_grant: str = ""
    keep_days: int = 0
    state: str = ""
    quota: int | None = None
    is_over: bool = False
    may_be_there: bool = False
    user_id: str = ""
    is_former: bool = False

    @property
    def place(self) -> str:
        return f"{self.label}, host {self.instance}"


@dataclass(frozen=True)
class _ProductStep:
    """An order to one instance. `user_id`: the account's id there; empty: the person's Keycloak id."""

    instance: str
    place: str
    user_id: str = field(default="", kw_only=True)
    words: ClassVar[str]
    is_loss: ClassVar[bool] = False

    @property
    def takes_access(self) -> bool:
        """It gives more than is due, and the step ends that."""
        return self.is_loss

    @property
    def sentence(self) -> str:
        return self.words.format(**vars(self))


@dataclass(frozen=True)
class OpenInProduct(_ProductStep):
    """Open the account, or make it. `quota`: bytes; None: not ours to set."""

    quota: int | None = None

    @property
    @override
    def sentence(self) -> str:
        size = "" if self.quota is None else f" with {describe_bytes(self.quota)}"
        return f"Open the account in {self.place}{size}."


@dataclass(frozen=True)
class SetQuota(_ProductStep):
    """Give an open account another quota. `was`: before; None: there was none."""

    quota: int | None = None
    was: int | None = None

    @property
    @override
    def takes_access(self) -> bool:
        """Less than before, or a limit where there was none."""
        return self.quota is not None and (self.was is None or self.quota < self.was)

    @property
    @override
    def sentence(self) -> str:
        if self.quota is None:
            return f"Leave the quota in {self.place} as it is from now on."
        return f"Set quota to {describe_bytes(self.quota)} in {self.place}."


@dataclass(frozen=True)
class SuspendInProduct(_ProductStep):
    """Let nobody in. The data stays for as long as the seat does."""

    is_loss: ClassVar[bool] = True
    words: ClassVar[str] = "Suspend the account in {place}."


@dataclass(frozen=True)
class LeaveProduct(_ProductStep):
    """There is no seat any more."""

    keep_days: int = 0
    is_loss: ClassVar[bool] = True
    words: ClassVar[str] = "Suspend the account in {place}, and delete it after {keep_days} days."


@dataclass(frozen=True)
class DeleteInProduct(_ProductStep):
    """The days are over."""

    is_loss: ClassVar[bool] = True
    words: ClassVar[str] = "Delete the account in {place}, with its data."


ProductStep = OpenInProduct | SetQuota | SuspendInProduct | LeaveProduct | DeleteInProduct


def close_in_products(
    products: Iterable[ObservedProduct], *, open_at: Mapping[str, str], kept_at: Mapping[str, str]
) -> tuple[ProductStep, ...]:
    """What ends. `open_at`: product to the instance where its seat is in use; `kept_at`: where it is in use or waits."""
    steps = (_close(one, open_at, kept_at) for one in sorted(products, key=_order) if one.state or one.may_be_there)
    return tuple(step for step in steps if step)


def _close(one: ObservedProduct, open_at: Mapping[str, str], kept_at: Mapping[str, str]) -> ProductStep | None:
    if one.is_former:
        return _leave_or_delete(one)
    if one.state == "deleted" or open_at.get(one.product) == one.instance:
        return None
    if kept_at.get(one.product) == one.instance:
        return None if one.state == "suspended" else SuspendInProduct(one.instance, one.place, user_id=one.user_id)
    return _leave_or_delete(one) if one.state else None


def _leave_or_delete(one: ObservedProduct) -> ProductStep | None:
    if one.state != "leaving":
        return LeaveProduct(one.instance, one.place, one.keep_days, user_id=one.user_id)
    return DeleteInProduct(one.instance, one.place, user_id=one.user_id) if one.is_over else None


def open_in_products(
    products: Iterable[ObservedProduct], *, open_at: Mapping[str, str], grants: Mapping[str, int], keeps: bool
) -> tuple[ProductStep, ...]:
    """What begins, or has another size. `grants`: what is due; `keeps`: not all of it is known, so no quota gets smaller."""
    steps: list[ProductStep] = []
    for one in sorted(products, key=_order):
        if one.is_former or open_at.get(one.product) != one.instance:
            continue
        quota = _quota(one, grants, keeps=keeps)
        if one.state != "open":
            steps.append(OpenInProduct(one.instance, one.place, quota))
        elif quota != one.quota:
            steps.append(SetQuota(one.instance, one.place, quota, one.quota))
    return tuple(steps)


def _quota(one: ObservedProduct, grants: Mapping[str, int], *, keeps: bool) -> int | None:
    if not one.quota_grant:
        return None
    due = bytes_granted(one.quota_grant, grants.get(one.quota_grant, 0))
    if due is None or not keeps:
        return due
    is_unlimited = one.state == "open" and one.quota is None
    return None if is_unlimited else max(due, one.quota or 0)


def _order(one: ObservedProduct) -> tuple[str, str]:
    return one.product, one.instance
