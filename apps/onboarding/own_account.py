"""Signing up with a Keycloak account that is there, by who has proven to be its owner by a login.

Promises: the account's own username and verified address are taken, and it is read once more before a payment is opened; it is linked
by the reconciler when access is due (access/apply.py), so exactly one account is there in whatever order the events come; nobody is
told by whom an account or an address is taken; what only staff can mend becomes an attention item.
"""

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import existing_accounts, reconcile
from apps.access.existing_accounts import AccountObstructed, Obstacle
from apps.accounts.models import Signup, UserProfile
from apps.core import attention, audit, clock
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, WorkError
from apps.core.states import AccessState, SubscriptionStatus
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.onboarding import names

PATIENCE_SECONDS = 3.0  # a visitor waits for this answer
# What a sign-up gets of it.
BOUND = ["keycloak_id", "email", "email_proven_at", "username", "first_name", "last_name", "profile"]
LIFETIME = dt.timedelta(hours=1)  # from the login to the payment page
SET_APART = 8  # letters of the account's id behind a username that somebody else has here
LONGEST_USERNAME = 150
PAYING = (Signup.State.CHECKOUT, Signup.State.PAID)  # there is a payment, or there may be one any moment
TOLD = gettext_noop(
    "Something isn't right with this account, so we can't use it for a new plan. We've been told about it and will check."
)
REFUSED = {
    Obstacle.MARKED: TOLD,
    Obstacle.KNOWN: gettext_noop("This account has a plan already. Log in to see it."),
    Obstacle.STAFF: gettext_noop("This account belongs to our staff. Please sign up with another email address."),
    Obstacle.UNREACHABLE: gettext_noop(
        "We have to unlock your account before you can choose a plan with it. We've been told, and will do so soon. Please come back later."
    ),
    Obstacle.DISABLED: gettext_noop("This account is closed. Please write to us if you'd like to use it again."),
}
GONE = gettext_noop("This account no longer exists. You can sign up again.")
UNVERIFIED = gettext_noop(
    "The email address of your account isn't confirmed yet. Confirm it in your account, then log in here again."
)
UNMAILABLE = gettext_noop(
    "We can't send email to the address of your account. Change it there, then log in here again."
)
ENDED = gettext_noop(
    "You've had a plan with this email address before. Get your access back instead of signing up again."
)
STALE = gettext_noop("It's been a while since you logged in. Please log in once more to continue.")
AWAY = gettext_noop("We can't check your account at the moment. Please try again in a minute.")


class AccountRefused(BadInput):
    """Nobody can sign up with this account now; `code` says why."""

    def __init__(self, message: str, code: str, status: int = 409) -> None:
        super().__init__(_(message), field="email", code=code, status=status)


@dataclass(frozen=True)
class OwnAccount:
    """An account with which its owner may sign up. `payer`: has a plan with its address, paid or joined, and no account yet."""

    account: KeycloakUser
    email: str
    payer: UserProfile | None


def read_own_account(keycloak_id: str) -> OwnAccount:
    """The account, if its owner may sign up with it. AccountRefused says why not; three calls."""
    try:
        account = client(patience=PATIENCE_SECONDS).get_user(keycloak_id)
        if account is None:
            raise AccountRefused(GONE, "gone")
        address = _read_address(account)
        profile = UserProfile.objects.filter(email__iexact=address).first()
        existing_accounts.refuse_obstructed(account, profile)
    except AccountObstructed as obstructed:
        raise _refuse(obstructed) from obstructed
    except WorkError as away:
        raise AccountRefused(AWAY, "away", 503) from away
    if profile is not None and profile.keycloak_id not in (None, account.id):
        _tell_staff(account.id, f"has the address of subscriber {profile.pk}, who has another account.", profile)
        raise AccountRefused(TOLD, "address")
    attention.resolve(Cause.PAGE_REFUSED, _key(keycloak_id), why="Nothing is in the way any more.")
    if profile is None or not profile.is_customer:
        return OwnAccount(account, address, None)
    if profile.keycloak_id == account.id:
        raise AccountRefused(REFUSED[Obstacle.KNOWN], "known")
    waits = AccessState(profile.access_state).has_access or profile.membership_id is not None
    if not (waits or SubscriptionStatus(profile.subscription_status).gives_access):
        raise AccountRefused(ENDED, "ended")
    return OwnAccount(account, address, profile)


def is_connecting(keycloak_id: str) -> bool:
    """Whether somebody who has paid or joined with this account waits for it to be linked."""
    return UserProfile.customers().filter(proven_keycloak_id=keycloak_id, keycloak_id=None).exists()


def is_taken(address: str) -> bool:
    """Whether Keycloak has an account with this address; False while it is away: a conflict is seen at the payment. Two calls."""
    try:
        return client(patience=PATIENCE_SECONDS).email_taken(address) is True
    except WorkError:
        return False


def _read_address(account: KeycloakUser) -> str:
    if not account.email or not account.email_verified:
        raise AccountRefused(UNVERIFIED, "unverified")
    try:
        return names.normalize_email(account.email)
    except BadInput as refusal:
        raise AccountRefused(UNMAILABLE, "address_format") from refusal


def _refuse(obstructed: AccountObstructed) -> AccountRefused:
    if obstructed.obstacle in (Obstacle.MARKED, Obstacle.UNREACHABLE):
        _tell_staff(obstructed.keycloak_id, obstructed.obstacle)
    return AccountRefused(REFUSED[obstructed.obstacle], obstructed.obstacle.name.lower())


def _tell_staff(keycloak_id: str, why: str, *people: UserProfile) -> None:
    sentence = f"Somebody who has proven to be its owner can't sign up with Keycloak account {keycloak_id}: it {why}"
    attention.report(Cause.PAGE_REFUSED, _key(keycloak_id), sentence, profiles=[one.pk for one in people])


def _key(keycloak_id: str) -> str:
    return f"account {keycloak_id}"


def bind(signup: Signup, own: OwnAccount) -> None:
    """Let `signup` go on with this account, unsaved: its address is read-only from now on, and so is its username."""
    account = own.account
    signup.keycloak_id, signup.email, signup.email_proven_at = account.id, own.email, clock.now()
    signup.username = free_username(signup, account.username)
    with suppress(BadInput):
        signup.first_name = signup.first_name or names.person_name(account.first_name, field="first_name")
    with suppress(BadInput):
        signup.last_name = signup.last_name or names.person_name(account.last_name, field="last_name", required=False)
    if signup.profile is not None and signup.profile.email.lower() != own.email.lower():
        signup.profile = None


def free_username(signup: Signup, name: str) -> str:
    """The account's username as we keep it: set apart when somebody else has it here."""
    users = User.objects.filter(username__iexact=name).exclude(profile__email__iexact=signup.email)
    live = Signup.objects.filter(state__in=Signup.LIVE, username__iexact=name).exclude(email__iexact=signup.email)
    if not users.exists() and not live.exists():
        return name[:LONGEST_USERNAME]
    return f"{name[: LONGEST_USERNAME - SET_APART - 1]}-{signup.keycloak_id[:SET_APART]}"


def recheck(signup: Signup) -> None:
    """Before a payment is opened: the login was not long ago, and the account may still be used. While Keycloak is away, the sale
    goes on: what is in the way then becomes an attention item.
    """
    proven_at = signup.email_proven_at
    if proven_at is None or clock.now() - proven_at > LIFETIME:
        raise AccountRefused(STALE, "login", 403)
    try:
        read_own_account(signup.keycloak_id)
    except AccountRefused as refusal:
        if refusal.code != "away":
            raise


@transaction.atomic
def attach(own: OwnAccount) -> None:
    """Who has paid or joined with this address and has no account yet, as it was taken in Keycloak, gets this one: both are proven to be
    theirs. AccountRefused when somebody else has it.
    """
    assert own.payer is not None  # noqa: S101  (the caller has seen it)
    payer = UserProfile.objects.select_for_update().get(pk=own.payer.pk)
    if payer.keycloak_id is None:
        claim(payer, own.account.id)
        payer.signups.filter(state__in=PAYING, keycloak_id="").update(keycloak_id=own.account.id)
        reconcile.enqueue(payer, reason="has logged in with the account that has their address")
        audit.record(
            subject=payer.subject,
            action=AuditAction.ACCOUNT_PROVEN,
            actor=audit.CUSTOMER,
            after={"keycloak_id": own.account.id},
        )


def claim(profile: UserProfile, keycloak_id: str) -> None:
    """Note for the reconciler with which account this person has signed up; empty for none. In the caller's transaction, under the lock
    of all reservations or of this profile. AccountRefused when somebody else has it.
    """
    if keycloak_id:
        if UserProfile.objects.filter(keycloak_id=keycloak_id).exclude(pk=profile.pk).exists():
            raise AccountRefused(REFUSED[Obstacle.KNOWN], "known")
        others = UserProfile.objects.select_for_update().filter(proven_keycloak_id=keycloak_id).exclude(pk=profile.pk)
        if any(one.is_customer or one.signups.filter(state__in=PAYING).exists() for one in others):
            raise AccountRefused(REFUSED[Obstacle.KNOWN], "known")
        others.update(proven_keycloak_id="")  # of an address that the account had before, and nobody has paid with
    if profile.proven_keycloak_id != keycloak_id:
        profile.proven_keycloak_id = keycloak_id
        try:
            with transaction.atomic():
                profile.save(update_fields=["proven_keycloak_id"])
        except IntegrityError as error:  # somebody else was quicker
            raise AccountRefused(REFUSED[Obstacle.KNOWN], "known") from error
