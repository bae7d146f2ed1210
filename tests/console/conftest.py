"""A filled database for the console's pages, and staff of each role."""

import datetime as dt
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss, TermsChange
from apps.accounts.models import LegalHold, Membership, PrivacyRequest, Signup, UserProfile
from apps.accounts.roles import ROLES, sync_staff_permissions
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.console import dashboard
from apps.core import audit, clock
from apps.core.models import AttentionItem, ComparisonRun, Job, LawCheck, Outage, RestoreCheck
from apps.instances.models import Instance, ProductAccount, Seat, SeatWait, WebhookDelivery
from apps.login import reauthentication, sessions
from apps.notifications.models import Notification
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
    TermsPreviewPerson,
)
from tests import database
from tests.rows import writes
from tests.world import World
from tests.world_memory import FRESH_SECONDS

DAY = dt.timedelta(days=1)
FILLERS: dict[str, Callable[[], Any]] = {
    "BooleanField": bool,
    "DecimalField": int,
    "BigIntegerField": int,
    "IntegerField": int,
}
PEOPLE = {"auth_user", "auth_group"}  # who works here may be there before; they have other names
MIRROR = ("Customer", "Subscription", "Invoice", "Product", "Price", "Charge", "Refund", "Dispute", "PaymentMethod")


@pytest.fixture
def town(empty_world: World, db: None) -> World:
    """The demo's shop and the stand-ins; the console's own `world` is rows only."""
    empty_world.open_demo_shop()
    return empty_world


@pytest.fixture(autouse=True)
def _fresh_numbers() -> Iterator[None]:
    """The dashboard's numbers live in the process, tests in transactions."""
    dashboard.forget()
    yield
    dashboard.forget()


@pytest.fixture
def staff(db: None) -> Callable[[str], Client]:
    """A logged-in browser of somebody with that role; "" is a subscriber without any."""

    def login(role: str, *, csrf: bool = False) -> Client:
        user, _ = User.objects.get_or_create(username=f"{role or 'customer'}-ada", defaults={"is_staff": bool(role)})
        if role:
            if not Group.objects.filter(name=role).exists():
                sync_staff_permissions()
            user.groups.set([Group.objects.get(name=role)])
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user)
        log_in_freshly(client)
        return client

    assert set(ROLES) == {"viewer", "support", "operator", "admin"}
    return login


def log_in_freshly(client: Client, *, minutes: int = 0) -> None:
    """As if the password had been typed at Keycloak so many minutes ago."""
    session, then = client.session, time.time() - 60 * minutes
    session[sessions.CHECKED], session[reauthentication.FRESH_UNTIL] = then, then + 60 * settings.STAFF_FRESH_MINUTES
    session.save()


@dataclass
class World:
    """What `fill` made; lists are in the order of making."""

    profiles: list[UserProfile] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    events: list[InboundEvent] = field(default_factory=list)
    overrides: list[AccessOverride] = field(default_factory=list)
    cloud: Any = None
    plan: Any = None


@dataclass(frozen=True)
class Kept:
    """A few of everything, as it was made in an empty database: the rows as SQL, and pickled what `fill` gave."""

    tables: frozenset[str]
    rows: str
    made: bytes
    at: float = field(default_factory=time.monotonic)


_kept: list[Kept] = []  # of this process; one at most


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, settings: Any, db: None) -> World:
    """A few of everything. Made by several hundred statements, and brought back by one where nothing else has happened before."""
    is_plain = not (monkeypatch._setattr or monkeypatch._setitem or settings._to_restore)
    if not is_plain or not connection.in_atomic_block or not database.is_superuser():
        return fill(3)
    there = {name for name, count in writes().items() if count}
    if _kept and time.monotonic() - _kept[0].at < FRESH_SECONDS and not there & _kept[0].tables - PEOPLE:
        database.run(_kept[0].rows)
        return pickle.loads(_kept[0].made)
    made = fill(3)
    if not there:
        _kept[:] = [Kept(frozenset(database.used()), database.script_of_rows(), pickle.dumps(made))]
    return made


def fill(count: int) -> World:
    """`count` rows of every kind the console shows."""
    made = World()
    made.cloud = Product.objects.create(slug="cloud", name="Cloud", is_app=True, needs_instance=True)
    made.plan = Product.objects.create(
        slug="plan",
        name="Family",
        placement="plan",
        grants={"storage_gb": 100},
        features=["Calendar", "Files"],
    )
    made.plan.includes.add(made.cloud)
    for index in range(max(2, count)):
        made.instances.append(_instance(made.cloud, index))
    for index in range(count):
        _person(made, index)
    _mirror(count)
    return made


def _instance(product: Product, index: int) -> Instance:
    return Instance.objects.create(
        slug=f"cloud-{index}", name=f"Cloud {index}", product=product, url=f"https://cloud-{index}.example.com",
        soft_cap=30, allocation_cap=60, hard_cap=90, group=Group.objects.create(name=f"/frontdesk/cloud-{index}"),
    )  # fmt: skip


def _person(made: World, index: int) -> None:
    now = clock.now()
    user = User.objects.create(username=f"person-{index}", email=f"person-{index}@example.com")
    profile = UserProfile.objects.create(
        user=user, email=user.email, keycloak_id=f"00000000-0000-4000-8000-{index:012d}", stripe_customer_id=f"cus_{index:04d}",
        stripe_subscription_id=f"sub_{index:04d}", subscription_status="active", access_state="active", created_at=now,
        synced_at=now, access_reason={"code": "paid"},
    )  # fmt: skip
    made.profiles.append(profile)
    instance = made.instances[index % len(made.instances)]
    made.seats.append(
        Seat.objects.create(
            profile=profile,
            product=made.cloud,
            instance=instance,
            state="assigned",
            created_at=now,
            changed_at=now,
        )
    )
    count = Seat.objects.filter(instance=instance).count()
    Instance.objects.filter(pk=instance.pk).update(allocated_seats=count, assigned=count)
    subscription = Subscription.objects.create(
        stripe_id=f"sub_{index:04d}", customer_id=f"cus_{index:04d}", status="active", stripe_created_at=now,
        current_period_end=now + 30 * DAY, fetched_at=now,
    )  # fmt: skip
    UserSubscriptionItem.objects.create(
        profile=profile, subscription=subscription, stripe_item_id=f"si_{index:04d}", stripe_price_id=f"price_{index:04d}",
        product=made.plan, unit_amount=1200, currency="eur", interval="month", current_period_end=now + 30 * DAY,
    )  # fmt: skip
    addon = Product.objects.create(
        slug=f"storage_{index}", name=f"Storage {index}", placement="storage", parent=made.plan
    )
    ProductPrice.objects.create(product=addon, stripe_price_id=f"price_{index:04d}", interval="month", unit_amount=500)
    SeatWait.objects.create(profile=profile, product=addon, since=now)
    Signup.objects.create(
        username=user.username,
        email=user.email,
        profile=profile,
        created_at=now,
        basket={"plan": 1},
    )
    apps.get_model("onboarding", "WaitlistEntry").objects.create(
        email=f"wait-{index}@example.com", product=made.cloud, created_at=now
    )
    made.overrides.append(
        AccessOverride.objects.create(
            profile=profile,
            kind="grant",
            reason="a friend of the house",
            created_by="staff:bob",
            created_at=now,
            starts_at=now,
            ends_at=now + DAY,
        )
    )
    made.overrides[-1].products.add(made.plan)
    made.events.append(
        InboundEvent.objects.create(
            stripe_event_id=f"evt_{index:04d}",
            type="invoice.paid",
            object_id=f"in_{index:04d}",
            customer_id=f"cus_{index:04d}",
            stripe_created_at=now,
            received_at=now,
            body='{"id": "evt", "data": {"client_secret": "never-shown"}}',
        )
    )
    made.jobs.append(
        Job.objects.create(
            kind="handle_event",
            key=f"evt_{index:04d}",
            lane=f"customer:cus_{index:04d}",
            state="dead",
            attempts=4,
            not_before=now,
            created_at=now,
            last_error="Stripe said no.",
            history=[{"at": now.isoformat(), "outcome": "dead", "reason": "no"}],
        )
    )
    Notification.objects.create(
        key=f"code-{index}", template="signup_code", profile=profile, to=user.email, context={"code": "987654"},
        state="failed", created_at=now,
    )  # fmt: skip
    PrivacyRequest.objects.create(
        profile=profile, kind="copy", state="done", received_on=now.date(), due_on=now.date() + 30 * DAY, opened_by="staff:bob",
        opened_at=now, note="asked by letter", closed_by="staff:bob", closed_at=now, outcome="sent by letter",
    )  # fmt: skip
    LegalHold.objects.create(
        profile=profile,
        reason="case 12",
        set_by="staff:bob",
        set_at=now,
        ended_by="staff:bob",
        ended_at=now,
        end_reason="case closed",
    )
    if index:  # the first pays for all others; that has ended
        joined = {"invited_at": now - DAY, "accepted_at": now - DAY, "ended_at": now, "paid_until": now, "end": "left"}
        Membership.objects.create(payer=made.profiles[0], member=profile, email=user.email, **joined)
    TermsChange.objects.create(
        profile=profile, grace_days=3, reason="a friend of the house", changed_by="staff:bob", changed_at=now
    )
    preview = TermsPreview.objects.create(
        values={"grace_days": 3}, reason="a long outage", requested_by="staff:bob", requested_at=now, state="ready", total=1, checked=1,
        with_access=1, based_on=0, counted_at=now,
    )  # fmt: skip
    TermsPreviewPerson.objects.create(
        preview=preview, profile=profile, effect="lose", before="active", after="suspended"
    )
    run = SyncRun.objects.create(scope="selected", total=1, actor="staff:bob", reason="a long outage", created_at=now)
    SyncResult.objects.create(run=run, profile=profile, generation=0, outcome="same", ended_at=now)
    ComparisonRun.objects.create(
        kind=f"compare_{index}", state="done", actor="system", started_at=now, progressed_at=now, ended_at=now, looked_at=9, found=1,
        items=[["profile", profile.pk, "stripe"]],
    )  # fmt: skip
    LawCheck.objects.create(
        law="L7", state="violated", first_at=now, checked_at=now, looked_at=9, total=1, seconds=0.1,
        violations=[["profile", str(profile.pk), profile.pk, "It shares an account."]],
    )  # fmt: skip
    AttentionItem.objects.create(
        cause="dispute", key="dp_1", sentence="A payment is disputed.", profile_ids=[profile.pk], first_at=now, last_at=now,
        resolved_at=now,
    )  # fmt: skip
    RestoreCheck.objects.create(
        noticed_at=now,
        evidence="An older one.",
        step="ready",
        finished_at=now,
        finished_by="staff:bob",
        reason="all checked",
    )
    account = ProductAccount.objects.create(
        profile=profile, instance=instance, user_id=f"kc-told-{index}", state="deleted"
    )
    WebhookDelivery.objects.create(
        instance=instance, account=account, message_id=f"msg_{index}", kind="account.order", order={"exists": False, "enabled": False},
        state="refused", status=410, milliseconds=12, answer="Gone.", sent_at=now,
    )  # fmt: skip
    Outage.objects.create(
        peer="stripe", began_at=now - DAY, ended_at=now, reason="No answer within 10 s.", waited={"mirror_customer": 3}
    )
    AccessFreeze.objects.create(
        reason="a quiet week",
        begun_at=now,
        begun_by="staff:bob",
        until=now + dt.timedelta(hours=1),
        ended_at=now,
        ended_by="staff:bob",
    )
    HeldBackLoss.objects.create(
        profile=profile,
        since=now,
        state="suspended",
        why="subscription sub_1 is unpaid",
        steps=["Disable the account."],
    )
    SafeguardReview.objects.create(
        sweep="reconcile_all", state="obsolete", profile_ids=[profile.pk], with_access=1, opened_at=now, seen_at=now
    )
    ApprovalRequest.objects.create(
        action="extend_grace", subject=f"profile:{profile.pk}", profile=profile, terms={"days": 30}, requested_by="staff:bob",
        reason="a long illness", requested_at=now, expires_at=now + 3 * DAY,
    )  # fmt: skip
    plan = SeatPlan.objects.create(  # the first goes on
        kind="rebalance", product=made.cloud, state="ended" if index else "open", actor="staff:bob", reason="one is full",
        created_at=now, ended_at=now if index else None,
    )  # fmt: skip
    SeatMove.objects.create(
        plan=plan, seat=made.seats[-1], profile=profile, source=instance, target=made.instances[(index + 1) % len(made.instances)],
        state="asked", why="Cloud 0 is fuller.", asked_at=now,
    )  # fmt: skip
    CustomerApiKey.objects.create(
        name="CRM", prefix=f"{index:08x}", digest="0" * 64, scopes=["customers:read"], networks=["192.0.2.0/24"], created_at=now,
        created_by="staff:bob", expires_at=now + 3 * DAY, revoked_at=now if index else None, revoked_by="staff:bob" if index else "",
    )  # fmt: skip
    run = CustomerImport.objects.create(
        source="csv", name="customers.csv", state="done" if index else "planned", actor="staff:bob", reason="the old shop",
        created_at=now, checked_at=now, ended_at=now if index else None,
    )  # fmt: skip
    ImportRow.objects.create(
        run=run, number=2, email=f"old{index}@example.com", username=f"old{index}", first_name="Old", last_name="Customer",
        profile=profile if index else None, state="imported" if index else "planned", imported_at=now if index else None,
        verdict="ready" if index else "decision", question="" if index else "nothing_due", choices=[] if index else [["leave_out", "Leave out"]],
        why="Nothing gives them access.",
    )  # fmt: skip
    Drift.objects.create(
        profile=profile,
        kind="access",
        steps=["Join the group /frontdesk/cloud-0."],
        first_seen_at=now,
        last_seen_at=now,
    )
    audit.record(
        subject=profile.subject,
        action="access_changed",
        before={"state": "none"},
        after={"state": "active"},
    )


def _mirror(count: int) -> None:
    for name in MIRROR:
        for index in range(count):
            data = {
                "id": f"{name.lower()}_{index}",
                "status": "active",
                "email": "a@example.com",
                "amount": 500,
                "currency": "eur",
            }
            _bare(name, f"{name.lower()}_{index}", data)


def _bare(name: str, identity: str, data: dict[str, Any]) -> Any:
    """A row of dj-stripe's with its columns alone; what it has to point at is made too."""
    model = apps.get_model("djstripe", name)
    row = model(id=identity, stripe_data=data)
    for column in model._meta.concrete_fields:
        if column.null or column.primary_key or getattr(row, column.attname) is not None:
            continue
        if column.remote_field:
            target = column.remote_field.model
            other = target.objects.first() or _bare(target.__name__, f"{name.lower()}_parent", {"id": "parent"})
            setattr(row, column.attname, other.id)
        else:
            setattr(row, column.attname, FILLERS.get(column.get_internal_type(), clock.now)())
    row.created = clock.now()
    row.save_base(force_insert=True, raw=True)
    return row
