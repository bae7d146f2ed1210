"""A subscriber changes their email address: a code proves the new mailbox, the former one hears of it and may object for a week.

Promises: nobody learns here whether somebody else has an address: the code is asked for, and refused, in the same way, and only
that mailbox is told; the address changes here at once and at Keycloak and Stripe by jobs, however often these run; who objects
gets the address back, all later changes are void, and every login ends.
"""

import datetime as dt

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import reconcile
from apps.accounts.models import Signup, UserProfile
from apps.billing import customers
from apps.core import attention, audit, clock, jobs, limits
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, WorkError
from apps.identity import account_details, user_profile
from apps.identity.keycloak import client as keycloak
from apps.identity.logout_everywhere import log_out_everywhere
from apps.notifications.address_change import address_changed
from apps.onboarding import names
from apps.onboarding.mailbox_code import MailboxProof, Recipient
from apps.onboarding.models import AddressChange, OneTimeCode

OBJECTION = dt.timedelta(days=7)
PATIENCE_SECONDS = 2.0  # of somebody who waits for a page
REASON, OBJECTED = "on the account page", "by the link in the email to the former address"
TAKEN = gettext_noop("This address can't be used for your account. Please choose another one, or write to us.")
TOO_MANY = gettext_noop("You've asked for several codes today. Please try again tomorrow.")
SALT = "address-objection"
STOLEN = "The former mailbox of a subscriber says that it did not ask for the change of their email address."
RESTORED = (
    "The former address is theirs again, and all logins have ended. The one who changed it could log in: look at what was done since"
    " then, and have the subscriber choose a new password."
)
HELD = (
    "The former address could not be given back, since another account has it by now. Find out whose account it is: correct the"
    " address, or put the account on hold, and have the password changed."
)


def parse(typed: str) -> str:
    """The address as stored; BadInput when nobody could have it, or the realm would refuse it."""
    return names.email(typed, rules=user_profile.current_rules())


def recipient(address: str) -> Recipient:
    """Its code matches if nobody here has the address; else that mailbox, and nobody else, hears that it has an account."""
    return Recipient(address, usable=_is_free(None, address))


PROOF = MailboxProof(
    purpose=OneTimeCode.Purpose.ADDRESS.value,
    page="own-address",
    template="address_code",
    refusal_template="address_taken",
    parse=parse,
    recipient=recipient,
)


def check_asking(profile: UserProfile, typed: str | None) -> None:
    """Before a code is emailed: BadInput for one's own address, and beyond the limit of one subscriber. None: the same again."""
    if typed is not None and parse(typed).casefold() == profile.email.casefold():
        raise BadInput(_("That's your address already."), field="email")
    if not limits.allow(address_codes=str(profile.pk)):
        raise BadInput(_(TOO_MANY), field="email", code="too_many", status=429)


def take_over(profile: UserProfile, address: str) -> None:
    """Make the proven address theirs. BadInput when it is taken after all."""
    if _has_keycloak_another(profile, address):
        raise BadInput(_(TAKEN), field="email", status=409)
    change_address(profile, address)


def _is_free(profile: UserProfile | None, address: str) -> bool:
    """Whether nobody else here has it, or is about to pay with it."""
    own = profile.pk if profile else 0
    others = UserProfile.objects.exclude(pk=own).filter(email__iexact=address)
    live = Signup.objects.filter(state__in=Signup.LIVE, email__iexact=address).exclude(profile_id=own)
    return not any([others.exists(), live.exists()])


def _has_keycloak_another(profile: UserProfile, address: str) -> bool:
    """Whether another account there has it; while Keycloak does not answer, the job finds out, and staff help."""
    identity = keycloak(patience=PATIENCE_SECONDS)
    try:
        if not profile.keycloak_id or not identity.email_taken(address):
            return False
        own = identity.get_user(profile.keycloak_id)
    except WorkError:
        return False
    return own is None or own.email.casefold() != address.casefold()


@transaction.atomic
def change_address(profile: UserProfile, address: str) -> AddressChange:
    """Write the proven address, tell both mailboxes, and let Keycloak and Stripe follow."""
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=profile.pk)
    former, had = profile.email, customers.fingerprints(profile)
    if not _is_free(profile, address):
        raise BadInput(_(TAKEN), field="email", status=409)
    _write(profile, address)
    row = AddressChange.objects.create(profile=profile, former=former, changed_at=clock.now())
    address_changed(profile, former=former, object_url=objection_link(row))
    _let_others_follow(profile, REASON)
    audit.record(
        subject=profile.subject, action=AuditAction.ADDRESS_CHANGED, actor=audit.CUSTOMER, reason=REASON,
        before=had, after={"change": row.pk},
    )  # fmt: skip
    return row


def _write(profile: UserProfile, address: str) -> None:
    try:
        with transaction.atomic():
            UserProfile.objects.filter(pk=profile.pk).update(email=address)
            type(profile.user).objects.filter(pk=profile.user_id).update(email=address)
    except IntegrityError as error:  # somebody took it in this moment
        raise BadInput(_(TAKEN), field="email", status=409) from error


def _let_others_follow(profile: UserProfile, reason: str) -> None:
    if profile.keycloak_id:
        jobs.defer(account_details.WRITE_EMAIL, profile.pk, reason=reason, lane=reconcile.lane(profile.pk))
    customers.update_customer_later(profile, reason=reason)


# --- the way to object -----------------------------------------------------------------------------------------------


def objection_link(row: AddressChange) -> str:
    """Where the former mailbox can object to this change."""
    token = signing.Signer(salt=SALT).sign(str(row.pk))
    return f"{settings.BASE_URL}{reverse('address-objection', args=[token])}"


def find_change(token: str) -> AddressChange | None:
    """The change that a link is about, for as long as one may object to it."""
    try:
        number = int(signing.Signer(salt=SALT).unsign(token))
    except (signing.BadSignature, ValueError):
        return None
    return open_changes().filter(pk=number).select_related("profile__user").first()


def open_changes() -> QuerySet[AddressChange]:
    """Changes to which one may object."""
    return AddressChange.objects.filter(objected_at=None, changed_at__gt=clock.now() - OBJECTION)


def object_to(row: AddressChange) -> None:
    """Give the former address back, end every login, make all later changes void, and tell staff: somebody had the account.

    BadInput when it is too late, or somebody else has the former address; then only staff can help, and are told that too.
    """
    try:
        _restore(row)
    except BadInput as refusal:
        if refusal.code == "taken":
            attention.report(Cause.ADDRESS_OBJECTED, str(row.pk), f"{STOLEN} {HELD}", profiles=[row.profile_id])
        raise


@transaction.atomic
def _restore(row: AddressChange) -> None:
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=row.profile_id)
    if not open_changes().filter(pk=row.pk).exists():
        raise BadInput(_("This can't be undone here any more. Please write to us."))
    if not _is_free(profile, row.former):
        raise BadInput(_("Somebody else has this address by now. Please write to us."), code="taken")
    wrong, had = profile.email, customers.fingerprints(profile)
    _write(profile, row.former)
    AddressChange.objects.filter(profile=profile, pk__gte=row.pk, objected_at=None).update(objected_at=clock.now())
    address_changed(profile, former=wrong)
    log_out_everywhere(profile, actor=audit.CUSTOMER, reason=OBJECTED)
    _let_others_follow(profile, OBJECTED)
    attention.report(Cause.ADDRESS_OBJECTED, str(row.pk), f"{STOLEN} {RESTORED}", profiles=[profile.pk])
    audit.record(
        subject=profile.subject, action=AuditAction.ADDRESS_RESTORED, actor=audit.CUSTOMER, reason=OBJECTED,
        before=had, after={"change": row.pk},
    )  # fmt: skip


def outdated(before: dt.datetime) -> QuerySet[AddressChange]:
    """Changes of before then."""
    return AddressChange.objects.filter(changed_at__lt=before)
