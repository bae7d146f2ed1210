"""Staff correct the name, username or address of somebody whose Keycloak account could not be made; the sync then goes on."""

from django.contrib.auth.models import User
from django.db import transaction

from apps.access import reconcile
from apps.accounts.models import Signup, UserProfile
from apps.billing import customers
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.states import AccessState
from apps.identity import user_profile
from apps.notifications.address_change import address_changed
from apps.onboarding import names

FIELDS = ("first_name", "last_name", "username", "email")


def refuse_correction(profile: UserProfile) -> str:
    """Why there is nothing to correct here; empty when there is."""
    if profile.keycloak_id:
        return "The Keycloak account exists. Its name and address are changed there."
    return "Nothing has been paid, so no account is due." if profile.access_state == AccessState.NONE else ""


@transaction.atomic
def correct_account(profile: UserProfile, *, answers: dict[str, str], actor: str, reason: str) -> None:
    """Check and save `answers` (FIELDS), and continue the sync. BadInput names the field that is wrong or taken."""
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=profile.pk)
    if refusal := refuse_correction(profile):
        raise BadInput(refusal)
    user = profile.user
    after = _check(answers, own_username=user.username)
    _refuse_taken(profile, after)
    before, had = {name: getattr(user, name) for name in FIELDS}, customers.fingerprints(profile)
    if after == before:
        raise BadInput("Nothing has been changed.", field="first_name")
    User.objects.filter(pk=user.pk).update(**after)
    # Another name or address is another account's than the one they have proven to be theirs.
    moved = any(after[name] != before[name] for name in ("username", "email"))
    UserProfile.objects.filter(pk=profile.pk).update(
        email=after["email"], proven_keycloak_id="" if moved else profile.proven_keycloak_id
    )
    address_changed(profile, former=before["email"])
    proof = {"keycloak_id": ""} if moved else {}
    profile.signups.filter(state__in=[*Signup.LIVE, Signup.State.PAID]).update(**after, **proof)
    customers.update_customer_later(profile, reason=f"account corrected by {actor}")
    reconcile.enqueue(profile, reason=f"account corrected by {actor}")
    audit.record(
        subject=profile.subject, action=AuditAction.ACCOUNT_CORRECTED, actor=actor, reason=reason,
        before=had, after={"fields": [name for name in FIELDS if before[name] != after[name]]},
    )  # fmt: skip


def _check(answers: dict[str, str], *, own_username: str) -> dict[str, str]:
    """The answers as stored; the username may stay as it is, though it would be reserved by now."""
    rules = user_profile.current_rules()
    kept = answers["username"].strip() == own_username
    return {
        "first_name": names.person_name(answers["first_name"], field="first_name", rules=rules),
        "last_name": names.person_name(answers["last_name"], field="last_name", required=False, rules=rules),
        "username": own_username if kept else names.username(answers["username"], rules=rules),
        "email": names.email(answers["email"], rules=rules),
    }


def _refuse_taken(profile: UserProfile, answers: dict[str, str]) -> None:
    """BadInput when somebody else here has the username or the address."""
    username, email = answers["username"], answers["email"]
    others = Signup.objects.filter(state__in=Signup.LIVE).exclude(profile=profile)
    users = User.objects.exclude(pk=profile.user_id)
    if users.filter(username__iexact=username).exists() or others.filter(username__iexact=username).exists():
        raise BadInput("Somebody else has this username.", field="username")
    profiles = UserProfile.objects.exclude(pk=profile.pk)
    if profiles.filter(email__iexact=email).exists() or others.filter(email__iexact=email).exists():
        raise BadInput("Somebody else has this address.", field="email")
