"""The language of people from before Keycloak and Stripe were told it: a few each minute, until nobody is left.

Promises: what it costs does not depend on how many they are; what somebody chose at Keycloak or wrote at Stripe stays; nothing is
written to an account that waits for its link.
"""

from typing import Any

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.core import clock, jobs
from apps.core.models import Job
from apps.identity import account_details

KIND = "tell_languages"
EVERY_SECONDS = 60
PER_MINUTE = 30  # people; two calls each


def register() -> None:
    """Make the job kind known."""
    label = "Tell languages not told yet"
    jobs.register(KIND, _run, label=label, every=EVERY_SECONDS, importance=Job.Importance.SWEEP)


def _run(_key: str) -> None:
    tell_languages()


@transaction.atomic
def tell_languages() -> int:
    """Tell some of them now; returns how many."""
    linking = Job.objects.filter(kind=reconcile.LINK_KIND, key=Cast(OuterRef("pk"), CharField()))
    linking = linking.exclude(state__in=Job.FINISHED)
    untold = UserProfile.objects.filter(language_told_at=None, keycloak_id__isnull=False).exclude(Exists(linking))
    rows = untold.select_for_update(of=("self",), skip_locked=True).order_by("pk")
    people = dict(rows.values_list("pk", "stripe_customer_id")[:PER_MINUTE])
    if not people:
        return 0
    UserProfile.objects.filter(pk__in=people).update(language_told_at=clock.now())
    later: dict[str, Any] = {"reason": "they were never told", "importance": Job.Importance.SWEEP}
    jobs.defer_many(account_details.FILL_LANGUAGE, {str(pk): reconcile.lane(pk) for pk in people}, **later)
    paying = {str(pk): f"customer:{customer}" for pk, customer in people.items() if customer}
    if paying:
        jobs.defer_many(customers.UPDATE, paying, **later)
    return len(people)
