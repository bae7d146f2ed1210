"""Every login and logout is a line of the audit trail: who and when, and nothing about where from."""

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry
from tests.login.conftest import Person


def lines(kind: str, subject: int | None) -> list[tuple[str, str, str]]:
    found = AuditEntry.objects.filter(
        subject_kind=kind, subject_id=str(subject), action__in=["logged_in", "logged_out"]
    )
    return list(found.order_by("id").values_list("action", "actor", "reason"))


def test_a_subscribers_login_and_logout_are_recorded(person: Person, nora: UserProfile) -> None:
    person.log_in("nora")
    assert lines("profile", nora.pk) == [("logged_in", "customer", "")]
    person.here.post("/logout/")
    assert lines("profile", nora.pk)[1:] == [("logged_out", "customer", "")]
    said = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(nora.pk))
    assert [(one.before, one.after) for one in said] == [({}, {})] * 2


def test_staff_are_recorded_when_they_go(person: Person) -> None:
    person.log_in("admin.ada")
    user = int(person.user_id or 0)
    person.here.post("/logout/")
    assert lines("user", user) == [("logged_out", "staff:admin.ada", "")]
    assert AuditEntry.objects.filter(subject_kind="user", subject_id=str(user), action="staff_logged_in").count() == 1
