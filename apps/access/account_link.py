"""Links accounts that staff have imported: our group and mark at them, and the logins that lead here (existing_accounts.py).

Of who has proven by a login to be the owner of an account, the reconciler links it when access is due (apply.py).
"""

from collections.abc import Collection

from allauth.socialaccount.models import SocialAccount
from django.db import transaction

from apps.access import existing_accounts, reconcile
from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.core.dependencies import RESTORED
from apps.core.errors import NeedsOperator
from apps.core.models import Job
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser

KIND = reconcile.LINK_KIND


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, link_account, label="Link an account that is there", needs=("keycloak", RESTORED))


def link_later(people: Collection[UserProfile], *, reason: str, importance: Job.Importance | None = None) -> None:
    """Write the login of each to our rows and queue the rest. Part of the caller's transaction, which has set `keycloak_id`."""
    SocialAccount.objects.bulk_create(
        [SocialAccount(provider="keycloak", uid=one.keycloak_id or "", user_id=one.user_id) for one in people]
    )
    lanes = {str(one.pk): reconcile.lane(one.pk) for one in people}
    if lanes:
        jobs.defer_many(KIND, lanes, reason=reason, importance=importance)


def link_account(profile_id: str) -> None:
    """The job: our group and our mark, then what the subscriber should have. NeedsOperator names whose account it is."""
    profile = UserProfile.objects.filter(pk=profile_id, keycloak_id__isnull=False).first()
    if profile is None or profile.keycloak_id is None:
        return
    account = client().get_user(profile.keycloak_id)
    if account is None:
        raise NeedsOperator(f"Keycloak has no account {profile.keycloak_id} of subscriber {profile.pk} any more.")
    existing_accounts.refuse_other_mark(account, profile)
    existing_accounts.mark_as_ours(account, profile)
    with transaction.atomic():
        reconcile.enqueue(profile, reason="its account is linked")
        if not _is_noted(profile):  # the mark says nothing: it is there too after a run that was killed
            _note(profile, account)


def _is_noted(profile: UserProfile) -> bool:
    lines = audit.entries_about(profile.subject)
    return lines.filter(action=AuditAction.ACCOUNT_LINKED).exists()


def _note(profile: UserProfile, account: KeycloakUser) -> None:
    """Once: how the account was found, and that an imported person's payments are to be fetched."""
    if profile.imported_at and profile.stripe_customer_id:
        mirror.mirror_later(profile.stripe_customer_id, reason="imported", importance=Job.Importance.SWEEP)
    audit.record(
        subject=profile.subject,
        action=AuditAction.ACCOUNT_LINKED,
        after={"keycloak_id": account.id, "groups": sorted(account.groups)},
    )
