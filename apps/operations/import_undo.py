"""Takes an import back: those whom it made and nobody has changed since, each by a job in their own lane.

Promises: who has logged in, was changed by anybody or got an account, here or in an app, is kept, and the row says why; an account that
was there is left as it was found, open or closed, in the same groups; at Stripe nothing is touched. A job that was killed begins again,
since the person goes last.
"""

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.access import account_link, reconcile
from apps.access.observe import owned_attributes
from apps.accounts.models import Membership, UserProfile
from apps.billing import adopting, mirror
from apps.core import audit, jobs
from apps.core.audit_actions import QUIET, AuditAction
from apps.core.dependencies import RESTORED
from apps.core.models import AuditEntry, Job
from apps.identity.account_lists import MARK
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.instances import allocation
from apps.instances.models import Seat
from apps.instances.provisioning import accounts
from apps.notifications.mail import of_person
from apps.notifications.models import Notification
from apps.operations import imports
from apps.operations.models import CustomerImport, ImportRow

ROW_KIND = "undo_import_row"
State, RowState = CustomerImport.State, ImportRow.State
WRITTEN = (  # what we do to an account that is there
    AuditAction.ACCOUNT_LINKED, AuditAction.ACCOUNT_ENABLED, AuditAction.ACCOUNT_DISABLED, AuditAction.ATTRIBUTES_WRITTEN,
    AuditAction.GROUP_JOINED, AuditAction.GROUP_LEFT,
)  # fmt: skip


def register() -> None:
    """Make the job kinds known."""
    jobs.register(imports.UNDO_KIND, undo_import, label="Undo an import")
    jobs.register(ROW_KIND, undo_row, label="Undo one person of an import", needs=("keycloak", RESTORED))


def undo_import(key: str) -> None:
    """The job: a job for each person who is to go, in the lane of everything about them."""
    run = CustomerImport.objects.get(pk=key)
    rows = run.rows.filter(state=RowState.UNDOING).exclude(profile=None).values_list("pk", "profile_id")
    lanes = {str(pk): reconcile.lane(profile or 0) for pk, profile in rows}
    if lanes:
        jobs.defer_many(ROW_KIND, lanes, reason=f"{run}", importance=Job.Importance.SWEEP)
    end_if_done(run)


@transaction.atomic
def end_if_done(run: CustomerImport) -> None:
    """The last one ends it."""
    row = imports.lock_import(run.pk)
    row.rows.filter(state=RowState.UNDOING, profile=None).update(state=RowState.UNDONE)  # erased meanwhile
    if row.state == State.UNDOING and not row.rows.filter(state=RowState.UNDOING).exists():
        imports.set_state(row, State.UNDONE)


def undo_row(key: str) -> None:
    """The job: the account as it was found, then the person."""
    row = ImportRow.objects.select_related("run", "profile__user").get(pk=key)
    if row.state != RowState.UNDOING:
        return
    if row.profile is not None and not (why := refuse_undo(row, row.profile)):
        _give_back_account(row, row.profile)
        _remove(row)
    elif row.profile is not None:
        _keep(row, why)
    end_if_done(row.run)


def refuse_undo(row: ImportRow, profile: UserProfile) -> str:
    """Why somebody is kept; empty: they are as the import left them."""
    found = str(row.account.get("id", ""))
    others = _lines(profile).exclude(action__in=QUIET).exclude(actor=row.run.actor, reason=row.run.reason)
    by_person = others.filter(Q(actor__startswith="staff:") | Q(actor="customer"))
    refusals = {
        "They have logged in since.": profile.user.last_login is not None,
        "An account was made for them, and a link mailed.": (profile.keycloak_id or "") != found,
        "Their customer at Stripe is another one now.": bool(row.customer_id)
        and profile.stripe_customer_id != row.customer_id,
        "Their address was changed.": bool(row.email) and profile.email != row.email,
        "They signed up or pay for others by now.": profile.signups.exists() or _shares(profile),
        "They belong to staff.": profile.user.is_staff,
        "We have made or changed their account in an app, which would stay behind.": accounts.is_changed(profile),
        "Somebody has changed something since: see the timeline.": by_person.exists(),
    }
    return next((why for why, applies in refusals.items() if applies), "")


def _lines(profile: UserProfile) -> QuerySet[AuditEntry]:
    """Their timeline."""
    return audit.entries_about(profile.subject)


def _shares(profile: UserProfile) -> bool:
    return profile.membership_id is not None or Membership.objects.filter(payer=profile).exists()


def _keep(row: ImportRow, why: str) -> None:
    row.state, row.note = RowState.KEPT, why
    row.save(update_fields=["state", "note"])


def _give_back_account(row: ImportRow, profile: UserProfile) -> None:
    """Its attributes and groups, open or closed, without our mark. It stays in our parent group, which gives nothing."""
    account = client().get_user(profile.keycloak_id) if profile.keycloak_id else None
    if account is None or not _is_ours(profile, account):
        return
    found = _groups_found(profile, account.groups)
    for group in sorted(account.groups - found):
        client().leave_group(account.id, group)
    for group in sorted(found - account.groups):
        client().join_group(account.id, group)
    had, was_open = row.account.get("attributes", {}), bool(row.account.get("enabled"))
    ours = [name for name in owned_attributes() if name in account.attributes or name in had]
    before: dict[str, str | None] = {name: had.get(name) for name in ours}
    client().update_user(account.id, enabled=was_open, attributes=before | {MARK: None})
    if not was_open:
        client().end_sessions(account.id)


def _is_ours(profile: UserProfile, account: KeycloakUser) -> bool:
    """Whether we have changed it: it bears their mark, or none and the timeline says so; never another one's."""
    mark = next(iter(account.attributes.get(MARK, ())), "")
    return mark == str(profile.onboarding_id) or (not mark and _lines(profile).filter(action__in=WRITTEN).exists())


def _groups_found(profile: UserProfile, now: frozenset[str]) -> set[str]:
    """The groups that it had before us: those when it was linked, without what a sync had done by then."""
    lines = _lines(profile).order_by("-pk")
    linked = lines.filter(action=AuditAction.ACCOUNT_LINKED).last()
    found = {*(linked.after["groups"] if linked else now)}
    changes = lines.filter(action__in=[AuditAction.GROUP_JOINED, AuditAction.GROUP_LEFT])
    for one in changes.filter(pk__lt=linked.pk) if linked else changes:
        if one.action == AuditAction.GROUP_JOINED:
            found.discard(one.after["group"])
        else:
            found.add(one.before["group"])
    return found


@transaction.atomic
def _remove(row: ImportRow) -> None:
    """The person and everything that the import wrote, unless somebody came between."""
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=row.profile_id or 0)
    if why := refuse_undo(row, profile):
        _keep(row, why)
        return
    for seat in Seat.objects.exclude(state=Seat.State.RELEASED).filter(profile=profile).order_by("product_id"):
        allocation.release_by_staff(seat=seat, actor=row.run.actor, reason=f"{row.run} is undone")
    if profile.stripe_customer_id:
        jobs.withdraw(mirror.KIND, profile.stripe_customer_id, why=f"{row.run} is undone")
        adopting.let_go([profile.stripe_customer_id])
    for kind in (*reconcile.KINDS, account_link.KIND):
        jobs.withdraw(kind, profile.pk, why=f"{row.run} is undone")
    Notification.objects.filter(of_person(profile)).delete()
    row.state, row.profile = RowState.UNDONE, None
    row.save(update_fields=["state", "profile"])
    profile.user.delete()
