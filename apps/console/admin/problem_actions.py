"""What staff do about a whole problem of the inbox: retry what is stuck behind it, assign it, snooze it, ignore it."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget

from apps.console.admin.jobs import AT_ONCE, retry_or_ask
from apps.console.asking import describe_limit
from apps.console.dialogs import LastDayField, ReasonDialog, dialog_action
from apps.console.inbox import NAME, Card, find_items, find_problem
from apps.console.job_people import find_people
from apps.console.problems import Affected, Problem, narrow_jobs
from apps.core import attention
from apps.core.dates import last_day
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.operations.models import ApprovalRequest

SHOWN = 20  # jobs and items named in a dialog
GONE = "This problem is over, or somebody took it out of the inbox. Reload the page."
NOBODY = "nobody"


def assignee_choices(actor: str) -> list[tuple[str, str]]:
    """Me first, then the other staff, then nobody."""
    names = User.objects.filter(is_staff=True, is_active=True).order_by("username").values_list("username", flat=True)
    return [(actor, f"Me ({actor})"), *((one, one) for one in names if one != actor), (NOBODY, "Nobody")]


def assignee_field() -> forms.ChoiceField:
    return forms.ChoiceField(label="Who deals with it", widget=UnfoldAdminSelectWidget)


def until_field() -> LastDayField:
    return LastDayField(label="Until", help_text="The last day on which it needs nobody. Then it comes back.")


def chosen_assignee(form: ReasonDialog) -> str:
    """The username, empty for nobody."""
    return "" if form.cleaned_data["assignee"] == NOBODY else str(form.cleaned_data["assignee"])


class AssignDialog(ReasonDialog):
    """Offers the staff."""

    assignee = assignee_field()

    @override
    def prepare(self) -> None:
        field: Any = self.fields["assignee"]
        field.choices = assignee_choices(self.request.user.get_username())


class ProblemDialog(ReasonDialog):
    """About the problem that the address names."""

    form_before_template = "console/dialogs/problem.html"

    def problem(self) -> Problem:
        """BadInput when there is none any more."""
        found = find_problem(self.request.GET.get(NAME, ""))
        if found is None:
            raise BadInput(GONE)
        return found

    @override
    def context(self) -> dict[str, Any]:
        try:
            problem = self.problem()
        except BadInput as refusal:
            return {"gone": refusal.message}
        return {"card": Card(problem, Affected())} | self.preview(problem)

    def preview(self, problem: Problem) -> dict[str, Any]:
        """The first of its items."""
        return {"items": find_items(problem)[:SHOWN]}


class RetryProblemDialog(ProblemDialog):
    """Shows how many jobs run again, which, and for whom."""

    @override
    def preview(self, problem: Problem) -> dict[str, Any]:
        found = list(jobs_of(problem)[:SHOWN])
        people = find_people(job.pk for job in found)
        return {
            "count": min(problem.jobs, AT_ONCE),
            **describe_limit(self, ApprovalRequest.Action.RETRY_JOBS, problem.jobs),
            "all": problem.jobs,
            "jobs": [(job, people.get(job.pk)) for job in found],
        }


class AssignProblemDialog(AssignDialog, ProblemDialog):
    """All items of the problem."""


class SnoozeProblemDialog(ProblemDialog):
    """All items of the problem, until a day."""

    until = until_field()


def jobs_of(problem: Problem) -> Any:
    """The stuck jobs behind a problem, the oldest first."""
    return narrow_jobs(Job.objects.order_by("pk"), problem.name)


def items_of(form: ProblemDialog) -> Any:
    """The items of the dialog's problem. BadInput when it has none."""
    found = find_items(form.problem())
    if not found.exists():
        raise BadInput("This problem has no items: deal with its jobs, emails or drift in their lists.")
    return found


class ProblemActions:
    """Opened from the inbox, which names the problem in the address; so the list of items has no buttons for them."""

    problem_actions: ClassVar[tuple[str, ...]] = ("retry_group", "assign_group", "snooze_group", "ignore_group")

    def page_of(self, target: Model | None) -> str:
        """Back to the inbox where an action was about no single item."""
        return reverse("admin:inbox") if target is None else str(super().page_of(target))  # type: ignore[misc]

    @dialog_action(
        title="Retry the group", permission="retry_job", form=RetryProblemDialog, icon="replay",
        explain="Runs every stuck job behind this problem again. Fix the cause first.",
    )  # fmt: skip
    def retry_group(self, _request: HttpRequest, form: RetryProblemDialog) -> str:
        found = list(jobs_of(form.problem())[:AT_ONCE])
        if not found:
            raise BadInput("No job is stuck behind this problem.")
        return retry_or_ask(form, found)

    @dialog_action(title="Assign", permission="retry_job", form=AssignProblemDialog, icon="person", fresh=False)
    def assign_group(self, _request: HttpRequest, form: AssignProblemDialog) -> str:
        who = chosen_assignee(form)
        count = attention.assign(items_of(form), assignee=who, **form.why)
        return f"{counted(count)} assigned to {who or 'nobody'}."

    @dialog_action(title="Snooze", permission="retry_job", form=SnoozeProblemDialog, icon="snooze", fresh=False)
    def snooze_group(self, _request: HttpRequest, form: SnoozeProblemDialog) -> str:
        until = form.cleaned_data["until"]
        count = attention.snooze(items_of(form), until=until, **form.why)
        return f"{counted(count)} snoozed until the end of {last_day(until)}."

    @dialog_action(
        title="Ignore", permission="retry_job", form=ProblemDialog, icon="notifications_off", fresh=False,
        explain="These items leave the inbox until what found them says that all is well. New ones of the same kind still appear.",
    )  # fmt: skip
    def ignore_group(self, _request: HttpRequest, form: ProblemDialog) -> str:
        return f"{counted(attention.ignore(items_of(form), **form.why))} ignored."


def counted(count: int) -> str:
    return f"{count} item{'s are' if count != 1 else ' is'}"
