"""Staff send an email again: to the present address, with what is true today, once for each time they want it, and nothing else."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from apps.access import lifecycle_emails, repeated_emails
from apps.access.repeated_emails import plan_repetition, send_again
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.notifications.email_list import EMAILS, KEYCLOAK_TEMPLATE
from apps.notifications.models import Notification
from tests.instances.house import at_once

DAY = dt.timedelta(days=1)
WHY = {"actor": "staff:ada", "reason": "She says that it never came"}


def subscriber() -> UserProfile:
    """Somebody for whom all is well."""
    user = User.objects.create(username="lea", first_name="Lea")
    return UserProfile.objects.create(user=user, email="lea@example.com", access_state="active", created_at=clock.now())


def told(profile: UserProfile, template: str = "recovered", about: str = "1", **more: Any) -> Notification:
    """An email of before."""
    before = clock.now() - DAY
    values = {"to": profile.email, "state": "sent", "created_at": before, "sent_at": before} | more
    return Notification.objects.create(
        key=f"{template}:{profile.pk}:{about}", template=template, profile=profile, **values
    )


def refusal(email: Notification) -> str:
    with pytest.raises(BadInput) as refused:
        send_again(Notification.objects.get(pk=email.pk), **WHY)
    return refused.value.message


@pytest.fixture
def lea(db: None) -> UserProfile:
    return subscriber()


def test_what_may_be_sent_again_is_what_can_be_written_anew(lea: UserProfile) -> None:
    assert {name for name, kind in EMAILS.items() if not kind.not_again} == lifecycle_emails.VALUES_OF.keys()
    for template in {*EMAILS, KEYCLOAK_TEMPLATE, "of_long_ago"} - lifecycle_emails.VALUES_OF.keys():
        assert plan_repetition(told(lea, template)).refusal


def test_it_is_an_email_of_its_own_to_the_present_address(lea: UserProfile) -> None:
    first = told(lea, to="former@example.com", delivery="bounced", delivery_at=clock.now())
    again = send_again(first, **WHY)
    assert (again.repeats, again.to, again.state) == (first, "lea@example.com", "queued")
    assert again.context == {"first_name": lea.user.first_name}
    first.refresh_from_db()
    assert (first.state, first.to, first.delivery) == ("sent", "former@example.com", "bounced")
    line = AuditEntry.objects.get(action="email_resent")
    assert (line.subject_kind, line.subject_id, line.actor) == ("profile", str(lea.pk), "staff:ada")
    assert line.after == {"email": again.pk, "repeats": first.pk, "template": "recovered"}
    assert "lea@" not in str(line.after)


def test_it_can_be_sent_again_later_and_a_repetition_names_the_first(lea: UserProfile) -> None:
    first = told(lea)
    second = send_again(first, **WHY)
    assert refusal(first) == repeated_emails.JUST_SENT
    Notification.objects.filter(pk=second.pk).update(created_at=clock.now() - DAY, state="sent", sent_at=clock.now())
    Job.objects.all().delete()
    third = send_again(Notification.objects.get(pk=second.pk), **WHY)
    assert (third.repeats, third.key) == (first, f"again:{first.pk}:2")


def test_what_is_no_longer_true_is_not_sent(lea: UserProfile) -> None:
    soon = int((clock.now() + DAY).timestamp())
    untrue = [
        told(lea, "payment_failed", "in_paid"), told(lea, "debit_refused", "in_paid"), told(lea, "payment_action_required", "in_paid"),
        told(lea, "subscription_canceled", "sub_1"), told(lea, "recovery_opened", str(soon)), told(lea, "expired", str(soon)),
        told(lea, "trial_ending", f"{soon}:1"), told(lea, "expiry_reminder", f"{soon}:7"), told(lea, "access_ends_soon", f"{soon}:1"),
        told(lea, "cancellation_scheduled", str(soon)), told(lea, "plan_changed", "sub_1:abc:2026-01-01"),
        told(lea, "duplicate_found", "sub_2"), told(lea, "card_expiring", "pm_1:2026-12:0"),
    ]  # fmt: skip
    for email in untrue:
        assert refusal(email) == "What it says is no longer true.", email.template
    assert not Notification.objects.filter(repeats__isnull=False).exists()
    assert not AuditEntry.objects.filter(action="email_resent").exists()


def test_one_whose_sending_is_not_over_waits_and_one_that_failed_leaves_no_work_behind(lea: UserProfile) -> None:
    first = told(lea, state="queued", sent_at=None)
    job = jobs.defer("send_notification", first.pk)
    assert refusal(first) == "It is still being sent."
    Job.objects.filter(pk=job).update(state="blocked", finished_at=clock.now())
    Notification.objects.filter(pk=first.pk).update(state="failed", error="400 no")
    send_again(Notification.objects.get(pk=first.pk), **WHY)
    assert Job.objects.get(pk=job).state == "superseded"


def test_who_marked_us_as_spam_or_has_had_enough_gets_no_more(lea: UserProfile, settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"repeated_emails": ((2, 3600),)}
    emails = [told(lea, about=str(number)) for number in range(4)]
    for email in emails[:2]:
        send_again(email, **WHY)
    assert refusal(emails[2]) == repeated_emails.TOO_MANY
    UserProfile.objects.filter(pk=lea.pk).update(email_problem="complained", email_problem_at=clock.now())
    assert "marked an email of ours as spam" in refusal(emails[3])
    assert Notification.objects.filter(repeats__isnull=False).count() == 2


# --- two at once --------------------------------------------------------------------------------------------------------


def ask_at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Five ask for the same at the same moment, each before any has been written; what each was told."""
    first, plan = told(subscriber()), plan_repetition
    checked: list[int] = []

    def meet(email: Notification) -> Any:
        found = plan(email)
        checked.append(1)
        while len(checked) < 5:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.005)")
        return found

    monkeypatch.setattr(repeated_emails, "plan_repetition", meet)

    def ask() -> str:
        try:
            send_again(Notification.objects.get(pk=first.pk), **WHY)
        except BadInput as refused:
            return refused.message
        return "sent"

    return sorted(at_once([ask] * 5, clients=5))


@pytest.mark.django_db(transaction=True)
def test_of_five_who_ask_at_once_one_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_at_once(monkeypatch) == [repeated_emails.JUST_SENT] * 4 + ["sent"]
    assert Notification.objects.filter(repeats__isnull=False).count() == 1


@pytest.mark.mutant
@pytest.mark.django_db(transaction=True)
def test_mutant_with_keys_of_their_own_all_send(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    numbers = iter(range(100))
    settings.LIMITS = settings.LIMITS | {"repeated_emails": ((100, 3600),)}
    monkeypatch.setattr(repeated_emails, "_key_of_next", lambda first: f"again:{first.pk}:{next(numbers)}")
    assert ask_at_once(monkeypatch) == ["sent"] * 5
