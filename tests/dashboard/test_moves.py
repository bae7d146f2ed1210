"""A subscriber is asked whether a seat may move: reads what it means, answers, and nobody else can."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import AuditEntry, Job
from apps.instances.models import Instance, Provisioning, Seat
from apps.operations.models import SeatMove, SeatPlan
from tests.dashboard.conftest import Catalog, person, seat

pytestmark = pytest.mark.django_db
PAGE, ANSWER = "/dashboard/moves/", "/dashboard/moves/answer/"


def asked(profile: UserProfile, catalog: Catalog) -> SeatMove:
    """Somebody sits on Cloud One and may move to Cloud Two."""
    now, group = clock.now(), catalog.instance.group.__class__.objects.create(name="cloud-2")
    two = Instance.objects.create(
        slug="cloud-2", name="Cloud Two", product=catalog.cloud, url="https://cloud-2.example.com/", soft_cap=1,
        allocation_cap=2, hard_cap=3, group=group,
    )  # fmt: skip
    place = Seat.objects.filter(profile=profile, instance=catalog.instance).first() or seat(profile, catalog.instance)
    plan = SeatPlan.objects.create(
        kind="rebalance", product=catalog.cloud, actor="staff:ada", reason="one is full", created_at=now
    )
    return SeatMove.objects.create(
        plan=plan, seat=place, profile=profile, source=catalog.instance, target=two, state="asked", why="", asked_at=now
    )


def browser(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_where_the_product_obeys_the_question_says_when_the_data_goes(catalog: Catalog, nora: UserProfile) -> None:
    asked(nora, catalog)
    sentence = "30 days after the move, what is still on Cloud One is deleted."
    assert sentence not in text(browser(nora).get(PAGE))
    Provisioning.objects.create(
        instance=catalog.instance, kind="nextcloud", address="https://cloud.example.com", host="cloud"
    )
    assert sentence in text(browser(nora).get(PAGE))


def test_the_dashboard_leads_to_the_question_and_a_yes_is_recorded(catalog: Catalog, nora: UserProfile) -> None:
    move, client = asked(nora, catalog), browser(nora)
    assert f'href="{reverse("own-moves")}">Read and answer' in text(client.get("/dashboard/"))
    page = text(client.get(PAGE))
    assert "Your data doesn't move along." in page
    assert "Cloud One" in page
    assert "Cloud Two" in page
    done = client.post(ANSWER, {"move": move.pk, "answer": "yes"}, follow=True)
    assert "Save what you need until then." in text(done)
    assert "You said yes" in text(done)
    assert "Read and answer" not in text(client.get("/dashboard/"))
    move.refresh_from_db()
    assert (move.state, move.answer, move.answered_by) == ("agreed", "yes", "customer")
    entry = AuditEntry.objects.get(action="seat_move_agreed", subject_id=str(nora.pk))
    assert (entry.actor, entry.reason) == ("customer", "on the dashboard")
    assert Job.objects.filter(kind="move_seats", key=str(move.plan_id)).exists()


def test_a_mind_may_be_changed_until_the_seat_is_moved(catalog: Catalog, nora: UserProfile) -> None:
    move, client = asked(nora, catalog), browser(nora)
    for said, state in (("yes", "agreed"), ("no", "declined"), ("yes", "agreed")):
        client.post(ANSWER, {"move": move.pk, "answer": said})
        move.refresh_from_db()
        assert move.state == state
    SeatMove.objects.update(state="moved", moved_at=clock.now())
    answer = client.post(ANSWER, {"move": move.pk, "answer": "no"}, follow=True)
    assert "There is nothing to answer any more." in text(answer)
    assert SeatMove.objects.get().answer == "yes"


@pytest.mark.parametrize(
    "sent", [{"answer": "maybe"}, {"answer": ""}, {}, {"move": "x"}, {"move": "9" * 30}, {"move": "0"}]
)
def test_what_is_no_answer_records_nothing(sent: dict[str, str], catalog: Catalog, nora: UserProfile) -> None:
    move = asked(nora, catalog)
    answer = browser(nora).post(ANSWER, {"move": str(move.pk), "answer": "yes"} | sent if sent else {}, follow=True)
    assert answer.status_code == 200
    assert SeatMove.objects.get().answer == ""


def test_nobody_sees_or_answers_what_another_one_is_asked(catalog: Catalog, nora: UserProfile) -> None:
    move, other = asked(nora, catalog), browser(person("otto"))
    assert "Cloud Two" not in text(other.get(PAGE))
    other.post(ANSWER, {"move": move.pk, "answer": "yes"})
    assert Client().post(ANSWER, {"move": move.pk, "answer": "yes"}).status_code == 302
    assert SeatMove.objects.get().answer == ""


def test_nothing_is_asked_once_the_plan_has_ended(catalog: Catalog, nora: UserProfile) -> None:
    asked(nora, catalog)
    SeatPlan.objects.update(state="ended", ended_at=clock.now())
    assert "Nothing is planned for your apps." in text(browser(nora).get(PAGE))
    assert "Read and answer" not in text(browser(nora).get("/dashboard/"))
