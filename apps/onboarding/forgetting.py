"""Forget people who began to sign up and never became customers: their rows, mails and username here, their customer at Stripe.

Promises: who ever paid, who is paying now and who holds an invitation stays. Stripe is asked first, which changes nothing; a person
who returns meanwhile is found again, under the lock that a new payment takes too, before anything goes. The customer at Stripe
goes last, when no page can open a payment for it any more.
"""

import datetime as dt

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.access import reconcile
from apps.accounts import erasure_attempts, legal_holds
from apps.accounts.models import Signup, UserProfile
from apps.billing.forgetting import FORGET, is_billed
from apps.core import clock, jobs, retention
from apps.core.models import Job
from apps.core.states import AccessState, SubscriptionStatus
from apps.instances.models import ProductAccount, Seat
from apps.notifications.mail import of_person
from apps.notifications.models import Notification
from apps.onboarding.models import WaitlistEntry

KIND = "forget_signup"
NEVER_PAID = ("", SubscriptionStatus.INCOMPLETE_EXPIRED)


def register() -> None:
    """Make the job kind known."""
    retention.WORK.add(KIND)
    jobs.register(
        KIND, forget_signup, label="Forget an abandoned signup", needs=("stripe",), importance=Job.Importance.SWEEP
    )


def abandoned(before: dt.datetime) -> QuerySet[UserProfile]:
    """Who never had an account or a subscription, and has done nothing since `before`."""
    now = clock.now()
    busy = Q(created_at__gte=before) | Q(ended_at__gte=before) | Q(state__in=[*Signup.LIVE, Signup.State.PAID])
    seats = Seat.objects.exclude(state=Seat.State.RELEASED)
    invited = WaitlistEntry.objects.filter(invited_until__gt=now, state=WaitlistEntry.State.INVITED)
    return (
        UserProfile.objects.filter(
            keycloak_id=None, membership=None, subscription_status__in=NEVER_PAID, access_state=AccessState.NONE, created_at__lt=before,
            items=None, overrides=None, user__is_staff=False,
        )
        .exclude(pk__in=Signup.objects.filter(busy, profile__isnull=False).values("profile"))
        .exclude(pk__in=seats.values("profile"))
        .exclude(pk__in=invited.filter(profile__isnull=False).values("profile"))
        .exclude(pk__in=legal_holds.held_profiles())
        .exclude(pk__in=ProductAccount.objects.values("profile"))  # of somebody who was erased, and is not gone there yet
    )  # fmt: skip


def forget_later(before: dt.datetime) -> int:
    """Queue a job for each of a batch of them; returns how many."""
    found = erasure_attempts.choose(abandoned(before), limit=retention.BATCH)
    jobs.defer_many(KIND, {str(one): reconcile.lane(one) for one in found}, reason="abandoned")
    return len(found)


def forget_signup(key: str) -> None:
    """The job: forget the profile `key`, unless it was paid for at Stripe or is in use again."""
    before = retention.limit_of("abandoned_signups")
    profile = abandoned(before).filter(pk=key).first()
    if profile is None:
        return
    customer = profile.stripe_customer_id
    if customer and is_billed(customer):
        erasure_attempts.note_refusal(profile, "Stripe has an invoice or a running subscription.")
        return
    with transaction.atomic():
        locked = UserProfile.objects.select_for_update().filter(pk=key, stripe_customer_id=customer).first()
        if locked is not None and abandoned(before).filter(pk=key).exists():
            _delete(locked)
            if customer:
                jobs.defer(FORGET, customer, reason="abandoned")


def overdue(before: dt.datetime) -> QuerySet[UserProfile]:
    """Who should be forgotten and was not lately refused for a reason."""
    return erasure_attempts.not_kept(abandoned(before))


def _delete(profile: UserProfile) -> None:
    Notification.objects.filter(of_person(profile)).delete()
    profile.signups.all().delete()
    profile.user.delete()
