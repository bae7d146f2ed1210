"""seed_bench fills what it says, as the models want it, and never a database with subscribers."""

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, F, Q

from apps.access.models import TermsChange
from apps.access.terms import read_terms
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.core import laws
from apps.core.audit_chains import check_chains
from apps.core.models import AuditEntry, Job
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.operations import bulk_facts, terms_preview
from apps.operations.laws import confirm
from apps.sandbox.bench import seed
from apps.sandbox.bench.expressions import EXPIRY_DAYS, GRACE_DAYS
from apps.sandbox.bench.rows import INDEXES, execute
from tests.laws import violated

AUDIT_READS = (
    "SELECT coalesce(sum(seq_scan + idx_scan), 0) FROM pg_stat_xact_user_tables WHERE relname = 'core_auditentry'"
)


@pytest.mark.nightly
@pytest.mark.django_db(transaction=True)
def test_it_fills_what_it_says(monkeypatch):
    tables = connection.introspection.table_names()
    indexes = {name: {row[0] for row in execute(INDEXES, [name])} for name in tables}
    seed.fill(600)
    assert {
        model.__name__: model.objects.count()
        for model in (UserProfile, Subscription, UserSubscriptionItem, Seat, InboundEvent, AuditEntry, Notification, Signup)
    } == {
        "UserProfile": 600, "Subscription": 600, "UserSubscriptionItem": 900, "Seat": 776, "InboundEvent": 1800,
        "AuditEntry": 4825, "Notification": 1200, "Signup": 600,
    }  # fmt: skip
    assert Job.objects.filter(state="done").count() == 1800
    assert Job.objects.filter(state="queued").count() == 36
    assert {name: {row[0] for row in execute(INDEXES, [name])} for name in tables} == indexes, (
        "all indexes are there again"
    )
    counts = {
        f"{state}_seats": Count("seats", filter=Q(seats__state=state)) for state in ("reserved", "assigned", "retained")
    }
    for instance in Instance.objects.annotate(**counts):
        found = [getattr(instance, f"{state}_seats") for state in ("reserved", "assigned", "retained")]
        assert [instance.reserved, instance.assigned, instance.retained] == found
        assert instance.allocated_seats == sum(found)
    assert not Seat.objects.exclude(product=F("instance__product")).exists()
    assert not UserProfile.objects.exclude(user__email=F("email")).exists()
    for model in (UserProfile, Seat, InboundEvent, Job, Instance, Notification):
        for row in model.objects.all()[:50]:
            row.clean_fields(exclude=["body", "history", "user", "group"])
    assert violated() == {}, "what is measured on these rows is in order"
    monkeypatch.setattr(confirm, "MOST", 10)
    assert violated() == {}, "of the 24 who are suspended the policy is not asked: a million has too many of them"
    with transaction.atomic():
        before = execute(AUDIT_READS)
        laws.run(["L2"])
        assert execute(AUDIT_READS) == before, "nobody's trail is read but of those who wait"
    chains = check_chains()
    assert (chains.chains, chains.entries, chains.breaks) == (601, 4825, [])
    states = dict(UserProfile.objects.values_list("pk", "access_state"))
    assert {pk: one.state.value for pk, one in bulk_facts.decide_many(UserProfile.objects.all()).items()} == states
    compare_impacts()
    with pytest.raises(seed.SeedError, match="has subscribers already"):
        seed.fill(1)
    UserProfile.objects.create(
        user=User.objects.create(username="next"), email="next@example.com", created_at=row.created_at
    )


def compare_impacts() -> None:
    """What a change of terms does to those whom it can concern is what it does to everybody."""
    execute("UPDATE billing_subscription SET pause = 'void' WHERE mod(id, 10) = 0")
    execute("UPDATE billing_subscription SET money_returned = 'dispute_lost' WHERE mod(id, 10) = 1")
    everybody, book = UserProfile.objects.all(), read_terms()
    values = {
        "grace_days": GRACE_DAYS, "expiry_days": EXPIRY_DAYS, "recovery_hours": 72, "paused_collection": "keep",
        "lost_dispute": "suspend",
    }  # fmt: skip
    product = UserSubscriptionItem.objects.first().product
    for change in (
        {"grace_days": 2}, {"grace_days": 60}, {"expiry_days": 1}, {"expiry_days": 90}, {"paused_collection": "close"},
        {"lost_dispute": "flag"}, {"recovery_hours": 1}, {"grace_days": 0, "expiry_days": 300, "paused_collection": "close"},
        {"grace_days": 40, "product": product},
    ):  # fmt: skip
        row = TermsChange(**values | change)
        before, after = (bulk_facts.decide_by_each(everybody, [one])[0] for one in (book, book.with_change(row)))
        other = {
            pk for pk, one in before.items()
            if (one.state, one.until, one.final_expiry_at) != (after[pk].state, after[pk].until, after[pk].final_expiry_at)
        }  # fmt: skip
        preview = terms_preview.start_preview(row, actor="staff:ada", reason="a test")
        terms_preview.run_preview(str(preview.pk))
        assert set(terms_preview.people_with(preview, "").values_list("profile_id", flat=True)) == other, change
        assert bool(other) == (change != {"recovery_hours": 1})
