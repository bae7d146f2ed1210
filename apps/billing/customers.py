"""The Stripe customer of one person: made once, replaced when it was deleted at Stripe, and found again by what we wrote there.

Promises: nobody gets two customers at once, however often and from however many tabs we are asked; a replaced customer's
subscriptions stay with the person, so that their history, their seats and their dates are kept. A name, address or language that
is changed here is changed at Stripe too, unless somebody wrote another one there.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.models import Subscription
from apps.billing.parsing import plain
from apps.billing.stripe_client import MissingAtStripe, SpentIdempotencyKey, calling_stripe
from apps.core import audit, clock, jobs, languages
from apps.core.audit_actions import AuditAction
from apps.core.errors import RetryLater
from apps.core.states import SubscriptionStatus, values_where

UPDATE = "update_customer"
CUSTOMER_KEYS = 5  # how many Stripe 500s per day a first payment survives
CORRECTIONS = (
    AuditAction.ACCOUNT_CORRECTED, AuditAction.NAME_CHANGED, AuditAction.ADDRESS_CHANGED, AuditAction.ADDRESS_RESTORED,
    AuditAction.DRIFT_FIXED,
)  # fmt: skip
PAYING = values_where(SubscriptionStatus, lambda one: one.pays)


def register() -> None:
    """Make the job kind known."""
    jobs.register(UPDATE, update_customer, label="Correct name, email and language at Stripe", needs=("stripe",))


def update_customer_later(profile: UserProfile, *, reason: str) -> None:
    """Queue `update_customer`. A correction's audit entry must be written: it says which name and address Stripe may still have."""
    if profile.stripe_customer_id:
        jobs.defer(UPDATE, profile.pk, reason=reason, lane=f"customer:{profile.stripe_customer_id}")


def update_customer(profile_id: str) -> None:
    """The job: Stripe's customer gets the person's present name, address and language, each only where it has one of ours."""
    profile = UserProfile.objects.select_related("user").get(pk=profile_id)
    customer_id = profile.stripe_customer_id or ""
    present = {"email": profile.email, "name": profile.user.get_full_name()}
    earlier = _earlier_fingerprints(profile)
    with calling_stripe() as client:
        customer = plain(client.v1.customers.retrieve(customer_id))
        params: Any = {
            name: value
            for name, value in present.items()
            if customer.get(name) != value and audit.fingerprint(customer.get(name) or "") in earlier
        }
        if _has_our_language(customer) and customer.get("preferred_locales") != _locales(profile):
            params["preferred_locales"] = _locales(profile)
        if params:
            client.v1.customers.update(customer_id, params)


def _locales(profile: UserProfile) -> list[str]:
    """In which language Stripe writes to them, and writes their invoices."""
    return [languages.best(profile.language)]


def _has_our_language(customer: dict[str, Any]) -> bool:
    """Whether the customer has no language, or one that we may have written; somebody else may have written a list of their own."""
    found = customer.get("preferred_locales") or []
    return not found or (len(found) == 1 and found[0] in languages.NAMES)


def fingerprints(profile: UserProfile) -> dict[str, str]:
    """What the entry of a correction keeps of the name and the address before it: enough to find them at Stripe."""
    had = {"email": profile.email, "name": profile.user.get_full_name()}
    return {f"{name}{audit.FINGERPRINT}": audit.fingerprint(value) for name, value in had.items()}


def _earlier_fingerprints(profile: UserProfile) -> set[str]:
    """Of every name and address that the person had here before a correction, by the audit trail."""
    corrections = audit.entries_about(profile.subject).filter(action__in=CORRECTIONS)
    names = fingerprints(profile).keys()
    return {before[name] for before in corrections.values_list("before", flat=True) for name in names & before.keys()}


def ensure_customer(profile: UserProfile) -> str:
    """The customer who pays for `profile`, before each payment begins: made if there is none, or if it was deleted at Stripe."""
    known = profile.stripe_customer_id
    if known is None:
        profile.stripe_customer_id = _make_customer(profile)
        profile.save(update_fields=["stripe_customer_id"])
    elif _is_gone(known):
        replace_customer(profile)
    return profile.stripe_customer_id or ""


def _is_gone(customer_id: str) -> bool:
    """Whether the customer was deleted at Stripe. One that Stripe never heard of may be a wrong key, if somebody pays with it."""
    try:
        with calling_stripe() as client:
            return bool(getattr(client.v1.customers.retrieve(customer_id), "deleted", False))
    except MissingAtStripe:
        if Subscription.objects.filter(customer_id=customer_id, status__in=PAYING).exists():
            raise
        return True


def replace_customer(profile: UserProfile) -> None:
    """Give `profile` a new customer for one that is gone at Stripe: the same person with the same history."""
    gone = profile.stripe_customer_id or ""
    made = _make_customer(profile, instead_of=gone)
    with transaction.atomic():
        fresh = UserProfile.objects.select_for_update().get(pk=profile.pk)
        if fresh.stripe_customer_id == gone:
            _take_over_subscriptions(gone, made)
            UserProfile.objects.filter(pk=profile.pk).update(stripe_customer_id=made)
            audit.record(
                subject=profile.subject,
                action=AuditAction.CUSTOMER_REPLACED,
                reason="The customer was deleted at Stripe.",
                before={"customer": gone},
                after={"customer": made},
            )
            mirror.mirror_later(made, reason="its predecessor was deleted at Stripe")
    profile.refresh_from_db(fields=["stripe_customer_id"])


def _take_over_subscriptions(gone: str, made: str) -> None:
    """What was paid stays with the person; it ended when the customer was deleted, whether we heard of that or not."""
    rows = Subscription.objects.filter(customer_id=gone)
    rows.exclude(status__in=[*PAYING, SubscriptionStatus.CANCELED]).delete()
    ended = {"status": SubscriptionStatus.CANCELED, "ended_at": clock.now(), "past_due_since": None}
    rows.filter(status__in=PAYING).update(**ended)
    rows.update(customer_id=made)


def _make_customer(profile: UserProfile, *, instead_of: str = "") -> str:
    """A customer, made once: the idempotency keys are the person's own, and the predecessor's. Returns `cus_…`.

    A key that is spent (a 500 that Stripe repeats, or the person's name was changed after a lost answer) is followed by the
    next one, in the same order for everybody who asks; what the spent one may have made is looked for first. One call
    spends no more than one: so the library may not repeat it.
    """
    owner = str(profile.onboarding_id)
    params: Any = {
        "email": profile.email, "name": profile.user.get_full_name(), "preferred_locales": _locales(profile),
        "metadata": {"onboarding_id": owner},
    }  # fmt: skip
    name = f"cust:{owner}:{instead_of}" if instead_of else f"cust:{owner}"
    for number in range(1, CUSTOMER_KEYS + 1):
        options: Any = {"idempotency_key": f"{name}:{number}", "max_network_retries": 0}
        try:
            with calling_stripe() as client:
                return str(client.v1.customers.create(params, options)["id"])
        except SpentIdempotencyKey as spent:
            if found := _find_made_customer(owner, profile.email):
                return found
            if not spent.before:
                raise
    raise RetryLater("Stripe cannot make a customer at the moment.")


def _find_made_customer(onboarding_id: str, email: str) -> str:
    """The customer that a lost answer has created for this person; empty when there is none."""
    with calling_stripe() as client:
        listed = client.v1.customers.list({"email": email, "limit": 100}).data
    mine = [one["id"] for one in listed if plain(plain(one).get("metadata")).get("onboarding_id") == onboarding_id]
    return str(mine[-1]) if mine else ""


def find_owner(customer_id: str) -> UserProfile | None:
    """The subscriber for whom we made this customer, by what we wrote at Stripe; None for a customer of somebody else."""
    try:
        with calling_stripe() as client:
            customer = client.v1.customers.retrieve(customer_id)
    except MissingAtStripe:
        return None
    written = plain(plain(customer).get("metadata")).get("onboarding_id")
    try:
        return UserProfile.objects.filter(onboarding_id=written).first() if written else None
    except ValidationError:  # another program's metadata of the same name
        return None
