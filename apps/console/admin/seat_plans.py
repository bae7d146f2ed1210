"""Seat plans and their moves: how far each is, what each person said, and what staff may do about one."""

from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.console.admin.seat_plan_dialogs import EndPlanDialog, MoveAnswerDialog, RetryMoveDialog, UndoMoveDialog
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, describe_actor, link, link_column, person_column, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import RowsOfOne
from apps.console.navigation import list_url
from apps.console.saved_views import COUNT_LIMIT
from apps.core import audit
from apps.core.counting import CountUpTo
from apps.core.states import Tone
from apps.operations import seat_plans
from apps.operations.models import SeatMove, SeatPlan

State = SeatMove.State
SHOWN = 50  # moves on the page of a plan; the list of moves has all
FIRST = (
    State.BLOCKED,
    State.UNPLACED,
    State.DECLINED,
    State.AGREED,
    State.ASKED,
    State.PLANNED,
)  # need somebody, or happen soon


class PlanFilter(RowsOfOne):
    """The moves of one plan, as its page links here."""

    title, parameter_name = "plan", "plan"


def refuse_ended(plan: SeatPlan) -> str:
    return "" if plan.is_live else "The plan has ended."


@admin.register(SeatPlan)
class SeatPlanAdmin(ConsoleAdmin):
    """The newest first."""

    few = True
    list_display = (
        "what",
        "product_link",
        "instance_link",
        "state_label",
        "how_far",
        "actor_name",
        "reason",
        "created",
    )
    list_filter = (("state", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_select_related = ("product", "instance")
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "actor__icontains reason__icontains"}
    search_help_text = "Number, who started it, or why"
    actions_detail: ClassVar[Any] = ["continue_plan", "pause_plan", "end_plan"]
    change_form_outer_before_template = "console/seat_plan.html"
    fieldsets = (
        (
            "Why",
            {
                "fields": (
                    ("kind_label", "state_label"),
                    ("product_link", "instance_link"),
                    ("actor_name", "reason"),
                    ("created", "ended"),
                )
            },
        ),
    )

    product_link = link_column("product", "Product")
    instance_link = link_column("instance", "Drains")
    state_label = state_column()
    kind_label = state_column("kind", "Kind")
    created = time_column("created_at", "Started")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Plan", ordering="pk")
    def what(self, row: SeatPlan) -> str:
        return f"{row.get_kind_display()} (plan {row.pk})"

    @admin.display(description="Started by", ordering="actor")
    def actor_name(self, row: SeatPlan) -> str:
        return describe_actor(row.actor)

    @admin.display(description="Moved")
    def how_far(self, row: Any) -> SafeString:
        """How many of those who have a place to go."""
        return badge(f"{row.moved} of {row.total}", Tone.BUSY if row.is_live and row.moved < row.total else Tone.CALM)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how many of how many are moved."""
        moves = SeatMove.objects.filter(plan=OuterRef("pk"))
        moved, total = (CountUpTo(one, COUNT_LIMIT) for one in (moves.filter(state=State.MOVED), moves))
        return super().get_queryset(request).annotate(moved=moved, total=total)  # type: ignore[no-any-return]

    @override
    def page_context(self, _request: HttpRequest, row: SeatPlan) -> dict[str, Any]:
        counts = seat_plans.count_moves(row)
        entries = audit.entries_about(("seatplan", row.pk)).order_by("-id")
        moves = row.moves.select_related("profile__user", "source", "target")
        first = moves.filter(state__in=FIRST).order_by("pk")[:SHOWN]
        return {
            "plan": row,
            "counts": [
                (one, counts[one], f"{list_url(SeatMove)}?{urlencode({'plan': row.pk, 'state__exact': one})}")
                for one in State
            ],
            "moves": list(first) or list(moves.order_by("pk")[:SHOWN]),
            "total": sum(counts.values()),
            "moved": counts[State.MOVED],
            "percent": 100 * counts[State.MOVED] // max(1, sum(counts.values())),
            "left": sum(counts[one] for one in SeatMove.WAITING),
            "all_moves": f"{list_url(SeatMove)}?{urlencode({'plan': row.pk})}",
            "entries": entries[:20],
        }

    @dialog_action(
        title="Pause", permission="allocate_seat", form=dialog(SeatPlan), icon="pause_circle", fresh=False,
        refuse=lambda plan: "" if plan.state == SeatPlan.State.OPEN else "It is not running.",
        explain="Nobody is asked or moved until you continue. Answers are taken meanwhile.",
    )  # fmt: skip
    def pause_plan(self, _request: HttpRequest, form: ReasonDialog) -> str:
        seat_plans.pause(form.target, **form.why)
        return f"{form.target} is paused."

    @dialog_action(
        title="Continue", permission="allocate_seat", form=dialog(SeatPlan), icon="play_circle", refuse=refuse_ended,
        explain="Resumes a plan that is paused, and looks for new seats and new room now.",
    )  # fmt: skip
    def continue_plan(self, _request: HttpRequest, form: ReasonDialog) -> str:
        seat_plans.resume(form.target, **form.why)
        return f"{form.target} continues."

    @dialog_action(
        title="End plan", permission="change_capacity", form=EndPlanDialog, icon="stop_circle", refuse=refuse_ended, danger=True,
        explain="Nobody is asked or moved any more. Who was moved stays where they are.",
    )  # fmt: skip
    def end_plan(self, _request: HttpRequest, form: EndPlanDialog) -> str:
        seat_plans.end(form.target, reopen=form.cleaned_data.get("reopen", False), **form.why)
        return f"{form.target} has ended."


@admin.register(SeatMove)
class SeatMoveAdmin(ConsoleAdmin):
    """One person of a plan."""

    list_display = (
        "what",
        "person",
        "state_label",
        "plan_link",
        "source_link",
        "target_link",
        "answered",
        "moved",
    )
    list_display_links = ("what",)
    list_filter = (("state", ChoicesDropdownFilter), PlanFilter)
    list_select_related = ("profile__user", "plan", "source", "target")
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    actions_detail: ClassVar[Any] = ["record_answer", "try_again", "undo_move"]
    fields: ClassVar[Any] = (
        ("person", "plan_link"), ("source_link", "target_link"), ("state_label", "problem"), "why",
        ("answer_label", "answerer", "answer_reason"), ("asked", "reminded", "answered", "moved"),
    )  # fmt: skip

    person = person_column()
    plan_link = link_column("plan", "Plan")
    source_link = link_column("source", "From")
    state_label = state_column()
    asked = time_column("asked_at", "Asked")
    reminded = time_column("reminded_at", "Reminded")
    answered = time_column("answered_at", "Answered")
    moved = time_column("moved_at", "Moved")

    @admin.display(description="Move", ordering="pk")
    def what(self, row: SeatMove) -> str:
        return f"move {row.pk}"

    @admin.display(description="To")
    def target_link(self, row: SeatMove) -> SafeString:
        return link(row.target) if row.target else badge("no room", Tone.BAD)

    @admin.display(description="Answer")
    def answer_label(self, row: SeatMove) -> str:
        return row.get_answer_display() or "none yet"

    @admin.display(description="Recorded by")
    def answerer(self, row: SeatMove) -> str:
        return describe_actor(row.answered_by) if row.answered_by else "–"

    @dialog_action(
        title="Record answer", permission="allocate_seat", form=MoveAnswerDialog, icon="how_to_vote", refuse=seat_plans.refuse_answer,
        explain="What they told you, as by phone. With a yes they are moved soon; write down how you know.",
    )  # fmt: skip
    def record_answer(self, _request: HttpRequest, form: MoveAnswerDialog) -> str:
        answer = SeatMove.Answer(form.cleaned_data["answer"])
        row = seat_plans.record_answer(form.target, answer, **form.why)
        return f"{row.profile}: {row.get_state_display().lower()}."

    @dialog_action(
        title="Try again",
        permission="allocate_seat",
        form=RetryMoveDialog,
        icon="replay",
        refuse=seat_plans.refuse_retry,
    )
    def try_again(self, _request: HttpRequest, form: RetryMoveDialog) -> str:
        seat_plans.try_again(form.target, **form.why)
        return f"{form.target.profile} will be moved, if there is room by now."

    @dialog_action(
        title="Move back", permission="allocate_seat", form=UndoMoveDialog, icon="undo", refuse=seat_plans.refuse_undo, danger=True,
        explain="Back to the instance with their old data. What they have made on the new one since stays there.",
    )  # fmt: skip
    def undo_move(self, _request: HttpRequest, form: UndoMoveDialog) -> str:
        seat_plans.undo(form.target, **form.why)
        return f"{form.target.profile} sits on {form.target.source} again."
