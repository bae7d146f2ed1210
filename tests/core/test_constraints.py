"""Every rule that the database holds is broken once and refused by its name. A rule without a case here is a failure."""

import datetime as dt
import itertools
import uuid

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss, LastSync, TermsChange
from apps.accounts.models import ErasureAttempt, LegalHold, Membership, PrivacyRequest, Signup, StaffNote, UserProfile
from apps.billing.models import Coupon, Discount, InboundEvent, Subscription, UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.core.backup_models import Backup
from apps.core.models import AttentionItem, ComparisonRun, Job, Outage, RateLimit, RestoreCheck
from apps.instances.models import Instance, ProductAccount, Provisioning, Seat, SeatWait
from apps.instances.webhook_models import WebhookDelivery
from apps.login.models import UsedLogoutToken
from apps.notifications.models import Notification
from apps.onboarding.models import AddressChange, OneTimeCode, WaitlistEntry
from apps.operations.models import (
    ApprovalRequest,
    CustomerApiKey,
    CustomerChange,
    CustomerImport,
    DailyFigure,
    DataCopy,
    Drift,
    ImportRow,
    ReportFigure,
    SafeguardReview,
    SeatMove,
    SeatPlan,
    SyncResult,
    SyncRun,
    TermsPreview,
    TermsPreviewPerson,
)

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
_numbers = itertools.count(1)


def new(prefix):
    return f"{prefix}{next(_numbers)}"


# --- one valid row of each model -------------------------------------------------------------------------------------


def profile(**changes):
    user = changes.pop("user", None) or User.objects.create(username=new("user"))
    return UserProfile(**{"user": user, "email": f"{user.username}@example.com", "created_at": NOW} | changes)


def signup(**changes):
    return Signup(
        **{
            "state": "checkout",
            "username": new("name"),
            "email": f"{new('mail')}@example.com",
            "email_proven_at": NOW,
            "created_at": NOW,
        }
        | changes
    )


def product(**changes):
    slug = new("product")
    return Product(**{"slug": slug, "name": slug, "is_app": True, "needs_instance": True} | changes)


def price(**changes):
    return ProductPrice(
        **{
            "product": changes.pop("product", None) or stored(product()),
            "stripe_price_id": new("price_"),
            "interval": "month",
            "unit_amount": 900,
        }
        | changes
    )


def instance(**changes):
    slug = new("instance-")
    return Instance(
        **{
            "slug": slug,
            "name": slug,
            "url": "https://example.com/",
            "soft_cap": 1,
            "allocation_cap": 2,
            "hard_cap": 3,
            "product": changes.get("product") or stored(product()),
            "group": changes.get("group") or Group.objects.create(name=slug),
        }
        | changes
    )


def seat(**changes):
    place = changes.get("instance") or stored(instance())
    return Seat(
        **{
            "profile": changes.get("profile") or stored(profile()),
            "product": place.product,
            "instance": place,
            "state": "assigned",
            "created_at": NOW,
            "changed_at": NOW,
        }
        | changes
    )


def wait(**changes):
    return SeatWait(
        **{
            "profile": changes.get("profile") or stored(profile()),
            "product": changes.get("product") or stored(product()),
            "since": NOW,
        }
        | changes
    )


def provisioning(**changes):
    place = changes.get("instance") or stored(instance())
    return Provisioning(
        **{"instance": place, "kind": "nextcloud", "address": "https://cloud.example.com", "host": new("cloud-")}
        | changes
    )


def product_account(**changes):
    return ProductAccount(
        **{
            "profile": changes.get("profile") or stored(profile()),
            "instance": changes.get("instance") or stored(instance()),
            "user_id": new("id-"),
            "state": "open",
        }
        | changes
    )


def delivery(**changes):
    return WebhookDelivery(
        **{"instance": stored(instance()), "message_id": new("msg_"), "kind": "account.order", "sent_at": NOW} | changes
    )


def backup(**changes):
    return Backup(**{"kind": "backup", "database": new("base"), "first_at": NOW, "due_at": NOW} | changes)


def event(**changes):
    return InboundEvent(
        **{
            "stripe_event_id": new("evt_"),
            "type": "invoice.paid",
            "stripe_created_at": NOW,
            "received_at": NOW,
            "body": "{}",
        }
        | changes
    )


def subscription(**changes):
    return Subscription(
        **{
            "stripe_id": new("sub_"),
            "customer_id": new("cus_"),
            "status": "active",
            "stripe_created_at": NOW,
            "fetched_at": NOW,
        }
        | changes
    )


def coupon(**changes):
    return Coupon(**{"stripe_id": new("coupon_"), "fetched_at": NOW} | changes)


def discount(**changes):
    return Discount(**{"stripe_id": new("di_"), "coupon": stored(coupon()), "profile": stored(profile())} | changes)


def item(**changes):
    return UserSubscriptionItem(
        **{
            "profile": stored(profile()),
            "subscription": stored(subscription()),
            "stripe_item_id": new("si_"),
            "stripe_price_id": "price_1",
            "currency": "eur",
            "interval": "month",
        }
        | changes
    )


def override(**changes):
    return AccessOverride(
        **{
            "profile": stored(profile()),
            "kind": "grant",
            "reason": "because",
            "created_by": "staff:ada",
            "created_at": NOW,
            "starts_at": NOW,
            "ends_at": NOW + dt.timedelta(days=1),
        }
        | changes
    )


def job(**changes):
    key = changes.pop("key", "") or new("key")
    lane = {"lane": f"reconcile:{key}"}
    return Job(**{"kind": "reconcile", "key": key, "not_before": NOW, "created_at": NOW} | lane | changes)


def attention_item(**changes):
    return AttentionItem(**{"cause": "doctor", "key": new("key"), "first_at": NOW, "last_at": NOW} | changes)


def restore_check(**changes):
    done = {"finished_at": NOW, "finished_by": "staff:ada", "reason": "checked"}
    return RestoreCheck(**{"noticed_at": NOW, "evidence": "An older one."} | done | changes)


def outage(**changes):
    return Outage(**{"peer": new("peer"), "began_at": NOW, "reason": "No answer."} | changes)


def rate(**changes):
    return RateLimit(**{"name": "code", "subject": new("subject"), "per": 60, "busy_until": 0} | changes)


def notification(**changes):
    return Notification(**{"key": new("key"), "template": "code", "to": "a@example.com", "created_at": NOW} | changes)


def code(**changes):
    return OneTimeCode(
        **{
            "purpose": "signup",
            "subject": new("subject"),
            "session": "s",
            "created_at": NOW,
            "expires_at": NOW,
        }
        | changes
    )


def waitlist(**changes):
    return WaitlistEntry(**{"email": f"{new('mail')}@example.com", "created_at": NOW} | changes)


def last_sync(**changes):
    return LastSync(**{"profile": changes.pop("profile", None) or stored(profile()), "generation": 1} | changes)


def terms_change(**changes):
    values = {"grace_days": 3, "reason": "because", "changed_by": "staff:ada", "changed_at": NOW}
    return TermsChange(**values | changes)


def terms_preview(**changes):
    values = {"values": {"grace_days": 3}, "reason": "because", "requested_by": "staff:ada", "requested_at": NOW}
    return TermsPreview(**values | changes)


def terms_preview_person(**changes):
    preview = changes.pop("preview", None) or stored(terms_preview())
    return TermsPreviewPerson(
        **{"preview": preview, "profile": changes.pop("profile", None) or stored(profile())} | changes
    )


def freeze(**changes):
    values = {
        "reason": "because",
        "begun_at": NOW,
        "begun_by": "staff:ada",
        "until": NOW + dt.timedelta(hours=1),
        "ended_at": NOW,
    }
    return AccessFreeze(**values | changes)


def held_back(**changes):
    owner = changes.pop("profile", None) or stored(profile())
    return HeldBackLoss(**{"profile": owner, "since": NOW, "state": "suspended", "why": "unpaid"} | changes)


def sync_run(**changes):
    return SyncRun(
        **{"scope": "selected", "total": 1, "actor": "staff:ada", "reason": "because", "created_at": NOW} | changes
    )


def comparison_run(**changes):
    return ComparisonRun(**{"kind": new("kind"), "actor": "system", "started_at": NOW, "progressed_at": NOW} | changes)


def sync_result(**changes):
    run = changes.pop("run", None) or stored(sync_run())
    return SyncResult(**{"run": run, "profile": changes.pop("profile", None) or stored(profile())} | changes)


def safeguard_review(**changes):
    return SafeguardReview(**{"sweep": new("sweep"), "opened_at": NOW, "seen_at": NOW} | changes)


def seat_plan(**changes):
    where = changes.pop("product", None) or stored(product())
    values = {"kind": "rebalance", "product": where, "actor": "staff:ada", "reason": "because", "created_at": NOW}
    return SeatPlan(**values | changes)


def seat_move(**changes):
    place = changes.pop("seat", None) or stored(seat())
    where = {"source": place.instance, "target": stored(instance(product=place.product))}
    plan = changes.pop("plan", None) or stored(seat_plan())
    return SeatMove(**{"plan": plan, "seat": place, "profile": place.profile, **where} | changes)


def customer_api_key(**changes):
    made = {
        "name": "CRM",
        "prefix": new("")[-8:],
        "digest": "0" * 64,
        "scopes": ["customers:read"],
        "created_by": "staff:ada",
    }
    return CustomerApiKey(**made | {"created_at": NOW, "expires_at": NOW + dt.timedelta(days=1)} | changes)


def customer_change(**changes):
    return CustomerChange(**{"profile_id": 1, "transaction": next(_numbers)} | changes)


def customer_import(**changes):
    return CustomerImport(**{"source": "csv", "actor": "staff:ada", "reason": "because", "created_at": NOW} | changes)


def import_row(**changes):
    run = changes.pop("run", None) or stored(customer_import())
    return ImportRow(**{"run": run, "number": 2} | changes)


def approval_request(**changes):
    asked = {
        "action": "extend_grace",
        "subject": new("profile:"),
        "requested_by": "staff:ada",
        "reason": "a long illness",
    }
    return ApprovalRequest(**asked | {"requested_at": NOW, "expires_at": NOW} | changes)


def decided(state, **changes):
    return approval_request(
        state=state, **{"decided_by": "staff:bob", "decided_at": NOW, "decision_reason": "agreed"} | changes
    )


def drift(**changes):
    return Drift(
        **{
            "profile": changes.pop("profile", None) or stored(profile()),
            "kind": "access",
            "first_seen_at": NOW,
            "last_seen_at": NOW,
        }
        | changes
    )


def privacy_request(**changes):
    given = {
        "kind": "copy",
        "received_on": NOW.date(),
        "due_on": NOW.date() + dt.timedelta(days=30),
        "opened_by": "staff:ada",
    }
    who = changes.pop("profile", None) or stored(profile())
    return PrivacyRequest(**{"profile": who, "opened_at": NOW, "note": "asked by letter", **given} | changes)


def legal_hold(**changes):
    who = changes.pop("profile", None) or stored(profile())
    return LegalHold(**{"profile": who, "reason": "case 12", "set_by": "staff:ada", "set_at": NOW} | changes)


def membership(**changes):
    payer, member = (changes.pop(name, None) or stored(profile()) for name in ("payer", "member"))
    joined = {
        "payer": payer,
        "member": member,
        "email": f"{new('mail')}@example.com",
        "invited_at": NOW,
        "accepted_at": NOW,
    }
    return Membership(**joined | changes)


def a_member_of_oneself():
    ada = stored(profile())
    return [membership(payer=ada, member=ada)]


def two_of_one(build):
    yield from twins(build, profile=stored(profile()))


def token(**changes):
    return UsedLogoutToken(**{"jti": new("jti"), "used_at": NOW} | changes)


def data_copy(**changes):
    return DataCopy(**{"profile": changes.pop("profile", None) or stored(profile()), "requested_at": NOW} | changes)


def address_change(**changes):
    return AddressChange(
        **{"profile": changes.pop("profile", None) or stored(profile()), "former": "a@example.com", "changed_at": NOW}
        | changes
    )


def stored(row):
    row.save(force_insert=True)
    return row


BUILDERS = [
    profile, signup, product, price, instance, seat, wait, event, subscription, coupon, discount, item, override, terms_change, freeze, held_back,
    job, restore_check, outage, rate, notification, code, waitlist, token, drift, last_sync, sync_run, sync_result, safeguard_review,
    terms_preview, terms_preview_person, comparison_run, approval_request, seat_plan, seat_move, customer_api_key, customer_change, customer_import, import_row, privacy_request, legal_hold,
    data_copy, membership, address_change, provisioning, product_account, delivery, backup,
]  # fmt: skip

# --- how each named constraint is broken: the rows are stored in turn, and the last one is refused --------------------


def twins(build, **same):
    yield build(**same)
    yield build(**same)


def two_seats():
    ada, product_ = stored(profile()), stored(product())
    for state in ("retained", "assigned"):
        yield seat(profile=ada, instance=stored(instance(product=product_)), state=state)


def two_waits():
    yield from twins(wait, profile=stored(profile()), product=stored(product()))


def two_prices():
    yield from twins(price, product=stored(product()), interval="year")


BROKEN = {
    "profile_one_per_email": lambda: [
        profile(email="ada@example.com"),
        profile(email="Ada@Example.com"),
    ],
    "profile_one_per_proven_account": lambda: twins(profile, proven_keycloak_id="00000000-0000-4000-8000-000000000007"),
    "profile_keycloak_id_null_or_known": lambda: [profile(keycloak_id="")],
    "profile_customer_null_or_known": lambda: [profile(stripe_customer_id="")],
    "profile_email_problem_has_time": lambda: [profile(email_problem="bounced")],
    "profile_access_state_known": lambda: [profile(access_state="vip")],
    "signup_one_live_per_username": lambda: [signup(username="ada"), signup(username="ADA")],
    "signup_one_live_per_email": lambda: [
        signup(email="a@example.com"),
        signup(email="A@example.com"),
    ],
    "membership_one_open_per_member": lambda: twins(membership, member=stored(profile())),
    "membership_one_open_per_address": lambda: twins(membership, payer=stored(profile()), email="mia@example.com"),
    "membership_accepted_by_somebody": lambda: [membership(accepted_at=None)],
    "membership_ended_for_a_reason": lambda: [membership(ended_at=NOW, end="left")],
    "membership_of_two_people": a_member_of_oneself,
    "membership_has_address": lambda: [membership(email="")],
    "erasure_refused_for_a_reason": lambda: [ErasureAttempt(profile=stored(profile()), tried_at=NOW, refused_at=NOW)],
    "note_says_something": lambda: [
        StaffNote(profile=stored(profile()), text="", written_by="staff:ada", written_at=NOW)
    ],
    "privacy_one_open_per_kind": lambda: two_of_one(privacy_request),
    "privacy_due_after_received": lambda: [privacy_request(due_on=NOW.date())],
    "privacy_closed_by_somebody": lambda: [privacy_request(state="done", closed_at=NOW)],
    "legal_hold_has_a_reason": lambda: [legal_hold(reason="")],
    "legal_hold_ended_by_somebody": lambda: [legal_hold(ended_at=NOW)],
    "legal_hold_once_per_reason": lambda: two_of_one(legal_hold),
    "signup_proven_before_checkout": lambda: [signup(email_proven_at=None)],
    "event_handled_has_time": lambda: [event(state="handled")],
    "product_instance_means_app": lambda: [product(is_app=False, needs_instance=True)],
    "product_max_quantity_positive": lambda: [product(max_quantity=0)],
    "price_one_active_per_interval": two_prices,
    "price_offered_has_amount": lambda: [price(unit_amount=None)],
    "price_offered_by_month_or_year": lambda: [price(interval="week")],
    "job_one_waiting_per_kind_and_key": lambda: twins(job, key="1"),
    "job_one_running_per_lane": lambda: twins(job, lane="x", state="running", started_at=NOW),
    "job_running_has_start": lambda: [job(state="running")],
    "attention_one_open_per_cause": lambda: twins(attention_item, key="a"),
    "outage_one_open_per_peer": lambda: twins(outage, peer="stripe"),
    "outage_in_order": lambda: [outage(ended_at=NOW - dt.timedelta(seconds=1))],
    "restore_check_one_open": lambda: twins(restore_check, finished_at=None),
    "restore_check_finished_by_somebody": lambda: [restore_check(finished_by="")],
    "rate_limit_one_row": lambda: twins(rate, subject="a"),
    "instance_caps_in_order": lambda: [instance(soft_cap=2, allocation_cap=2)],
    "instance_draining_is_closed": lambda: [instance(draining_since=NOW)],
    "instance_notice_has_an_end": lambda: [instance(notice="maintenance", notice_from=NOW)],
    "instance_within_hard_cap": lambda: [instance(allocated_seats=4)],
    "seat_one_live_per_profile_and_product": two_seats,
    "seat_reserved_has_an_end": lambda: [seat(state="reserved")],
    "seat_released_has_time": lambda: [seat(state="released")],
    "seat_wait_one_per_profile_and_product": two_waits,
    "notification_one_per_key": lambda: twins(notification, key="same"),
    "notification_delivery_has_time": lambda: [notification(delivery="bounced")],
    "notification_sent_has_time": lambda: [notification(state="sent")],
    "code_one_live_per_purpose": lambda: twins(code, subject="a"),
    "code_tries_bounded": lambda: [code(tries=6)],
    "waitlist_one_per_email_and_product": lambda: [
        waitlist(email="a@b.com"),
        waitlist(email="A@b.com"),
    ],
    "waitlist_invited_is_confirmed_and_ends": lambda: [waitlist(state="invited", confirmed_at=NOW)],
    "daily_figure_one_a_day": lambda: [
        DailyFigure(day=NOW.date(), name="new", value=1),
        DailyFigure(day=NOW.date(), name="new", value=2),
    ],
    "report_figure_one_a_day": lambda: [
        ReportFigure(day=NOW.date(), name="paid", currency="eur", count=1, amount=1),
        ReportFigure(day=NOW.date(), name="paid", currency="eur", count=1, amount=2),
    ],
    "address_objected_after_change": lambda: [address_change(objected_at=NOW - dt.timedelta(seconds=1))],
    "data_copy_ready_expires": lambda: [data_copy(ready_at=NOW, encrypted="x")],
    "drift_one_open_per_kind": lambda: twins(drift, profile=stored(profile())),
    "drift_seen_in_order": lambda: [drift(last_seen_at=NOW - dt.timedelta(seconds=1))],
    "override_has_a_reason": lambda: [override(reason="")],
    "override_ends": lambda: [override(ends_at=None)],
    "override_in_order": lambda: [override(ends_at=NOW)],
    "terms_have_a_reason": lambda: [terms_change(reason="")],
    "terms_of_one_scope": lambda: [terms_change(profile=stored(profile()), product=stored(product()))],
    "terms_preview_has_a_reason": lambda: [terms_preview(reason="")],
    "terms_preview_of_one_scope": lambda: [terms_preview(profile=stored(profile()), product=stored(product()))],
    "terms_preview_decided_by_somebody": lambda: [terms_preview(state="saved")],
    "terms_preview_one_per_person": lambda: twins(
        terms_preview_person, profile=stored(profile()), preview=stored(terms_preview())
    ),
    "comparison_ended_has_time": lambda: [comparison_run(state="done")],
    "comparison_span_in_order": lambda: [comparison_run(since=NOW, until=NOW)],
    "comparison_one_running_per_kind": lambda: twins(comparison_run, kind="compare_keycloak"),
    "sync_run_has_a_reason": lambda: [sync_run(reason="")],
    "sync_run_of_somebody": lambda: [sync_run(total=0)],
    "sync_result_one_per_person": lambda: twins(sync_result, profile=stored(profile()), run=stored(sync_run())),
    "sync_result_ended_was_asked": lambda: [sync_result(outcome="same", ended_at=NOW)],
    "approval_one_open_per_subject": lambda: twins(approval_request, subject="profile:1"),
    "approval_by_another_person": lambda: [decided("approved", decided_by="staff:ada")],
    "approval_withdrawn_by_its_own": lambda: [decided("withdrawn")],
    "approval_decided_by_somebody": lambda: [approval_request(state="approved")],
    "approval_asked_for_a_reason": lambda: [approval_request(reason="")],
    "seat_plan_one_open_per_product": lambda: twins(seat_plan, product=stored(product())),
    "seat_plan_drains_an_instance": lambda: [seat_plan(kind="drain")],
    "seat_plan_has_a_reason": lambda: [seat_plan(reason="")],
    "seat_plan_ended_has_time": lambda: [seat_plan(state="ended")],
    "api_key_has_name_and_maker": lambda: [customer_api_key(name="")],
    "api_key_digest_is_one": lambda: [customer_api_key(digest="fdk_")],
    "api_key_may_something": lambda: [customer_api_key(scopes=[])],
    "api_key_expires_later": lambda: [customer_api_key(expires_at=NOW)],
    "api_key_revoked_by_somebody": lambda: [customer_api_key(revoked_at=NOW)],
    "customer_change_number": lambda: [
        customer_change(number=1, at=NOW),
        customer_change(number=1, at=NOW),
    ],
    "customer_change_once": lambda: twins(customer_change, transaction=1),
    "customer_change_numbered_then": lambda: [customer_change(number=1)],
    "import_has_a_reason": lambda: [customer_import(reason="")],
    "import_ended_has_time": lambda: [customer_import(state="done")],
    "import_row_once_per_number": lambda: twins(import_row, run=stored(customer_import())),
    "import_row_imported_has_time": lambda: [import_row(state="imported")],
    "import_row_decision_has_a_question": lambda: [import_row(verdict="decision")],
    "seat_move_once_per_seat": lambda: twins(seat_move, plan=stored(seat_plan()), seat=stored(seat())),
    "seat_move_only_after_a_yes": lambda: [
        seat_move(state="moved", answer="no", answered_by="system", answered_at=NOW)
    ],
    "seat_move_has_a_target": lambda: [seat_move(target=None)],
    "provisioning_one_per_host": lambda: twins(provisioning, host="cloud.example.com"),
    "provisioning_one_per_server": lambda: twins(provisioning, kind="nextcloud", server_id="oc0123456789"),
    "product_account_one_live_per_instance": lambda: twins(
        product_account, profile=stored(profile()), instance=stored(instance())
    ),
    "product_account_one_per_user_id": lambda: twins(product_account, instance=stored(instance()), user_id="same"),
    "product_account_leaving_has_an_end": lambda: [product_account(state="leaving")],
    "backup_one_of_each_kind": lambda: twins(backup, database="frontdesk"),
    "product_account_quota_positive": lambda: [product_account(quota=-1)],
    "freeze_has_a_reason": lambda: [freeze(reason="")],
    "freeze_in_order": lambda: [freeze(until=NOW)],
    "freeze_one_open_per_scope": lambda: twins(freeze, ended_at=None),
    "held_back_state_known": lambda: [held_back(state="gone")],
    "safeguard_one_open_per_sweep": lambda: twins(safeguard_review, sweep="compare_subscriptions"),
    "safeguard_confirmed_by_somebody": lambda: [safeguard_review(state="confirmed")],
}


def our_models():
    return [model for model in apps.get_models() if model.__module__.startswith("apps.")]


def named_constraints():
    return {constraint.name for model in our_models() for constraint in model._meta.constraints}


def unique_fields():
    return [
        (model, field.name)
        for model in our_models()
        for field in model._meta.concrete_fields
        if field.unique and not field.primary_key
    ]


def refusal(row):
    """The name of the constraint that refuses the row."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        row.save(force_insert=True)
    return caught.value.__cause__.diag.constraint_name


def test_every_constraint_of_every_model_has_a_case():
    assert set(BROKEN) == named_constraints()


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_the_database_refuses_by_name(name):
    *fine, wrong = BROKEN[name]()
    for row in fine:
        stored(row)
    assert refusal(wrong) == name


@pytest.mark.parametrize("build", BUILDERS)
def test_two_rows_that_break_nothing_are_stored(build):
    assert stored(build()).pk != stored(build()).pk


@pytest.mark.parametrize(("model", "field"), unique_fields(), ids=lambda value: getattr(value, "__name__", value))
def test_a_unique_value_is_refused_twice(model, field):
    build = {type(make()): make for make in BUILDERS}[model]
    value = str(uuid.uuid4()) if field in {"onboarding_id", "keycloak_id"} else new("same")
    related = {
        "user": lambda: User.objects.create(username=value),
        "group": lambda: Group.objects.create(name=value),
        "profile": lambda: stored(profile()),
        "instance": lambda: stored(instance()),
    }
    value = related[field]() if field in related else value
    stored(build(**{field: value}))
    assert field in refusal(build(**{field: value}))


@pytest.mark.parametrize(
    ("verb", "sql"),
    [
        ("change", "UPDATE core_auditentry SET reason = 'another'"),
        ("deletion", "DELETE FROM core_auditentry"),
    ],
)
def test_the_audit_trail_only_grows(verb, sql):
    from apps.core import audit

    audit.record(subject=("profile", 1), action="test")
    with pytest.raises(IntegrityError, match="only grows"), connection.cursor() as cursor:
        cursor.execute(sql)
