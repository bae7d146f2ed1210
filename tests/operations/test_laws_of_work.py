"""Laws of work, money and operation: for each, a row is broken by hand, exactly that law names exactly that row, and then all is well."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from apps.access.models import AccessOverride
from apps.accounts import staff
from apps.accounts.models import Signup, UserProfile
from apps.billing import events
from apps.billing.models import InboundEvent
from apps.core import audit, clock, jobs, laws
from apps.core.attention import Cause
from apps.core.job_outcomes import PERIODIC
from apps.core.laws import LawState
from apps.core.models import AttentionItem, AuditEntry, Job, Schedule
from apps.instances.models import Seat
from apps.onboarding import codes, signup_checkout
from apps.onboarding.models import OneTimeCode
from apps.operations import laws_safeguard, safeguard
from tests.laws import sabotage, violated
from tests.world import World

pytestmark = pytest.mark.django_db
LATER = dt.timedelta(minutes=20)


@pytest.fixture
def dana(world: World) -> UserProfile:
    """A subscriber who has paid; enough time has passed for every allowance."""
    found = world.subscriber("dana")
    world.pass_time(seconds=int(LATER.total_seconds()))
    world.sweep()
    assert violated() == {}
    return found


def of(profile: UserProfile) -> list[str]:
    return [str(profile.pk)]


# --- money -------------------------------------------------------------------------------------------------------------


def test_l5_names_who_has_access_on_returned_money(dana: UserProfile) -> None:
    for returned in ("refunded", "dispute_lost"):
        with sabotage(("UPDATE billing_subscription SET money_returned = %s", [returned])):
            assert violated("L5") == {"L5": of(dana)}
            grant = {"kind": AccessOverride.Kind.GRANT, "days": 3}
            waiver = {"kind": AccessOverride.Kind.WAIVE_DISPUTE, "days": 3}
            _allow(dana, **(grant if returned == "refunded" else waiver))
            assert violated("L5") == {}
    assert violated() == {}


def _allow(profile: UserProfile, *, kind: str, days: int) -> None:
    now = clock.now()
    AccessOverride.objects.create(
        profile=profile, kind=kind, reason="agreed", created_by="staff:ada", created_at=now, starts_at=now,
        ends_at=now + dt.timedelta(days=days),
    )  # fmt: skip


def test_l5_respects_terms_that_only_flag_a_lost_dispute(dana: UserProfile, settings: Any) -> None:
    settings.LOST_DISPUTE = "flag"
    with sabotage("UPDATE billing_subscription SET money_returned = 'dispute_lost'"):
        assert violated("L5") == {}
    with sabotage("UPDATE billing_subscription SET money_returned = 'refunded'"):
        assert violated("L5") == {"L5": of(dana)}


SECOND = """
INSERT INTO billing_subscription SELECT (jsonb_populate_record(s, jsonb_build_object('id', s.id + 1000, 'stripe_id', 'sub_second'))).*
FROM billing_subscription s
"""


def test_l6_names_who_pays_twice_unseen(dana: UserProfile) -> None:
    with sabotage(SECOND):
        assert violated() == {"L6": of(dana)}
        AttentionItem.objects.create(
            cause=Cause.SECOND_SUBSCRIPTION, key=f"profile:{dana.pk}", sentence="Cancel one.", first_at=clock.now(), last_at=clock.now(),
        )  # fmt: skip
        assert violated() == {}
    assert violated() == {}


# --- events and jobs ---------------------------------------------------------------------------------------------------


def test_l14_names_an_event_that_no_job_handles(dana: UserProfile) -> None:
    event = InboundEvent.objects.filter(state="handled").earliest("pk")
    forget = ("UPDATE billing_inboundevent SET state = 'received', handled_at = NULL WHERE id = %s", [event.pk])
    with sabotage(forget):
        assert violated() == {"L14": [str(event.pk)]}
        jobs.defer(events.KIND, event.stripe_event_id)
        assert violated() == {}
    assert violated() == {}


QUEUED = """
INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at, started_at, last_error,
    history)
VALUES ('reconcile', 'x', 'lane:x', %s, '', %s, %s, 1, %s, '', %s, %s, '', '[]')
"""


@pytest.mark.parametrize(
    ("state", "importance", "attempts", "minutes", "late"),
    [
        ("running", 2, 1, 3, True),
        ("running", 2, 1, 1, False),
        ("queued", 2, 0, 3, True),
        ("queued", 2, 0, 1, False),
        ("queued", 3, 0, 60 * 23, False),
        ("queued", 3, 0, 60 * 25, True),
        ("queued", 2, 5, 0, True),
        ("queued", 2, 4, 0, False),
    ],
)
def test_l15_names_a_job_that_is_left(
    dana: UserProfile, state: str, importance: int, attempts: int, minutes: int, late: bool
) -> None:
    at = clock.now() - dt.timedelta(minutes=minutes)
    with sabotage((QUEUED, [state, importance, attempts, at, at, at])):
        job = Job.objects.get(key="x")
        assert violated() == ({"L15": [str(job.pk)]} if late else {})
    assert violated() == {}


def test_l15_waits_for_a_lane(dana: UserProfile) -> None:
    at, now = clock.now() - dt.timedelta(minutes=5), clock.now()
    running = (QUEUED.replace("'x', 'lane:x'", "'y', 'lane:x'"), ["running", 2, 1, at, at, now])
    with sabotage((QUEUED, ["queued", 2, 0, at, at, None]), running):
        assert violated() == {}


@pytest.fixture
def alive(dana: UserProfile) -> UserProfile:
    """A worker lives, and every periodic job has just run."""
    now = clock.now()
    with connection.cursor() as cursor:
        for part in ("worker", "cluster"):
            cursor.execute("INSERT INTO core_heartbeat VALUES (%s, clock_timestamp())", [f"{part}@here:1"])
    Job.objects.filter(key=PERIODIC).delete()
    Job.objects.bulk_create(
        Job(kind=kind.name, key=PERIODIC, state="done", not_before=now, created_at=now, finished_at=now, lane=kind.name)
        for kind in jobs.KINDS.values()
        if kind.every
    )
    Schedule.objects.all().delete()
    Schedule.objects.bulk_create(Schedule(kind=one.name, next_at=now) for one in jobs.KINDS.values() if one.every)
    assert violated(aside=()) == {}
    return dana


def test_l16_names_what_no_longer_runs(alive: UserProfile) -> None:
    at = clock.now()
    silent = "UPDATE core_heartbeat SET at = at - interval '2 minutes' WHERE name LIKE 'cluster@%'"
    with sabotage(silent):
        assert violated(aside=()) == {"L16": ["any"]}
    ran = ("UPDATE core_job SET finished_at = %s WHERE kind = 'sweep_access'", [at - dt.timedelta(minutes=4)])
    with sabotage(ran):
        assert violated(aside=()) == {"L16": ["sweep_access"]}
    with sabotage(
        ("UPDATE core_schedule SET next_at = %s WHERE kind = 'sweep_access'", [at - dt.timedelta(minutes=3)])
    ):
        assert violated(aside=()) == {"L16": ["sweep_access"]}
    with sabotage("DELETE FROM core_schedule WHERE kind = 'sweep_access'"):
        assert violated(aside=()) == {"L16": ["sweep_access"]}
    fails = (
        "UPDATE core_job SET state = 'dead', created_at = %s WHERE kind = 'sweep_access'",
        [at - dt.timedelta(hours=1)],
    )
    with sabotage(fails):
        assert violated(aside=()) == {"L16": ["sweep_access"]}
    late = ("UPDATE core_job SET finished_at = %s WHERE kind = 'backfill_events'", [at - dt.timedelta(hours=2)])
    with sabotage(late):
        assert violated(aside=()) == {"L16": ["backfill_events"]}
        with sabotage(("INSERT INTO core_dependency VALUES ('stripe', %s, %s, 'down')", [at, at])):
            assert violated(aside=()) == {}
    assert violated(aside=()) == {}


# --- history -----------------------------------------------------------------------------------------------------------


def change(profile: UserProfile, before: str, after: str) -> None:
    audit.record(subject=profile.subject, action="access_changed", before={"state": before}, after={"state": after})


def test_l17_names_a_change_that_cannot_be_one_that_is_missing_and_one_that_was_not_recorded(dana: UserProfile) -> None:
    for steps in (
        [("active", "suspended"), ("suspended", "none"), ("none", "active")],  # nobody becomes somebody who never paid
        [("suspended", "active")],  # when were they suspended?
        [("active", "grace")],  # they are active
    ):
        with sabotage():
            for before, after in steps:
                change(dana, before, after)
            assert violated("L17") == {"L17": of(dana)}, steps
    with sabotage("UPDATE accounts_userprofile SET access_state = 'grace'"):
        assert violated("L17") == {"L17": of(dana)}
    other = "ALTER TABLE core_auditentry DISABLE TRIGGER USER"
    with sabotage(other, "DELETE FROM core_auditentry WHERE action = 'access_changed'"):
        assert violated("L17") == {"L17": of(dana)}
    with sabotage():
        change(dana, "active", "held")  # what a hold was called once
        change(dana, "on_hold", "active")
        assert violated() == {}
    assert violated() == {}


# --- codes, reservations, staff ----------------------------------------------------------------------------------------


def test_l21_names_a_code_that_does_not_end(dana: UserProfile) -> None:
    codes.issue_code(purpose=OneTimeCode.Purpose.RECOVERY, address="dana@example.com", session="one")
    code = OneTimeCode.objects.get()
    table = "onboarding_onetimecode"
    again = (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(c, jsonb_build_object('id', c.id + 1000))).* FROM {table} c"
    )
    broken: list[tuple[str, list[tuple[str, str]]]] = [
        (f"UPDATE {table} SET expires_at = expires_at + interval '1 second'", []),
        (f"UPDATE {table} SET tries = 6", [(table, "code_tries_bounded")]),
        (f"UPDATE {table} SET used_at = expires_at + interval '1 second'", []),
        (again, [(table, "code_one_live_per_purpose")]),
    ]
    for statement, without in broken:
        with sabotage(statement, without=without):
            assert violated() == {"L21": [str(code.pk)]}, statement
    assert violated() == {}


def test_l22_names_what_is_held_for_a_payment_that_cannot_come(dana: UserProfile, world: World) -> None:
    signup = world.signup("bob")
    signup_checkout.open_checkout(signup, ui="embedded")
    world.work()
    assert violated() == {}
    Job.objects.filter(kind="check_checkout").delete()
    ended = clock.now() - dt.timedelta(hours=1)
    over = ("UPDATE accounts_signup SET checkout_expires_at = %s WHERE state = 'checkout'", [ended])
    with sabotage(over):
        assert violated() == {"L22": [str(signup.pk)]}
        jobs.defer("check_checkout", str(signup.pk), not_before=clock.now() + dt.timedelta(hours=1))
        assert violated() == {}  # the bank is asked again later
        with sabotage(("UPDATE accounts_signup SET checkout_expires_at = %s", [ended - dt.timedelta(days=40)])):
            assert violated() == {"L22": [str(signup.pk)]}  # and not for ever
    seat = Seat.objects.get(state="reserved")
    with sabotage(("UPDATE instances_seat SET reserved_until = %s WHERE state = 'reserved'", [ended])):
        assert violated("L22") == {"L22": [str(seat.pk)]}
    again = "INSERT INTO accounts_signup SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'checkout_session_id', 'cs_x'))).* FROM accounts_signup s WHERE state = 'checkout'"
    both = [("accounts_signup", "signup_one_live_per_username"), ("accounts_signup", "signup_one_live_per_email")]
    with sabotage(again, without=both):
        twice = Signup.objects.filter(state="checkout").values_list("pk", flat=True)
        found = violated("L22")["L22"]
        assert (len(found), set(found)) == (4, {str(one) for one in twice})  # by name and by address
    assert violated() == {}


def test_l25_names_who_has_rights_that_keycloak_did_not_give(dana: UserProfile) -> None:
    ada = User.objects.create(username="ada", password="!")
    staff.refresh(ada, said={}, roles=frozenset({"viewer"}))
    assert violated() == {}
    admin = Group.objects.get_or_create(name="admin")[0].pk
    broken: list[tuple[str, list[Any], User]] = [
        ("INSERT INTO auth_user_groups (user_id, group_id) VALUES (%s, %s)", [ada.pk, admin], ada),
        ("INSERT INTO auth_user_groups (user_id, group_id) VALUES (%s, %s)", [dana.user_id, admin], dana.user),
        ("UPDATE auth_user SET is_staff = true WHERE id = %s", [dana.user_id], dana.user),
        ("UPDATE auth_user SET is_superuser = true WHERE id = %s", [ada.pk], ada),
        ("UPDATE auth_user SET is_staff = false WHERE id = %s", [ada.pk], ada),
        ("UPDATE auth_user SET password = 'pbkdf2_sha256$1$x$y' WHERE id = %s", [dana.user_id], dana.user),
        ("INSERT INTO auth_user_user_permissions (user_id, permission_id) SELECT %s, min(id) FROM auth_permission", [ada.pk], ada),
        ("DELETE FROM auth_user_groups WHERE user_id = %s AND group_id IN (SELECT id FROM auth_group WHERE name = 'viewer')", [ada.pk], ada),
    ]  # fmt: skip
    for statement, values, user in broken:
        with sabotage((statement, values)):
            assert violated() == {"L25": [str(user.pk)]}, statement
    assert violated() == {}


def test_l25_names_staff_who_go_on_long_after_their_login(dana: UserProfile) -> None:
    ada = User.objects.create(username="ada", password="!")
    staff.refresh(ada, said={}, roles=frozenset({"viewer"}))
    for user, key in ((ada, "ada's"), (dana.user, "dana's")):
        expires = timezone.now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)  # visited just now
        Session.objects.create(session_key=key, session_data="", expire_date=expires)
        UserSession.objects.create(session_key=key, user=user, ip="127.0.0.1", user_agent="", data={})
    login = "UPDATE usersessions_usersession SET created_at = now() - interval '{} hours'"
    with sabotage(login.format(11)):
        assert violated() == {}
    with sabotage(login.format(13)):
        assert violated() == {"L25": [str(ada.pk)]}, "a subscriber has no roles"
        visited = "UPDATE django_session SET expire_date = expire_date - interval '90 minutes'"
        with sabotage(visited):
            assert violated() == {}, "it rests, and is over at the next visit"


# --- the log -----------------------------------------------------------------------------------------------------------

SAID = [
    "sk_test_" + "51Abc" * 5, "Bearer eyJhbGciOi.J9x", "dana@example.com", '"code": "123456"', "code=7K2M-9QXW",
    "whsec_" + "a" * 24, "cs_test_a1_secret_b2", "DETAIL:  Key (email)=(x) already exists.",
]  # fmt: skip


def test_l28_names_the_line_that_says_what_no_line_may_say(settings: Any, tmp_path: Path) -> None:
    fine = json.dumps({"event": "event_stored", "stripe_event": "evt_1", "user": 7, "to": "0123456789ab@example.com"})
    file = tmp_path / "log"
    for said in SAID:
        file.write_text("\n".join([fine, said, fine, fine]))
        settings.LOG_FILE = str(file)
        assert violated("L28") == {"L28": ["3"]}, said
        file.write_text("\n".join([said, *[fine] * 10_000]))
        assert violated("L28") == {}
    for missing in ("", str(tmp_path / "nothing")):
        settings.LOG_FILE = missing
        (found,) = laws.run(["L28"])
        assert (found.state, found.reason != "") == (LawState.UNKNOWN, True)


# --- the safeguard -----------------------------------------------------------------------------------------------------


def test_l30_names_whom_a_sweep_shut_out_without_approval(dana: UserProfile) -> None:
    now = clock.now()
    people = [
        UserProfile(user=user, email=f"{user.username}@example.com", created_at=now, access_state="canceled")
        for user in User.objects.bulk_create(User(username=f"p{n}", password="!") for n in range(21))
    ]
    people = UserProfile.objects.bulk_create(people)
    for one in people:
        job = Job.objects.create(kind="reconcile", key=str(one.pk), state="done", reason="nightly", importance=3, not_before=now, created_at=now, started_at=now, finished_at=now)  # fmt: skip
        change(one, "none", "active")
        with structlog.contextvars.bound_contextvars(request_id="4f3a", job_id=job.pk, run=1):
            change(one, "active", "canceled")
    ids = {str(one.pk) for one in people}
    with sabotage():
        assert {name: set(found) for name, found in violated("L30", "L17").items()} == {"L30": ids}
        review = safeguard.SafeguardReview.objects.create(
            sweep="reconcile_all", state="pending", profile_ids=[one.pk for one in people], with_access=21, opened_at=now, seen_at=now
        )  # fmt: skip
        safeguard.approve(review, expected=21, actor="staff:ada", reason="agreed")
        assert violated("L30") == {}
    with sabotage("DELETE FROM core_job WHERE id = (SELECT max(id) FROM core_job WHERE reason = 'nightly')"):
        assert violated("L30") == {}  # twenty are few
    with sabotage("UPDATE core_job SET reason = 'its date has come' WHERE reason = 'nightly'"):
        assert violated("L30") == {}
    fetched = """
        INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at, started_at,
            finished_at, last_error, history)
        SELECT 'mirror_customer', stripe_customer_id, 'x', 'done', 'differs from Stripe', 3, 1, 1, now(), '', %s, %s, %s, '', '[]'
        FROM accounts_userprofile WHERE access_state = 'canceled'
    """
    customers = "UPDATE accounts_userprofile SET stripe_customer_id = 'cus_p' || id WHERE access_state = 'canceled'"
    followed = "UPDATE core_job SET reason = 'subscription mirrored', importance = 2 WHERE reason = 'nightly'"
    with sabotage(customers, (fetched, [now, now, now]), followed):
        assert {name: set(found) for name, found in violated("L30").items()} == {"L30": ids}


def test_the_beginning_of_a_day_is_found_without_a_scan(dana: UserProfile) -> None:
    rows = list(AuditEntry.objects.order_by("pk").values_list("pk", "at"))
    for moment in (rows[0][1], rows[len(rows) // 2][1], clock.now()):
        first = next((pk for pk, at in rows if at >= moment), rows[-1][0])
        assert laws_safeguard._first_entry_since(moment) <= first
        assert all(at < moment for pk, at in rows if pk < laws_safeguard._first_entry_since(moment))
