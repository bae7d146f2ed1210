"""Whom to forget next, of those whose retention is over.

Promises: who was never tried comes first, then who was tried longest ago, so that many whom nobody can forget now (on hold, an
invoice at Stripe) never keep the others waiting; who was refused is left alone for a week.
"""

import datetime as dt
from typing import Any

from django.db.models import F, QuerySet

from apps.accounts.models import ErasureAttempt, UserProfile
from apps.core import clock

REST, LATE = dt.timedelta(days=7), dt.timedelta(days=2)


def choose(people: QuerySet[UserProfile], *, limit: int) -> list[int]:
    """The ids of whom to try now; noted as tried."""
    now = clock.now()
    turn = F("erasure_attempt__tried_at").asc(nulls_first=True)
    found = list(_without_refused(people, since=now - REST).order_by(turn, "pk").values_list("pk", flat=True)[:limit])
    ErasureAttempt.objects.bulk_create(
        [ErasureAttempt(profile_id=one, tried_at=now) for one in found],
        update_conflicts=True, unique_fields=["profile"], update_fields=["tried_at"],
    )  # fmt: skip
    return found


def note_refusal(profile: UserProfile, why: str) -> None:
    """Keep that the person cannot be forgotten now, and why."""
    now = clock.now()
    values: dict[str, Any] = {"refused_at": now, "refusal": why[:300]}
    ErasureAttempt.objects.update_or_create(
        profile=profile, defaults=values, create_defaults=values | {"tried_at": now}
    )


def not_kept(people: QuerySet[UserProfile]) -> QuerySet[UserProfile]:
    """Those of them for whom there is no refusal, or one that should have been asked about again by now."""
    return _without_refused(people, since=clock.now() - REST - LATE)


def _without_refused(people: QuerySet[UserProfile], *, since: dt.datetime) -> QuerySet[UserProfile]:
    return people.exclude(erasure_attempt__refused_at__gt=since)
