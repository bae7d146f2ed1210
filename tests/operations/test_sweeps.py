"""A look at everybody costs the same few statements however many they are."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import Job
from apps.operations import sweeps

pytestmark = pytest.mark.django_db


def people(count, *, start=0, seen=True):
    now = clock.now()
    users = User.objects.bulk_create([User(username=f"person-{start + n}") for n in range(count)])
    return UserProfile.objects.bulk_create(
        [
            UserProfile(
                user=user,
                email=f"{user.username}@example.org",
                keycloak_id=f"kc-{user.pk}",
                synced_at=now if seen else None,
                created_at=now,
            )
            for user in users
        ]
    )


def statements():
    with CaptureQueriesContext(
        connection,
    ) as captured:
        sweeps.reconcile_all("periodic")
    return [query["sql"] for query in captured if "django_q_ormq" not in query["sql"]]


def test_everybody_gets_one_look_in_as_many_statements_for_few_as_for_many():
    people(3)
    statements()  # from now on looks are waiting
    few = len(statements())
    people(40, start=100)
    assert len(statements()) == few
    looks = Job.objects.filter(kind="reconcile", state="queued")
    assert looks.count() == 43
    assert {f"profile:{pk}" for pk in UserProfile.objects.values_list("pk", flat=True)} == set(
        looks.values_list("lane", flat=True)
    )
    first = UserProfile.objects.order_by("pk").first()
    assert (first.desired_generation, first.pending_since is not None) == (3, True)


def test_who_was_never_looked_at_is_left_to_the_sweep():
    people(1, seen=False)
    sweeps.reconcile_all("periodic")
    assert not Job.objects.filter(kind="reconcile").exists()
