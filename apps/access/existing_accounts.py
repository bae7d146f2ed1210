"""An account that Keycloak had before us, and what is in the way of making it a subscriber's.

Promises: an account that carries another one's mark, that somebody else here logs in with, that belongs to staff or is disabled
is never taken; nothing that the account has is changed, so who can log in still can.
"""

from enum import StrEnum

from allauth.socialaccount.models import SocialAccount

from apps.accounts.models import UserProfile
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import NeedsOperator
from apps.identity import reach
from apps.identity.account_lists import MARK
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser


class Obstacle(StrEnum):
    """Why an account can't become a subscriber's: what staff read, after its id."""

    MARKED = "carries the mark of another signup; check in Keycloak whose it is."
    KNOWN = "is the login of somebody else here."
    STAFF = "is in a staff group of Keycloak; take it out there, or refund and use another account."
    UNREACHABLE = "is out of our reach; put it into our group in Keycloak."
    DISABLED = "is disabled in Keycloak; enable it there if it may be used again, then sync the subscriber."


class AccountObstructed(NeedsOperator):
    """The account can't become this subscriber's; `obstacle` says why."""

    def __init__(self, keycloak_id: str, obstacle: Obstacle) -> None:
        super().__init__(f"Account {keycloak_id} {obstacle}")
        self.keycloak_id, self.obstacle = keycloak_id, obstacle


def refuse_other_mark(account: KeycloakUser, profile: UserProfile | None) -> None:
    """AccountObstructed when the account carries another mark than this subscriber's."""
    own = {"", str(profile.onboarding_id)} if profile else {""}
    if _mark_of(account) not in own:
        raise AccountObstructed(account.id, Obstacle.MARKED)


def refuse_obstructed(account: KeycloakUser, profile: UserProfile | None) -> None:
    """AccountObstructed unless the account may become this subscriber's (None: somebody new). One call."""
    refuse_other_mark(account, profile)
    logins = SocialAccount.objects.filter(provider="keycloak", uid=account.id)
    people = UserProfile.objects.filter(keycloak_id=account.id)
    if profile is not None:
        logins, people = logins.exclude(user=profile.user_id), people.exclude(pk=profile.pk)
    if logins.exists() or people.exists():
        raise AccountObstructed(account.id, Obstacle.KNOWN)
    if client().staff_groups(account.id):
        raise AccountObstructed(account.id, Obstacle.STAFF)
    if not account.may_change:
        raise AccountObstructed(account.id, Obstacle.UNREACHABLE)
    if not account.enabled:
        raise AccountObstructed(account.id, Obstacle.DISABLED)


def had_own_account(profile: UserProfile) -> bool:
    """Whether they have had their account, and its password, before it was a subscriber's; one query."""
    made, linked = AuditAction.ACCOUNT_CREATED, AuditAction.ACCOUNT_LINKED
    lines = audit.entries_about(profile.subject).filter(action__in=[made, linked])
    done = set(lines.values_list("action", flat=True))
    had_one = bool(profile.imported_at or profile.proven_keycloak_id or linked in done)
    return had_one and made not in done


def mark_as_ours(account: KeycloakUser, profile: UserProfile) -> None:
    """Put the account into our group, and this subscriber's mark at it."""
    reach.join_parent_group([account.id])  # who may not, reads why in the next step
    if not _mark_of(account):
        client().update_user(account.id, attributes={MARK: str(profile.onboarding_id)})


def _mark_of(account: KeycloakUser) -> str:
    return next(iter(account.attributes.get(MARK, ())), "")
