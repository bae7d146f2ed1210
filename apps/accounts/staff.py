"""Staff come from Keycloak: the group below KEYCLOAK_STAFF_GROUP is the role. Read again at every login, never edited here.

A role taken away in Keycloak is gone here at the next login; disabling the account there ends it at once.
"""

from collections.abc import Callable
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction

from apps.accounts.roles import ROLES, sync_staff_permissions
from apps.core import audit
from apps.core.audit_actions import AuditAction

confirm_groups: list[Callable[[str], frozenset[str]]] = []  # each tells the paths of the staff groups of a subject
TAKEN_SUFFIX = 8  # letters of the subject that set apart a username somebody else already has


def roles_of(claims: dict[str, Any]) -> frozenset[str]:
    """The staff roles a token's `groups` claim names: `/staff/admin` is `admin`; anything else counts for nothing.

    A claim is a path, and a group may be given a name with slashes in it that looks like one: those who log in (`sub`) have a
    role only if `confirm_groups` finds the group itself. Raises WorkError while that cannot be asked.
    """
    groups = claims.get("groups")
    if not isinstance(groups, list):
        return frozenset()
    found = frozenset(role for role in ROLES if f"{settings.KEYCLOAK_STAFF_GROUP}/{role}" in groups)
    if found and claims.get("sub"):
        for confirm in confirm_groups:
            found &= roles_of({"groups": list(confirm(str(claims["sub"])))})
    return found


def record_login(user: Any, subject: str, *, acr: object, refused: str = "") -> None:
    """In the audit log: who of staff came in, how strongly proven, or why they did not; without a user by Keycloak's id."""
    audit.record(
        subject=("user", user.pk) if user.pk else ("account", subject[:64]),
        action=AuditAction.STAFF_LOGIN_REFUSED if refused else AuditAction.STAFF_LOGGED_IN,
        actor=f"staff:{user.get_username() or subject}",
        reason=refused,
        after={"acr": str(acr)[:40]} if acr is not None else {},
    )


@transaction.atomic
def admit(account: SocialAccount) -> User:
    """Make the user of a member of staff who is here for the first time; no UserProfile, no password.

    `account` is allauth's unsaved SocialAccount with the subject; it is saved. Raises IntegrityError when another
    request has just done the same.
    """
    said = account.extra_data["id_token"]
    wish = str(said.get("preferred_username") or account.uid)[:140]
    taken = User.objects.filter(username__iexact=wish).exists()
    user = User(username=f"{wish}-{account.uid[:TAKEN_SUFFIX]}" if taken else wish)
    user.set_unusable_password()
    user.save()
    account.user = user
    account.save()
    return user


@transaction.atomic
def refresh(user: User, *, said: dict[str, Any], roles: frozenset[str]) -> None:
    """Take over what Keycloak says today: names for everybody, the address and the groups of staff."""
    user.first_name = str(said.get("given_name", user.first_name))[:150]
    user.last_name = str(said.get("family_name", user.last_name))[:150]
    if roles:
        user.email = str(said.get("email", user.email))[:254]
        sync_staff_permissions()
    _set_roles(user, roles)
    user.is_staff, user.is_superuser = bool(roles), False
    user.save(update_fields=["first_name", "last_name", "email", "is_staff", "is_superuser"])


def _set_roles(user: User, roles: frozenset[str]) -> None:
    """Put the user in exactly the groups of `roles`; groups that are no roles stay."""
    had = set(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
    if had == roles:
        return
    user.groups.remove(*Group.objects.filter(name__in=had - roles))
    user.groups.add(*Group.objects.filter(name__in=roles - had))
    audit.record(
        subject=("user", user.pk),
        action=AuditAction.STAFF_ROLES_CHANGED,
        reason="Keycloak groups at login",
        before={"roles": sorted(had)},
        after={"roles": sorted(roles)},
    )
