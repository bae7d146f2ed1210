"""The jobs of an import: it writes the rows that are ready, a batch in one transaction, and undoes them one person at a time.

Promises: killed at any point it goes on, since a batch is written with the state of its rows; each row is judged once more right before;
what collides with somebody who came meanwhile, or cannot be written, becomes a conflict and stops nobody else; a paused import writes nobody.
"""

import time
from collections.abc import Collection

from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, transaction

from apps.access import account_link, overrides, reconcile
from apps.access.announcements import ending
from apps.access.forecast import forecast
from apps.access.policy import Account
from apps.access.recording import as_columns
from apps.accounts.models import UserProfile
from apps.billing import adopting
from apps.catalog.models import Product
from apps.core import audit, clock, jobs, languages
from apps.core.audit_actions import AuditAction
from apps.core.dependencies import RESTORED
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.states import AccessState
from apps.instances import found_seats
from apps.instances.found_seats import FoundSeat
from apps.operations import import_reading, imports
from apps.operations.import_people import NewPerson
from apps.operations.import_surroundings import Surroundings, read_surroundings
from apps.operations.import_verdicts import judge
from apps.operations.models import CustomerImport, ImportRow

BATCH = 200  # rows of one transaction
SECONDS = 20.0  # of one job, which has a minute
RowState, State, Verdict = ImportRow.State, CustomerImport.State, ImportRow.Verdict
TAKEN = "Somebody else has the address, the username, the customer or the account by now."
NO_ROOM = "Something about them is too long or too large for us. Correct it at its source, then check again."
APPLIED = (
    "access_state", "access_reason", "access_until", "final_expiry_at", "forecast", "next_change_at", "synced_at",
)  # fmt: skip
Person = tuple[ImportRow, NewPerson]


def register() -> None:
    """Make the job kind known."""
    jobs.register(imports.KIND, run_import, label="Import customers", needs=(RESTORED,))


def run_import(key: str) -> None:
    """The job: the next batches of the import `key`, until its time is up."""
    began = time.monotonic()
    while write_batch(int(key)):
        if time.monotonic() - began > SECONDS:
            jobs.defer(imports.KIND, key, reason="the next batch")
            return


def write_batch(import_id: int) -> bool:
    """Import the next rows that are ready; whether there may be more."""
    size = BATCH
    while True:
        try:
            return _write_batch(import_id, size)
        except (IntegrityError, DataError, BadInput) as refusal:  # of one of them: fewer at once, until it is found
            if size == 1:
                _refuse_first(import_id, refusal)
                return True
            size = max(1, size // 8)


def _refuse_first(import_id: int, refusal: IntegrityError | DataError | BadInput) -> None:
    """The next row cannot be written: it says why, and waits for nothing."""
    taken_or_long = TAKEN if isinstance(refusal, IntegrityError) else NO_ROOM
    why = refusal.message if isinstance(refusal, BadInput) else taken_or_long
    rows = imports.ready_rows(CustomerImport.objects.get(pk=import_id)).order_by("pk").values("pk")[:1]
    ImportRow.objects.filter(pk__in=rows).update(verdict=Verdict.CONFLICT, why=why[:400], becomes="")


@transaction.atomic
def _write_batch(import_id: int, size: int) -> bool:
    run = imports.lock_import(import_id)
    if run.state != State.RUNNING:
        return False
    rows = list(imports.ready_rows(run).order_by("pk")[:size])
    if not rows:
        imports.set_state(run, State.DONE)
        return False
    around = read_surroundings(run, rows)
    people = _distinct(rows, around)
    _write_people(run, people, around)
    return True


def _distinct(rows: Collection[ImportRow], around: Surroundings) -> list[Person]:
    """Those still ready; of two who turn out to share something, the later one is judged again when the first is here."""
    people: list[Person] = []
    changed: list[ImportRow] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        judged = judge(row, around)
        if judged.person is None:
            import_reading.note_verdict(row, judged)
            changed.append(row)
            continue
        one = judged.person
        own = {
            ("email", one.email),
            ("username", one.username),
            ("customer", one.customer_id),
            ("account", one.keycloak_id),
        }
        own = {pair for pair in own if pair[1]}
        if not own & seen:
            people.append((row, one))
        seen |= own
    ImportRow.objects.bulk_update(changed, import_reading.JUDGED)
    return people


# --- writing -----------------------------------------------------------------------------------------------------------


def _write_people(run: CustomerImport, people: Collection[Person], around: Surroundings) -> None:
    """Everything of each: the person, what Stripe says of them, grants, seats, and the work that follows."""
    now = clock.now()
    users = [
        User(username=one.username, email=one.email, first_name=one.first_name[:150], last_name=one.last_name[:150])
        for _, one in people
    ]
    for user in users:
        user.set_unusable_password()
    User.objects.bulk_create(users)
    profiles = [
        UserProfile(
            user=user, email=one.email, language=one.language or languages.DEFAULT, keycloak_id=one.keycloak_id or None,
            stripe_customer_id=one.customer_id or None, imported_at=now, created_at=now,
        )
        for user, (_, one) in zip(users, people, strict=True)
    ]  # fmt: skip
    UserProfile.objects.bulk_create(profiles)
    made = list(zip(profiles, people, strict=True))
    customers = {one.customer_id: profile for profile, (_, one) in made if one.customer_id}
    adopting.take_over(customers, {one.customer_id: one.subscriptions for _, one in people if one.customer_id})
    _note_applied(run, [(profile, one) for profile, (_, one) in made])
    _grant(run, [(profile, one) for profile, (_, one) in made if one.until])
    _occupy(run, [(profile, one) for profile, (_, one) in made if one.has_seats], around)
    linked = [one for one in profiles if one.keycloak_id]
    account_link.link_later(linked, reason=f"{run}", importance=Job.Importance.SWEEP)
    reconcile.enqueue_many(
        [one.pk for one in profiles if not one.keycloak_id], reason=f"{run}", importance=Job.Importance.SWEEP
    )
    unlinked = [customer for customer, profile in customers.items() if not profile.keycloak_id]
    adopting.fetch_later(
        unlinked, reason=f"{run}"
    )  # the others once their account is linked: nothing is written to it before
    for profile, (row, _) in made:
        row.profile, row.state, row.imported_at = profile, RowState.IMPORTED, now
    ImportRow.objects.bulk_update([row for row, _ in people], ["profile", "state", "imported_at"])


def _note_applied(run: CustomerImport, made: Collection[tuple[UserProfile, NewPerson]]) -> None:
    """The first decision, which Keycloak has already where there is an account: no email tells of what is so for long.

    Who gets an account now is new: nothing is applied yet, and the first sync welcomes them.
    """
    by_state: dict[AccessState, list[int]] = {}
    plain: list[int] = []
    for profile, one in made:
        columns = as_columns(one.decision, forecast(one.facts)) | {
            "synced_at": profile.imported_at if one.keycloak_id else None
        }
        if one.keycloak_id or one.decision.account != Account.ENABLED:
            for name, value in columns.items():
                setattr(profile, name, value)
            if one.decision.state != AccessState.NONE:
                by_state.setdefault(one.decision.state, []).append(profile.pk)
        ends = [ending(each.id, each.cancel_at) for each in one.facts.subscriptions if each.cancel_at]
        if ends:
            _record_imported(run, [profile.pk], ends)
        else:
            plain.append(profile.pk)
    UserProfile.objects.bulk_update([profile for profile, _ in made], APPLIED)
    _record_imported(run, plain, [])
    for state, ids in by_state.items():
        audit.record_many(
            kind="profile", ids=ids, action=AuditAction.ACCESS_CHANGED, reason=f"found so by {run}",
            actor=audit.SYSTEM, before={"state": AccessState.NONE.value}, after={"state": state.value},
        )  # fmt: skip


def _record_imported(run: CustomerImport, ids: Collection[int], ends: Collection[str]) -> None:
    """`ends`: of subscriptions with a cancellation for later, which they know."""
    audit.record_many(
        kind="profile", ids=ids, action=AuditAction.SUBSCRIBER_IMPORTED, actor=run.actor, reason=run.reason,
        after={"import": run.pk, "ends": list(ends)},
    )  # fmt: skip


def _grant(run: CustomerImport, made: Collection[tuple[UserProfile, NewPerson]]) -> None:
    """Without a sync of its own: an account is linked first, which notes how it was found."""
    products = {one.pk: one for one in Product.objects.all()} if made else {}
    for profile, one in made:
        if one.until is not None:
            granted = [products[pk] for pk in one.granted]
            overrides.grant(
                profile=profile, products=granted, until=one.until, actor=run.actor, reason=run.reason, syncs=False
            )


def _occupy(run: CustomerImport, made: Collection[tuple[UserProfile, NewPerson]], around: Surroundings) -> None:
    """The seats as found, in the order of products, which is that of locks."""
    found = [
        FoundSeat(profile.pk, place.product_id, place.pk, in_use=product in one.decision.entitlements.seats)
        for profile, one in made
        for product, place in ((product, around.places[slug]) for product, slug in one.seats.items())
    ]
    found_seats.occupy(
        sorted(found, key=lambda one: (one.product_id, one.instance_id, one.profile_id)),
        actor=run.actor,
        reason=run.reason,
    )
