"""The dialogs of seat plans: what would be planned, before it is; the answer of one person; the end. And draining from an instance's page."""

from collections import Counter
from typing import Any, override

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from apps.catalog.models import Product
from apps.console.asking import ask, describe_limit, needs_second
from apps.console.dialogs import ConfirmedDialog, ReasonDialog, TypedCountField, dialog_action
from apps.core.errors import BadInput
from apps.instances.models import Instance
from apps.operations import seat_plans
from apps.operations.models import ApprovalRequest, SeatMove, SeatPlan
from apps.operations.seat_plans import ProposedPlan

Kind = SeatPlan.Kind
START = ApprovalRequest.Action.START_SEAT_PLAN
ASKS_EACH = "Each person is asked by email, and on the dashboard. Data does not move with a seat, so nobody is moved without a recorded yes."


def describe_plan(form: ReasonDialog, found: ProposedPlan) -> dict[str, Any]:
    """For console/dialogs/seat_plan.html: how many go where, and how many nowhere and why."""
    names = dict(Instance.objects.filter(product=found.product).values_list("pk", "name"))
    went = Counter((one.source_id, one.target_id) for one in found.placements if one.target_id)
    return {
        "proposed": found,
        "went": [(names[source], names[target], count) for (source, target), count in sorted(went.items())],
        "reasons": Counter(one.why for one in found.placements if not one.target_id).most_common(),
    } | describe_limit(form, START, found.placed)


class PlanDialog(ReasonDialog):
    """Shows the plan as it would be now, of an instance that drains or a product; its number of people is typed to start it."""

    form_before_template = "console/dialogs/seat_plan.html"
    expected = TypedCountField("Type how many people would be asked")

    def propose(self) -> ProposedPlan:
        """What would be planned."""
        if isinstance(self.target, Instance):
            return seat_plans.propose(Kind.DRAIN, self.target.product, self.target)
        return seat_plans.propose(Kind.REBALANCE, self.target)

    @override
    def context(self) -> dict[str, Any]:
        return describe_plan(self, self.propose())

    def start(self) -> str:
        """Start it, or ask a second person."""
        found, expected = self.propose(), self.cleaned_data["expected"]
        if needs_second(self, START, found.placed):
            if found.placed != expected:
                raise BadInput(f"{found.placed} would be asked now, and not {expected}.", field="expected")
            instance = found.instance.pk if found.instance else None
            terms = {"kind": found.kind.value, "product": found.product.pk, "instance": instance, "moves": found.placed}
            return ask(self, START, subject=f"seatplan:{found.product.pk}", terms=terms)
        self.leads_to = plan = seat_plans.start(found, expected=expected, **self.why)
        return f"{plan} has started: {found.placed} are asked whether they move."


class DrainDialog(PlanDialog):
    """All seats of the instance."""

    model = Instance


class RebalanceDialog(PlanDialog):
    """From the fullest instances of the product to the emptiest."""

    model = Product


class DrainAction:
    """The action, for the page of an instance."""

    @dialog_action(
        title="Drain", permission="change_capacity", form=DrainDialog, icon="logout", danger=True, explain=ASKS_EACH,
        refuse=lambda instance: "It is being drained already." if instance.draining_since else "",
    )  # fmt: skip
    def drain(self, _request: HttpRequest, form: DrainDialog) -> str:
        """Close it to newcomers, and ask everybody on it."""
        return form.start()


class RebalanceAction:
    """The action, for the page of a product."""

    @dialog_action(
        title="Rebalance", permission="change_capacity", form=RebalanceDialog, icon="balance", danger=True, explain=ASKS_EACH,
        refuse=lambda product: "" if product.needs_instance else "It needs no instance.",
    )  # fmt: skip
    def rebalance(self, _request: HttpRequest, form: RebalanceDialog) -> str:
        """Ask people on the fullest instances, those with the newest seats first."""
        return form.start()


class EndPlanDialog(ReasonDialog):
    """Shows how far the plan is; of a drained instance it asks whether it opens again."""

    model = SeatPlan
    form_before_template = "console/dialogs/seat_plan_end.html"
    reopen = forms.BooleanField(
        required=False, label="Open the instance to new subscribers again", widget=UnfoldBooleanSwitchWidget
    )

    @override
    def prepare(self) -> None:
        self.counts = seat_plans.count_moves(self.target)
        if self.target.instance_id is None:
            del self.fields["reopen"]

    @override
    def context(self) -> dict[str, Any]:
        left = sum(self.counts[state] for state in SeatMove.WAITING)
        return {"left": left, "moved": self.counts[SeatMove.State.MOVED]}


class MoveAnswerDialog(ReasonDialog):
    """What the person told staff; the reason says how."""

    model = SeatMove
    form_before_template = "console/dialogs/seat_move.html"
    answer = forms.ChoiceField(
        label="They say", choices=[("", "Choose"), *SeatMove.Answer.choices], widget=UnfoldAdminSelectWidget
    )


class UndoMoveDialog(ConfirmedDialog):
    """Back to where they were."""

    model = SeatMove
    form_before_template = "console/dialogs/seat_move.html"


class RetryMoveDialog(ReasonDialog):
    """Shows why it was refused."""

    model = SeatMove
    form_before_template = "console/dialogs/seat_move.html"
