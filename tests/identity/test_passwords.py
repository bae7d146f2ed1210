"""The job that has Keycloak email a set-password link: recorded as sent only after Keycloak said so, once per request."""

import datetime as dt

import pytest
from django.contrib.auth.models import User

from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.models import AuditEntry, Job
from apps.identity.passwords import request_password_email
from apps.identity.protocol import Identity, NewUser
from apps.notifications.models import Notification
from tests.sandbox.keycloak_fixture import Standin

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile(keycloak: Identity, nora: NewUser) -> UserProfile:
    user = User.objects.create(username=nora.username, first_name="Nora")
    return UserProfile.objects.create(
        user=user,
        email=nora.email,
        keycloak_id=keycloak.create_user(nora),
        created_at=clock.now(),
    )


def make_due() -> None:
    Job.objects.filter(state="queued").update(not_before=clock.now() - dt.timedelta(seconds=1))
    jobs.drain()


def test_two_requests_send_one_email_and_record_it(profile: UserProfile, standin: Standin) -> None:
    request_password_email(profile, reason="requested")
    request_password_email(profile, reason="requested again")
    jobs.drain()
    (mail,) = standin.inbox(profile.email)
    assert mail["source"] == "keycloak"
    assert mail["links"]
    row = Notification.objects.get()
    assert (row.key, row.state) == (f"keycloak_set_password:{profile.pk}:1", "sent")
    assert AuditEntry.objects.filter(action="password_email_sent", subject_id=profile.pk).count() == 1
    request_password_email(profile, reason="another day")
    jobs.drain()
    assert len(standin.inbox(profile.email)) == 2
    assert Notification.objects.count() == 2


def test_an_email_that_fails_is_tried_again_and_not_recorded_as_sent(profile: UserProfile, standin: Standin) -> None:
    standin.fault("mail_fails")
    request_password_email(profile, reason="requested")
    jobs.drain()
    job = Job.objects.get()
    assert (job.state, job.attempts) == ("queued", 1)
    assert not Notification.objects.exists()
    standin.fault("ok")
    make_due()
    assert Job.objects.get().state == "done"
    assert len(standin.inbox(profile.email)) == 1
    assert Notification.objects.get().state == "sent"


def test_keycloak_down_parks_the_email_without_an_attempt(profile: UserProfile, standin: Standin) -> None:
    standin.fault("http_503")
    request_password_email(profile, reason="requested")
    jobs.drain()
    job = Job.objects.get()
    assert (job.state, job.attempts, job.parked_on) == ("queued", 0, "keycloak")


def test_a_disabled_account_needs_an_operator(profile: UserProfile, keycloak: Identity, standin: Standin) -> None:
    keycloak.update_user(str(profile.keycloak_id), enabled=False)
    request_password_email(profile, reason="requested")
    jobs.drain()
    job = Job.objects.get()
    assert job.state == "blocked"
    assert "User is disabled" in job.last_error
    assert standin.inbox(profile.email) == []


def test_a_subscriber_without_an_account_needs_an_operator(profile: UserProfile) -> None:
    UserProfile.objects.update(keycloak_id=None)
    request_password_email(profile, reason="requested")
    jobs.drain()
    assert Job.objects.get().state == "blocked"
