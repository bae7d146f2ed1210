"""The four tasks, by their names, as staff see them in the console: failing, tried again, given up, run again, and done."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.console import dashboard
from apps.core import clock, jobs
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from tests.console.desk import REASON, done, send
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


class Trouble:
    """What makes one task fail until it is mended: the peer it needs, or, of what only writes, the table it writes to."""

    def __init__(self, town: World, kind: str) -> None:
        self.town, self.kind = town, kind
        self.template = kind.removeprefix("notify_")

    def begin(self) -> None:
        if self.kind.startswith("notify_"):
            check = f"CHECK (template <> '{self.template}') NOT VALID"
            self.alter(f"ADD CONSTRAINT trouble {check}")
        elif self.kind == "sync_user_post_checkout":
            self.town.fault("keycloak", "http_500", path="/users")
        else:
            self.town.fault("keycloak", "mail_fails")

    def alter(self, how: str) -> None:
        with connection.cursor() as cursor:  # inside the test's transaction, which takes it back
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            cursor.execute(f"ALTER TABLE notifications_notification {how}")

    def end(self) -> None:
        if self.kind.startswith("notify_"):
            self.alter("DROP CONSTRAINT IF EXISTS trouble")
        self.town.fault("keycloak", "ok")


@pytest.fixture(autouse=True)
def _quiet(town: World) -> Iterator[None]:
    yield
    town.fault("keycloak", "ok")


def ask(town: World, kind: str) -> UserProfile:
    """What asks for the task in life; its trouble has begun."""
    if kind == "sync_user_post_checkout":
        profile = town.pay(town.signup("dana"))
        Trouble(town, kind).begin()
        town.deliver()
        return profile
    profile = town.subscriber("dana")
    Subscription.objects.filter(customer_id=profile.stripe_customer_id).update(open_invoice_id="in_1")
    if kind == "notify_subscription_canceled":
        UserProfile.objects.filter(pk=profile.pk).update(access_state="canceled")
    Trouble(town, kind).begin()
    keys = {
        "send_keycloak_password_reset_email": str(profile.pk),
        "notify_subscription_canceled": f"{profile.pk}:{profile.stripe_subscription_id}",
        "notify_payment_failed": f"{profile.pk}:in_1",
    }
    jobs.defer(kind, keys[kind], reason="test")
    town.work()
    return profile


def listed(client: Client, job: Job, state: str) -> bool:
    """Whether the list of jobs in that state names the job."""
    text = client.get(reverse("admin:core_job_changelist"), {"state__exact": state}).content.decode()
    return reverse("admin:core_job_change", args=[job.pk]) in text


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:core_job_change", args=[job.pk])).content.decode()


def it_was_done(profile: UserProfile, kind: str, before: int) -> bool:
    profile.refresh_from_db()
    if kind == "sync_user_post_checkout":
        return profile.synced_at is not None and profile.access_state == "active"
    template = {"send_keycloak_password_reset_email": "keycloak_set_password"}.get(kind, kind.removeprefix("notify_"))
    return Notification.objects.filter(profile=profile, template=template, state="sent").count() == before + 1


@pytest.mark.parametrize(
    "kind",
    [
        "send_keycloak_password_reset_email",
        "sync_user_post_checkout",
        "notify_subscription_canceled",
        "notify_payment_failed",
    ],
)
def test_a_task_is_seen_failing_retrying_dying_and_is_run_again(town: World, staff: Staff, kind: str) -> None:
    client, profile = staff("operator"), ask(town, kind)
    sent = Notification.objects.filter(profile=profile, template="keycloak_set_password", state="sent").count()
    job = Job.objects.exclude(state="done").get(kind=kind)

    waits = []
    for attempt in (1, 2, 3):  # failing, and waiting to be tried again: 30 s, 60 s, 120 s, a fifth more or less
        job.refresh_from_db()
        assert (job.state, job.attempts) == ("queued", attempt)
        waits.append((job.not_before - clock.now()).total_seconds())
        text = page_of(client, job)
        assert job.last_error
        assert job.last_error in text.replace("&#x27;", "'")
        assert text.count(">Tried</span>") == attempt
        assert "Retry" not in actions(client, job)
        assert listed(client, job, "queued")
        town.pass_time(seconds=200)
        town.work()
    assert [abs(wait - due) <= due * 0.2 + 5 for wait, due in zip(waits, (30, 60, 120), strict=True)] == [True] * 3

    job.refresh_from_db()
    assert (job.state, job.attempts) == ("dead", 4)
    assert "Failed" in page_of(client, job)
    assert listed(client, job, "dead")
    dashboard.forget()
    front = client.get(reverse("admin:index")).content.decode()
    stuck = Job.objects.filter(state__in=Job.GIVEN_UP).count()
    assert f'data-rows="{stuck}" href="{reverse("admin:core_job_changelist")}?view=stuck"' in front

    Trouble(town, kind).end()
    assert "Retry" in actions(client, job)
    assert done(send(client, job, "retry_one"))
    town.work()
    job.refresh_from_db()
    again = Job.objects.filter(kind=kind, key=job.key).latest("pk")
    assert (job.state, again.state) == ("superseded", "done")
    assert listed(client, again, "done")
    assert not listed(client, job, "dead")
    assert it_was_done(profile, kind, sent if kind.startswith("send_") else 0)
    line = AuditEntry.objects.get(subject_kind="job", subject_id=str(job.pk), action="job_retried")
    assert (line.actor, line.reason) == ("staff:operator-ada", REASON)


def actions(client: Client, job: Job) -> Any:
    """The titles of what can be done on the job's page."""
    answer = client.get(reverse("admin:core_job_change", args=[job.pk]))
    return [action["title"] for action in answer.context["actions_detail"]]
