"""A preview of changed terms: its job survives its death, is abandoned, and saves only what staff have seen."""

import datetime as dt
from typing import Any

import pytest

from apps.access import terms
from apps.access.models import TermsChange
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.operations import bulk_facts, terms_preview
from apps.operations.models import TermsPreview
from tests.operations.test_impact import sell

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
WHY: dict[str, Any] = {"actor": "staff:ada", "reason": "The board has decided so."}
VALUES = {"recovery_hours": 72, "expiry_days": 30, "paused_collection": "keep", "lost_dispute": "suspend"}


@pytest.fixture(autouse=True)
def late() -> None:
    """Six people who are four days late, and one who pays. Everybody has ten days of grace."""
    plan = Product.objects.create(slug="plan", name="Family", placement="plan", grants={"storage_gb": 100})
    for number in range(7):
        sell(number, (plan, "price_plan", 1))
    UserProfile.objects.update(access_state="grace")
    for number in range(6):
        make_late(number)
    save(grace_days=10)


def make_late(number: int, *, days: int = 4) -> None:
    profile = UserProfile.objects.get(user__username=f"person-{number}")
    rows = Subscription.objects.filter(customer_id=profile.stripe_customer_id)
    rows.update(status="past_due", past_due_since=clock.now() - days * DAY)


def save(**values: Any) -> TermsChange:
    return terms.save_change(TermsChange(**VALUES | values), **WHY)


def start(**values: Any) -> TermsPreview:
    return terms_preview.start_preview(TermsChange(**VALUES | values), **WHY)


def count(row: TermsPreview) -> None:
    terms_preview.run_preview(str(row.pk))
    row.refresh_from_db()


def counted(**values: Any) -> TermsPreview:
    row = start(**values)
    count(row)
    assert row.state == "ready"
    return row


def test_a_job_that_is_killed_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_preview, "BATCH", 2)
    decide, batches = bulk_facts.decide_by_each, list[set[int]]()

    def dies(people: Any, books: Any) -> Any:
        batches.append(set(people.values_list("pk", flat=True)))
        if len(batches) == 2:
            raise SystemError("the process is gone")
        return decide(people, books)

    monkeypatch.setattr(bulk_facts, "decide_by_each", dies)
    row = start(grace_days=2)
    with pytest.raises(SystemError):
        count(row)
    row.refresh_from_db()
    assert (row.state, row.checked, row.total) == ("counting", 2, 6)
    count(row)
    assert (row.state, row.checked, terms_preview.count_effects(row).lose) == ("ready", 6, 6)
    assert batches[1] == batches[2]
    assert sum(map(len, batches)) == 6 + 2


def test_it_works_in_slices_and_an_abandoned_one_does_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_preview, "BATCH", 2)
    monkeypatch.setattr(terms_preview, "SECONDS", 0)
    row = start(grace_days=2)
    for checked in (0, 2):
        count(row)
        assert (row.state, row.checked) == ("counting", checked)
    assert Job.objects.filter(kind="preview_terms", state="queued").count() == 1
    terms_preview.abandon(row, **WHY)
    assert not Job.objects.filter(kind="preview_terms", state="queued").exists()
    count(row)
    assert (row.state, row.checked, TermsChange.objects.count()) == ("abandoned", 2, 1)
    for refused in (terms_preview.abandon, lambda one, **why: terms_preview.confirm(one, expected=6, **why)):
        with pytest.raises(BadInput):
            refused(row, **WHY)


def test_who_starts_to_lose_after_the_confirmation_stops_it_and_is_shown() -> None:
    row = counted(grace_days=2)
    terms_preview.confirm(row, expected=None, **WHY)
    make_late(6)
    count(row)
    assert (row.state, TermsChange.objects.count()) == ("ready", 1)
    assert "one more person would lose something" in row.problem
    assert terms_preview.count_effects(row).lose == 7
    terms_preview.confirm(row, expected=None, **WHY)
    count(row)
    assert (row.state, row.problem, read_terms().general.grace) == ("saved", "", 2 * DAY)


@pytest.mark.mutant
def test_mutant_without_the_second_look_somebody_loses_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_preview, "_find_problem", lambda _row: "")
    with pytest.raises(AssertionError):
        test_who_starts_to_lose_after_the_confirmation_stops_it_and_is_shown()


def test_who_no_longer_loses_does_not_stop_it_and_is_not_synced() -> None:
    row = counted(grace_days=2)
    terms_preview.confirm(row, expected=None, **WHY)
    Subscription.objects.filter(status="past_due").update(status="active", past_due_since=None)
    make_late(0)
    count(row)
    assert row.state == "saved"
    first = UserProfile.objects.get(user__username="person-0")
    assert list(
        Job.objects.filter(kind__in=["reconcile", "sync_user_post_checkout"]).values_list("key", flat=True)
    ) == [str(first.pk)]


def test_of_two_previews_of_the_same_terms_one_is_saved() -> None:
    one, other = counted(grace_days=2), counted(grace_days=3)
    for row in (one, other):
        terms_preview.confirm(row, expected=None, **WHY)
    for row in (one, other):
        count(row)
    assert [row.state for row in (one, other)] == ["saved", "ready"]
    assert "Other terms have been saved" in other.problem
    with pytest.raises(BadInput, match="Other terms have been saved"):
        terms_preview.confirm(other, expected=None, **WHY)
    assert read_terms().general.grace == 2 * DAY


def test_an_old_preview_is_not_confirmed() -> None:
    row = counted(grace_days=2)
    TermsPreview.objects.update(counted_at=clock.now() - terms_preview.VALID_FOR)
    with pytest.raises(BadInput, match="more than an hour old"):
        terms_preview.confirm(row, expected=None, **WHY)


def test_terms_that_concern_nobody_are_ready_at_once() -> None:
    row = counted(grace_days=10)
    assert (row.total, terms_preview.count_effects(row).concerned) == (0, 0)


def test_a_saved_change_whose_job_dies_while_it_queues_syncs_still_reaches_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terms_preview, "BATCH", 4)
    row = counted(grace_days=2)
    terms_preview.confirm(row, expected=None, **WHY)
    monkeypatch.setattr(terms_preview, "SECONDS", 0)
    while row.state != "saved":
        count(row)
    count(row)
    assert row.people.filter(synced=True).count() == 4
    count(row)
    assert row.people.filter(synced=True).count() == 6
