"""Privacy requests have a day by which they are answered; a legal hold keeps a person's data from everything that deletes."""

import datetime as dt
import json

import pytest
from django.core.management import CommandError, call_command

from apps.accounts import legal_holds
from apps.accounts.models import LegalHold, PrivacyRequest, UserProfile
from apps.billing import events
from apps.billing.models import InboundEvent
from apps.core import clock, retention
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.operations import erasure_receipts, erasure_rows, personal_copy, privacy, privacy_requests
from tests.field.test_forgetting_races import abandoned
from tests.operations.test_privacy import BY, leave
from tests.world import World


@pytest.mark.parametrize(
    ("received", "due"),
    [("2026-01-15", "2026-02-15"), ("2026-01-31", "2026-02-28"), ("2028-01-30", "2028-02-29"), ("2026-12-31", "2027-01-31")],
)  # fmt: skip
def test_an_answer_is_due_a_month_later(received: str, due: str) -> None:
    assert privacy_requests.find_due_day(dt.date.fromisoformat(received)).isoformat() == due


def ask(profile: UserProfile, kind: str = "erasure", *, days_ago: int = 0) -> PrivacyRequest:
    day = clock.now().date() - dt.timedelta(days=days_ago)
    return privacy_requests.receive(profile, kind=kind, received_on=day, **BY)


def test_a_request_is_listed_until_it_is_answered_and_erasing_answers_it(world: World) -> None:
    dana = world.subscriber("dana")
    late, copy = ask(dana, days_ago=40), ask(dana, "copy")
    with pytest.raises(BadInput, match="open already"):
        ask(dana)
    with pytest.raises(BadInput, match="not over"):
        ask(world.subscriber("other"), days_ago=-1)
    assert list(privacy_requests.due_soon(PrivacyRequest.objects.all())) == [late]
    with pytest.raises(BadInput, match="erased"):
        privacy_requests.close(late, state="done", **BY)
    privacy_requests.close(copy, state="done", **BY)
    with pytest.raises(BadInput, match="closed already"):
        privacy_requests.close(copy, state="refused", **BY)
    leave(world, dana)
    privacy_requests.erase(dana, **BY)
    late.refresh_from_db()
    assert (late.state, late.closed_by, late.note) == ("done", "staff:ada", erasure_rows.NO_REASON)
    with pytest.raises(BadInput, match="erased"):
        ask(dana)


def test_who_is_under_a_legal_hold_is_erased_by_nobody(world: World) -> None:
    dana = world.subscriber("dana")
    leave(world, dana)
    hold, other = (legal_holds.place(dana, actor="staff:ada", reason=why) for why in ("case 12", "case 13"))
    with pytest.raises(BadInput, match="already"):
        legal_holds.place(dana, actor="staff:ada", reason="case 12")
    ask(dana)
    assert privacy_requests.under_hold(PrivacyRequest.objects.all()).count() == 1
    legal_holds.end(other, **BY)
    with pytest.raises(BadInput, match="legal hold"):
        privacy_requests.erase(dana, **BY)
    with pytest.raises(CommandError, match="legal hold"):
        call_command("erase_person", str(dana.pk), "--actor", "staff:ada", "--reason", "asked")
    legal_holds.end(hold, **BY)
    with pytest.raises(BadInput, match="over already"):
        legal_holds.end(hold, **BY)
    privacy_requests.erase(dana, **BY)
    with pytest.raises(BadInput, match="nothing left"):
        legal_holds.place(dana, **BY)
    assert {one.reason for one in LegalHold.objects.all()} == {erasure_rows.NO_REASON}


def test_retention_deletes_nothing_of_who_is_under_a_legal_hold(world: World) -> None:
    """The person, their emails and what Stripe said of them stay for years; of others all of it goes, and no check complains."""
    held, goes = world.subscriber("held"), world.subscriber("goes")
    for one in (held, goes):
        leave(world, one)
    hold = legal_holds.place(held, **BY)
    customers, then = (held.stripe_customer_id, goes.stripe_customer_id), clock.now() - dt.timedelta(days=800)
    Notification.objects.filter(state="sent").update(created_at=then, sent_at=then, context={"first_name": "Ann"})
    InboundEvent.objects.filter(handled_at__isnull=False).update(handled_at=then)
    UserProfile.objects.update(access_state="expired", final_expiry_at=then)
    Job.objects.filter(state="done").delete()
    retention.prune_all()
    assert not Job.objects.filter(kind="erase_expired_customer", key=str(held.pk)).exists()
    assert Job.objects.filter(kind="erase_expired_customer", key=str(goes.pk)).exists()
    kept, gone = ([row.body != "" for row in InboundEvent.objects.filter(customer_id=one)] for one in customers)
    assert kept
    assert all(kept)
    assert gone == []
    sent = Notification.objects.filter(state="sent")
    assert [row for row in sent.filter(profile=held) if not (row.to and row.context)] == []
    assert [row for row in sent.filter(profile=goes) if row.to or row.context] == []
    overdue = {name: rule.overdue(clock.now() - dt.timedelta(days=700)) for name, rule in retention.RULES.items()}
    counts = {name: rows if isinstance(rows, int) else rows.count() for name, rows in overdue.items()}
    assert {name for name, count in counts.items() if count} <= {"expired_customers"}  # its job waits
    legal_holds.end(hold, **BY)
    assert events.handled_events(clock.now()).filter(customer_id=customers[0]).exists()


def test_the_receipt_follows_keycloak_and_stripe_to_the_end(world: World) -> None:
    """Killed after the account is gone and before that is written down, the job says so when it runs again."""
    gone, free = world.subscriber("quentin"), world.subscriber("other")
    leave(world, gone)
    assert erasure_receipts.read_receipt(gone) is None
    world.fault("keycloak", "down")
    privacy_requests.erase(gone, **BY)
    gone.refresh_from_db()
    receipt = erasure_receipts.read_receipt(gone)
    assert receipt is not None
    assert (receipt.moving, receipt.is_complete) == (True, False)
    world.fault("keycloak", "ok")
    account = next(one for one in AuditEntry.objects.get(action="person_erased").after["systems"].values() if one)
    world.admin("DELETE", f"/users/{account}")
    world.pass_time(seconds=300)
    world.deliver()
    receipt = erasure_receipts.read_receipt(gone)
    assert receipt is not None
    assert [(one.name, one.sentence) for one in receipt.systems] == [
        ("Keycloak", "Deleted."), ("Stripe", "Invoices stay, as tax law wants."),
    ]  # fmt: skip
    assert receipt.is_complete
    Job.objects.all().delete()  # their retention is shorter than a receipt's
    again = erasure_receipts.read_receipt(gone)
    assert again == receipt
    assert "quentin" not in repr(again)
    assert erasure_receipts.read_receipt(free) is None


def test_who_never_paid_is_erased_when_they_ask(world: World) -> None:
    """There is no subscription that could run; their customer at Stripe goes too."""
    gone = abandoned(world, "quentin")
    customer = gone.stripe_customer_id or ""
    assert privacy.refuse_erasing(gone) == ""
    privacy_requests.erase(gone, **BY)
    world.deliver()
    assert world.shop.v1.customers.retrieve(customer).deleted
    receipt = erasure_receipts.read_receipt(UserProfile.objects.get(pk=gone.pk))
    assert receipt is not None
    assert [one.sentence for one in receipt.systems] == ["There was nothing.", "Deleted."]


def test_the_preview_counts_what_erasing_then_does(world: World) -> None:
    dana = world.subscriber("dana")
    leave(world, dana)
    foreseen = erasure_rows.count_rows(dana)
    receipt = privacy.erase(dana, **BY)
    assert {name: count for name, count in receipt.after["erased"].items() if count} == {
        name: count for name, count in foreseen.items() if count
    }
    assert foreseen["emails"] > 0


def test_the_copy_to_read_holds_all_that_the_file_holds(world: World) -> None:
    dana = world.subscriber("dana")
    legal_holds.place(dana, **BY)
    ask(dana, "copy")
    found = privacy.export(dana)
    assert set(found) <= set(personal_copy.SECTIONS), "a table without a title"
    copy = personal_copy.compose(found)
    said = {value for section in copy.sections for row in section.rows for _, value in row}
    numbers = sum(
        len([v for v in row.values() if v not in (None, "", [], {})]) for rows in found.values() for row in rows
    )
    assert numbers == sum(len(row) for section in copy.sections for row in section.rows)
    assert {"dana@example.com", "dana", "Copy of the data", "yes"} <= said
    assert len(copy.sections) + len(copy.empty) == len(found)
    assert json.dumps(found)
