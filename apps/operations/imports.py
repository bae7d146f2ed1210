"""Imports of existing customers: planned from a source, decided row by row, begun, paused, and undone.

Promises: before an import is started nothing is written but its own rows; who has access keeps it; nothing is charged; a row is
imported at most once, also by another import of the same file; what is undone is only what the import wrote and nobody has changed
since. The check is import_reading.py's, the writing import_job.py's. Each change locks the import first.
"""

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.catalog.models import Product
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.operations import approvals, import_reading
from apps.operations.import_file import FileRow, read_file
from apps.operations.import_people import list_grantable
from apps.operations.import_questions import CHOICES, GRANT, Question
from apps.operations.import_surroundings import read_places
from apps.operations.models import ApprovalRequest, CustomerImport, ImportRow

KIND, UNDO_KIND = "run_import", "undo_import"
BATCH = 1000
STALE = dt.timedelta(hours=6)  # what Keycloak and Stripe said longer ago is read again before anybody is imported
Source, State, Verdict, RowState = CustomerImport.Source, CustomerImport.State, ImportRow.Verdict, ImportRow.State
UNSTARTED = (State.READING, State.PLANNED)
WAITING = (State.PLANNED, State.PAUSED, State.DONE)  # nothing of it is at work
START, UNDO = ApprovalRequest.Action.START_IMPORT, ApprovalRequest.Action.UNDO_IMPORT


# --- planning ----------------------------------------------------------------------------------------------------------


def read_customers(content: bytes) -> list[FileRow]:
    """The rows of a CSV file, by the present instances and products. BadInput when the whole file cannot be read."""
    places = {slug: place.product for slug, place in read_places().items()}
    found = read_file(content, places, frozenset(Product.objects.values_list("slug", flat=True)))
    if not found:
        raise BadInput("The file has no rows.", field="file")
    return found


@transaction.atomic
def plan_file(content: bytes, *, name: str, actor: str, reason: str) -> CustomerImport:
    """Plan the import of a CSV file; its check begins. BadInput when the whole file cannot be read."""
    found = read_customers(content)
    run = _plan(Source.CSV, name=name, actor=actor, reason=reason)
    ImportRow.objects.bulk_create((_row(run, one) for one in found), batch_size=BATCH)
    return run


def plan_source(source: CustomerImport.Source, *, actor: str, reason: str) -> CustomerImport:
    """Plan the import of everybody whom Stripe or Keycloak has and nobody here; the check finds them."""
    return _plan(source, name="", actor=actor, reason=reason)


@transaction.atomic
def _plan(source: CustomerImport.Source, *, name: str, actor: str, reason: str) -> CustomerImport:
    run = CustomerImport(source=source, name=name[:120], actor=actor, reason=reason, created_at=clock.now())
    run.save()
    import_reading.check_later(run, reason=f"planned by {actor}")
    run.save()
    _record(run, AuditAction.IMPORT_PLANNED, actor, reason, {"source": source.value})
    return run


def _row(run: CustomerImport, one: FileRow) -> ImportRow:
    return ImportRow(
        run=run, number=one.number, email=one.email, username=one.username, first_name=one.first_name, last_name=one.last_name,
        language=one.language, keycloak_id=one.keycloak_id, customer_id=one.customer_id, products=list(one.products),
        seats=dict(one.seats), access_until=one.access_until, problem=one.problem,
    )  # fmt: skip


@transaction.atomic
def check_again(run: CustomerImport, *, actor: str, reason: str) -> None:
    """Read Keycloak and Stripe once more; what staff decided stays."""
    row = lock_import(run.pk)
    if refusal := refuse_check(row):
        raise BadInput(refusal)
    row.rows.filter(state=RowState.PLANNED).update(
        account={}, customers={}, verdict="", question="", choices=[], why=""
    )
    import_reading.check_later(row, reason=f"asked by {actor}")
    row.save()
    _record(row, AuditAction.IMPORT_PLANNED, actor, reason)


def refuse_check(run: CustomerImport) -> str:
    """Why it cannot be checked again; empty: it can."""
    return "" if run.state in WAITING else "Only an import that waits can be checked again."


# --- deciding ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def decide_rows(  # noqa: PLR0913  (all of a decision)
    run: CustomerImport,
    question: Question,
    choice: str,
    *,
    actor: str,
    reason: str,
    number: int | None = None,
    until: dt.datetime | None = None,
) -> int:
    """Answer a question of all rows that ask it, or of the one with this number; returns how many. A grant needs its end."""
    held = lock_import(run.pk)
    if refusal := refuse_deciding(held):
        raise BadInput(refusal)
    asking = asking_rows(held).filter(question=question, **({"number": number} if number else {}))
    rows = [one for one in asking if choice in [value for value, _ in one.choices]]
    given = _grants(rows) if choice == GRANT else {}
    if choice == GRANT:
        rows = [one for one in rows if given[one.pk]]
    if not rows:
        raise BadInput("No row can be decided so.", field="choice")
    if choice == GRANT and until is None:
        raise BadInput("Say until when access is granted.", field="until")
    if until is not None and until <= clock.now():
        raise BadInput("The end must lie in the future.", field="until")
    for row in rows:
        row.answers[question.value] = choice
        if choice == GRANT:
            row.access_until, row.products = until, given[row.pk]
    ImportRow.objects.bulk_update(rows, ["answers", "access_until", "products"], batch_size=500)
    import_reading.write_verdicts(held, rows)
    after = {"question": question.value, "choice": choice, "rows": len(rows)}
    _record(held, AuditAction.IMPORT_DECIDED, actor, reason, after)
    return len(rows)


def _grants(rows: Collection[ImportRow]) -> dict[int, list[str]]:
    """What a grant gives each row, by its id: the same as the verdict offers. BadInput when it gives none of them anything."""
    places, products = read_places(), set(Product.objects.values_list("slug", flat=True))
    found = {row.pk: list_grantable(row, places, products) for row in rows}
    if not any(found.values()):
        said = "None of these rows says what to grant: name products or seats in the file, and import it again."
        raise BadInput(said, field="choice")
    return found


def refuse_deciding(run: CustomerImport) -> str:
    """Why nothing can be decided; empty: it can."""
    if run.state not in WAITING:
        return "Nothing can be decided now."
    return "" if asking_rows(run).exists() else "No row asks anything."


def refuse_deciding_row(row: ImportRow) -> str:
    """The same of one row."""
    asks = row.verdict == Verdict.DECISION and row.state == RowState.PLANNED and row.run.state in WAITING
    return "" if asks else "It asks nothing."


def asking_rows(run: CustomerImport) -> QuerySet[ImportRow]:
    """The rows that need a decision."""
    return run.rows.filter(state=RowState.PLANNED, verdict=Verdict.DECISION)


def count_questions(run: CustomerImport) -> dict[Question, int]:
    """How many rows ask each question."""
    found = asking_rows(run).order_by("question").values_list("question").annotate(count=Count("pk"))
    return {Question(name): count for name, count in found}


def count_answers(run: CustomerImport) -> dict[Question, dict[str, int]]:
    """How many rows each answer would decide, by question; which of several customers is theirs can only be said of one row."""
    offers = {value: Count("pk", filter=Q(choices__contains=[[value]])) for value in CHOICES}
    rows: QuerySet[Any, Any] = asking_rows(run).order_by("question").values_list("question").annotate(**offers)
    return {Question(name): {one: n for one, n in zip(CHOICES, found, strict=True) if n} for name, *found in rows}


# --- starting, pausing, undoing ----------------------------------------------------------------------------------------


def ready_rows(run: CustomerImport) -> QuerySet[ImportRow]:
    """What a start would import."""
    return run.rows.filter(state=RowState.PLANNED, verdict=Verdict.READY)


@transaction.atomic
def start(run: CustomerImport, *, expected: int, sends_emails: bool, actor: str, reason: str) -> None:
    """Import the rows that are ready, if they are still so many; the others stay as they are.

    `sends_emails`: who has no account gets one, and an email to set its password; these rows count as ready too.
    """
    row = lock_import(run.pk)
    if refusal := refuse_start(row):
        raise BadInput(refusal)
    count = count_ready(row, sends_emails=sends_emails)
    if count != expected:
        raise BadInput(f"{count} would be imported now, and not {expected}. Read them again.", field="expected")
    if not count:
        raise BadInput("No row is ready.", field="expected")
    approvals.refuse_alone(START, count, actor=actor)
    row.state, row.sends_emails = State.RUNNING, sends_emails
    row.save(update_fields=["state", "sends_emails"])
    if sends_emails:
        import_reading.write_verdicts(row, list(_without_account(row)))
    _record(row, AuditAction.IMPORT_STARTED, actor, reason, {"rows": count, "emails": sends_emails})
    jobs.defer(KIND, row.pk, reason=f"started by {actor}")


def refuse_start(run: CustomerImport) -> str:
    """Why it cannot be started; empty: it can."""
    if run.state != State.PLANNED:
        return "Only an import that was checked can be started."
    return refuse_old_check(run)


def refuse_old_check(run: CustomerImport) -> str:
    """Why what was read can no longer be relied on; empty: it can."""
    if run.checked_at is None or run.checked_at < clock.now() - STALE:
        return f"It was checked more than {STALE.seconds // 3600} hours ago. Check it again first."
    return ""


def count_ready(run: CustomerImport, *, sends_emails: bool) -> int:
    """How many a start would import."""
    return ready_rows(run).count() + (_without_account(run).count() if sends_emails else 0)


def _without_account(run: CustomerImport) -> QuerySet[ImportRow]:
    return run.rows.filter(state=RowState.PLANNED, verdict=Verdict.DECISION, question=Question.NO_ACCOUNT)


@transaction.atomic
def pause(run: CustomerImport, *, actor: str, reason: str) -> None:
    """From here on nobody is imported until `resume`; waits for the batch that is being written."""
    row = lock_import(run.pk)
    if refusal := refuse_pause(row):
        raise BadInput(refusal)
    set_state(row, State.PAUSED)
    _record(row, AuditAction.IMPORT_PAUSED, actor, reason)


def refuse_pause(run: CustomerImport) -> str:
    """Why it cannot be paused; empty: it can."""
    return "" if run.state == State.RUNNING else "It is not running."


@transaction.atomic
def resume(run: CustomerImport, *, actor: str, reason: str, expected: int | None = None) -> None:
    """Go on with the rows that are ready; where somebody approves a number, only if they are still so many."""
    row = lock_import(run.pk)
    if refusal := refuse_resume(row):
        raise BadInput(refusal)
    count = ready_rows(row).count()
    if expected not in (None, count):
        raise BadInput(f"{count} would be imported now, and not {expected}. Read them again.")
    approvals.refuse_alone(START, count, actor=actor)
    set_state(row, State.RUNNING)
    _record(row, AuditAction.IMPORT_RESUMED, actor, reason)
    jobs.defer(KIND, row.pk, reason=f"resumed by {actor}")


def refuse_resume(run: CustomerImport) -> str:
    """Why it cannot go on; empty: it can."""
    if run.state not in (State.PAUSED, State.DONE) or not ready_rows(run).exists():
        return "There is nothing to continue."
    return refuse_old_check(run)


@transaction.atomic
def abandon(run: CustomerImport, *, actor: str, reason: str) -> None:
    """Close an import of which nobody was imported."""
    row = lock_import(run.pk)
    if refusal := refuse_abandoning(row):
        raise BadInput(refusal)
    set_state(row, State.ABANDONED)
    _record(row, AuditAction.IMPORT_ABANDONED, actor, reason)


def discard(run: CustomerImport) -> None:
    """Remove an import that only served to see its verdicts. Part of the caller's transaction."""
    jobs.withdraw(import_reading.KIND, run.pk, why="only its verdicts were asked for")
    CustomerImport.objects.filter(pk=run.pk, state__in=UNSTARTED).delete()


def refuse_abandoning(run: CustomerImport) -> str:
    """Why it cannot be abandoned; empty: it can."""
    return "" if unstarted().filter(pk=run.pk).exists() else "It has begun. Undo it instead."


def unstarted() -> QuerySet[CustomerImport]:
    """Those of which nobody was imported yet: one that was checked again after it began is none of them."""
    begun = ImportRow.objects.filter(run=OuterRef("pk")).exclude(state=RowState.PLANNED)
    return CustomerImport.objects.filter(~Exists(begun), state__in=UNSTARTED)


def imported_rows(run: CustomerImport) -> QuerySet[ImportRow]:
    """Who was imported by it and is still here."""
    return run.rows.filter(state__in=[RowState.IMPORTED, RowState.UNDOING], profile__isnull=False)


@transaction.atomic
def undo(run: CustomerImport, *, expected: int, actor: str, reason: str) -> None:
    """Remove those whom it imported and nobody has changed since, if they are still so many; the others are kept, and each says why."""
    row = lock_import(run.pk)
    if refusal := refuse_undo(row):
        raise BadInput(refusal)
    count = imported_rows(row).count()
    if count != expected:
        raise BadInput(f"{count} were imported, and not {expected}. Read the page again.", field="expected")
    approvals.refuse_alone(UNDO, count, actor=actor)
    set_state(row, State.UNDOING)
    imported_rows(row).update(state=RowState.UNDOING)
    _record(row, AuditAction.IMPORT_UNDONE, actor, reason, {"rows": count})
    jobs.defer(UNDO_KIND, row.pk, reason=f"asked by {actor}")


def refuse_undo(run: CustomerImport) -> str:
    """Why it cannot be undone; empty: it can."""
    if run.state not in WAITING:
        return "Only an import that waits or is done can be undone."
    return "" if imported_rows(run).exists() else "Nobody of it is here."


def set_state(run: CustomerImport, state: CustomerImport.State) -> None:
    """Stores what the import does now, with the time when it ended if it has."""
    run.state, run.ended_at = state, clock.now() if state in CustomerImport.ENDED else None
    run.save(update_fields=["state", "ended_at"])


# --- the parts ---------------------------------------------------------------------------------------------------------


def lock_import(pk: int) -> CustomerImport:
    """The import as it is now; until the transaction ends it neither pauses nor ends."""
    return CustomerImport.objects.select_for_update().get(pk=pk)


def count_rows(run: CustomerImport) -> dict[str, int]:
    """How many rows have each verdict, those that wait, and each state, in one query."""
    planned = {f"verdict_{one.value}": Count("pk", filter=Q(verdict=one, state=RowState.PLANNED)) for one in Verdict}
    states = {f"state_{one.value}": Count("pk", filter=Q(state=one)) for one in RowState}
    return dict(run.rows.aggregate(total=Count("pk"), unread=Count("pk", filter=Q(verdict="")), **planned, **states))


def _record(
    run: CustomerImport, action: AuditAction, actor: str, reason: str, after: dict[str, Any] | None = None
) -> None:
    audit.record(subject=("customerimport", run.pk), action=action, actor=actor, reason=reason, after=after or {})
