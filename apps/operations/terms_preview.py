"""A preview of changed terms: before they are saved, a job decides about everybody whom they can concern, by the old and by the new ones.

    counting -> ready -> confirmed -> saved
                  ^          |
                  +----------+  more people would lose something than staff saw

Each of the first three can be abandoned. Promises: the rows of the people are what is still to do, so that a run survives any
crash; a thousand people are held in memory at a time; nothing is saved that nobody confirmed.
A confirmation is for one preview, as long as it is fresh (`VALID_FOR`) and the terms that it began with are in force. The job then
decides about everybody once more before it saves. If of those who now lose something more than one in a hundred of the number that
staff saw are new, nothing is saved and staff see the new lists. Who gets access or a later date is no reason to ask again.
"""

import datetime as dt
import time
from dataclasses import dataclass, fields
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet

from apps.access import reconcile, terms
from apps.access.models import TermsChange
from apps.access.policy import Decision
from apps.access.policy_facts import Terms
from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import UserProfile
from apps.billing.subscriptions import customers_under_terms
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.locks import LockClass, lock_until_commit
from apps.core.models import Job
from apps.core.states import AccessState
from apps.operations import bulk_facts, safeguard
from apps.operations.models import TermsPreview, TermsPreviewPerson

KIND = "preview_terms"
BATCH, SECONDS = 1000, 20.0  # people decided about at once; of one job, which has a minute
VALID_FOR = dt.timedelta(hours=1)
State, Effect = TermsPreview.State, TermsPreviewPerson.Effect
OTHER_TERMS = "Other terms have been saved since this preview began. Preview your change again."
LIST = """
INSERT INTO operations_termspreviewperson (preview_id, profile_id)
SELECT %s, concerned.id FROM ({people}) AS concerned (id) ORDER BY concerned.id ON CONFLICT (preview_id, profile_id) DO NOTHING
"""


@dataclass(frozen=True)
class PreviewCounts:
    """For how many the change does what."""

    gain: int = 0
    lose: int = 0
    give_up: int = 0
    moved: int = 0

    @property
    def concerned(self) -> int:
        return self.gain + self.losses + self.moved

    @property
    def losses(self) -> int:
        """How many lose access or what was kept for them."""
        return self.lose + self.give_up


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, run_preview, label="Preview of terms", importance=Job.Importance.CLICKED)


# --- what staff ask --------------------------------------------------------------------------------------------------


@transaction.atomic
def start_preview(change: TermsChange, *, actor: str, reason: str) -> TermsPreview:
    """Begin a preview of this change, which is not saved."""
    row = TermsPreview.objects.create(
        product_id=change.product_id, profile_id=change.profile_id, reason=reason, requested_by=actor,
        requested_at=clock.now(), values={name: getattr(change, name) for name in TermsChange.VALUES},
    )  # fmt: skip
    _record(row, AuditAction.TERMS_PREVIEWED, actor, reason)
    jobs.defer(KIND, row.pk, reason=f"asked by {actor}")
    return row


def refuse_confirming(row: TermsPreview) -> str:
    """Why the preview cannot be confirmed, as a sentence; empty: it can."""
    if row.state != State.READY:
        return f"This preview is not waiting for you: {State(row.state).label.lower()}."
    if row.based_on != _newest_change():
        return OTHER_TERMS
    if row.counted_at is None or row.counted_at + VALID_FOR <= clock.now():
        return "This preview is more than an hour old. Preview your change again."
    return ""


@transaction.atomic
def confirm(row: TermsPreview, *, expected: int | None, actor: str, reason: str) -> None:
    """Save the change once the job has decided again. `expected`: how many lose something; needed where these are many."""
    row = TermsPreview.objects.select_for_update(of=("self",)).get(pk=row.pk)
    if refusal := refuse_confirming(row):
        raise BadInput(refusal)
    found = count_effects(row)
    if needs_number(row, found) and expected != found.losses:
        raise BadInput(f"{found.losses} people lose something, not {expected or 0}.", field="confirmation")
    row.state, row.decided_by, row.decided_at, row.reason = State.CONFIRMED, actor, clock.now(), reason
    row.total, row.checked, row.problem = None, 0, ""
    row.save()
    _record(row, AuditAction.TERMS_CONFIRMED, actor, reason)
    jobs.defer(KIND, row.pk, reason=f"confirmed by {actor}")


@transaction.atomic
def abandon(row: TermsPreview, *, actor: str, reason: str) -> None:
    """Stop it; nothing is saved. BadInput when it has ended."""
    row = TermsPreview.objects.select_for_update(of=("self",)).get(pk=row.pk)
    if refusal := refuse_abandoning(row):
        raise BadInput(refusal)
    row.state, row.decided_by, row.decided_at = State.ABANDONED, actor, clock.now()
    row.save()
    jobs.withdraw(KIND, row.pk, why="The preview was abandoned.")
    _record(row, AuditAction.TERMS_PREVIEW_ABANDONED, actor, reason)


def refuse_abandoning(row: TermsPreview) -> str:
    """Why there is nothing to abandon; empty: there is."""
    return "This preview has ended." if row.state in {State.SAVED, State.ABANDONED} else ""


def _record(row: TermsPreview, action: AuditAction, actor: str, reason: str) -> None:
    values = {name: value for name, value in row.values.items() if value not in (None, "")}
    about = {"product": row.product_id, "subscriber": row.profile_id}
    after = values | {name: pk for name, pk in about.items() if pk}
    audit.record(subject=("termspreview", row.pk), action=action, actor=actor, reason=reason, after=after)


# --- how it stands ---------------------------------------------------------------------------------------------------


def count_effects(row: TermsPreview) -> PreviewCounts:
    """What has been found so far, in one query."""
    found = row.people.order_by().values_list("effect").annotate(count=Count("pk"))
    return PreviewCounts(**{effect: count for effect, count in found if effect not in {Effect.UNDECIDED, Effect.NONE}})


def needs_number(row: TermsPreview, found: PreviewCounts) -> bool:
    """Whether staff have to type how many lose something: it is more than the safeguard lets a sweep take."""
    return safeguard.exceeds_limit(found.losses, row.with_access)


def people_with(row: TermsPreview, effect: str) -> QuerySet[TermsPreviewPerson]:
    """Those to whom the change does this; empty: those to whom it does anything."""
    found = (
        row.people.filter(effect=effect) if effect else row.people.exclude(effect__in=[Effect.UNDECIDED, Effect.NONE])
    )
    return found.select_related("profile__user").order_by("pk")


# --- the job ---------------------------------------------------------------------------------------------------------


def run_preview(key: str) -> None:
    """The job: steps of one transaction each, until nothing is left to do or its time is over."""
    began = time.monotonic()
    while take_step(int(key)):
        if time.monotonic() - began > SECONDS:
            # One click asked for the first slice; however many follow, nobody else's click waits for them.
            jobs.defer(KIND, key, reason="the next slice", importance=Job.Importance.SWEEP)
            return


@transaction.atomic
def take_step(pk: int) -> bool:
    """List everybody, decide about a batch, end the count, or queue a batch of syncs; whether there is more to do."""
    row = TermsPreview.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if row is None or not (row.is_working or row.state == State.SAVED):
        return False
    if row.state == State.SAVED:
        return _queue_batch(row)
    if row.total is None:
        _list_people(row)
        return True
    return _decide_batch(row) or _end_count(row)


def _list_people(row: TermsPreview) -> None:
    """Note whom the change can concern, in one statement; what staff saw of them before is kept."""
    row.people.exclude(effect=Effect.UNDECIDED).update(shown=F("effect"), effect=Effect.UNDECIDED)
    row.based_on = _newest_change() if row.based_on is None else row.based_on
    concerned = _concerned(row)
    if concerned is not None:
        statement, values = concerned.order_by().values_list("pk").query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(LIST.format(people=statement), [row.pk, *values])
    row.total, row.checked, row.with_access = row.people.count(), 0, safeguard.count_with_access()
    row.save()


def _concerned(row: TermsPreview) -> QuerySet[UserProfile] | None:
    """People whose subscription is late, paused, disputed or over: for all others no term decides anything.

    Of them, a change for everybody concerns only those about whom a term decides that it changes, and who is late only until
    the longest grace is over. None: nobody.
    """
    before, after = _books(row)
    narrow: dict[str, Any] = {}
    if row.product_id is None and row.profile_id is None:
        changed = [
            one.name for one in fields(Terms) if getattr(before.general, one.name) != getattr(after.general, one.name)
        ]
        if not changed:
            return None
        narrow = {"terms": changed, "since": clock.now() - max(before.longest_grace, after.longest_grace)}
    customers = customers_under_terms(row.product_id, **narrow)
    shared = Q(membership__isnull=False) & (
        Q(membership__ended_at__isnull=False) | Q(membership__payer__stripe_customer_id__in=customers)
    )
    people = UserProfile.objects.filter(Q(stripe_customer_id__in=customers) | shared)
    if row.profile_id is None:
        return people
    return people.filter(Q(pk=row.profile_id) | Q(membership__ended_at=None, membership__payer=row.profile_id))


def _books(row: TermsPreview) -> tuple[TermsBook, TermsBook]:
    """The terms in force, and with the change."""
    before = read_terms()
    return before, before.with_change(row.as_change())


def _decide_batch(row: TermsPreview) -> bool:
    """Decide about the next; False when nobody is left."""
    people = dict(row.people.filter(effect=Effect.UNDECIDED).order_by("pk").values_list("profile_id", "pk")[:BATCH])
    if not people:
        return False
    old, new = bulk_facts.decide_by_each(UserProfile.objects.filter(pk__in=people), _books(row))
    alike: dict[tuple[str, str, str], list[int]] = {}
    for profile_id, pk in people.items():
        before, after = old[profile_id], new[profile_id]
        alike.setdefault((find_effect(before, after), before.state, after.state), []).append(pk)
    for (effect, was, will_be), ids in alike.items():
        rows = row.people.filter(pk__in=ids)
        if effect == Effect.NONE:
            rows.filter(shown="").delete()
        rows.update(effect=effect, before=was, after=will_be)
    row.checked += len(people)
    row.save(update_fields=["checked"])
    return True


def find_effect(before: Decision, after: Decision) -> TermsPreviewPerson.Effect:
    """What a change does to somebody about whom the policy decides so before it and after it."""
    if before.state.has_access != after.state.has_access:
        return Effect.GAIN if after.state.has_access else Effect.LOSE
    if after.state == AccessState.EXPIRED != before.state:
        return Effect.GIVE_UP
    same = (before.state, before.until, before.final_expiry_at) == (after.state, after.until, after.final_expiry_at)
    return Effect.NONE if same else Effect.MOVED


def _end_count(row: TermsPreview) -> bool:
    """Everybody is decided about: ask staff, or save what they confirmed; whether syncs are to be queued."""
    row.counted_at = clock.now()
    if row.state == State.CONFIRMED:
        lock_until_commit(LockClass.TERMS, 0)
        row.problem = _find_problem(row)
        if not row.problem:
            row.change = terms.save_change(row.as_change(), actor=row.decided_by, reason=row.reason)
            row.state = State.SAVED
    row.people.filter(effect=Effect.NONE).delete()
    row.people.exclude(shown="").update(shown="")
    if row.state != State.SAVED:
        row.state = State.READY
    row.save()
    return row.state == State.SAVED


def _find_problem(row: TermsPreview) -> str:
    """Why what was confirmed is not saved; empty: it is."""
    if row.based_on != _newest_change():
        return OTHER_TERMS
    seen = Q(shown__in=TermsPreviewPerson.LOSSES)
    new = row.people.filter(~seen, effect__in=TermsPreviewPerson.LOSSES).count()
    if new * 100 <= row.people.filter(seen).count():
        return ""
    who = "one more person" if new == 1 else f"{new} more people"
    return f"Nothing was saved: in the meantime, {who} would lose something. Please check the lists again."


def _newest_change() -> int:
    """The id of the last change of any terms; 0 when there is none."""
    return TermsChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _queue_batch(row: TermsPreview) -> bool:
    """Have the next ones synced by the terms that are in force now; False when all are."""
    ids = list(row.people.filter(synced=False).order_by("pk").values_list("profile_id", flat=True)[:BATCH])
    if ids:
        reconcile.enqueue_many(ids, reason=f"terms changed by {row.decided_by}")
        row.people.filter(profile__in=ids).update(synced=True)
    return bool(ids)
