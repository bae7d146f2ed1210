"""The operator's terms: for everybody, for those who pay for a product, and for one subscriber, with their history.

Each change is a row that nobody changes (`TermsChange`); the newest of its scope is in force. Until the first change of all, the
environment's values are. What a row leaves empty is inherited: a subscriber's own terms go before a product's, and these before the
general ones. Whose subscription holds several products that have terms has the kindest of each.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.access.models import TermsChange
from apps.access.policy_facts import Terms
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction

Values = Mapping[str, Any]  # fields of Terms that a scope has values of its own for


@dataclass(frozen=True)
class TermsBook:
    """All terms in force: general, by product id, and by profile id."""

    general: Terms
    products: Mapping[int, Values] = field(default_factory=dict)
    people: Mapping[int, Values] = field(default_factory=dict)

    def for_subscriber(self, profile_id: int | None) -> Terms:
        """What counts for somebody, whatever they pay for."""
        return self._own(self.general, profile_id)

    def for_subscription(self, product_ids: Collection[int | None], profile_id: int | None) -> Terms | None:
        """What counts for a subscription to these products; None where none of them has terms of its own."""
        found = [replace(self.general, **self.products[one]) for one in product_ids if one and one in self.products]
        return self._own(kindest(found), profile_id) if found else None

    def kept_for(self, product_ids: Collection[int | None], profile_id: int) -> dt.timedelta:
        """How long data and settings are kept after the end of a subscription to these products."""
        return (self.for_subscription(product_ids, profile_id) or self.for_subscriber(profile_id)).expiry

    def _own(self, terms: Terms, profile_id: int | None) -> Terms:
        own = self.people.get(profile_id or 0)
        return replace(terms, **own) if own else terms

    def with_payers(self, payers: Mapping[int, int]) -> "TermsBook":
        """Members have the terms of who pays for them (by profile id), but for those of their own."""
        people = self.people
        shared = {one: {**people[payer], **people.get(one, {})} for one, payer in payers.items() if payer in people}
        return replace(self, people={**people, **shared}) if shared else self

    @property
    def pause_may_close(self) -> bool:
        """Whether a paused collection closes access for anybody."""
        every = [
            self.general,
            *(replace(self.general, **one) for one in (*self.products.values(), *self.people.values())),
        ]
        return any(one.paused_closes for one in every)

    @property
    def longest_grace(self) -> dt.timedelta:
        """The longest that anybody has."""
        every: list[Values] = [*self.products.values(), *self.people.values()]
        own: list[dt.timedelta] = [one["grace"] for one in every if "grace" in one]
        return max([self.general.grace, *own])

    def with_change(self, change: TermsChange) -> "TermsBook":
        """The book as it would be with this change."""
        if change.product_id:
            return replace(self, products={**self.products, change.product_id: values_of(change)})
        if change.profile_id:
            return replace(self, people={**self.people, change.profile_id: values_of(change)})
        return replace(self, general=replace(first_terms(), **values_of(change)))


def kindest(found: Collection[Terms]) -> Terms:
    """Of each term the value that is better for the subscriber."""
    return Terms(
        grace=max(one.grace for one in found),
        expiry=max(one.expiry for one in found),
        recovery=max(one.recovery for one in found),
        paused_closes=all(one.paused_closes for one in found),
        lost_dispute_closes=all(one.lost_dispute_closes for one in found),
        payment_attempts=next((one.payment_attempts for one in found if one.payment_attempts), None),
    )


def first_terms() -> Terms:
    """What the environment says: in force until staff save other general terms."""
    return Terms(
        grace=dt.timedelta(days=settings.PAYMENT_GRACE_DAYS),
        expiry=dt.timedelta(days=settings.FINAL_EXPIRY_DAYS),
        recovery=dt.timedelta(hours=settings.RECOVERY_WINDOW_HOURS),
        paused_closes=settings.PAUSED_COLLECTION == "close",
        lost_dispute_closes=settings.LOST_DISPUTE == "suspend",
    )


def read_terms(*profile_ids: int) -> TermsBook:
    """The terms in force; with `profile_ids`, of all subscribers' own only those (0: nobody's). One query."""
    rows = TermsChange.objects.order_by("product_id", "profile_id", "-pk").distinct("product_id", "profile_id")
    if profile_ids:
        rows = rows.filter(Q(profile=None) | Q(profile__in=profile_ids))
    book = TermsBook(first_terms())
    general, products, people = book.general, dict[int, Values](), dict[int, Values]()
    for row in rows:
        if row.product_id:
            products[row.product_id] = values_of(row)
        elif row.profile_id:
            people[row.profile_id] = values_of(row)
        else:
            general = replace(general, **values_of(row))
    return TermsBook(general, products, people)


def values_of(change: TermsChange) -> dict[str, Any]:
    """What a row says, as fields of `Terms`; what it leaves empty is left out."""
    found = {
        "grace": None if change.grace_days is None else dt.timedelta(days=change.grace_days),
        "expiry": None if change.expiry_days is None else dt.timedelta(days=change.expiry_days),
        "recovery": None if change.recovery_hours is None else dt.timedelta(hours=change.recovery_hours),
        "paused_closes": change.paused_collection == TermsChange.PausedCollection.CLOSE
        if change.paused_collection
        else None,
        "lost_dispute_closes": change.lost_dispute == TermsChange.LostDispute.SUSPEND if change.lost_dispute else None,
        "payment_attempts": change.payment_attempts,
    }
    return {name: value for name, value in found.items() if value is not None}


@transaction.atomic
def save_change(change: TermsChange, *, actor: str, reason: str) -> TermsChange:
    """Put the change in force, with its line in the audit. Who is concerned is for the caller to sync."""
    change.changed_at, change.changed_by, change.reason = clock.now(), actor, reason
    change.save(force_insert=True)
    audit.record(
        subject=subject_of(change.product, change.profile),
        action=AuditAction.TERMS_CHANGED,
        actor=actor,
        reason=reason,
        after={name: value for name in TermsChange.VALUES if (value := getattr(change, name)) not in (None, "")},
    )
    return change


def subject_of(product: Product | None, profile: UserProfile | None) -> tuple[str, str | int]:
    """Whose history shows it: the subscriber's, the product's, or that of the terms."""
    if profile is not None:
        return profile.subject
    return ("product", product.pk) if product is not None else ("terms", "general")
