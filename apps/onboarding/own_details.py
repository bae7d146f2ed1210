"""What subscribers change about themselves: their name and language here, which Keycloak and Stripe follow by jobs.

A language that was chosen at Keycloak comes back with the next login, unless one was chosen here that Keycloak does not know yet.

Promises: only what the realm accepts is saved, so that the jobs can end; a change is one line of the audit trail, without the
name; what somebody wrote at Stripe by hand stays.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.core import audit, clock, jobs, languages, limits
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.identity import account_details, user_profile
from apps.onboarding import names

REASON = "on the account page"
LANGUAGE_REASON = "another language was chosen"
TOO_MANY = gettext_noop("You've changed this several times already. Please try again tomorrow.")


@transaction.atomic
def change_name(profile: UserProfile, *, first_name: str, last_name: str) -> bool:
    """Save a new name, and let Keycloak and Stripe follow; False when it is the same. BadInput names the field."""
    rules = user_profile.current_rules()
    after = {
        "first_name": names.person_name(first_name, field="first_name", rules=rules),
        "last_name": names.person_name(last_name, field="last_name", required=False, rules=rules),
    }
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=profile.pk)
    changed = [name for name, value in after.items() if getattr(profile.user, name) != value]
    if not changed:
        return False
    if not limits.allow(name_changes=str(profile.pk)):
        raise BadInput(_(TOO_MANY), field="first_name", code="too_many", status=429)
    had = customers.fingerprints(profile)
    User.objects.filter(pk=profile.user_id).update(**after)
    audit.record(
        subject=profile.subject, action=AuditAction.NAME_CHANGED, actor=audit.CUSTOMER, reason=REASON,
        before=had, after={"fields": changed},
    )  # fmt: skip
    if profile.keycloak_id:
        jobs.defer(account_details.WRITE_NAME, profile.pk, reason=REASON, lane=reconcile.lane(profile.pk))
    customers.update_customer_later(profile, reason=REASON)
    return True


@transaction.atomic
def change_language(profile: UserProfile, language: str) -> None:
    """Keep a language with the person: our pages and emails, Keycloak's and Stripe's follow. Nothing when it is the same."""
    if _keep_language(profile, language) and profile.keycloak_id:
        jobs.defer(account_details.WRITE_LANGUAGE, profile.pk, reason=LANGUAGE_REASON, lane=reconcile.lane(profile.pk))


def _keep_language(profile: UserProfile, language: str) -> bool:
    """Keep it, and let Stripe follow; False when it is the same."""
    kept = UserProfile.objects.filter(pk=profile.pk).exclude(language=language)
    if not kept.update(language=language, language_told_at=clock.now()):
        return False
    profile.language = language
    customers.update_customer_later(profile, reason=LANGUAGE_REASON)
    return True


@transaction.atomic
def follow_login(request: HttpRequest, profile: UserProfile, claims: Mapping[str, Any]) -> None:
    """After a login: the person's language is what was chosen last, by the switch in this browser or on Keycloak's pages.

    The switch wins where it says something else than what was kept: it was used since. Else Keycloak's word counts, once
    everything that was chosen here has arrived there.
    """
    chosen, said = languages.chosen_in(request), languages.find_offered(claims.get(account_details.LANGUAGE))
    if chosen and chosen != profile.language:
        change_language(profile, chosen)
    elif said and said != profile.language and not _is_being_written(profile):
        _keep_language(profile, said)
        languages.remember_later(request, said)


def _is_being_written(profile: UserProfile) -> bool:
    """Whether Keycloak does not know yet what was chosen here."""
    waiting = Job.objects.filter(kind=account_details.WRITE_LANGUAGE, key=str(profile.pk))
    return waiting.exclude(state__in=Job.FINISHED).exists()
