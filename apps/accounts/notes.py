"""Notes of staff about a subscriber: written once, never changed, and erased with the person.

The audit trail says who wrote one and when; the text is in the note alone, since the trail is for ever. The person can ask for it.
"""

from django.db.models import QuerySet

from apps.accounts.erasers import ERASERS, PersonRows
from apps.accounts.models import StaffNote, UserProfile
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput


def register() -> None:
    """Have notes go with the person."""
    ERASERS["notes"] = PersonRows(notes_about, lambda profile: notes_about(profile).delete()[0])


def notes_about(profile: UserProfile) -> QuerySet[StaffNote]:
    """All that staff wrote about one person."""
    return StaffNote.objects.filter(profile=profile)


def write_note(profile: UserProfile, *, text: str, actor: str) -> StaffNote:
    """Add a note. BadInput for one that is empty or too long."""
    said = text.strip()
    if not said:
        raise BadInput("Write something.", field="text")
    if len(said) > StaffNote.LONGEST:
        raise BadInput(f"A note has at most {StaffNote.LONGEST:,} characters.", field="text")
    note = StaffNote.objects.create(profile=profile, text=said, written_by=actor, written_at=clock.now())
    audit.record(subject=profile.subject, action=AuditAction.NOTE_WRITTEN, actor=actor, after={"note": note.pk})
    return note
