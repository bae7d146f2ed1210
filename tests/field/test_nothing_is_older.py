"""Nothing is older than its retention: a check of its own counts what is left too long, rule by rule, and staff are told."""

import datetime as dt
import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import QuerySet

from apps.access import overrides
from apps.accounts import erasure_attempts
from apps.accounts.erasers import NOBODY
from apps.accounts.models import ErasureAttempt, Membership, Signup, UserProfile
from apps.billing.mirror_rows import MODELS
from apps.billing.models import InboundEvent
from apps.core import attention, clock, jobs, metrics, retention, retention_check
from apps.core.models import AttentionItem, ComparisonRun, Job, LawCheck, Outage, RateLimit, RetentionCheck
from apps.instances.models import ProductAccount, WebhookDelivery
from apps.notifications.models import Notification
from apps.onboarding.models import AddressChange, OneTimeCode, WaitlistEntry
from apps.operations import privacy
from apps.operations.copy_models import DataCopy
from apps.operations.models import CustomerApiKey, CustomerChange, DailyFigure, Drift, ReportFigure
from tests.instances import house
from tests.world import World

DAY = dt.timedelta(days=1)
OLD = 800 * DAY  # longer than any rule


def person(name: str, **fields: Any) -> UserProfile:
    user = User.objects.create(username=name, email=f"{name}@example.com")
    values = {"email": user.email, "created_at": clock.now() - OLD} | fields
    return UserProfile.objects.create(user=user, **values)


def expired(name: str) -> UserProfile:
    return person(
        name, access_state="expired", final_expiry_at=clock.now() - OLD, subscription_status="canceled", synced_at=clock.now()
    )  # fmt: skip


def job(importance: Job.Importance) -> None:
    then = clock.now() - OLD
    Job.objects.create(
        kind="note", key="1", lane="1", state="done", importance=importance, not_before=then, created_at=then, started_at=then,
        finished_at=then,
    )  # fmt: skip


def event(days: float, body: str) -> None:
    then = clock.now() - days * DAY
    InboundEvent.objects.create(
        stripe_event_id="evt_1", type="invoice.paid", state="handled", body=body, stripe_created_at=then, received_at=then,
        handled_at=then,
    )  # fmt: skip


def email(days: float, **fields: Any) -> None:
    then = clock.now() - days * DAY
    values = {"to": "a@example.com", "state": "sent", "sent_at": then} | fields
    Notification.objects.create(key="1", template="expired", created_at=then, **values)


def entry(state: str, **fields: Any) -> None:
    WaitlistEntry.objects.create(email="a@example.com", state=state, created_at=clock.now() - OLD, **fields)


def closed_item() -> None:
    attention.report(attention.Cause.DISPUTE, "1", "Something.")
    AttentionItem.objects.update(resolved_at=clock.now() - OLD)


def limit() -> None:
    RateLimit.objects.create(name="x", subject="x", per=60, busy_until=(clock.now() - OLD).timestamp())


def code() -> None:
    then = clock.now() - OLD
    OneTimeCode.objects.create(purpose="signup", subject="x", session="x", created_at=then, expires_at=then)


def drift() -> None:
    then = clock.now() - OLD
    dana = person("dana", keycloak_id=str(uuid.uuid4()))
    Drift.objects.create(profile=dana, kind="email", first_seen_at=then, last_seen_at=then, resolved_at=then)


def law_checks() -> None:
    for state in ("violated", "ok"):
        LawCheck.objects.create(
            law="L1", state=state, first_at=clock.now() - OLD, checked_at=clock.now() - OLD, looked_at=1, total=0, seconds=0.1
        )  # fmt: skip


def comparison() -> None:
    then = clock.now() - OLD
    ComparisonRun.objects.create(
        kind="compare_keycloak", state="done", actor="system", started_at=then, progressed_at=then, ended_at=then
    )  # fmt: skip


def delivery() -> None:
    place = house.instance(house.app())
    WebhookDelivery.objects.create(instance=place, message_id="msg_1", kind="endpoint.test", sent_at=clock.now() - OLD)


def account_of_an_erased_person() -> None:
    gone = person("gone")
    UserProfile.objects.filter(pk=gone.pk).update(email=f"gone{NOBODY}")
    ProductAccount.objects.create(
        profile=gone,
        instance=house.instance(house.app()),
        user_id="kc-gone",
        state="deleted",
        synced_at=clock.now() - OLD,
    )


BREAK: dict[str, Callable[[], Any]] = {
    "jobs": lambda: job(Job.Importance.CHANGE),
    "sweep_jobs": lambda: job(Job.Importance.SWEEP),
    "attention": closed_item,
    "rate_limits": limit,
    "events": lambda: event(800, ""),
    "event_bodies": lambda: event(40, "{}"),
    "emails": lambda: email(800),
    "email_contents": lambda: email(100, context={"first_name": "Ada"}),
    "codes": code,
    "unpaid_signups": lambda: Signup.objects.create(email="a@example.com", created_at=clock.now() - OLD),
    "abandoned_signups": lambda: person("gone"),
    "unconfirmed_waitlist": lambda: entry("waiting"),
    "left_waitlist": lambda: entry("left"),
    "ended_waitlist": lambda: entry("served", confirmed_at=clock.now() - OLD, invited_until=clock.now() - OLD),
    "unused_invitations": lambda: Membership.objects.create(
        payer=person("payer", keycloak_id="kc-payer"), email="mia@example.com", invited_at=clock.now() - OLD
    ),
    "address_changes": lambda: AddressChange.objects.create(
        profile=person("moved", keycloak_id="kc-moved"), former="former@example.com", changed_at=clock.now() - OLD
    ),
    "customer_changes": lambda: CustomerChange.objects.bulk_create(
        CustomerChange(profile_id=one, transaction=one, number=one, at=clock.now() - OLD) for one in (1, 2)
    ),
    "api_keys": lambda: CustomerApiKey.objects.create(
        name="CRM",
        prefix="00000000",
        digest="0" * 64,
        scopes=["customers:read"],
        created_by="staff:ada",
        created_at=clock.now() - OLD - DAY,
        expires_at=clock.now() - OLD,
    ),
    "data_copies": lambda: DataCopy.objects.create(
        profile=person("copied", keycloak_id="kc-copied"),
        requested_at=clock.now() - OLD,
        ready_at=clock.now() - OLD,
        expires_at=clock.now() - OLD + dt.timedelta(days=7),
        encrypted="x",
    ),
    "law_checks": law_checks,
    "outages": lambda: Outage.objects.create(
        peer="stripe", began_at=clock.now() - OLD, ended_at=clock.now() - OLD, reason="It did not answer."
    ),
    "webhook_deliveries": delivery,
    "erased_accounts": account_of_an_erased_person,
    "comparisons": comparison,
    "daily_figures": lambda: DailyFigure.objects.create(day=(clock.now() - OLD).date(), name="new", value=1),
    "report_figures": lambda: ReportFigure.objects.create(
        day=(clock.now() - OLD).date(), name="paid", count=1, amount=1
    ),
    "operations": drift,
    "expired_customers": lambda: expired("gone"),
}
OF_THE_WORLD = {"stripe_details"}  # rows that only a payment makes


def overdue() -> dict[str, int]:
    return {one.rule: one.overdue for one in retention_check.find_overdue() if one.overdue}


def delete() -> None:
    """The deletion, and the jobs it asked for."""
    jobs.KINDS[retention.KIND].handler("")
    jobs.drain()


def run_night() -> None:
    """The deletion and the check, as a night has them."""
    delete()
    jobs.KINDS[retention_check.KIND].handler("")


def items() -> QuerySet[AttentionItem]:
    return attention.open_items().filter(cause=attention.Cause.RETENTION)


def test_every_rule_of_the_table_is_broken_here_once(settings: Any) -> None:
    assert BREAK.keys() | OF_THE_WORLD == settings.RETENTION.keys()
    assert jobs.KINDS[retention_check.KIND].every == 86_400


@pytest.mark.parametrize("rule", BREAK)
def test_what_is_left_too_long_is_named_by_its_rule_alone_until_a_night_deletes_it(rule: str, db: None) -> None:
    BREAK[rule]()
    assert overdue() == {rule: 1}
    delete()
    assert overdue() == {}


@pytest.mark.parametrize("rule", ["event_bodies", "jobs"])
def test_staff_and_metrics_are_told_until_a_night_deletes_it(rule: str, db: None) -> None:
    assert overdue() == {}
    BREAK[rule]()
    jobs.KINDS[retention_check.KIND].handler("")
    (item,) = items()
    assert item.key == rule
    assert item.sentence.startswith(f"Older than it may be: {rule.replace('_', ' ')}, 1 row is older than")
    assert f'frontdesk_rows_overdue{{rule="{rule}"}} 1.0' in scrape()
    run_night()
    assert overdue() == {}
    assert not items().exists()
    assert f'frontdesk_rows_overdue{{rule="{rule}"}} 0.0' in scrape()


def scrape() -> str:
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(metrics.DatabaseGauges())
    return generate_latest(registry).decode()


def test_details_of_old_payments_are_named_too(world: World) -> None:
    world.subscriber("dana")
    MODELS["charge"].objects.update(created=clock.now() - OLD)
    assert overdue() == {"stripe_details": 1}
    run_night()
    assert overdue() == {}


def test_what_is_due_and_not_late_is_fine(db: None, settings: Any) -> None:
    days = settings.RETENTION["emails"]
    email(days + 1)
    assert overdue() == {}
    Notification.objects.update(created_at=clock.now() - (days + 3) * DAY)
    assert overdue() == {"emails": 1}


def test_it_asks_more_widely_than_the_deletion(db: None) -> None:
    """A rule of the deletion that forgets a row would forget it in the count as well."""
    email(
        800, profile=person("dana", keycloak_id=str(uuid.uuid4())), to="", context={"first_name": "Ada"}, state="failed"
    )
    Signup.objects.create(
        state="checkout", username="a", email="a@example.com", email_proven_at=clock.now(), created_at=clock.now() - OLD
    )  # of nobody
    run_night()
    assert overdue() == {"emails": 1, "unpaid_signups": 1}


def test_the_item_says_since_when_and_the_command_fails(db: None) -> None:
    email(800)
    with mock.patch.object(clock, "now", return_value=clock.now() - 3 * DAY):
        retention_check.check()
    retention_check.check()
    since = clock.now() - 3 * DAY
    assert f"Found since {since:%d %B %Y}" in items().get().sentence
    assert RetentionCheck.objects.get(pk="emails").since == items().get().first_at
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("check_retention", stdout=out)
    assert "1 too old" in next(line for line in out.getvalue().splitlines() if line.startswith("emails "))
    run_night()
    call_command("check_retention", stdout=StringIO())


def test_after_days_without_a_worker_the_deletion_goes_first(db: None) -> None:
    """Both are due at once then: nobody is told of what is deleted in the same minute."""
    email(800)
    person("gone")
    jobs.defer(retention_check.KIND, "periodic")
    jobs.defer(retention.KIND, "periodic")
    jobs.drain()
    Job.objects.filter(kind=retention_check.KIND, state="queued").update(not_before=clock.now())
    jobs.drain()
    assert RetentionCheck.objects.get(pk="emails").overdue == 0
    assert not items().exists()


def test_a_deletion_that_does_not_come_is_told_after_an_hour(db: None) -> None:
    email(800)
    jobs.defer(retention.KIND, "periodic")
    retention_check.check("periodic")
    later = Job.objects.get(kind=retention_check.KIND)
    assert (later.not_before > clock.now() + dt.timedelta(minutes=50), items().exists()) == (True, False)
    Job.objects.filter(kind=retention.KIND).update(created_at=clock.now() - dt.timedelta(minutes=61))
    retention_check.check(later.key)
    assert items().exists()


def test_one_rule_that_fails_keeps_none_of_the_others(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_before: dt.datetime) -> int:
        raise RuntimeError

    monkeypatch.setitem(retention.RULES, "jobs", retention.RetentionRule(fail, retention.ended_jobs))
    email(800)
    with pytest.raises(RuntimeError):
        retention.prune_all()
    assert overdue() == {}


# --- people who cannot be forgotten now ---------------------------------------------------------------------------------


def test_people_on_hold_never_keep_others_waiting(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a batch of 3 and 5 people who are refused, the sixth was never reached."""
    monkeypatch.setattr(retention, "BATCH", 3)
    held = [expired(f"held{n}") for n in range(5)]
    for one in held:
        overrides.hold(profile=one, actor="staff:ada", reason="a dispute is open")
    Job.objects.all().delete()
    gone = [expired(f"gone{n}") for n in range(2)]
    for _ in range(3):
        run_night()
    assert set(UserProfile.objects.exclude(email__endswith=privacy.NOBODY)) == set(held)
    refused = set(ErasureAttempt.objects.values_list("profile", "refusal"))
    assert refused == {(one.pk, "The subscriber is on hold. End the hold first.") for one in held}
    assert overdue() == {}, "they are kept for a reason"
    assert not ErasureAttempt.objects.filter(profile__in=gone).exists()


def test_who_was_refused_is_asked_about_again_and_forgotten_once_they_can_be(db: None) -> None:
    held = expired("held")
    hold = overrides.hold(profile=held, actor="staff:ada", reason="a dispute is open")
    Job.objects.all().delete()
    run_night()
    overrides.lift(override=hold, actor="staff:ada", reason="it is over")
    Job.objects.all().delete()
    run_night()
    held.refresh_from_db()
    assert held.email == "held@example.com", "not asked again in the same week"
    ErasureAttempt.objects.update(refused_at=clock.now() - erasure_attempts.REST - DAY)
    assert overdue() == {}
    run_night()
    held.refresh_from_db()
    assert held.email.endswith(privacy.NOBODY)
    assert not ErasureAttempt.objects.exists()


def test_whom_nobody_asked_about_again_is_overdue(db: None) -> None:
    held = expired("held")
    overrides.hold(profile=held, actor="staff:ada", reason="a dispute is open")
    Job.objects.all().delete()
    run_night()
    ErasureAttempt.objects.update(refused_at=clock.now() - 10 * DAY)
    assert overdue() == {"expired_customers": 1}


def test_jobs_that_fail_never_keep_others_waiting_either(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    people = [person(f"gone{n}") for n in range(5)]
    chosen = []
    for _ in range(3):
        retention.RULES["abandoned_signups"].prune(clock.now())
        chosen += sorted(Job.objects.filter(kind="forget_signup").values_list("key", flat=True))
        Job.objects.all().delete()  # as if each had died
    assert set(map(int, chosen)) == {one.pk for one in people}
