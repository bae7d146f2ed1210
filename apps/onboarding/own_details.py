"""What subscribers change about themselves: their name and language here, which Keycloak and Stripe follow by jobs.

Promises: only what the realm accepts is saved, so that the jobs can end; a change is one line of the audit trail, without the
name; what somebody wrote at Stripe by hand stays.
"""

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.core import audit, jobs, languages, limits
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
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
    if not UserProfile.objects.filter(pk=profile.pk).exclude(language=language).update(language=language):
        return
    profile.language = language
    if profile.keycloak_id:
        jobs.defer(account_details.WRITE_LANGUAGE, profile.pk, reason=LANGUAGE_REASON, lane=reconcile.lane(profile.pk))
    customers.update_customer_later(profile, reason=LANGUAGE_REASON)


def follow_browser(request: HttpRequest, profile: UserProfile) -> None:
    """After a login: what was chosen by the switch in this browser is the person's language from now on."""
    if chosen := languages.chosen_in(request):
        change_language(profile, chosen)
