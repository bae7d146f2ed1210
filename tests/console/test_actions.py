"""Every action: nothing happens on GET, without a right, without a token or without a reason; with them, its effect and its line."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss, TermsChange
from apps.accounts.models import LegalHold, Membership, PrivacyRequest, StaffNote, UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.catalog.models import Product
from apps.console.checks import action_names
from apps.console.problems import read_problems
from apps.core import attention, clock, dependencies
from apps.core.models import AttentionItem, AuditEntry, Job, RestoreCheck
from apps.instances import allocation
from apps.instances.models import Instance, Provisioning, Seat, WebhookDelivery
from apps.notifications.models import Notification
from apps.onboarding import waitlist
from apps.operations import sync_runs
from apps.operations.models import (
    ApprovalRequest,
    CustomerApiKey,
    CustomerImport,
    Drift,
    ImportRow,
    SafeguardReview,
    SeatMove,
    SeatPlan,
    SyncResult,
    SyncRun,
    TermsPreview,
)
from tests.console.conftest import World
from tests.console.desk import page_of
from tests.rows import writes
from tests.security.url_table import AT_STRIPE, WITHOUT_FRESH_LOGIN, WITHOUT_REASON, least_role

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
SHOWS_ONCE = {"make_key"}  # its dialog shows the key: test_api_keys.py
REASON = "The customer called about it"


@dataclass(frozen=True)
class Case:
    """One action: where it is, and what is filled in besides the reason. Who may run it says tests/security/url_table.py."""

    page: str
    action: str
    target: Callable[[World], Any]
    data: Callable[[World], dict[str, Any]] = lambda _world: {}
    subject: str = "profile"
    query: Callable[[World], str] = lambda _world: ""

    @property
    def role(self) -> str:
        return least_role(self.page, self.action)

    @property
    def needs_fresh_login(self) -> bool:
        return (self.page, self.action) not in WITHOUT_FRESH_LOGIN

    def address(self, world: World) -> str:
        row = self.target(world)
        address = reverse(f"admin:{self.page}_{self.action}", args=[row.pk] if row is not None else [])
        return address + self.query(world)

    def filled(self, world: World) -> dict[str, Any]:
        return {"_form_submitted": "on", "reason": REASON, **self.data(world)}


def person(world: World) -> Any:
    return world.profiles[0]


CORRECTED = {"first_name": "Ann", "last_name": "", "username": "ann.lee", "email": "ann@example.com"}


def refused_by_keycloak(world: World) -> Any:
    """A subscriber who pays and has no account."""
    UserProfile.objects.filter(pk=world.profiles[0].pk).update(keycloak_id=None)
    return world.profiles[0]


def drifting(world: World) -> Any:
    return Drift.objects.get(profile=world.profiles[0])


def waiting(_world: World) -> Any:
    entries = apps.get_model("onboarding", "WaitlistEntry")._default_manager
    entries.filter(email="wait-0@example.com").update(confirmed_at=clock.now())
    return entries.get(email="wait-0@example.com")


def a_line(world: World) -> None:
    """Somebody waits with a confirmed address; the action is one of the list."""
    waiting(world)


def next_data(world: World) -> dict[str, Any]:
    entry = apps.get_model("onboarding", "WaitlistEntry")._default_manager.get(email="wait-0@example.com")
    return {"line": world.cloud.pk, "count": 1, "planned": f"{world.cloud.pk}|1|{entry.pk}"}


def invited(world: World) -> Any:
    entry = waiting(world)
    if entry.state == "waiting":
        waitlist.invite(entry.pk, actor="staff:bob", reason="there was room")
    return entry


def obeying(world: World) -> Any:
    """An instance that takes orders; the product itself is asked in tests/console/test_provisioning.py."""
    known = {"kind": "nextcloud", "address": "https://cloud.example.com"}
    Provisioning.objects.get_or_create(instance=world.instances[0], defaults=known)
    return world.instances[0]


def hold_data(_world: World) -> dict[str, Any]:
    return {"confirmation": "person-0"}


def span_data(_world: World) -> dict[str, Any]:
    since, until = clock.now() - dt.timedelta(days=2), clock.now()
    return {"since": f"{since:%Y-%m-%dT%H:%M}", "until": f"{until:%Y-%m-%dT%H:%M}"}


def grant_data(world: World) -> dict[str, Any]:
    return {"products": [world.plan.pk], "until": "2999-01-01"}


def move_data(world: World) -> dict[str, Any]:
    return {"confirmation": "person-0", "instance": world.instances[1].pk}


def seatless(world: World) -> Any:
    """A subscriber who pays and whose seat was released."""
    Seat.objects.filter(pk=world.seats[1].pk).update(state="released", released_at=world.seats[1].created_at)
    return world.profiles[1]


def unplaced(world: World) -> None:
    """Somebody pays a price that no product of ours has."""
    data = {"unit_amount": 700, "currency": "eur", "recurring": {"interval": "month"}}
    apps.get_model("djstripe", "Price").objects.filter(id="price_1").update(stripe_data=data)
    world.profiles[0].items.update(stripe_price_id="price_1", product=None)


def canceled(world: World) -> Any:
    """A subscriber whose subscription has just ended, and who was granted nothing."""
    row = world.profiles[0]
    Subscription.objects.filter(customer_id=row.stripe_customer_id).update(status="canceled", ended_at=clock.now())
    AccessOverride.objects.filter(pk=world.overrides[0].pk).update(lifted_at=clock.now())
    HeldBackLoss.objects.filter(profile=row).delete()
    return row


def leaving(world: World) -> Any:
    """A subscriber who pays for nothing any more."""
    row = canceled(world)
    UserProfile.objects.filter(pk=row.pk).update(subscription_status="canceled")
    return row


def asks(world: World) -> Any:
    """A request for a copy that nobody has answered."""
    today = clock.now().date()
    values = {
        "received_on": today,
        "due_on": today + dt.timedelta(days=30),
        "opened_by": "staff:bob",
        "opened_at": clock.now(),
    }
    return PrivacyRequest.objects.get_or_create(
        profile=world.profiles[0], kind="copy", state="open", defaults=values | {"note": "asked by letter"}
    )[0]


def held(world: World) -> Any:
    """A legal hold in force."""
    known = {"set_by": "staff:bob", "set_at": clock.now()}
    return LegalHold.objects.get_or_create(profile=world.profiles[0], reason="case 13", ended_at=None, defaults=known)[
        0
    ]


def shared(world: World) -> Any:
    """An invitation to share a subscription."""
    known = {"invited_at": clock.now()}
    return Membership.objects.get_or_create(
        payer=world.profiles[0], email="mia@example.com", ended_at=None, defaults=known
    )[0]


def late(world: World) -> Any:
    """A subscriber whose payment has failed, with nothing else that gives access."""
    row = world.profiles[0]
    Subscription.objects.filter(customer_id=row.stripe_customer_id).update(
        status="past_due", past_due_since=clock.now()
    )
    AccessOverride.objects.filter(pk=world.overrides[0].pk).update(lifted_at=clock.now())
    return row


def disputed(world: World) -> Any:
    """A subscriber who told their bank that they do not know the charge."""
    row, now = world.profiles[0], int(clock.now().timestamp())
    found = [{"id": "dp_1", "status": "needs_response", "amount": 500, "currency": "eur", "at": now}]
    Subscription.objects.filter(customer_id=row.stripe_customer_id).update(disputes=found)
    return row


def let_in(world: World) -> Any:
    """The same with the way back open."""
    row = canceled(world)
    UserProfile.objects.filter(pk=row.pk).update(recovering_until=clock.now() + dt.timedelta(hours=1))
    return row


def unpaid_seat(world: World) -> Any:
    """A seat of theirs."""
    canceled(world)
    return world.seats[0]


def selection(world: World) -> str:
    """Two of three, as the list's boxes send them, and nonsense beside them."""
    return f"?people={world.profiles[0].pk}&people={world.profiles[1].pk}&people=x&people=0"


def failed_run(world: World) -> Any:
    """A run whose one person's sync gave up."""
    now, row = clock.now(), world.profiles[0]
    if known := SyncRun.objects.filter(reason="earlier").first():
        return known
    Job.objects.create(
        kind="reconcile", key=str(row.pk), lane=f"profile:{row.pk}", state="dead", attempts=4, not_before=now,
        created_at=now, last_error="Keycloak said no.",
    )  # fmt: skip
    run = SyncRun.objects.create(scope="selected", total=1, actor="staff:bob", reason="earlier", created_at=now)
    SyncResult.objects.create(run=run, profile=row, generation=0)
    return run


def asked(world: World) -> Any:
    """The nightly sweep would shut two out."""
    now, who = clock.now(), [one.pk for one in world.profiles[:2]]
    known = {
        "job_key": "periodic",
        "state": "pending",
        "profile_ids": who,
        "with_access": 3,
        "opened_at": now,
        "seen_at": now,
    }
    return SafeguardReview.objects.get_or_create(sweep="reconcile_all", scope="night", defaults=known)[0]


def restored(_world: World) -> Any:
    """A check after a restore that is done."""
    return RestoreCheck.objects.get_or_create(
        finished_at=None, defaults={"noticed_at": clock.now(), "evidence": "An older one.", "step": "ready"}
    )[0]


def frozen(_world: World) -> Any:
    """An incident that goes on."""
    now = clock.now()
    known = {"reason": "payments fail", "begun_at": now, "begun_by": "staff:bob", "until": now + dt.timedelta(hours=1)}
    return AccessFreeze.objects.get_or_create(product=None, ended_at=None, defaults=known)[0]


def noticed(world: World) -> Any:
    """Something only staff can fix."""
    item = attention.report(attention.Cause.DISPUTE, "dp_2", "A payment is disputed.", profiles=[world.profiles[0].pk])
    return AttentionItem.objects.get(pk=item)


def set_aside(world: World) -> Any:
    """The same, snoozed."""
    item = noticed(world)
    AttentionItem.objects.filter(pk=item.pk).update(snoozed_until=clock.now() + dt.timedelta(days=9))
    return item


def disputes(world: World) -> str:
    """The problem that has it."""
    noticed(world)
    return "?problem=attention:dispute"


def jobs_selected(world: World) -> str:
    """Two of the failed jobs, and nonsense."""
    return f"?jobs={world.jobs[0].pk}&jobs={world.jobs[1].pk}&jobs=x&jobs=0"


def stuck_problem(_world: World) -> str:
    """What the failed jobs have in common."""
    (name,) = [one.name for one in read_problems() if one.source == "jobs"]
    return f"?problem={name}"


def told_before(world: World) -> Any:
    """An email of the first subscriber that is still true."""
    row, now = world.profiles[0], clock.now()
    told = {
        "template": "recovered",
        "profile": row,
        "to": row.email,
        "state": "sent",
        "created_at": now,
        "sent_at": now,
    }
    return Notification.objects.get_or_create(key=f"recovered:{row.pk}:1", defaults=told)[0]


def emails_selected(world: World) -> str:
    """That one, a code and nonsense."""
    code = Notification.objects.get(key="code-1")
    return f"?emails={told_before(world).pk}&emails={code.pk}&emails=x&emails=0"


def previewed(world: World) -> Any:
    """A preview of terms that waits, of which one loses access."""
    known = {
        "values": {"grace_days": 3},
        "requested_by": "staff:bob",
        "requested_at": clock.now(),
        "counted_at": clock.now(),
        "based_on": TermsChange.objects.latest("pk").pk,
        "with_access": 3,
        "total": 1,
    }
    row = TermsPreview.objects.get_or_create(reason="a long outage, again", state="ready", defaults=known)[0]
    row.people.get_or_create(
        profile=world.profiles[0], defaults={"effect": "lose", "before": "active", "after": "none"}
    )
    return row


def requested(world: World) -> Any:
    """Bob asks to sync two, and waits for approval."""
    now, who = clock.now(), [one.pk for one in world.profiles[:2]]
    User.objects.get_or_create(username="bob", defaults={"is_staff": True})
    known = {
        "row_ids": who,
        "requested_by": "staff:bob",
        "reason": "a long outage",
        "requested_at": now,
        "expires_at": now + dt.timedelta(days=3),
    }
    return ApprovalRequest.objects.get_or_create(action="sync_selected", subject="people:two", defaults=known)[0]


def events_selected(world: World) -> str:
    """One whose job failed, one that needs nothing, and nonsense."""
    InboundEvent.objects.filter(pk=world.events[1].pk).update(state="ignored", handled_at=clock.now())
    return f"?events={world.events[0].pk}&events={world.events[1].pk}&events=x&events=0"


def running_plan(world: World) -> Any:
    """The first one."""
    plan = SeatMove.objects.get(profile=world.profiles[0]).plan
    SeatPlan.objects.filter(pk=plan.pk).update(state="open", ended_at=None)
    return plan


def valid_key(_world: World) -> Any:
    return CustomerApiKey.objects.get(revoked_at=None)


def next_month() -> str:
    return (clock.now() + dt.timedelta(days=30)).date().isoformat()


def import_that(state: str) -> Callable[[World], Any]:
    """An import in this state, with a row that is ready."""

    def make(_world: World) -> Any:
        run = CustomerImport.objects.filter(rows__state="planned").earliest("pk")
        CustomerImport.objects.filter(pk=run.pk).update(state=state, checked_at=clock.now(), ended_at=None)
        run.rows.update(verdict="ready", question="", choices=[], why="Ready.")
        return run

    return make


def ready_import(world: World) -> Any:
    return import_that("planned")(world)


def asking_import(world: World) -> Any:
    """An import with a row that asks."""
    run = ready_import(world)
    run.rows.update(verdict="decision", question="nothing_due", choices=[["leave_out", "Leave out"]])
    return run


def asking_row(world: World) -> Any:
    return asking_import(world).rows.get()


def done_import(_world: World) -> Any:
    """One that has imported somebody."""
    return CustomerImport.objects.filter(rows__state="imported").earliest("pk")


def question(world: World) -> Any:
    """What the first subscriber is asked."""
    return SeatMove.objects.get(plan=running_plan(world))


def answered(state: str) -> Callable[[World], Any]:
    """The same, after a yes."""

    def put(world: World) -> Any:
        row = question(world)
        yes = {"answer": "yes", "answered_by": "customer", "answered_at": clock.now()}
        SeatMove.objects.filter(pk=row.pk).update(state=state, **yes)
        if state == "moved" and row.seat.instance_id != row.target_id:
            allocation.move(seat=row.seat, instance=row.target, actor="staff:bob", reason="earlier")
        return row

    return put


def unplanned(world: World) -> Any:
    """The first instance, while no plan of its product is open."""
    SeatPlan.objects.filter(state="open").update(state="ended", ended_at=clock.now())
    return world.instances[0]


def uneven(world: World) -> Any:
    """A product whose first instance has everybody."""
    unplanned(world)
    for seat in Seat.objects.filter(product=world.cloud, state="assigned").exclude(instance=world.instances[0]):
        allocation.move(seat=seat, instance=world.instances[0], actor="staff:bob", reason="earlier")
    return world.cloud


def told(world: World) -> Any:
    """What the product on the first instance was told about the first subscriber."""
    known = {"kind": "webhook", "address": "https://crm.example.com/hook", "host": "crm.example.com/hook"}
    Provisioning.objects.get_or_create(instance=world.instances[0], defaults=known)
    return WebhookDelivery.objects.filter(instance=world.instances[0]).earliest("pk")


def told_selected(world: World) -> str:
    """That one, and nonsense."""
    return f"?deliveries={told(world).pk}&deliveries=x&deliveries=0"


NOTICE = {"notice": "maintenance", "since": "2999-01-01T22:00", "until": "2999-01-02T02:00"}
SUBSCRIBER, CAPS = "accounts_userprofile", {"soft_cap": "1", "allocation_cap": "2", "hard_cap": "3"}
CASES = [
    Case(SUBSCRIBER, "sync_now", person),
    Case(SUBSCRIBER, "password_mail", person),
    Case(SUBSCRIBER, "write_note", person, lambda _world: {"text": "Called: cannot print."}),
    Case(SUBSCRIBER, "correct_account", refused_by_keycloak, lambda _world: CORRECTED),
    Case(SUBSCRIBER, "assign_seats", seatless),
    Case(SUBSCRIBER, "end_sessions", person),
    Case(SUBSCRIBER, "hold", person, hold_data),
    Case(SUBSCRIBER, "grant", person, grant_data),
    Case(SUBSCRIBER, "extend_grace", late, lambda _world: {"days": "7"}),
    Case(SUBSCRIBER, "no_suspend", person, lambda _world: {"until": "2999-01-01"}),
    Case(SUBSCRIBER, "waive_dispute", disputed),
    Case(SUBSCRIBER, "send_code", canceled),
    Case(SUBSCRIBER, "open_window", canceled),
    Case(SUBSCRIBER, "close_window", let_in),
    Case(SUBSCRIBER, "keep_seat", canceled, lambda _world: {"until": "2999-01-01"}),
    Case("access_accessfreeze", "begin", lambda _world: None, lambda _world: {"until": "24"}, "accessfreeze"),
    Case("access_accessfreeze", "change_end", frozen, lambda _world: {"until": "48"}, "accessfreeze"),
    Case("access_accessfreeze", "end", frozen, lambda _world: {"confirmation": str(HeldBackLoss.objects.count())}, "accessfreeze"),
    Case(SUBSCRIBER, "record_request", person, lambda _world: {"kind": "erasure", "received_on": f"{clock.now():%Y-%m-%d}"}),
    Case(SUBSCRIBER, "legal_hold", person),
    Case(SUBSCRIBER, "erase", leaving, hold_data),
    Case("accounts_privacyrequest", "close_request", asks, lambda _world: {"state": "done"}),
    Case("accounts_legalhold", "end_hold", held),
    Case("accounts_membership", "end_membership", shared),
    Case("access_accessoverride", "lift", lambda world: world.overrides[0]),
    Case("operations_drift", "fix", drifting),
    Case("operations_drift", "ignore", drifting, lambda _world: {"until": "2999-01-01"}),
    Case("operations_drift", "compare_now", lambda _world: None, subject="job"),
    Case("operations_drift", "sync_differing", lambda _world: None, subject="syncrun"),
    Case("operations_drift", "sync_selected", lambda _world: None, subject="syncrun", query=selection),
    Case(SUBSCRIBER, "sync_selected", lambda _world: None, subject="syncrun", query=selection),
    Case("operations_syncrun", "run_again", failed_run, subject="syncrun"),
    Case("operations_safeguardreview", "confirm", asked, lambda _world: {"confirmation": "2"}, "safeguardreview"),
    Case("operations_termspreview", "save_terms", previewed, subject="termspreview"),
    Case("operations_termspreview", "abandon", previewed, subject="termspreview"),
    Case("operations_approvalrequest", "approve", requested, subject="approvalrequest"),
    Case("operations_approvalrequest", "decline", requested, subject="approvalrequest"),
    Case("notifications_notification", "send_one_again", told_before),
    Case("instances_webhookdelivery", "send_order_again", told),
    Case("instances_webhookdelivery", "send_orders_again", lambda _world: None, query=told_selected),
    Case("notifications_notification", "send_selected_again", lambda _world: None, query=emails_selected),
    Case("onboarding_waitlistentry", "invite", waiting, subject="waitlist"),
    Case("onboarding_waitlistentry", "invite_next", a_line, next_data, subject="waitlist"),
    Case("onboarding_waitlistentry", "withdraw_invitation", invited, subject="waitlist"),
    Case("instances_seat", "move", lambda world: world.seats[0], move_data),
    Case("instances_seat", "release", unpaid_seat, hold_data),
    Case("instances_instance", "change_caps", lambda world: world.instances[0], lambda _world: CAPS, "instance"),
    Case("instances_instance", "open_or_close", lambda world: world.instances[0], lambda _world: {"is_active": "on"}, "instance"),
    Case("instances_instance", "change_location", lambda world: world.instances[0], lambda _world: {"location": "Graz", "country": "AT"}, "instance"),
    Case("instances_instance", "change_notice", lambda world: world.instances[0], lambda _world: NOTICE, "instance"),
    Case("instances_instance", "change_provisioning", obeying, lambda _world: {"kind": ""}, "instance"),
    Case("instances_instance", "send_all_again", obeying, lambda world: {"expected": str(world.instances[0].product_accounts.count())}, "instance"),
    Case("instances_instance", "drain", unplanned, lambda _world: {"expected": "1"}, "seatplan"),
    Case("catalog_product", "rebalance", uneven, lambda _world: {"expected": "2"}, "seatplan"),
    Case("operations_seatplan", "pause_plan", running_plan, subject="seatplan"),
    Case("operations_seatplan", "continue_plan", running_plan, subject="seatplan"),
    Case("operations_seatplan", "end_plan", running_plan, subject="seatplan"),
    Case("operations_customerapikey", "make_key", lambda _world: None, lambda _world: {"name": "Desk", "scopes": ["customers:personal"], "expires_at": next_month()}, "customerapikey"),
    Case("operations_customerapikey", "revoke", valid_key, subject="customerapikey"),
    Case("operations_customerimport", "plan_file", lambda _world: None, lambda _world: {"content": "email\nold@example.com\n"}, "customerimport"),
    Case("operations_customerimport", "plan_stripe", lambda _world: None, subject="customerimport"),
    Case("operations_customerimport", "plan_keycloak", lambda _world: None, subject="customerimport"),
    Case("operations_customerimport", "start_import", ready_import, lambda _world: {"expected": "1"}, "customerimport"),
    Case("operations_customerimport", "decide", asking_import, lambda _world: {"answer": "nothing_due:leave_out"}, "customerimport"),
    Case("operations_customerimport", "pause_import", import_that("running"), subject="customerimport"),
    Case("operations_customerimport", "continue_import", import_that("paused"), subject="customerimport"),
    Case("operations_customerimport", "check_again", import_that("planned"), subject="customerimport"),
    Case("operations_customerimport", "undo_import", done_import, lambda _world: {"expected": "1"}, "customerimport"),
    Case("operations_customerimport", "abandon_import", import_that("planned"), subject="customerimport"),
    Case("operations_importrow", "decide_row", asking_row, lambda _world: {"choice": "leave_out"}, "customerimport"),
    Case("operations_seatmove", "record_answer", question, lambda _world: {"answer": "yes"}),
    Case("operations_seatmove", "try_again", answered("blocked")),
    Case("operations_seatmove", "undo_move", answered("moved"), hold_data),
    Case("catalog_productprice", "map_price", unplaced, lambda world: {"price": "price_1", "product": world.plan.pk}, "price"),
    Case("core_comparisonrun", "fetch_span", lambda _world: None, data=span_data, subject="comparison"),
    Case("core_lawcheck", "check_now", lambda _world: None, subject="job"),
    Case("core_attentionitem", "send_test_alert", lambda _world: None, subject="job"),
    Case("core_attentionitem", "close", noticed, subject="attention"),
    Case("core_attentionitem", "assign", noticed, lambda _world: {"assignee": "operator-ada"}, subject="attention"),
    Case("core_attentionitem", "snooze", noticed, lambda _world: {"until": "2999-01-01"}, subject="attention"),
    Case("core_attentionitem", "ignore_item", noticed, subject="attention"),
    Case("core_attentionitem", "bring_back", set_aside, subject="attention"),
    Case("core_attentionitem", "retry_group", lambda _world: None, subject="job", query=stuck_problem),
    Case("core_attentionitem", "assign_group", lambda _world: None, lambda _world: {"assignee": "nobody"}, "attention", disputes),
    Case("core_attentionitem", "snooze_group", lambda _world: None, lambda _world: {"until": "2999-01-01"}, "attention", disputes),
    Case("core_attentionitem", "ignore_group", lambda _world: None, subject="attention", query=disputes),
    Case("core_job", "retry_one", lambda world: world.jobs[0], subject="job"),
    Case("core_job", "retry_all", lambda _world: None, subject="job"),
    Case("core_job", "retry_selected", lambda _world: None, subject="job", query=jobs_selected),
    Case("core_restorecheck", "finish", restored, lambda _world: {"confirmation": "0"}, "restorecheck"),
    Case("realm", "mail", lambda _world: None, lambda _world: {"to": "ada@example.com"}, "realm"),
    Case("billing_inboundevent", "process_selected", lambda _world: None, subject="event", query=events_selected),
    Case("billing_inboundevent", "ignore_selected", lambda _world: None, subject="event", query=events_selected),
    Case("billing_inboundevent", "retry", lambda world: world.events[0], subject="event"),
    Case("billing_inboundevent", "ignore_event", lambda world: world.events[0], subject="event"),
]  # fmt: skip
IDS = [f"{case.page}-{case.action}" for case in CASES]
each = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.fixture(autouse=True)
def _alert_address(settings: Any) -> None:
    settings.ALERT_URLS = ["json://127.0.0.1:9"]


def test_every_action_of_the_console_is_tested_here() -> None:
    known = {(case.page, case.action) for case in CASES}
    found = {
        (f"{model._meta.app_label}_{model._meta.model_name}", name)
        for model, page in admin.site._registry.items()
        for name in action_names(page)
    }
    asks_stripe = {("catalog_product", "import_products")}  # tests/field/test_price_list.py
    asks_stripe |= {(SUBSCRIBER, name) for name in AT_STRIPE}  # tests/console/test_payment_actions.py
    asks_stripe |= {("operations_approvalrequest", "withdraw")}  # by who asked: tests/console/test_approvals.py
    asks_stripe |= {("instances_seat", "check_account")}  # a product: tests/console/test_provisioning.py
    assert found - asks_stripe | {("realm", "mail")} == known  # the realm doctor's page is about no model


def test_the_dialog_of_what_hurts_has_a_red_button(world: World, staff: Staff) -> None:
    red = {}
    for case in [one for one in CASES if one.action in {"hold", "close_window", "release", "sync_now", "no_suspend"}]:
        answer = staff(case.role).get(case.address(world), headers={"HX-Request": "true"})
        red[case.action] = "data-danger" in answer.content.decode()
    assert red == {"hold": True, "close_window": True, "release": True, "sync_now": False, "no_suspend": False}


@each
def test_it_does_its_work_and_writes_who_and_why(case: Case, world: World, staff: Staff) -> None:
    address = case.address(world)
    last = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    answer = staff(case.role).post(address, case.filled(world), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.get("HX-Redirect", "").startswith("/admin/") or case.action in SHOWS_ONCE, answer.content.decode()[
        :2000
    ]
    lines = AuditEntry.objects.filter(id__gt=last, reason="" if case.action in WITHOUT_REASON else REASON)
    assert lines
    assert {line.actor for line in lines} == {f"staff:{case.role}-ada"}
    assert case.subject in {line.subject_kind for line in lines}
    EFFECTS[case.action](world)


def _import(state: str, rows: int = 1) -> Callable[[World], None]:
    """One import is so, and has so many rows."""

    def check(_world: World) -> None:
        assert [one.rows.count() for one in CustomerImport.objects.filter(state=state)] == [rows]

    return check


def _left_out(_world: World) -> None:
    assert ImportRow.objects.get(state="planned").verdict == "left_out"


def _looked_at(world: World, index: int = 0) -> None:
    profile = world.profiles[index]
    profile.refresh_from_db()
    assert profile.pending_since is not None
    assert Job.objects.filter(kind="reconcile", key=str(profile.pk), state="queued").count() == 1


def _mailed(world: World) -> None:
    assert Job.objects.filter(
        kind="send_keycloak_password_reset_email", key=str(world.profiles[0].pk), state="queued"
    ).exists()


def _corrected(world: World) -> None:
    profile = UserProfile.objects.select_related("user").get(pk=world.profiles[0].pk)
    assert (profile.user.first_name, profile.user.username) == ("Ann", "ann.lee")
    assert profile.email == profile.user.email == "ann@example.com"
    _looked_at(world)


def _override(kind: str, role: str = "operator") -> Callable[[World], None]:
    def check(world: World) -> None:
        row = AccessOverride.objects.filter(profile=world.profiles[0], kind=kind).latest("pk")
        assert (row.reason, row.created_by, row.lifted_at) == (REASON, f"staff:{role}-ada", None)
        if kind == "grant":
            assert list(row.products.all()) == [world.plan]
        _looked_at(world)

    return check


def _lifted(world: World) -> None:
    assert AccessOverride.objects.get(pk=world.overrides[0].pk).lifted_at is not None
    _looked_at(world)


def _ignored(_world: World) -> None:
    assert Drift.objects.filter(ignored_until__year=2999).count() == 1


def _event_ignored(world: World) -> None:
    event = InboundEvent.objects.get(pk=world.events[0].pk)
    assert event.state == "ignored"
    assert not Job.objects.filter(key=event.stripe_event_id).exclude(state="superseded").exists()


def _planned(kind: str, count: int) -> Callable[[World], None]:
    def check(world: World) -> None:
        plan = SeatPlan.objects.get(state="open", kind=kind)
        assert plan.moves.filter(state="planned").count() == count
        closed = Instance.objects.filter(draining_since__isnull=False, auto_allocate=False)
        assert list(closed) == (world.instances[:1] if kind == "drain" else [])
        assert Job.objects.filter(kind="move_seats", key=str(plan.pk), state="queued").count() == 1

    return check


def _plan(state: str) -> Callable[[World], None]:
    def check(world: World) -> None:
        assert SeatMove.objects.get(profile=world.profiles[0]).plan.state == state

    return check


def _move(state: str) -> Callable[[World], None]:
    def check(world: World) -> None:
        row = SeatMove.objects.get(profile=world.profiles[0])
        assert (row.state, row.answer) == (state, "yes")
        assert Seat.objects.get(pk=world.seats[0].pk).instance == world.instances[0]

    return check


def _compared(_world: World) -> None:
    assert Job.objects.filter(kind="compare_keycloak", state="queued").count() == 1


def _run_of(count: int) -> Callable[[World], None]:
    def check(_world: World) -> None:
        run = SyncRun.objects.latest("pk")
        sync_runs.run_sync(str(run.pk))
        looks = Job.objects.filter(kind="reconcile", state="queued").values_list("key", flat=True)
        assert {int(key) for key in looks} == set(run.results.values_list("profile_id", flat=True))
        assert run.results.count() == len(looks) == count

    return check


def _confirmed(_world: World) -> None:
    row = SafeguardReview.objects.get(scope="night")
    assert (row.state, row.decided_by, row.reason) == ("confirmed", "staff:admin-ada", REASON)
    assert Job.objects.filter(kind="reconcile_all", key="periodic", state="queued").count() == 1


def _terms_confirmed(_world: World) -> None:
    row = TermsPreview.objects.get(reason=REASON)
    assert (row.state, row.decided_by) == ("confirmed", "staff:admin-ada")
    assert Job.objects.filter(kind="preview_terms", key=str(row.pk), state="queued").count() == 1


def _preview_abandoned(_world: World) -> None:
    assert TermsPreview.objects.filter(state="abandoned").count() == 1


def _declined(_world: World) -> None:
    assert ApprovalRequest.objects.get(subject="people:two").state == "declined"
    assert not SyncRun.objects.filter(total=2).exists()


def _finished(_world: World) -> None:
    row = RestoreCheck.objects.latest("pk")
    assert (row.finished_by, row.reason) == ("staff:admin-ada", REASON)
    assert not dependencies.is_paused(dependencies.RESTORED)


def _frozen(_world: World) -> None:
    row = AccessFreeze.objects.get(ended_at=None)
    assert row.product is None
    assert row.until > clock.now() + dt.timedelta(hours=23)


def _thawed(_world: World) -> None:
    row = AccessFreeze.objects.latest("pk")
    assert row.ended_by == "staff:admin-ada"
    assert Job.objects.filter(kind="decide_held_back", state="queued").count() == 1


def _code_sent(world: World) -> None:
    assert Job.objects.filter(kind="send_recovery_code", key=str(world.profiles[0].pk), state="queued").count() == 1


def _window(is_open: bool) -> Callable[[World], None]:
    def check(world: World) -> None:
        profile = UserProfile.objects.get(pk=world.profiles[0].pk)
        assert (profile.recovering_until is not None) == is_open
        _looked_at(world)

    return check


def _kept(world: World) -> None:
    row = AccessOverride.objects.get(profile=world.profiles[0], kind="keep_seat")
    assert (row.reason, row.created_by) == (REASON, "staff:support-ada")
    _looked_at(world)


def _invitation_withdrawn(_world: World) -> None:
    entry = apps.get_model("onboarding", "WaitlistEntry")._default_manager.get(email="wait-0@example.com")
    assert (entry.state, entry.invited_until) == ("waiting", None)
    assert not Seat.objects.filter(profile=entry.profile).exclude(state="released").exists()


def _invited(_world: World) -> None:
    held = Seat.objects.get(profile__email="wait-0@example.com")
    assert (held.state, held.product.slug) == ("reserved", "cloud")
    assert Notification.objects.get(template="waitlist_invited").to == "wait-0@example.com"


def _all_orders_queued(world: World) -> None:
    assert Job.objects.filter(kind="resend_orders", key=f"{world.instances[0].pk}:0", state="queued").exists()


def _order_queued(world: World) -> None:
    account = told(world).account_id
    assert Job.objects.filter(kind="sync_product_account", key=str(account), state="queued").exists()


def _sent_again(world: World) -> None:
    first = told_before(world)
    again = first.repetitions.get()
    assert (again.template, again.to, again.profile, again.state) == ("recovered", first.to, first.profile, "queued")
    assert Job.objects.filter(kind="send_notification", key=str(again.pk), state="queued").exists()


def _moved(world: World) -> None:
    assert Seat.objects.get(pk=world.seats[0].pk).instance == world.instances[1]
    _looked_at(world)


def _released(world: World) -> None:
    assert Seat.objects.get(pk=world.seats[0].pk).state == "released"
    _looked_at(world)


def _capped(world: World) -> None:
    row = Instance.objects.get(pk=world.instances[0].pk)
    assert (row.soft_cap, row.allocation_cap, row.hard_cap) == (1, 2, 3)


def _closed(world: World) -> None:
    row = Instance.objects.get(pk=world.instances[0].pk)
    assert (row.is_active, row.auto_allocate) == (True, False)


def _instance_has(**values: Any) -> Callable[[World], Any]:
    return lambda world: Instance.objects.get(pk=world.instances[0].pk, **values)


def _mail_asked(_world: World) -> None:
    assert Job.objects.filter(kind="send_realm_test_email", key="ada@example.com", state="queued").count() == 1


def _queued(count: int) -> Callable[[World], None]:
    def check(_world: World) -> None:
        assert Job.objects.filter(kind="handle_event", state="queued").count() == count

    return check


def _logged_out(world: World) -> None:
    key = str(world.profiles[0].pk)
    assert Job.objects.filter(kind="end_keycloak_sessions", key=key, state="queued").count() == 1


def _dispute(**values: Any) -> None:
    assert AttentionItem.objects.filter(key="dp_2", resolved_at=None, **values).count() == 1


def _requested(world: World) -> None:
    row = PrivacyRequest.objects.get(profile=world.profiles[0], kind="erasure")
    assert (row.state, row.note, row.opened_by) == ("open", REASON, "staff:support-ada")


def _answered(_world: World) -> None:
    row = PrivacyRequest.objects.get(outcome=REASON)
    assert (row.state, row.closed_by) == ("done", "staff:support-ada")


def _erased(world: World) -> None:
    row = UserProfile.objects.select_related("user").get(pk=world.profiles[0].pk)
    assert (row.user.username, row.email) == (f"erased-{row.pk}", f"erased-{row.pk}@erased.invalid")
    assert Job.objects.filter(kind__in=["delete_account", "forget_customer"], state="queued").count() == 2
    assert PrivacyRequest.objects.get(profile=row, kind="erasure").state == "done"


def _key_made(_world: World) -> None:
    key = CustomerApiKey.objects.get(name="Desk")
    assert (key.scopes, key.networks, key.created_by) == (
        ["customers:personal", "customers:read"],
        [],
        "staff:admin-ada",
    )


def _key_revoked(_world: World) -> None:
    assert not CustomerApiKey.objects.filter(revoked_at=None).exists()


EFFECTS: dict[str, Callable[[World], None]] = {
    "make_key": _key_made,
    "revoke": _key_revoked,
    "end_sessions": _logged_out,
    "sync_now": _looked_at,
    "password_mail": _mailed,
    "correct_account": _corrected,
    "assign_seats": lambda world: _looked_at(world, 1),
    "write_note": lambda world: StaffNote.objects.get(profile=world.profiles[0], text="Called: cannot print."),
    "hold": _override("hold"),
    "grant": _override("grant"),
    "extend_grace": _override("no_suspend", "support"),
    "no_suspend": _override("no_suspend"),
    "waive_dispute": _override("waive_dispute"),
    "send_code": _code_sent,
    "open_window": _window(True),
    "close_window": _window(False),
    "keep_seat": _kept,
    "record_request": _requested,
    "close_request": _answered,
    "legal_hold": lambda world: LegalHold.objects.get(profile=world.profiles[0], ended_at=None),
    "end_hold": lambda _world: LegalHold.objects.get(reason="case 13", end_reason=REASON),
    "end_membership": lambda _world: Membership.objects.get(email="mia@example.com", end="staff"),
    "erase": _erased,
    "lift": _lifted,
    "fix": _looked_at,
    "ignore": _ignored,
    "ignore_event": _event_ignored,
    "ignore_selected": _event_ignored,
    "plan_file": _import("reading", 1),
    "plan_stripe": _import("reading", 0),
    "plan_keycloak": _import("reading", 0),
    "start_import": _import("running"),
    "decide": _left_out,
    "decide_row": _left_out,
    "pause_import": _import("paused"),
    "continue_import": _import("running"),
    "check_again": _import("reading"),
    "undo_import": _import("undoing"),
    "abandon_import": _import("abandoned"),
    "drain": _planned("drain", 1),
    "rebalance": _planned("rebalance", 2),
    "pause_plan": _plan("paused"),
    "continue_plan": _plan("open"),
    "end_plan": _plan("ended"),
    "record_answer": _move("agreed"),
    "try_again": _move("agreed"),
    "undo_move": _move("undone"),
    "compare_now": _compared,
    "sync_differing": _run_of(3),
    "sync_selected": _run_of(2),
    "run_again": _run_of(1),
    "confirm": _confirmed,
    "save_terms": _terms_confirmed,
    "abandon": _preview_abandoned,
    "approve": _run_of(2),
    "decline": _declined,
    "finish": _finished,
    "begin": _frozen,
    "change_end": _frozen,
    "end": _thawed,
    "send_one_again": _sent_again,
    "send_selected_again": _sent_again,
    "send_order_again": _order_queued,
    "send_orders_again": _order_queued,
    "send_all_again": _all_orders_queued,
    "invite": _invited,
    "invite_next": _invited,
    "withdraw_invitation": _invitation_withdrawn,
    "move": _moved,
    "release": _released,
    "change_caps": _capped,
    "open_or_close": _closed,
    "change_location": _instance_has(location="Graz", country="AT"),
    "change_notice": _instance_has(notice="maintenance", notice_until__year=2999),
    "change_provisioning": lambda _world: not Provisioning.objects.exists(),
    "map_price": _looked_at,
    "mail": _mail_asked,
    "fetch_span": lambda _world: Job.objects.filter(kind="fetch_event_span", state="queued").exists(),
    "check_now": lambda _world: Job.objects.filter(kind="check_laws", state="queued").exists(),
    "send_test_alert": lambda _world: Job.objects.filter(kind="send_test_alert", state="queued").exists(),
    "close": lambda _world: not attention.open_items().exists(),
    "assign": lambda _world: _dispute(assignee="operator-ada"),
    "snooze": lambda _world: _dispute(snoozed_until__year=2999, decision=f"staff:operator-ada: {REASON}"),
    "ignore_item": lambda _world: _dispute(ignored_at__isnull=False),
    "bring_back": lambda _world: _dispute(snoozed_until=None),
    "assign_group": lambda _world: _dispute(assignee=""),
    "snooze_group": lambda _world: _dispute(snoozed_until__year=2999),
    "ignore_group": lambda _world: _dispute(ignored_at__isnull=False),
    "retry_group": _queued(3),
    "retry_one": _queued(1),
    "retry_all": _queued(3),
    "retry_selected": _queued(2),
    "retry": _queued(1),
    "process_selected": _queued(1),
}


@pytest.mark.parametrize(
    ("action", "wrong", "sentence"),
    [
        ("hold", {"confirmation": "person-1"}, "That is not the username."),
        ("hold", {"confirmation": ""}, "This field is required."),
        ("hold", {"until": "2001-01-01"}, "That day is over."),
        ("hold", {"until": "9999-12-31"}, "That is too far away."),
        ("grant", {"products": []}, "This field is required."),
        ("grant", {"products": ["999999"]}, "Select a valid choice"),
        ("grant", {"until": ""}, "This field is required."),
        ("confirm", {"confirmation": "1"}, "There are now 2 of them"),
        ("confirm", {"confirmation": "two"}, "Enter a whole number."),
        ("move", {"instance": "999999"}, "Select a valid choice"),
        ("change_caps", {"soft_cap": "2"}, "below the allocation cap"),
        ("change_caps", {"hard_cap": "999999999999"}, "less than or equal"),
        ("change_caps", {"soft_cap": "x"}, "Enter a whole number."),
        ("change_notice", {"until": "2001-01-01T10:00"}, "after it begins"),
        ("change_notice", {"since": "2001-01-01T10:00", "until": "2001-01-02T10:00"}, "over already"),
        ("change_notice", {"until": ""}, "Say until when."),
        ("change_location", {"country": "XX"}, "not one of the available choices"),
    ],
)  # fmt: skip
def test_wrong_answers_are_refused_in_the_dialog_and_change_nothing(
    action: str, wrong: dict[str, Any], sentence: str, world: World, staff: Staff
) -> None:
    case = next(case for case in CASES if case.action == action)
    client, address = staff(case.role), case.address(world)
    before = writes()
    answer = client.post(address, case.filled(world) | wrong)
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert writes() == before


def test_an_action_on_a_row_that_is_not_there_is_404(world: World, staff: Staff) -> None:
    client = staff("admin")
    for case in CASES:
        row = case.target(world)
        for identity in ("0", "x", "99999999999999999999999") if row is not None else ():
            address = case.address(world).replace(f"/{row.pk}/", f"/{identity}/")
            assert client.get(address).status_code == 404, address
            assert client.post(address, case.filled(world)).status_code == 404, address


def test_what_is_settled_cannot_be_done_again(world: World, staff: Staff) -> None:
    client = staff("admin")
    Job.objects.filter(pk=world.jobs[0].pk).update(state="done")
    AccessOverride.objects.filter(pk=world.overrides[0].pk).update(lifted_at=world.overrides[0].created_at)
    InboundEvent.objects.filter(pk=world.events[0].pk).update(state="ignored", handled_at=world.events[0].received_at)
    for action, sentence in (
        ("retry_one", "Only a failed or blocked job"),
        ("lift", "It is over already"),
        ("retry", "needs no processing"),
        ("assign_seats", "No seat is missing"),
    ):
        case = next(case for case in CASES if case.action == action)
        address = (
            case.address(world)
            if action != "assign_seats"
            else reverse("admin:accounts_userprofile_assign_seats", args=[world.profiles[0].pk])
        )
        answer = client.post(address, case.filled(world))
        assert sentence in answer.content.decode(), action


def test_without_scripts_an_action_leads_back_by_a_plain_redirect(world: World, staff: Staff) -> None:
    case = CASES[0]
    answer = staff("support").post(case.address(world), case.filled(world), follow=True)
    assert answer.status_code == 200
    assert "person-0 will be synced now." in answer.content.decode()


def test_assigning_seats_names_what_is_missing_and_whether_there_is_room(world: World, staff: Staff) -> None:
    profile = seatless(world)
    address = reverse("admin:accounts_userprofile_assign_seats", args=[profile.pk])
    assert "there is room" in staff("operator").get(address).content.decode()
    Instance.objects.update(auto_allocate=False)
    assert "every instance is full" in staff("operator").get(address).content.decode()


def test_a_released_seat_offers_no_move(world: World, staff: Staff) -> None:
    client, seat = staff("admin"), world.seats[0]
    address = reverse("admin:instances_seat_change", args=[seat.pk])
    assert "Move seat" in client.get(address).content.decode()
    Seat.objects.filter(pk=seat.pk).update(state="released", released_at=seat.created_at)
    assert "Move seat" not in client.get(address).content.decode()
    case = next(case for case in CASES if case.action == "move")
    assert "cannot be moved" in client.post(case.address(world), case.filled(world)).content.decode()


def test_a_reason_on_a_page_is_never_markup(world: World, staff: Staff) -> None:
    case, nasty = CASES[0], "<script>alert(1)</script> because"
    staff("support").post(case.address(world), case.filled(world) | {"reason": nasty})
    Product.objects.filter(pk=world.plan.pk).update(name="<b>Plan</b>")
    text = page_of(staff("support"), world.profiles[0])
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "<b>Plan" not in text
