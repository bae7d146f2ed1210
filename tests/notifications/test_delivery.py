"""What became of each mail is known whatever order Mailgun tells it in, and a subscriber whom no mail reaches is seen."""

import datetime as dt
import itertools
import json
import random
from typing import Any

import pytest
from django.test import Client

from apps.access import unwarned
from apps.core import clock, jobs
from apps.core.models import AttentionItem
from apps.notifications import delivery, mail
from apps.notifications.models import Notification
from tests.notifications.mail_events import post, post_body, sign, tell, told
from tests.rows import writes
from tests.world import World

pytestmark = pytest.mark.django_db
KEY = "key-of-the-test"


@pytest.fixture(autouse=True)
def signing_key(settings: Any) -> None:
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = KEY


@pytest.fixture
def row() -> Notification:
    now = clock.now()
    return Notification.objects.create(
        key="k", template="expired", to="nora@example.com", state="sent", provider_id="<1@mg.example.com>",
        created_at=now, sent_at=now,
    )  # fmt: skip


def became(row: Notification) -> tuple[str, float | None, str]:
    row.refresh_from_db()
    return row.delivery, row.delivery_at.timestamp() if row.delivery_at else None, row.delivery_reason


LIVES = {  # what Mailgun tells of one mail, and what became of it
    "delivered": [("delivered", 10)],
    "delayed": [("delayed", 10), ("delayed", 20)],
    "delayed, then delivered": [("delayed", 10), ("delayed", 20), ("delivered", 30)],
    "delayed, then given up": [("delayed", 10), ("bounced", 20)],
    "bounced late": [("delivered", 10), ("bounced", 20)],
    "delivered after all": [("bounced", 10), ("delivered", 20)],
    "a delay that was told wrongly": [("delivered", 10), ("delayed", 20)],
    "spam": [("delayed", 5), ("delivered", 10), ("complained", 20)],
    "spam whose clock is behind": [("complained", 5), ("delivered", 10)],
    "two of one moment": [("delivered", 10), ("bounced", 10)],
    "refused": [("failed", 10)],
}
BECAME = {
    "delivered": ("delivered", 10), "delayed": ("delayed", 20), "delayed, then delivered": ("delivered", 30),
    "delayed, then given up": ("bounced", 20), "bounced late": ("bounced", 20), "delivered after all": ("delivered", 20),
    "a delay that was told wrongly": ("delivered", 10), "spam": ("complained", 20),
    "spam whose clock is behind": ("complained", 5), "two of one moment": ("bounced", 10), "refused": ("failed", 10),
}  # fmt: skip


@pytest.mark.parametrize("name", LIVES)
def test_every_order_of_events_doubled_or_not_ends_alike(row: Notification, name: str) -> None:
    start = clock.timestamp() - 3600
    for order in itertools.permutations(LIVES[name]):
        Notification.objects.update(delivery="", delivery_at=None, delivery_reason="")
        for kind, second in (*order, order[0], random.choice(order)):
            event = delivery.DeliveryEvent(
                delivery=delivery.Delivery(kind), at=dt.datetime.fromtimestamp(start + second, dt.UTC),
                notification=row.pk, provider_id=row.provider_id, recipient=row.to, reason="",
            )  # fmt: skip
            assert delivery.record(event)
        kind, second = BECAME[name]
        assert became(row)[:2] == (kind, pytest.approx(start + second)), order


def test_a_signed_event_is_recorded_with_a_short_reason_that_names_nobody(row: Notification, caplog: Any) -> None:
    tell(row, "bounced", at=clock.timestamp() - 60)
    assert became(row)[0::2] == ("bounced", "5.1.1 … no such user")
    assert "nora" not in caplog.text


def test_an_event_that_is_about_nothing_of_ours_is_taken_and_changes_nothing(row: Notification) -> None:
    before = writes()
    other = {"message": {"headers": {"message-id": "other@mg.example.com"}}}
    events = [
        told(row, "opened"), told(row, "delivered", **other), told(row, "delivered", **{"user-variables": {}}),
        told(row, "delivered", **{"user-variables": {"notification": "x" * 50}}), told(row, "delivered", message={"headers": {}}),
        told(row, "delivered", **{"user-variables": {"notification": "999999999999"}}), told(row, "delivered", event="new to us"),
    ]  # fmt: skip
    assert [post(one).status_code for one in events] == [200] * len(events)
    assert became(row) == ("", None, "")
    assert {table for table in writes() if writes()[table] != before.get(table)} <= {"core_ratelimit"}


@pytest.mark.parametrize(
    "signed",
    [{"key": "wrong"}, {"stamp": "1"}, {"stamp": "now"}, {"stamp": "late"}, {"stamp": "early"}, {"token": "t" * 300}],
)
def test_what_mailgun_did_not_sign_of_late_is_refused(row: Notification, signed: dict[str, str]) -> None:
    ages = {"late": -13 * 3600, "early": 600}
    if signed.get("stamp") in ages:
        signed = {"stamp": str(int(clock.timestamp()) + ages[signed["stamp"]])}
    answer = post(told(row, "bounced"), **signed)
    assert (answer.status_code, set(json.loads(answer.content))) == (400, {"error"})
    assert became(row) == ("", None, "")


def test_without_a_key_of_ours_nothing_is_believed(row: Notification, settings: Any) -> None:
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = ""
    assert post(told(row, "bounced"), key="").status_code == 400
    assert became(row) == ("", None, "")


def test_a_token_counts_once_whatever_is_posted_with_it(row: Notification) -> None:
    signed = sign()
    assert post_body({"signature": signed, "event-data": told(row, "delayed")}).status_code == 200
    assert post_body({"signature": signed, "event-data": told(row, "bounced")}).status_code == 200
    assert became(row)[0] == "delayed"


def test_a_token_whose_event_could_not_be_recorded_is_not_used_up(row: Notification, monkeypatch: Any) -> None:
    signed = sign()

    def fail(_event: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr("apps.notifications.tracking.record", fail)
        with pytest.raises(RuntimeError):
            post_body({"signature": signed, "event-data": told(row, "bounced")})
    assert post_body({"signature": signed, "event-data": told(row, "bounced")}).status_code == 200
    assert became(row)[0] == "bounced"


@pytest.mark.parametrize(
    "event",
    [None, [], "x", {}, {"event": "delivered"}, {"event": "delivered", "user-variables": 5}, {"event": ["x"]}],
)
def test_a_signed_body_that_cannot_be_read_is_a_sentence(event: Any) -> None:
    assert post(event).status_code in {200, 400}
    for body in ("", "[]", "{", "null", '{"signature": 5}', '{"signature": {"timestamp": []}}', "[" * 100_000):
        assert post_body(body).status_code == 400


@pytest.mark.parametrize("odd", ["\ud800", "a\0b", "\udcff\udcfe", "\U0001f600"])
def test_text_that_cannot_be_stored_breaks_nothing(row: Notification, odd: str) -> None:
    """Who signs nothing is refused with a sentence; what the other mail server says is kept without it."""
    for forged in ({"signature": odd}, {"token": odd}, {"timestamp": odd}):
        assert post_body({"signature": sign() | forged, "event-data": told(row, "bounced")}).status_code == 400
    said = {"code": 550, "message": f"no {odd} such user"}
    assert post(told(row, "bounced", **{"delivery-status": said})).status_code == 200
    assert became(row)[0] == "bounced"
    assert "such user" in became(row)[2]
    elsewhere = {"message": {"headers": {"message-id": f"2{odd}@mg.example.com"}}, "recipient": f"x{odd}@example.com"}
    assert post(told(row, "delivered", **elsewhere)).status_code == 200
    assert became(row)[0] == "bounced"


def test_an_event_of_a_time_to_come_is_refused(row: Notification) -> None:
    assert post(told(row, "bounced", at=clock.timestamp() + 10 * 86_400)).status_code == 400
    for odd in ("x", 1e300, float("nan"), None):
        assert post(told(row, "bounced") | {"timestamp": odd}).status_code == 400
    assert became(row) == ("", None, "")


def test_who_sends_many_without_a_signature_is_stopped_and_mailgun_is_not(row: Notification, settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"refused_events_visitor": ((3, 60),)}
    forged = [post(told(row, "bounced"), key="wrong").status_code for _ in range(5)]
    assert forged == [400, 400, 400, 429, 429]
    tell(row, "delivered")


def test_a_mail_whose_answer_was_lost_is_known_by_its_event_and_not_sent_again(row: Notification) -> None:
    Notification.objects.update(state="uncertain", provider_id="", sent_at=None, lost_answers=mail.MAX_LOST_ANSWERS)
    event = told(row, "delivered")
    assert post(event | {"recipient": "else@example.com"}).status_code == 200
    assert became(row)[0] == ""
    assert post(event).status_code == 200
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.delivery, row.provider_id) == ("sent", "delivered", "<1@mg.example.com>")


# --- subscribers whom no mail reaches ----------------------------------------------------------------------------------


def open_items(cause: str) -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(cause=cause, resolved_at=None))


def mail_to(profile: Any, **more: Any) -> Notification:
    now = clock.now()
    fields = {"key": f"k{Notification.objects.count()}", "template": "expired", "to": profile.email, "profile": profile}
    fields |= {"state": "sent", "provider_id": f"<{now.timestamp()}@mg>", "created_at": now, "sent_at": now}
    return Notification.objects.create(**fields | more)


def test_an_address_is_marked_until_a_later_mail_arrives(world: World) -> None:
    nora = world.subscriber("nora")
    first, second, third = (mail_to(nora) for _ in range(3))
    start = clock.timestamp()
    tell(first, "delivered", at=start - 50)
    tell(second, "bounced", at=start - 40)
    nora.refresh_from_db()
    assert nora.email_problem == "bounced"
    (item,) = open_items("unreachable")
    assert item.profile_ids == [nora.pk]
    assert nora.email not in item.sentence
    tell(first, "delivered", at=start - 45)  # told late: it was earlier
    nora.refresh_from_db()
    assert nora.email_problem == "bounced"
    tell(third, "delivered", at=start - 30)
    nora.refresh_from_db()
    assert (nora.email_problem, nora.email_problem_at, open_items("unreachable")) == ("", None, [])


def test_a_complaint_marks_and_mails_to_others_or_a_former_address_do_not(world: World) -> None:
    nora, other = world.subscriber("nora"), world.subscriber("other")
    tell(mail_to(nora, to="former@example.com"), "bounced")
    tell(mail_to(nora), "delayed")
    tell(mail_to(other), "delivered", "complained")
    nora.refresh_from_db()
    other.refresh_from_db()
    assert (nora.email_problem, other.email_problem) == ("", "complained")
    assert [item.key for item in open_items("unreachable")] == [str(other.pk)]


def test_another_address_clears_the_mark(world: World) -> None:
    nora = world.subscriber("nora")
    tell(mail_to(nora), "bounced")
    type(nora).objects.filter(pk=nora.pk).update(email="nora.new@example.com")
    delivery.check_address(nora.pk)
    nora.refresh_from_db()
    assert (nora.email_problem, open_items("unreachable")) == ("", [])


def test_the_subscriber_reads_it_on_the_dashboard_while_it_lasts(world: World) -> None:
    nora, client = world.subscriber("nora"), Client()
    client.force_login(nora.user)

    def reads() -> bool:
        page = client.get("/dashboard/").content.decode()
        return "reach you at nora@example.com" in " ".join(page.split()).replace("&#x27;", "'")

    assert not reads()
    tell(mail_to(nora), "bounced")
    assert reads()
    tell(mail_to(nora), "delivered")
    assert not reads()


def losing(world: World, settings: Any, name: str, *, grace: int) -> Any:
    """Somebody whose payment has failed and who keeps access for `grace` days."""
    settings.PAYMENT_GRACE_DAYS = grace
    person = world.subscriber(name)
    world.shop.control("payments", customer=person.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    person.refresh_from_db()
    assert person.access_state == "grace"
    return person


def test_nobody_loses_access_after_warnings_that_bounced_without_staff_being_told(world: World, settings: Any) -> None:
    nora = losing(world, settings, "nora", grace=3)
    warning = Notification.objects.get(profile=nora, template="payment_failed")
    assert open_items("unwarned_loss") == []
    tell(warning, "bounced")
    (item,) = open_items("unwarned_loss")
    assert (item.profile_ids, item.key) == ([nora.pk], str(nora.pk))
    assert item.sentence.startswith("On ")
    tell(mail_to(nora), "delivered")
    unwarned.check_unwarned("daily")
    assert open_items("unwarned_loss") == []


def test_of_somebody_who_was_marked_before_a_loss_comes_near_staff_hear_when_it_does(
    world: World, settings: Any
) -> None:
    marked = world.subscriber("marked")
    tell(mail_to(marked), "bounced")
    assert open_items("unwarned_loss") == []
    settings.PAYMENT_GRACE_DAYS = 20
    world.shop.control("payments", customer=marked.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    unwarned.check_unwarned("daily")
    assert open_items("unwarned_loss") == []  # 20 days away, or less the days that have passed
    world.pass_time(days=14)
    unwarned.check_unwarned("daily")
    assert [item.key for item in open_items("unwarned_loss")] == [str(marked.pk)]
