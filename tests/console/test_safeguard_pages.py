"""The mass guard as staff see it: the first page's alarm, who would lose access, and an admin's confirmation."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.console import dashboard
from apps.core.errors import NeedsOperator
from apps.core.models import AuditEntry
from apps.operations import sweeps
from apps.operations.models import SafeguardReview
from tests.console.desk import dialog, done, send
from tests.operations.test_safeguard import late
from tests.operations.test_sync_runs import stopped_run

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
SELECTED = "admin:accounts_userprofile_sync_selected"


@pytest.fixture
def question(settings: Any) -> SafeguardReview:
    """New terms would shut out thirty, and the night has stopped."""
    settings.PAYMENT_GRACE_DAYS = 3
    late(30)
    settings.PAYMENT_GRACE_DAYS = 0
    with pytest.raises(NeedsOperator):
        sweeps.reconcile_all("periodic")
    dashboard.forget()
    return SafeguardReview.objects.get()


def test_the_first_page_says_what_was_stopped_and_leads_to_who_they_are(
    question: SafeguardReview, staff: Staff
) -> None:
    client = staff("viewer")
    text = client.get(reverse("admin:index")).content.decode()
    assert "The nightly sweep would take access from 30 of 30 subscribers" in text
    address = reverse("admin:operations_safeguardreview_change", args=[question.pk])
    assert address in text
    shown = client.get(address).content.decode()
    assert "late-0" in shown
    assert "is past_due" in shown
    assert "Approve revocation" not in shown
    assert "Page 1 of" not in shown


def test_only_an_admin_confirms_and_by_typing_how_many(question: SafeguardReview, staff: Staff, settings: Any) -> None:
    settings.TWO_PEOPLE_ABOVE = 30
    assert staff("operator").post(dialog(question, "confirm"), {"confirmation": "30"}).status_code == 403
    admin = staff("admin")
    assert "30 of 30" in admin.get(dialog(question, "confirm")).content.decode()
    assert not done(send(admin, question, "confirm", confirmation="29"))
    assert done(send(admin, question, "confirm", confirmation="30"))
    assert "30 of 30 subscribers" not in admin.get(reverse("admin:index")).content.decode()
    assert not done(send(admin, question, "confirm", confirmation="30"))
    assert AuditEntry.objects.get(action="revocation_approved").subject_kind == "safeguardreview"


def test_a_run_that_was_stopped_says_so_on_its_page(settings: Any, staff: Staff) -> None:
    settings.PAYMENT_GRACE_DAYS = 3
    run = stopped_run(settings)
    text = staff("viewer").get(reverse("admin:operations_syncrun_change", args=[run.pk])).content.decode()
    question = SafeguardReview.objects.get()
    assert "30 would lose access: too many without an approval" in text
    assert reverse("admin:operations_safeguardreview_change", args=[question.pk]) in text
    assert "Held back" in text
    shown = staff("admin").get(reverse(SELECTED), {"people": list(UserProfile.objects.values_list("pk", flat=True))})
    assert "30 would lose access. More than 20 at once need an approval" in shown.content.decode()


def test_the_page_of_a_question_costs_the_same_for_many(question: SafeguardReview, staff: Staff) -> None:
    client, address = staff("viewer"), reverse("admin:operations_safeguardreview_change", args=[question.pk])

    def cost() -> int:
        client.get(address)
        dashboard.forget()
        dashboard.NUMBERS.get()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200
        return len(asked)

    few = cost()
    SafeguardReview.objects.update(profile_ids=[*question.profile_ids, *(one.pk for one in late(300, start=100))])
    assert cost() == few <= 22
    assert "Page 2 of 7" in client.get(f"{address}?p=2").content.decode()
    assert client.get(f"{address}?p=x").status_code == 200
