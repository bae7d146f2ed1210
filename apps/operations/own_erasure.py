"""A subscriber deletes their own account: the subscription ends, and they are erased as staff would erase them.

Promises: asked for once it is a privacy request, which staff see until it is answered; where nothing is owed and nothing keeps
the data, a job ends the subscription at Stripe at once and erases the person, however often it runs; else staff answer. The
receipt goes to the address that was theirs. What has been paid for the rest of the period is not paid back by this.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.access.models import AccessOverride
from apps.accounts import legal_holds
from apps.accounts.erasers import is_erased
from apps.accounts.models import PrivacyRequest, Signup, UserProfile
from apps.billing import mirror, payment_changes
from apps.billing.change_requests import ChangeRequest
from apps.billing.models import Subscription
from apps.core import audit, clock, jobs, languages, retention
from apps.core.dates import day
from apps.core.dependencies import RESTORED
from apps.core.errors import BadInput, RetryLater
from apps.core.models import Job
from apps.core.states import SubscriptionStatus, values_where
from apps.notifications.mail import notify
from apps.operations import privacy, privacy_requests

KIND = "delete_own_account"
REASON = "on the account page"
RUNNING = values_where(SubscriptionStatus, lambda one: one.may_charge)
LATE = values_where(SubscriptionStatus, lambda one: one.owes)


@dataclass(frozen=True)
class Meaning:
    """What deleting means for a person now. `by_staff`: why one of us answers first; empty: it is done at once. `is_asked`: that
    goes on already; a request that staff no longer have to answer is asked for once more.
    """

    is_subscribed: bool
    by_staff: str
    is_asked: bool


def register() -> None:
    """Make the job kind known."""
    retention.WORK.add(KIND)
    jobs.register(KIND, delete_account, label="Delete an account as its owner asked", needs=("stripe", RESTORED))


def explain(profile: UserProfile) -> Meaning:
    """For the page that asks."""
    by_staff = _why_staff(profile)
    is_under_way = Job.objects.filter(kind=KIND, key=str(profile.pk), state__in=Job.UNFINISHED).exists()
    return Meaning(_running(profile).exists(), by_staff, _is_asked(profile) and bool(by_staff or is_under_way))


def _is_asked(profile: UserProfile) -> bool:
    return privacy_requests.list_open().filter(profile=profile, kind=PrivacyRequest.Kind.ERASURE).exists()


def _running(profile: UserProfile) -> QuerySet[Subscription]:
    return Subscription.objects.filter(customer_id=profile.stripe_customer_id or "-", status__in=RUNNING)


def _why_staff(profile: UserProfile) -> str:
    """A code: `owed`, or `kept` for what only staff know of; empty when nothing is in the way."""
    if Subscription.objects.filter(customer_id=profile.stripe_customer_id or "-", status__in=LATE).exists():
        return "owed"
    on_hold = AccessOverride.objects.filter(profile=profile, kind=AccessOverride.Kind.HOLD, lifted_at=None).exists()
    if legal_holds.is_held(profile) or on_hold or profile.user.is_staff:
        return "kept"
    return "owed" if profile.signups.filter(state__in=Signup.LIVE).exists() else ""


@transaction.atomic
def request(profile: UserProfile, *, typed: str) -> Meaning:
    """Ask for it; `typed` has to be the username. BadInput when it is not."""
    if typed.strip().casefold() != profile.user.username.casefold():
        raise BadInput(_("That isn't your username."), field="username")
    found = explain(legal_holds.lock(profile))  # of two requests at once, the second finds the first
    if not _is_asked(profile):
        kind, today = PrivacyRequest.Kind.ERASURE, clock.now().date()
        privacy_requests.receive(profile, kind=kind, received_on=today, actor=audit.CUSTOMER, reason=REASON)
    if not found.by_staff:
        lane = f"customer:{profile.stripe_customer_id}" if profile.stripe_customer_id else ""
        jobs.defer(KIND, profile.pk, reason=REASON, lane=lane)
    return found


def delete_account(key: str) -> None:
    """The job: end what runs at Stripe, then erase the profile `key`; what staff have to answer is left to them."""
    profile = UserProfile.objects.select_related("user").filter(pk=key).first()
    if profile is None or is_erased(profile) or not _is_asked(profile) or _why_staff(profile):
        return
    _end_subscriptions(profile)
    profile.refresh_from_db()
    if legal_holds.is_held(profile):
        return
    if refusal := privacy.refuse_erasing(profile):
        raise RetryLater(refusal)
    _erase(profile)


def _end_subscriptions(profile: UserProfile) -> None:
    """At once, one after the other; then the facts are fetched, since these decide."""
    running = list(_running(profile).values_list("stripe_id", flat=True))
    for subscription in running:
        asked = ChangeRequest(profile, f"delete:{profile.pk}:{subscription}", audit.CUSTOMER, REASON)
        try:
            payment_changes.cancel_now(asked, subscription_id=subscription)
        except BadInput:  # it has ended meanwhile, or somebody of staff is at work: the facts tell
            continue
    if running and profile.stripe_customer_id:
        mirror.mirror_customer(profile.stripe_customer_id)


@transaction.atomic
def _erase(profile: UserProfile) -> None:
    """The person goes; the receipt is asked for after that, so that it does not go with them."""
    address, language = profile.email, profile.language
    receipt = privacy_requests.erase(profile, actor=audit.CUSTOMER, reason=REASON)
    with languages.speaking_to(language):
        notify(
            key=f"account_deleted:{profile.pk}", template="account_deleted", to=address,
            context={"receipt": str(receipt.pk), "date": day(clock.now())},
        )  # fmt: skip
