"""Notes of staff: written once, shown newest first with a count, part of the person's export, and gone with the person."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import StaffNote, UserProfile
from apps.accounts.notes import write_note
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.operations import privacy
from tests.console.conftest import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
SECRETIVE = "Her son Max calls on her behalf"


def write(client: Client, profile: UserProfile, text: str) -> None:
    address = reverse("admin:accounts_userprofile_write_note", args=[profile.pk])
    answer = client.post(address, {"_form_submitted": "on", "text": text}, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"], answer.content.decode()


def page(client: Client, profile: UserProfile) -> str:
    address = reverse("admin:accounts_userprofile_change", args=[profile.pk])
    return client.get(f"{address}?tab=notes").content.decode()


def test_a_note_is_shown_with_who_wrote_it_the_newest_first_and_counted(world: World, staff: Staff) -> None:
    owner, other, client = world.profiles[0], world.profiles[1], staff("support")
    assert "of staff" not in page(client, owner)
    write(client, owner, "First call,\nsecond line <b>")
    write(client, owner, "Second call")
    shown = page(client, owner)
    assert "2 by staff" in shown
    assert shown.index("Second call") < shown.index("First call,\nsecond line &lt;b&gt;")
    assert "staff:support-ada" in shown
    assert "Second call" not in page(client, other)
    assert "Write a note" in shown
    assert "Write a note" not in page(staff("viewer"), owner)


def test_the_audit_trail_says_who_wrote_it_and_keeps_no_word_of_it(world: World, staff: Staff) -> None:
    write(staff("support"), world.profiles[0], SECRETIVE)
    line = AuditEntry.objects.get(action="note_written")
    assert (line.actor, line.subject_id) == ("staff:support-ada", str(world.profiles[0].pk))
    assert line.after == {"note": StaffNote.objects.get().pk}
    assert SECRETIVE not in str(AuditEntry.objects.values_list())


def test_an_export_has_it_and_an_erasure_deletes_it(world: World) -> None:
    gone, stays = world.profiles[0], world.profiles[1]
    for profile in (gone, stays):
        write_note(profile, text=SECRETIVE, actor="staff:ada")
    rows = privacy.export(gone)["accounts.StaffNote"]
    assert [(row["text"], row["written_by"]) for row in rows] == [(SECRETIVE, "staff")]
    UserProfile.objects.filter(pk=gone.pk).update(subscription_status="canceled")
    gone.overrides.all().delete()
    receipt = privacy.erase(gone, actor="staff:ada", reason="asked by letter")
    assert receipt.after["erased"]["notes"] == 1
    assert [note.profile_id for note in StaffNote.objects.all()] == [stays.pk]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 2_001])
def test_nothing_and_too_much_is_no_note(text: str, world: World) -> None:
    with pytest.raises(BadInput):
        write_note(world.profiles[0], text=text, actor="staff:ada")
    assert not StaffNote.objects.exists()
