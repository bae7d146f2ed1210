"""The dialogs of imports: from where customers come, what staff decide about rows, beginning, and taking back."""

from collections.abc import Mapping
from typing import Any, override

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.console.asking import ask, describe_limit, needs_second
from apps.console.dialogs import LastDayField, ReasonDialog, TypedCountField
from apps.core.errors import BadInput
from apps.operations import imports
from apps.operations.import_file import COLUMNS
from apps.operations.import_questions import CHOICES, GRANT, Question
from apps.operations.models import ApprovalRequest, CustomerImport, ImportRow

Source = CustomerImport.Source
START, UNDO = ApprovalRequest.Action.START_IMPORT, ApprovalRequest.Action.UNDO_IMPORT
LONGEST = 180_000  # characters of a file that is sent with the dialog: a request holds 256 KB


class FileDialog(ReasonDialog):
    """A CSV file: chosen, which fills in its text, or pasted."""

    form_before_template = "console/dialogs/import_file.html"
    content = forms.CharField(
        label="The file", max_length=LONGEST, strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "data-file": str(LONGEST), "spellcheck": "false"}),
        help_text="Choose the file, or paste it with its first line. A larger one: manage.py import_customers.",
    )  # fmt: skip
    name = forms.CharField(
        label="Name of the file",
        max_length=120,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"data-file-name": ""}),
    )

    @override
    def context(self) -> dict[str, Any]:
        return {"columns": COLUMNS.items()}

    def plan(self) -> CustomerImport:
        """The import, whose check begins."""
        given = self.cleaned_data
        return imports.plan_file(given["content"].encode(), name=given["name"], **self.why)


class ImportDecisionDialog(ReasonDialog):
    """One answer for all rows of an import that ask the same and can be decided so; opened for one question, its answers only."""

    model = CustomerImport
    form_before_template = "console/dialogs/import_decision.html"
    answer = forms.ChoiceField(label="Decision", widget=UnfoldAdminSelectWidget)
    until = LastDayField(label="Last day of a grant", required=False)

    @override
    def prepare(self) -> None:
        found = imports.count_answers(self.target)
        wanted = str(self.request.GET.get("question", ""))
        shown = {question: answers for question, answers in found.items() if question == wanted} or found
        self.fields["answer"].choices = [("", "Choose"), *(_offer(one, answers) for one, answers in shown.items())]
        if not any(GRANT in answers for answers in shown.values()):
            del self.fields["until"]

    def decide(self) -> str:
        """Write it down."""
        given = self.cleaned_data
        question, _, choice = given["answer"].partition(":")
        count = imports.decide_rows(self.target, Question(question), choice, until=given.get("until"), **self.why)
        return f"{count:,} row{'' if count == 1 else 's'} decided."


def _offer(question: Question, answers: Mapping[str, int]) -> tuple[str, list[tuple[str, str]]]:
    """A group of the select, by what is asked."""
    words = [(f"{question.value}:{value}", f"{CHOICES[value]} ({count:,})") for value, count in answers.items()]
    return question.label, words


class RowDecisionDialog(ReasonDialog):
    """What is asked of one row, and what may be answered."""

    model = ImportRow
    form_before_template = "console/dialogs/import_row.html"
    choice = forms.ChoiceField(label="Decision", widget=UnfoldAdminSelectWidget)
    until = LastDayField(label="Last day of a grant", required=False)

    @override
    def prepare(self) -> None:
        self.fields["choice"].choices = [("", "Choose"), *((value, words) for value, words in self.target.choices)]
        if not any(value == GRANT for value, _ in self.target.choices):
            del self.fields["until"]

    def decide(self) -> str:
        """Write it down."""
        row, given = self.target, self.cleaned_data
        imports.decide_rows(
            row.run, Question(row.question), given["choice"], number=row.number, until=given.get("until"), **self.why
        )
        row.refresh_from_db()
        return f"Row {row.number}: {row.get_verdict_display().lower()}."


class StartImportDialog(ReasonDialog):
    """How many are imported, and how many stay out; the number is typed."""

    model = CustomerImport
    form_before_template = "console/dialogs/import_start.html"
    sends_emails = forms.BooleanField(
        label="Make accounts for those who have none, and email each a link to set the password",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    expected = TypedCountField("Type how many are imported")

    @override
    def prepare(self) -> None:
        self.counts = imports.count_rows(self.target)
        self.with_emails = imports.count_ready(self.target, sends_emails=True)
        if self.with_emails == self.counts["verdict_ready"]:
            del self.fields["sends_emails"]

    @override
    def context(self) -> dict[str, Any]:
        ready = self.counts["verdict_ready"]
        return {"counts": self.counts, "ready": ready, "without_account": self.with_emails - ready} | describe_limit(
            self, START, self.with_emails
        )

    def start(self) -> str:
        """Begin, or ask a second person."""
        expected, emails = self.cleaned_data["expected"], self.cleaned_data.get("sends_emails", False)
        count = imports.count_ready(self.target, sends_emails=emails)
        if needs_second(self, START, count):
            if count != expected:
                raise BadInput(f"{count} would be imported now, and not {expected}.", field="expected")
            terms = {"import": self.target.pk, "expected": expected, "sends_emails": emails}
            return ask(self, START, subject=f"customerimport:{self.target.pk}", terms=terms)
        imports.start(self.target, expected=expected, sends_emails=emails, **self.why)
        return f"{expected:,} are being imported."


class ContinueImportDialog(ReasonDialog):
    """How many are ready; more than one person may import wait for another one again."""

    model = CustomerImport
    form_before_template = "console/dialogs/import_continue.html"

    @override
    def prepare(self) -> None:
        self.count = imports.ready_rows(self.target).count()

    @override
    def context(self) -> dict[str, Any]:
        return {"count": self.count} | describe_limit(self, START, self.count)

    def resume(self) -> str:
        """Go on, or ask a second person."""
        if needs_second(self, START, self.count):
            emails = self.target.sends_emails
            terms = {"import": self.target.pk, "expected": self.count, "sends_emails": emails, "continues": True}
            return ask(self, START, subject=f"customerimport:{self.target.pk}", terms=terms)
        imports.resume(self.target, **self.why)
        return f"{self.target} continues."


class UndoImportDialog(ReasonDialog):
    """How many were imported; the number is typed."""

    model = CustomerImport
    form_before_template = "console/dialogs/import_undo.html"
    expected = TypedCountField("Type how many were imported")

    @override
    def prepare(self) -> None:
        self.count = imports.imported_rows(self.target).count()

    @override
    def context(self) -> dict[str, Any]:
        return {"count": self.count} | describe_limit(self, UNDO, self.count)

    def undo(self) -> str:
        """Take back, or ask a second person."""
        expected = self.cleaned_data["expected"]
        if needs_second(self, UNDO, self.count):
            if self.count != expected:
                raise BadInput(f"{self.count} were imported, and not {expected}.", field="expected")
            terms = {"import": self.target.pk, "expected": expected}
            return ask(self, UNDO, subject=f"customerimport:{self.target.pk}", terms=terms)
        imports.undo(self.target, expected=expected, **self.why)
        return f"{self.target} is being undone."
