"""What the dialogs of seat plans say and refuse, and who has to approve a plan about many."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.models import AuditEntry
from apps.instances import allocation
from apps.instances.models import Instance, Seat
from apps.operations import approvals, seat_plan_job
from apps.operations.models import ApprovalRequest, SeatMove, SeatPlan
from tests.console.conftest import World
from tests.console.desk import dialog, done, send

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
REASON = "The old server is noisy"


@pytest.fixture
def full(world: World) -> Instance:
    """The first instance has everybody, and no plan is open."""
    SeatPlan.objects.update(state="ended", ended_at=clock.now())
    first = world.instances[0]
    for seat in Seat.objects.exclude(instance=first):
        allocation.move(seat=seat, instance=first, actor="staff:bob", reason="earlier")
    return first


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_the_dialog_says_who_goes_where_and_its_number_has_to_be_right(full: Instance, staff: Staff) -> None:
    client = staff("admin")
    shown = text(client.get(dialog(full, "drain")))
    for words in ("<strong>3</strong> people are asked", "2 from Cloud 0 to Cloud 1", "1 from Cloud 0 to Cloud 2"):
        assert words in shown
    refused = send(client, full, "drain", expected="2")
    assert "3 can be moved now, and not 2" in text(refused)
    assert not SeatPlan.objects.filter(state="open").exists()
    assert done(send(client, full, "drain", expected="3"))
    assert "It is being drained already." in text(send(client, full, "drain", expected="3"))
    assert ">draining<" in text(client.get(reverse("admin:capacity_board")))
    assert ">draining<" in text(client.get(reverse("admin:instances_instance_changelist")))


def test_without_room_the_dialog_says_why(full: Instance, staff: Staff) -> None:
    Instance.objects.exclude(pk=full.pk).update(auto_allocate=False)
    shown = text(staff("admin").get(dialog(full, "drain")))
    assert "Nobody has a place to go." in shown
    assert "No room for 3: There is no other instance that is open to new subscribers. (3)" in shown


def test_the_board_leads_admins_alone_to_evening_out(full: Instance, world: World, staff: Staff) -> None:
    board, link = reverse("admin:capacity_board"), dialog(world.cloud, "rebalance")
    assert f'href="{link}"' in text(staff("admin").get(board))
    assert f'href="{link}"' not in text(staff("operator").get(board))
    assert "from Cloud 0 to Cloud 1" in text(staff("admin").get(link))


def test_a_plan_about_many_needs_a_second_person(full: Instance, staff: Staff, settings: Any) -> None:
    settings.TWO_PEOPLE_ABOVE = 2
    client = staff("admin")
    second = User.objects.create(username="eve", is_staff=True)
    second.groups.set([Group.objects.get(name="admin")])
    assert "need a second person" in text(client.get(dialog(full, "drain")))
    answer = send(client, full, "drain", expected="3")
    assert "/approvalrequest/" in answer["HX-Redirect"]
    full.refresh_from_db()
    assert full.draining_since is None
    assert not SeatPlan.objects.filter(state="open").exists()
    request = ApprovalRequest.objects.get(action="start_seat_plan")
    assert dict(request.facts) == {"Plan": "Drain Cloud 0", "Would be asked": "3", "No room for": "0"}
    page = text(client.get(reverse("admin:operations_approvalrequest_change", args=[request.pk])))
    assert "Drain or rebalance" in page
    said = approvals.approve(request, by=second, reason="It has to go")
    assert said.startswith("3 people are asked whether they move")
    plan = SeatPlan.objects.get(state="open")
    assert (plan.actor, plan.instance) == ("staff:admin-ada", full)
    assert AuditEntry.objects.filter(action="seat_plan_started", subject_id=str(plan.pk)).count() == 1


def test_each_number_of_a_plan_opens_a_list_with_exactly_that_many_rows(full: Instance, staff: Staff) -> None:
    client = staff("admin")
    send(client, full, "drain", expected="3")
    plan = SeatPlan.objects.get(state="open")
    seat_plan_job.run(str(plan.pk))
    first = plan.moves.order_by("pk")[0]
    assert done(send(client, first, "record_answer", answer="no"))
    page = client.get(reverse("admin:operations_seatplan_change", args=[plan.pk]))
    shown = [(count, url) for _, count, url in page.context["counts"] if count] + [(3, page.context["all_moves"])]
    assert [count for count, _ in shown] == [2, 1, 3]
    for count, url in shown:
        assert f'data-rows="{count}"' in text(page)
        assert client.get(url).context["cl"].result_count == count
    assert client.get(reverse("admin:operations_seatmove_changelist"), {"plan": "x"}).status_code in {302, 400}


def test_an_answer_of_staff_needs_words_and_is_taken_once(full: Instance, staff: Staff) -> None:
    client = staff("admin")
    send(client, full, "drain", expected="3")
    move = SeatMove.objects.filter(plan__state="open").order_by("pk")[0]
    assert not done(send(client, move, "record_answer", answer="yes", reason="yes"))
    assert not done(send(client, move, "record_answer", answer="perhaps"))
    assert not done(send(client, move, "undo_move", confirmation=move.profile.user.username))
    assert done(send(client, move, "record_answer", answer="yes", reason="She said so by phone"))
    seat_plan_job.run(str(move.plan_id))
    assert "Nothing is asked any more: moved." in text(send(client, move, "record_answer", answer="no"))
    assert Seat.objects.get(pk=move.seat_id).instance_id == move.target_id
    assert not done(send(client, move, "undo_move", confirmation="somebody"))
    assert done(send(client, move, "undo_move", confirmation=move.profile.user.username))
    assert Seat.objects.get(pk=move.seat_id).instance == full


def test_the_end_may_open_the_instance_again(full: Instance, staff: Staff) -> None:
    client = staff("admin")
    send(client, full, "drain", expected="3")
    plan = SeatPlan.objects.get(state="open")
    assert "3</strong> not yet: they stay where they are" in text(client.get(dialog(plan, "end_plan")))
    assert done(send(client, plan, "end_plan", reopen="on"))
    full.refresh_from_db()
    assert (full.draining_since, full.auto_allocate) == (None, True)
    assert "The plan has ended." in text(send(client, plan, "continue_plan"))
