"""What is deleted after how long, which names nobody may take, and whether the audit trail is whole."""

import datetime as dt
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Signup
from apps.billing import events
from apps.billing.models import InboundEvent
from apps.catalog.models import Product
from apps.core import attention, audit, clock, jobs, limits, retention
from apps.core.audit_actions import AuditAction
from apps.core.models import AttentionItem, AuditEntry, Job, RateLimit
from apps.notifications import mail
from apps.notifications.models import Notification
from apps.onboarding.reserved_usernames import is_reserved
from apps.operations.models import (
    ApprovalRequest,
    CustomerImport,
    Drift,
    SafeguardReview,
    SeatPlan,
    SyncResult,
    SyncRun,
    TermsPreview,
)
from apps.sandbox.run import realm_file
from tests.world import ROOT, World

DAY = dt.timedelta(days=1)


def test_every_row_of_the_table_has_its_deletion_and_each_deletion_its_row(settings: Any) -> None:
    assert retention.RULES.keys() == settings.RETENTION.keys()
    assert jobs.KINDS[retention.KIND].every == 86_400


def job(state: str, days: float) -> Job:
    then = clock.now() - days * DAY
    return Job.objects.create(
        kind="note", key=f"{state}{days}", lane=f"{state}{days}", state=state, not_before=then, created_at=then, started_at=then, finished_at=then,
    )  # fmt: skip


def test_done_jobs_go_after_a_month_and_what_needs_staff_stays(db: None, settings: Any) -> None:
    """reliability B8, ecosystem B13: nothing was ever deleted, some 6,000 rows a day on an idle system."""
    gone = [job("done", 31), job("superseded", 40)]
    kept = [job("done", 29), job("dead", 400), job("blocked", 400), job("running", 31)]
    retention.prune_all()
    assert set(Job.objects.values_list("pk", flat=True)) == {one.pk for one in kept}
    settings.RETENTION = settings.RETENTION | {"jobs": 20}
    retention.prune_all()
    assert not Job.objects.filter(pk__in=[one.pk for one in [*gone, kept[0]]]).exists()


def test_many_rows_go_in_batches(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(8):
        job("done", 40 + number)
    assert retention.prune_jobs(clock.now() - 30 * DAY) == 8
    assert not Job.objects.exists()


def event(key: str, state: str, days: float) -> None:
    then = clock.now() - days * DAY
    InboundEvent.objects.create(
        stripe_event_id=key, type="invoice.paid", state=state, body="{}", stripe_created_at=then, received_at=then,
        handled_at=None if state == "received" else then,
    )  # fmt: skip


def test_events_go_with_their_bodies_but_not_those_that_wait(db: None) -> None:
    for state in ("handled", "ignored", "not_ours", "received"):
        event(f"old-{state}", state, 91)
        event(f"new-{state}", state, 89)
    retention.prune_all()
    left = set(InboundEvent.objects.values_list("stripe_event_id", flat=True))
    assert left == {"old-received", "new-handled", "new-ignored", "new-not_ours", "new-received"}


def test_bodies_go_before_their_events_and_those_can_still_be_processed(world: World) -> None:
    """perf.md 7: of 640 KB for each subscriber and year 349 were bodies of events that had been handled."""
    world.subscriber("dana")
    waiting, *handled = InboundEvent.objects.order_by("pk").values_list("pk", flat=True)
    InboundEvent.objects.filter(pk=waiting).update(state="received", handled_at=None)
    InboundEvent.objects.filter(pk__in=handled).update(handled_at=clock.now() - 15 * DAY)
    InboundEvent.objects.filter(pk=handled[0]).update(handled_at=clock.now() - 13 * DAY)
    retention.prune_all()
    kept = set(InboundEvent.objects.exclude(body="").values_list("pk", flat=True))
    assert kept == {waiting, handled[0]}
    assert InboundEvent.objects.count() == 1 + len(handled)
    for one in InboundEvent.objects.filter(body=""):
        events.handle_event(one.stripe_event_id)


def test_pruning_events_reads_only_what_it_prunes(db: None) -> None:
    """Each batch would otherwise read all events again."""
    for number in range(3000):
        event(f"e{number}", "handled", 50)
    InboundEvent.objects.update(body="")
    event("old", "handled", 91)
    event("with-a-body", "handled", 20)
    before = clock.now() - 90 * DAY, clock.now() - 14 * DAY
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_inboundevent")
    assert "event_handled" in InboundEvent.objects.filter(handled_at__lt=before[0]).values("pk")[:5000].explain()
    bodies = InboundEvent.objects.filter(handled_at__lt=before[1]).exclude(body="").values("pk")[:5000]
    assert "event_with_body" in bodies.explain()


def test_what_operations_leave_goes_but_nothing_that_is_open(world: World) -> None:
    dana = world.subscriber("dana")
    then, now = clock.now() - 181 * DAY, clock.now()
    for kind, resolved in (("access", then), ("disabled", now), ("deleted", None)):
        Drift.objects.create(profile=dana, kind=kind, first_seen_at=then, last_seen_at=then, resolved_at=resolved)
    for outcome, at in (("same", then), ("waiting", then), ("changed", now)):
        run = SyncRun.objects.create(scope="selected", total=1, actor="staff:ada", reason=outcome, created_at=at)
        ended = {} if outcome == "waiting" else {"ended_at": at, "generation": 1}
        SyncResult.objects.create(run=run, profile=dana, outcome=outcome, **ended)
    for state, sweep in (("pending", "a"), ("collecting", "b"), ("obsolete", "c")):
        SafeguardReview.objects.create(sweep=sweep, state=state, opened_at=then, seen_at=then)
        asked = {"action": "extend_grace", "subject": sweep, "requested_by": "staff:ada", "reason": "a long illness"}
        ApprovalRequest.objects.create(**asked, requested_at=then, expires_at=then)
    ApprovalRequest.objects.filter(subject="c").update(
        state="declined", decided_by="staff:bob", decided_at=then, decision_reason="no longer"
    )
    for number, ended in enumerate((then, now)):
        product = Product.objects.create(slug=f"app{number}", name="App")
        SeatPlan.objects.create(
            kind="rebalance",
            product=product,
            state="ended",
            actor="staff:ada",
            reason="full",
            created_at=then,
            ended_at=ended,
        )
    for state, ended in (("done", then), ("done", now), ("paused", None), ("planned", None)):
        CustomerImport.objects.create(
            source="csv", state=state, actor="staff:ada", reason="old shop", created_at=then, ended_at=ended
        ).rows.create(number=2)
    begun = CustomerImport.objects.create(
        source="csv", state="planned", actor="staff:ada", reason="checked again after it began", created_at=then
    )
    begun.rows.create(number=2, state="imported", imported_at=then)
    for state in ("undoing", "reading"):  # somebody has asked for it since
        CustomerImport.objects.create(
            source="csv", state=state, actor="staff:ada", reason="at work", created_at=then
        ).rows.create(number=2, state="undoing")
    for state, at in (("ready", then), ("counting", then), ("abandoned", now)):
        who = {"requested_by": "staff:ada", "requested_at": at, "decided_by": "staff:ada", "decided_at": at}
        TermsPreview.objects.create(reason=state, state=state, **who).people.create(profile=dana)
    retention.prune_all()
    left = CustomerImport.objects.order_by("pk").values_list("state", "ended_at")
    assert list(left) == [("done", now), ("undoing", None), ("reading", None)]
    assert list(SeatPlan.objects.values_list("ended_at", flat=True)) == [now]
    assert set(TermsPreview.objects.values_list("state", flat=True)) == {"counting", "abandoned"}
    assert list(ApprovalRequest.objects.values_list("state", "decided_by")) == [("expired", "system")] * 2
    assert set(Drift.objects.values_list("kind", flat=True)) == {"disabled", "deleted"}
    assert set(SyncRun.objects.values_list("reason", flat=True)) == {"waiting", "changed"}
    assert set(SafeguardReview.objects.values_list("state", flat=True)) == {"pending", "collecting"}


def test_old_mails_lose_the_address_and_are_still_never_sent_twice(world: World) -> None:
    dana = world.subscriber("dana")
    mail.notify(key="hers", template="expired", to="dana@example.com", profile=dana)
    mail.notify(key="strangers", template="already_customer", to="stranger@example.com")
    world.work()
    mine = Notification.objects.filter(profile=dana)
    strangers = Notification.objects.filter(profile=None)
    assert mine.exists()
    assert strangers.exists()
    Notification.objects.update(created_at=clock.now() - 366 * DAY)
    count = mine.count()
    retention.prune_all()
    assert not strangers.exists()
    assert set(mine.values_list("to", flat=True)) == {""}
    retention.prune_all()
    assert mine.count() == count
    sent = world.mails(dana)
    mail.notify(key="hers", template="expired", to="dana@example.com", profile=dana)
    world.work()
    assert world.mails(dana) == sent


def test_mails_that_still_wait_are_kept_however_old(db: None) -> None:
    then = clock.now() - 800 * DAY
    for state in ("queued", "sending", "uncertain", "failed"):
        Notification.objects.create(key=state, template="expired", to="a@example.com", state=state, created_at=then)
    retention.prune_all()
    assert set(Notification.objects.values_list("key", flat=True)) == {"queued", "sending", "uncertain"}


def test_closed_attention_goes_and_open_attention_stays(db: None) -> None:
    for key in ("open", "closed", "fresh"):
        attention.report(attention.Cause.API_VERSION, key, "Something.")
    AttentionItem.objects.filter(key="closed").update(resolved_at=clock.now() - 31 * DAY)
    AttentionItem.objects.filter(key="fresh").update(resolved_at=clock.now())
    retention.prune_all()
    assert set(AttentionItem.objects.values_list("key", flat=True)) == {"open", "fresh"}


def test_open_signups_and_limits_go_and_paid_signups_stay(db: None) -> None:
    then = clock.now() - 31 * DAY
    for name, state in (("open", "open"), ("paid", "paid")):
        Signup.objects.create(
            state=state, username=name, email=f"{name}@example.com", email_proven_at=then, created_at=then
        )
    limits.allow(code_tries_session="somebody")
    RateLimit.objects.create(name="code", subject="x", per=60, busy_until=(timezone.now() - 3 * DAY).timestamp())
    retention.prune_all()
    assert list(Signup.objects.values_list("username", flat=True)) == ["paid"]
    assert RateLimit.objects.count() == 1


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["acmecloud", "acme-cloud", "acme.cloud2", "theacmecloud", "4cmecl0ud", "anna.acmecloud", "acme_cloud_team", "example-team",
     "support-acme", "billing-team", "billing.team", "team-billing", "anna-support", "supp0rt-desk", "security_anna", "x.admin",
     "adm1n-anna", "anna-adm1n", "supportteam", "teamsupport", "official.anna", "no-reply-anna", "customer-service", "anna.helpdesk2"],
)  # fmt: skip
def test_names_that_speak_for_the_operator_are_reserved(name: str, settings: Any) -> None:
    """ecosystem B16: the brand's own name, `support-frontdesk` and `billing-team` were free."""
    settings.BRAND = settings.BRAND | {"name": "Acme Cloud"}
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name", ["anna", "anna.miller", "badminton", "billingsley", "steam-fan", "teamo", "cloud9anna", "acmeist", "adamina", "supra",
             "marion", "ionut", "annasteams", "rooter", "offenbach", "stafford", "securitas-fan"],
)  # fmt: skip
def test_other_names_stay_free(name: str, settings: Any) -> None:
    settings.BRAND = settings.BRAND | {"name": "Ion"}
    assert not is_reserved(name)


@pytest.mark.parametrize(
    ("name", "taken"), [("ion", True), ("ion-team", True), ("anna-ion", True), ("i0n", True), ("marion", False)]
)
def test_a_short_brand_counts_as_a_word_only(name: str, taken: bool, settings: Any) -> None:
    settings.BRAND = settings.BRAND | {"name": "Ion"}
    assert is_reserved(name) is taken


# --- the audit trail --------------------------------------------------------------------------------------------------


def verify() -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("verify_audit", stdout=out, stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def trail(db: None) -> list[AuditEntry]:
    for subject in ("7", "8"):
        for number in range(3):
            audit.record(
                subject=("profile", subject), action=AuditAction.SIGNED_UP, after={"n": number, "ü": [1.5, None, "x"]}
            )
    return list(AuditEntry.objects.order_by("id"))


def tamper(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # as a superuser who goes round the trigger
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_a_whole_trail_verifies(trail: list[AuditEntry]) -> None:
    """ecosystem B15: the chain was written and verified by nobody."""
    assert verify() == (0, "6 entries in 2 chains, 0 broken.\n", "")


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'another'",
        "after = '{}'",
        "actor = 'staff:ada'",
        "at = at + interval '1 second'",
        "hash = repeat('0', 64)",
    ],
)
def test_an_altered_entry_is_named(trail: list[AuditEntry], change: str) -> None:
    tamper(f"UPDATE core_auditentry SET {change} WHERE id = %s", trail[1].pk)
    code, out, err = verify()
    assert code == 1
    assert f"profile 7: entry {trail[1].pk}" in err
    assert "was altered" in err
    assert "profile 8" not in err
    assert "0 broken" not in out


@pytest.mark.parametrize("place", [0, 1])
def test_a_removed_entry_is_noticed_by_the_next(trail: list[AuditEntry], place: int) -> None:
    tamper("DELETE FROM core_auditentry WHERE id = %s", trail[place].pk)
    code, _, err = verify()
    assert code == 1
    assert f"entry {trail[place + 1].pk}" in err
    assert "follows one that is gone" in err


def test_everything_a_life_writes_verifies(world: World) -> None:
    dana = world.subscriber("dana")
    world.pass_time(days=32)
    world.deliver()
    assert AuditEntry.objects.filter(subject_id=str(dana.pk)).count() > 3
    assert verify()[0] == 0


# --- the realm file of production -------------------------------------------------------------------------------------

PRODUCTION = json.loads((ROOT / "config/keycloak/realm.json").read_text())


def test_the_production_realm_has_no_people_no_secrets_and_wants_tls() -> None:
    """ecosystem A: the only realm file we shipped held an administrator with a published password."""
    assert all("serviceAccountClientId" in user and "credentials" not in user for user in PRODUCTION["users"])
    secrets = [client["secret"] for client in PRODUCTION["clients"] if client["clientId"] != "admin-permissions"]
    assert all(realm_file.PLACEHOLDER.fullmatch(secret) and ":" not in secret for secret in secrets)
    assert PRODUCTION["sslRequired"] == "external"
    text = json.dumps(PRODUCTION)
    assert not [word for word in ("dev-only", "localhost", "127.0.0.1", "example.com", "correct horse") if word in text]
    assert [client["clientId"] for client in PRODUCTION["clients"]] == [
        "frontdesk-web",
        "frontdesk-sync",
        "frontdesk-doctor",
        "admin-permissions",
    ]
    assert [group["name"] for group in PRODUCTION["groups"]] == ["frontdesk", "staff"]


def test_in_all_else_the_production_realm_is_the_one_the_tests_run_on() -> None:
    """What the contract proves of the rehearsal's realm holds for this one: they differ only where they are meant to."""
    own = {"displayName", "sslRequired", "groups", "users", "clients", "components", "smtpServer"}
    own |= {
        "localizationTexts",
        "attributes",
        "browserFlow",
        "resetCredentialsFlow",
        "authenticationFlows",
        "authenticatorConfig",
    }  # tests/contract/test_second_factor.py
    rehearsal, site = realm_file.read(), {"FRONTDESK_URL": "https://x"}
    texts = (realm_file.filled(one.get("localizationTexts"), site) for one in (PRODUCTION, rehearsal))
    assert next(texts) == next(texts)
    assert {k: v for k, v in PRODUCTION.items() if k not in own} == {k: v for k, v in rehearsal.items() if k not in own}
    users = {one["username"]: one for one in rehearsal["users"]}
    assert all(users[one["username"]] == one for one in PRODUCTION["users"])
    clients = {one["clientId"]: one for one in rehearsal["clients"]}
    environment = {"FRONTDESK_URL": "https://x", "FRONTDESK_BACKCHANNEL_URL": "https://x"} | {
        f"FRONTDESK_{name}_SECRET": name for name in ("WEB", "SYNC", "DOCTOR")
    }
    for client in PRODUCTION["clients"]:
        if client["clientId"] == "admin-permissions":  # its permissions name the groups by id
            names, all_names = (
                {row["name"]: row["type"] for row in one["authorizationSettings"]["policies"]}
                for one in (client, clients["admin-permissions"])
            )
            assert all_names == names | {"frontdesk-sync leaves other groups alone": "scope"}
            continue
        assert realm_file.filled(client, environment) == realm_file.filled(clients[client["clientId"]], environment)
    profile = "org.keycloak.userprofile.UserProfileProvider"
    mine, theirs = (
        json.loads(one["components"][profile][0]["config"]["kc.user.profile.config"][0])
        for one in (PRODUCTION, rehearsal)
    )
    assert all(attribute in theirs["attributes"] for attribute in mine["attributes"])
    assert {k: v for k, v in mine.items() if k != "attributes"} == {
        k: v for k, v in theirs.items() if k != "attributes"
    }
