"""Approvals as staff meet them: a dialog that asks, the list with its badge, the facts that changed, and who may decide."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.access.models import AccessOverride
from apps.billing.models import Subscription
from apps.console import dashboard, menu_counts
from apps.core import clock
from apps.core.errors import NeedsOperator
from apps.core.models import AuditEntry, Job
from apps.operations import sweeps
from apps.operations.models import ApprovalRequest, CustomerImport, Drift, SafeguardReview, SyncRun
from tests.console.conftest import World, log_in_freshly
from tests.console.desk import REASON, dialog, done, send
from tests.operations.test_safeguard import late
from tests.security.url_table import STAFF

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
LIST = "admin:operations_approvalrequest_changelist"


def second(role: str) -> Client:
    """Another member of staff with that role."""
    user, _ = User.objects.get_or_create(username=f"second-{role}", is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    client = Client()
    client.force_login(user)
    log_in_freshly(client)
    return client


@pytest.fixture(autouse=True)
def two_of_each(staff: Staff) -> None:
    """Where somebody else has the right, too, they are asked."""
    staff("viewer")  # makes the roles
    for role in ("support", "operator", "admin"):
        second(role)


def read(client: Client, row: Model) -> str:
    """What the page of a row says."""
    return as_text(client.get(reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])))


def as_text(answer: Any) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode())))


def buttons(client: Client, row: ApprovalRequest) -> set[str]:
    page = client.get(reverse("admin:operations_approvalrequest_change", args=[row.pk])).content.decode()
    return {name for name in ("approve", "decline", "withdraw") if dialog(row, name) in page}


@pytest.fixture
def asked(world: World, staff: Staff) -> ApprovalRequest:
    """Support asks for sixty days more."""
    row = world.profiles[0]
    Subscription.objects.filter(customer_id=row.stripe_customer_id).update(
        status="past_due", past_due_since=clock.now()
    )
    AccessOverride.objects.all().delete()
    ApprovalRequest.objects.all().delete()
    assert "/approvalrequest/" in send(staff("support"), row, "extend_grace", days="60")["HX-Redirect"]
    return ApprovalRequest.objects.get()


def test_support_asks_and_an_operator_approves(asked: ApprovalRequest, world: World, staff: Staff) -> None:
    assert not AccessOverride.objects.exists()
    support, operator = staff("support"), staff("operator")
    assert "another person has to decide" in read(support, asked)
    dashboard.forget()
    menu_counts.COUNTED.forget()
    waiting = as_text(operator.get(reverse("admin:index")))
    assert "Inbox" in waiting
    assert menu_counts.COUNTED.get().approvals_waiting == 1
    assert "Extend grace period" in as_text(operator.get(reverse(LIST), {"view": "waiting"}))
    said = as_text(operator.get(dialog(asked, "approve"), headers={"HX-Request": "true"}))
    assert f"asked by support-ada: {REASON}" in said
    assert "Last day of grace" in said
    assert done(send(operator, asked, "approve", reason="I have read the letter"))
    assert AccessOverride.objects.get().created_by == "staff:support-ada"
    page = read(support, asked)
    assert "operator-ada approved it on" in page
    assert "I have read the letter" in page
    assert "is extended to the end of" in page
    trail = AuditEntry.objects.get(action="override_added")
    assert "staff:operator-ada" in read(operator, trail)


def test_the_buttons_are_for_those_who_may(asked: ApprovalRequest, staff: Staff) -> None:
    found = {role: buttons(staff(role), asked) for role in STAFF[1:]}
    assert found == {
        "viewer": set(), "support": {"withdraw"}, "operator": {"approve", "decline"}, "admin": {"approve", "decline"},
    }  # fmt: skip
    assert buttons(second("support"), asked) == set()
    for client in (staff("support"), second("viewer")):
        assert send(client, asked, "approve").status_code == 403
        assert send(client, asked, "decline").status_code == 403
    assert not done(send(staff("operator"), asked, "withdraw"))
    assert not AccessOverride.objects.exists()
    assert done(send(staff("support"), asked, "withdraw"))
    assert ApprovalRequest.objects.get().state == "withdrawn"
    assert not done(send(staff("operator"), asked, "approve"))
    assert buttons(staff("operator"), asked) == buttons(staff("support"), asked) == set()


def test_a_request_whose_facts_changed_shows_which(asked: ApprovalRequest, staff: Staff) -> None:
    operator = staff("operator")
    assert "The facts have changed" not in read(operator, asked)
    Subscription.objects.update(status="active", past_due_since=None)
    page = read(operator, asked)
    assert "The facts have changed since this was asked" in page
    assert "No payment of this subscriber is late" in page
    refused = send(operator, asked, "approve")
    assert not done(refused)
    assert "No payment of this subscriber is late" in as_text(refused)
    assert ApprovalRequest.objects.get().state == "pending"


def test_the_same_is_asked_for_once(asked: ApprovalRequest, world: World, staff: Staff) -> None:
    again = send(staff("support"), world.profiles[0], "extend_grace", days="30")
    assert "asked for already by support-ada" in as_text(again)
    assert ApprovalRequest.objects.count() == 1


# --- many at once ----------------------------------------------------------------------------------------------------


@pytest.fixture
def question(settings: Any) -> SafeguardReview:
    """The nightly sweep would shut thirty out."""
    settings.PAYMENT_GRACE_DAYS = 3
    late(30)
    settings.PAYMENT_GRACE_DAYS = 0
    with pytest.raises(NeedsOperator):
        sweeps.reconcile_all("periodic")
    return SafeguardReview.objects.get()


def post(client: Client, name: str, query: str = "", **filled: Any) -> Any:
    data = {"_form_submitted": "on", "reason": REASON} | filled
    return client.post(reverse(f"admin:{name}") + query, data, headers={"HX-Request": "true"})


def approve_by_another(role: str) -> None:
    """Who asked cannot; a second person with the same right can."""
    row = ApprovalRequest.objects.get()
    assert row.requested_by == f"staff:{role}-ada"
    assert done(send(second(role), row, "approve")), row


def test_a_loss_for_many_takes_two_admins(question: SafeguardReview, staff: Staff) -> None:
    admin = staff("admin")
    assert "need a second person" in as_text(admin.get(dialog(question, "confirm")))
    assert not done(send(admin, question, "confirm", confirmation="29"))
    assert not ApprovalRequest.objects.exists()
    assert done(send(admin, question, "confirm", confirmation="30"))
    assert SafeguardReview.objects.get().state == "pending"
    assert not Job.objects.filter(kind="reconcile_all").exists()
    row = ApprovalRequest.objects.get()
    assert "30 of 30" in read(admin, row)
    assert send(admin, row, "approve").status_code == 403
    assert send(staff("operator"), row, "approve").status_code == 403
    approve_by_another("admin")
    assert SafeguardReview.objects.get().state == "confirmed"
    assert Job.objects.filter(kind="reconcile_all", key="periodic", state="queued").count() == 1
    assert AuditEntry.objects.get(action="revocation_approved").after["approved_by"] == "staff:second-admin"


def test_a_sync_of_many_that_takes_access_takes_two(staff: Staff, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 3
    people = late(25)
    query = "?" + "&".join(f"people={one.pk}" for one in people)
    name = "accounts_userprofile_sync_selected"
    assert "/syncrun/" in post(staff("support"), name, query)["HX-Redirect"], "nobody loses anything"
    SyncRun.objects.all().delete()
    settings.PAYMENT_GRACE_DAYS = 0
    assert "/approvalrequest/" in post(staff("support"), name, query)["HX-Redirect"]
    assert not SyncRun.objects.exists()
    assert "Would lose access 25" in read(staff("support"), ApprovalRequest.objects.get())
    approve_by_another("support")
    assert SyncRun.objects.get().results.count() == 25


def test_fixing_the_drift_of_many_takes_two(staff: Staff) -> None:
    now = clock.now()
    for one in late(21):
        Drift.objects.create(profile=one, kind="access", first_seen_at=now, last_seen_at=now)
    assert "/approvalrequest/" in post(staff("operator"), "operations_drift_sync_differing")["HX-Redirect"]
    Drift.objects.filter(pk=Drift.objects.earliest("pk").pk).update(resolved_at=now)
    assert not SyncRun.objects.exists()
    approve_by_another("operator")
    run = SyncRun.objects.get()
    assert (run.scope, run.total, run.actor) == ("differing", 21, "staff:operator-ada")


def test_retrying_many_jobs_takes_two(staff: Staff) -> None:
    now = clock.now()
    stuck = {"kind": "reconcile", "state": "dead", "attempts": 4, "not_before": now, "created_at": now}
    made = [Job.objects.create(key=str(n), lane=f"profile:{n}", **stuck) for n in range(22)]
    assert "/approvalrequest/" in post(staff("operator"), "core_job_retry_all")["HX-Redirect"]
    assert Job.objects.filter(state="dead").count() == 22
    Job.objects.filter(pk=made[0].pk).update(state="done", finished_at=now)
    assert "The facts have changed" in read(staff("viewer"), ApprovalRequest.objects.get())
    approve_by_another("operator")
    assert Job.objects.filter(state="queued").count() == 21


def test_retrying_the_many_jobs_of_one_problem_takes_two(staff: Staff) -> None:
    now = clock.now()
    stuck = {
        "kind": "reconcile",
        "state": "dead",
        "attempts": 4,
        "not_before": now,
        "created_at": now,
        "last_error": "Keycloak said no.",
    }
    for n in range(22):
        Job.objects.create(key=str(n), lane=f"profile:{n}", **stuck)
    operator = staff("operator")
    inbox = operator.get(reverse("admin:inbox")).content.decode()
    link = html.unescape(re.search(r'"(/admin/core/attentionitem/retry_group/\?[^"]*)"', inbox)[1])  # type: ignore[index]
    assert "need a second person" in as_text(operator.get(link))
    answer = operator.post(link, {"_form_submitted": "on", "reason": REASON}, headers={"HX-Request": "true"})
    assert "/approvalrequest/" in answer["HX-Redirect"]
    approve_by_another("operator")
    assert Job.objects.filter(state="queued").count() == 22


def test_what_one_may_do_alone_asks_nobody(staff: Staff, settings: Any) -> None:
    settings.TWO_PEOPLE_ABOVE = 21
    now = clock.now()
    for one in late(21):
        Drift.objects.create(profile=one, kind="access", first_seen_at=now, last_seen_at=now)
    assert "/syncrun/" in post(staff("operator"), "operations_drift_sync_differing")["HX-Redirect"]
    assert not ApprovalRequest.objects.exists()


def test_who_is_alone_with_the_right_acts_alone(question: SafeguardReview, staff: Staff) -> None:
    """Else nobody could ever approve what the safeguard stopped in a house with one admin."""
    admin = staff("admin")
    User.objects.filter(is_staff=True).exclude(pk=admin.session["_auth_user_id"]).update(is_active=False)
    link = reverse("admin:operations_safeguardreview_confirm", args=[question.pk])
    assert "need a second person" not in as_text(admin.get(link))
    wish = {"_form_submitted": "on", "reason": REASON, "confirmation": str(len(question.profile_ids))}
    admin.post(link, wish, headers={"HX-Request": "true"})
    question.refresh_from_db()
    assert (question.state, ApprovalRequest.objects.count()) == ("confirmed", 0)


def test_a_paused_import_asks_another_person_to_continue(world: World, staff: Staff, settings: Any) -> None:
    settings.TWO_PEOPLE_ABOVE = 0
    run = CustomerImport.objects.filter(rows__state="planned").earliest("pk")
    CustomerImport.objects.filter(pk=run.pk).update(state="paused", checked_at=clock.now(), ended_at=None)
    run.rows.update(verdict="ready", question="", choices=[])
    ApprovalRequest.objects.all().delete()
    assert "/approvalrequest/" in send(staff("operator"), run, "continue_import")["HX-Redirect"]
    run.refresh_from_db()
    assert run.state == "paused"
    approve_by_another("operator")
    run.refresh_from_db()
    assert run.state == "running"
