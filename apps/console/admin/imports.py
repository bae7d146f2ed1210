"""Imports of existing customers: planning one, its verdicts, deciding, running, pausing and undoing it; and its rows."""

import csv
import io
from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.console.admin.import_dialogs import (
    ContinueImportDialog,
    FileDialog,
    ImportDecisionDialog,
    RowDecisionDialog,
    StartImportDialog,
    UndoImportDialog,
)
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, describe_actor, link_column, person_column, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.filters import DropdownOf, RowsOfOne
from apps.console.navigation import list_url
from apps.core import audit
from apps.core.models import Job
from apps.core.states import AccessState
from apps.operations import import_reading, imports
from apps.operations.import_file import EXAMPLE
from apps.operations.import_questions import Question
from apps.operations.models import CustomerImport, ImportRow

State, Verdict, RowState = CustomerImport.State, ImportRow.Verdict, ImportRow.State
SHOWN = 50  # rows on the page of an import; the list of rows has all
WORKING = (State.READING, State.RUNNING, State.UNDOING)
FIRST = (Verdict.CONFLICT, Verdict.DECISION)  # need somebody
NOTHING = "Nothing is imported before you have seen the verdict on each row and start it."


class ImportFilter(RowsOfOne):
    """The rows of one import, as its page links here."""

    title, parameter_name = "import", "run"


class QuestionFilter(DropdownOf):
    """By what is asked."""

    title, parameter_name = "question", "question"
    options = tuple((one.value, one.label) for one in Question)

    @override
    def narrow(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return rows.filter(verdict=Verdict.DECISION, question=name)


@admin.register(CustomerImport)
class CustomerImportAdmin(ConsoleAdmin):
    """The newest first."""

    few = True
    list_display = ("what", "source_label", "state_label", "file_name", "actor_name", "reason", "created", "ended")
    list_filter = (("state", ChoicesDropdownFilter), ("source", ChoicesDropdownFilter))
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "actor__icontains reason__icontains"}
    search_help_text = "Number, who planned it, or why"
    actions_list: ClassVar[Any] = ["plan_file", "plan_stripe", "plan_keycloak"]
    actions_detail: ClassVar[Any] = [
        "start_import", "decide", "continue_import", "pause_import", "check_again", "undo_import", "abandon_import",
    ]  # fmt: skip
    change_form_outer_before_template = "console/customer_import.html"
    fragments: ClassVar[dict[str, str]] = {"progress": "progress_view"}
    fieldsets = (
        ("Why", {"fields": (("source_label", "file_name"), ("actor_name", "reason"), ("created", "checked", "ended"))}),
    )

    state_label = state_column()
    source_label = state_column("source", "From")
    created = time_column("created_at", "Planned")
    checked = time_column("checked_at", "Checked")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Import", ordering="pk")
    def what(self, row: CustomerImport) -> str:
        return str(row)

    @admin.display(description="File")
    def file_name(self, row: CustomerImport) -> str:
        return row.name or "–"

    @admin.display(description="Planned by", ordering="actor")
    def actor_name(self, row: CustomerImport) -> str:
        return describe_actor(row.actor)

    @override
    def get_custom_urls(self) -> Any:
        """Also the example file."""
        return (("example/", "operations_customerimport_example", self.example_view), *super().get_custom_urls())

    def example_view(self, request: HttpRequest, **_given: Any) -> HttpResponse:
        """A file with every column, as spreadsheets read it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        answer = HttpResponse(content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="customers.csv"'
        answer.write("\ufeff")
        csv.writer(answer).writerows(csv.reader(io.StringIO(EXAMPLE)))
        return answer

    def progress_view(self, request: HttpRequest, row: CustomerImport) -> HttpResponse:
        """How far it is and what it found: what moves, loaded again and again."""
        return render(request, "console/customer_import_progress.html", self._progress(request, row))

    def _progress(self, request: HttpRequest, row: CustomerImport) -> dict[str, Any]:
        counts = imports.count_rows(row)
        rows = row.rows.select_related("profile__user").order_by("number")
        first = list(rows.filter(verdict__in=FIRST, state=RowState.PLANNED)[:SHOWN])
        kinds = [import_reading.KIND, imports.KIND, imports.UNDO_KIND]
        total = counts["total"]
        done = {
            State.READING: total - counts["unread"],
            State.UNDOING: counts["state_undone"] + counts["state_kept"],
        }.get(State(row.state), counts["state_imported"])
        base = f"{list_url(ImportRow)}?"
        return {
            "run": row,
            "is_working": row.state in WORKING,
            "here": reverse("admin:operations_customerimport_progress", args=[row.pk]),
            "stage": row.stages and CustomerImport.Stage(row.stages[0]).label,
            "verdicts": [
                (one, counts[f"verdict_{one.value}"], base + urlencode({"run": row.pk, "verdict__exact": one.value}))
                for one in Verdict
            ],
            "states": [
                (one, counts[f"state_{one.value}"], base + urlencode({"run": row.pk, "state__exact": one.value}))
                for one in RowState
                if one != RowState.PLANNED
            ],
            "questions": [
                (one, count, base + urlencode({"run": row.pk, "question": one.value}), self._decide_url(row, one))
                for one, count in imports.count_questions(row).items()
            ],
            "may_decide": self.has_import_customers_permission(request) and not imports.refuse_deciding(row),
            "rows": first or list(rows[:SHOWN]),
            "all_rows": base + urlencode({"run": row.pk}),
            "total": total,
            "done": done,
            "percent": 100 * done // max(1, total),
            "stuck": Job.objects.filter(kind__in=kinds, key=str(row.pk), state__in=Job.GIVEN_UP).first(),
            "stale": row.state == State.PLANNED and imports.refuse_start(row),
        }

    def _decide_url(self, row: CustomerImport, question: Question) -> str:
        address = reverse("admin:operations_customerimport_decide", args=[row.pk])
        return f"{address}?{urlencode({'question': question.value})}"

    @override
    def page_context(self, request: HttpRequest, row: CustomerImport) -> dict[str, Any]:
        entries = audit.entries_about(("customerimport", row.pk)).order_by("-id")
        return self._progress(request, row) | {"entries": entries[:20]}

    # --- what staff do ---------------------------------------------------------------------------------------------

    @dialog_action(
        title="Import a file",
        permission="import_customers",
        form=FileDialog,
        icon="upload_file",
        fresh=False,
        explain=NOTHING,
    )
    def plan_file(self, _request: HttpRequest, form: FileDialog) -> str:
        form.leads_to = form.plan()
        return "The file is being checked."

    @dialog_action(
        title="From Stripe", permission="import_customers", icon="credit_card", fresh=False,
        explain=f"Everybody who pays at Stripe for something that is sold here, and is no subscriber. {NOTHING}",
    )  # fmt: skip
    def plan_stripe(self, _request: HttpRequest, form: ReasonDialog) -> str:
        form.leads_to = imports.plan_source(CustomerImport.Source.STRIPE, **form.why)
        return "Stripe's customers are being read."

    @dialog_action(
        title="From Keycloak", permission="import_customers", icon="badge", fresh=False,
        explain=f"Everybody with an account in the realm that is no subscriber's, and not one of staff. {NOTHING}",
    )  # fmt: skip
    def plan_keycloak(self, _request: HttpRequest, form: ReasonDialog) -> str:
        form.leads_to = imports.plan_source(CustomerImport.Source.KEYCLOAK, **form.why)
        return "Keycloak's accounts are being read."

    @dialog_action(
        title="Start", permission="import_customers", form=StartImportDialog, icon="play_circle", refuse=imports.refuse_start, danger=True,
        explain="Nothing is charged. Nobody is written to unless you say so. You can pause it, and undo it.",
    )  # fmt: skip
    def start_import(self, _request: HttpRequest, form: StartImportDialog) -> str:
        return form.start()

    @dialog_action(
        title="Decide", permission="import_customers", form=ImportDecisionDialog, icon="how_to_vote", fresh=False,
        refuse=imports.refuse_deciding, explain="For all rows that ask the same. Of one row: on its own page.",
    )  # fmt: skip
    def decide(self, _request: HttpRequest, form: ImportDecisionDialog) -> str:
        return form.decide()

    @dialog_action(
        title="Pause", permission="import_customers", form=dialog(CustomerImport), icon="pause_circle", fresh=False,
        refuse=imports.refuse_pause, explain="Nobody is imported until you continue.",
    )  # fmt: skip
    def pause_import(self, _request: HttpRequest, form: ReasonDialog) -> str:
        imports.pause(form.target, **form.why)
        return f"{form.target} is paused."

    @dialog_action(
        title="Continue", permission="import_customers", form=ContinueImportDialog, icon="resume",
        refuse=imports.refuse_resume, explain="Imports the rows that are ready.",
    )  # fmt: skip
    def continue_import(self, _request: HttpRequest, form: ContinueImportDialog) -> str:
        return form.resume()

    @dialog_action(
        title="Check again", permission="import_customers", form=dialog(CustomerImport), icon="refresh", fresh=False,
        refuse=imports.refuse_check, explain="Reads Keycloak and Stripe once more. What was decided stays.",
    )  # fmt: skip
    def check_again(self, _request: HttpRequest, form: ReasonDialog) -> str:
        imports.check_again(form.target, **form.why)
        return f"{form.target} is being checked again."

    @dialog_action(
        title="Undo", permission="import_customers", form=UndoImportDialog, icon="undo", refuse=imports.refuse_undo, danger=True,
        explain="Removes those whom it imported and nobody has changed since. Stripe stays as it is; accounts become as they were found.",
    )  # fmt: skip
    def undo_import(self, _request: HttpRequest, form: UndoImportDialog) -> str:
        return form.undo()

    @dialog_action(
        title="Abandon", permission="import_customers", form=dialog(CustomerImport), icon="cancel", fresh=False,
        refuse=imports.refuse_abandoning, explain="Closes it. Nobody was imported.",
    )  # fmt: skip
    def abandon_import(self, _request: HttpRequest, form: ReasonDialog) -> str:
        imports.abandon(form.target, **form.why)
        return f"{form.target} is abandoned."


@admin.register(ImportRow)
class ImportRowAdmin(ConsoleAdmin):
    """One customer of an import."""

    list_display = ("what", "address", "verdict_label", "why", "state_label", "person", "run_link")
    list_display_links = ("what",)
    list_filter = (("verdict", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter), QuestionFilter, ImportFilter)
    list_select_related = ("profile__user", "run")
    deferred = ("account", "customers")
    personal = "importrow"
    search_by: ClassVar[dict[str, str]] = {
        "email": "email__iexact", "number": "pk", "cus": "customer_id", "uuid": "keycloak_id",
    }  # fmt: skip
    search_help_text = "Address, cus_… or the id of an account"
    actions_detail: ClassVar[Any] = ["decide_row"]
    fields: ClassVar[Any] = (
        ("run_link", "number"), ("address", "username"), ("first_name", "last_name"), ("account_id", "customer"), ("seats_text", "grant"),
        ("verdict_label", "why"), ("becomes_label",), ("state_label", "note", "person"),
    )  # fmt: skip

    person = person_column()
    run_link = link_column("run", "Import")
    verdict_label = state_column("verdict", "Verdict")
    state_label = state_column()

    @admin.display(description="Row", ordering="pk")
    def what(self, row: ImportRow) -> str:
        return f"row {row.number}"

    @admin.display(description="Address")
    def address(self, row: ImportRow) -> str:
        return row.email or "–"

    @admin.display(description="Account")
    def account_id(self, row: ImportRow) -> str:
        return str(row.keycloak_id or row.account.get("id", "–"))

    @admin.display(description="Customer")
    def customer(self, row: ImportRow) -> str:
        return row.customer_id or ", ".join(sorted(row.customers)) or "–"

    @admin.display(description="Seats")
    def seats_text(self, row: ImportRow) -> str:
        return ", ".join(f"{product} on {instance}" for product, instance in sorted(row.seats.items())) or "–"

    @admin.display(description="Grant")
    def grant(self, row: ImportRow) -> str:
        return f"{', '.join(row.products)} until {row.access_until:%-d %B %Y}" if row.access_until else "–"

    @admin.display(description="Becomes")
    def becomes_label(self, row: ImportRow) -> SafeString | str:
        return badge(AccessState(row.becomes).label, AccessState(row.becomes).tone) if row.becomes else "–"

    @dialog_action(
        title="Decide", permission="import_customers", form=RowDecisionDialog, icon="how_to_vote", fresh=False,
        refuse=imports.refuse_deciding_row,
    )  # fmt: skip
    def decide_row(self, _request: HttpRequest, form: RowDecisionDialog) -> str:
        return form.decide()
