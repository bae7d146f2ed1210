"""Legal holds: a person's data stays as long as a dispute or an authority needs it. There may be several for one person.

Promises: while one is in force, no command, no member of staff and no retention erases the person, their emails, or what Stripe
said about them; setting one and erasing exclude each other, as both lock the person's row first.
"""

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.erasers import is_erased
from apps.accounts.models import LegalHold, UserProfile
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput

REFUSAL = "A legal hold keeps the data of this subscriber. End the hold first."


def in_force() -> QuerySet[LegalHold]:
    """Those that nobody has ended."""
    return LegalHold.objects.filter(ended_at=None)


def held_profiles() -> QuerySet[LegalHold, int]:
    """The ids of the people whose data must be kept, to exclude them in a query."""
    return in_force().values_list("profile", flat=True)


def held_customers() -> QuerySet[UserProfile, str | None]:
    """Their customers at Stripe."""
    found = UserProfile.objects.filter(pk__in=held_profiles(), stripe_customer_id__isnull=False)
    return found.values_list("stripe_customer_id", flat=True)


def is_held(profile: UserProfile) -> bool:
    """Whether the data of this person must be kept."""
    return in_force().filter(profile=profile).exists()


@transaction.atomic
def place(profile: UserProfile, *, actor: str, reason: str) -> LegalHold:
    """Keep everything of this person from now on. BadInput when nothing is left to keep, or the same hold is in force."""
    locked = lock(profile)
    if is_erased(locked):
        raise BadInput("This subscriber is erased: there is nothing left to keep.")
    if in_force().filter(profile=locked, reason=reason).exists():
        raise BadInput("A hold for this reason is in force already.", field="reason")
    row = LegalHold.objects.create(profile=locked, reason=reason, set_by=actor, set_at=clock.now())
    audit.record(
        subject=locked.subject, action=AuditAction.LEGAL_HOLD_SET, actor=actor, reason=reason, after={"hold": row.pk}
    )
    return row


@transaction.atomic
def end(hold: LegalHold, *, actor: str, reason: str) -> None:
    """From now on the person can be erased, and retention goes on where it stopped. BadInput when it is over."""
    lock(hold.profile)
    values = {"ended_at": clock.now(), "ended_by": actor, "end_reason": reason}
    if not in_force().filter(pk=hold.pk).update(**values):
        raise BadInput("This hold is over already.")
    audit.record(
        subject=hold.profile.subject, action=AuditAction.LEGAL_HOLD_ENDED, actor=actor, reason=reason,
        after={"hold": hold.pk},
    )  # fmt: skip


def lock(profile: UserProfile) -> UserProfile:
    """The person's row as it is now, until the transaction ends."""
    return UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=profile.pk)
