"""The dialog in which staff write a note about a subscriber; subscriber_tables.py shows them."""

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.accounts.models import StaffNote, UserProfile
from apps.accounts.notes import write_note
from apps.console.dialogs import ReasonDialog, dialog_action

EXPLAIN = (
    "For your colleagues: what was said, and what was promised. A note is never changed; to correct one, write another."
    " It goes to the subscriber when they ask for their data, and is deleted when they are erased."
)


class NoteDialog(ReasonDialog):
    """Asks for the text, which is its own reason."""

    model = UserProfile
    reason = None  # type: ignore[assignment]  # Django's way to leave a field of the base class out
    text = forms.CharField(
        label="Note",
        max_length=StaffNote.LONGEST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "maxlength": StaffNote.LONGEST}),
    )


class NoteActions:
    """The action, for the subscriber's ModelAdmin."""

    @dialog_action(
        title="Write note", permission="write_note", form=NoteDialog, icon="edit_note", fresh=False, explain=EXPLAIN
    )
    def write_note(self, _request: HttpRequest, form: NoteDialog) -> str:
        write_note(form.target, text=form.cleaned_data["text"], actor=form.actor)
        return f"The note about {form.target} is written."
