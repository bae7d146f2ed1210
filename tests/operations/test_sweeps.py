"""A look at everybody costs the same few statements however many they are; the minute's sweep reads the same few pages too."""

import datetime as dt
import json
import tracemalloc

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


def test_who_needs_a_look_gets_one_look_in_as_many_statements_for_few_as_for_many():
    """Nothing was ever decided about these, so each needs one."""
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


def test_who_has_paid_goes_first_at_night():
    one, two, three = people(3)
    UserProfile.objects.filter(pk=two.pk).update(subscription_status="active", access_state="suspended")
    statements()
    found = dict(Job.objects.filter(kind="reconcile").values_list("key", "importance"))
    waits, sweep = Job.Importance.PERSON_WAITS, Job.Importance.SWEEP
    assert found == {str(one.pk): sweep, str(two.pk): waits, str(three.pk): sweep}


def test_who_was_never_looked_at_is_left_to_the_sweep():
    people(1, seen=False)
    sweeps.reconcile_all("periodic")
    assert not Job.objects.filter(kind="reconcile").exists()


# --- each minute -----------------------------------------------------------------------------------------------------


def crowd(count):
    """So many more subscribers, all of them asked for and queued, as in the night."""
    start = UserProfile.objects.count()
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH named AS (INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff,"
            " is_active, date_joined) SELECT '!', false, 'crowd-' || n, '', '', '', false, true, now()"
            " FROM generate_series(%(from)s, %(from)s + %(count)s - 1) n RETURNING id, username),"
            " asked AS (INSERT INTO accounts_userprofile (user_id, onboarding_id, email, keycloak_id, subscription_status,"
            " access_state, access_reason, forecast, access_until, desired_generation, observed_generation, pending_since, synced_at,"
            " created_at) SELECT id, gen_random_uuid(), username || '@example.org', 'kc-' || id, 'active', 'active', '{}', '[]',"
            " now() - interval '1 hour', 2, 1, now(), now(), now() FROM named RETURNING id)"
            " INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at,"
            " last_error, history) SELECT 'reconcile', id, 'profile:' || id, 'queued', '', 2, 0, 0, now(), '', now(), '', '[]' FROM asked",
            {"from": start, "count": count},
        )  # fmt: skip
        cursor.execute("ANALYZE accounts_userprofile; ANALYZE core_job; ANALYZE auth_user")


def cost_of_sweep():
    """Statements, pages of the database and the most memory that one sweep uses."""
    with CaptureQueriesContext(connection) as captured:
        sweeps.sweep_access("periodic")
    pages = 0
    with connection.cursor() as cursor:
        for query in captured:
            if query["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query['sql']}")
                plan = cursor.fetchone()[0]
                top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
                pages += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    tracemalloc.start()
    sweeps.sweep_access("periodic")
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return len(captured), pages, memory


def test_the_sweep_costs_the_same_while_ten_times_as_many_are_queued(monkeypatch):
    monkeypatch.setattr(sweeps, "WINDOW", 1000)
    crowd(2_000)
    statements_few, _, memory_few = cost_of_sweep()
    crowd(18_000)
    statements_many, pages_many, memory_many = cost_of_sweep()
    assert statements_many == statements_few
    assert pages_many < 2 * 6 * 1000  # two questions, one probe of an index for each of the 1,000 people of a range
    assert memory_many < memory_few + 100_000
    assert Job.objects.count() == 20_000  # and nobody was asked for again


def test_without_the_window_it_reads_a_few_pages_for_each_who_waits_and_keeps_nobody_in_memory():
    crowd(2_000)
    statements_few, _, memory_few = cost_of_sweep()
    crowd(18_000)
    statements_many, pages_many, memory_many = cost_of_sweep()
    assert statements_many == statements_few
    assert pages_many < 2 * 6 * 20_000  # two questions, one probe of an index for each person
    assert memory_many < memory_few + 100_000


def test_each_minute_looks_at_the_next_range_so_that_a_lost_one_is_found_behind_a_crowd(monkeypatch):
    monkeypatch.setattr(sweeps, "WINDOW", 50)
    crowd(400)
    lost = UserProfile.objects.order_by("pk")[333]
    Job.objects.filter(key=str(lost.pk)).update(state="done")
    first, minute = clock.now(), dt.timedelta(minutes=1)
    ranges = UserProfile.objects.order_by("-pk").first().pk // 50 + 1
    for count in range(ranges):
        monkeypatch.setattr(clock, "now", lambda count=count: first + count * minute)
        sweeps.sweep_access("periodic")
    queued = Job.objects.filter(state="queued")
    assert queued.filter(key=str(lost.pk)).count() == 1
    assert queued.count() == 400


@pytest.mark.parametrize("state", ["blocked", "dead"])
def test_who_waits_for_staff_is_left_alone_until_a_date_comes(state):
    crowd(2)
    stuck, queued = UserProfile.objects.order_by("pk")
    Job.objects.filter(key=str(stuck.pk)).update(state=state)
    UserProfile.objects.update(access_until=clock.now() + dt.timedelta(days=1))
    sweeps.sweep_access("periodic")
    assert Job.objects.filter(state="queued").count() == 1
    UserProfile.objects.update(access_until=clock.now() - dt.timedelta(seconds=1))
    sweeps.sweep_access("periodic")
    assert set(Job.objects.filter(state="queued").values_list("key", flat=True)) == {str(stuck.pk), str(queued.pk)}


def test_who_has_paid_and_has_no_access_is_asked_for_before_the_others():
    crowd(3)
    Job.objects.all().delete()
    paid, fresh, usual = UserProfile.objects.order_by("pk")
    UserProfile.objects.filter(pk=paid.pk).update(access_state="suspended")
    UserProfile.objects.filter(pk=fresh.pk).update(synced_at=None)
    sweeps.sweep_access("periodic")
    waits, change = Job.Importance.PERSON_WAITS, Job.Importance.CHANGE
    assert set(Job.objects.values_list("kind", "key", "importance")) == {
        ("reconcile", str(paid.pk), waits),
        ("sync_user_post_checkout", str(fresh.pk), waits),
        ("reconcile", str(usual.pk), change),
    }
