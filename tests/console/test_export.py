"""The list as a file: the rows it shows, safe in a spreadsheet, for those who may, with a reason, seldom, and in the audit log."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.console.admin.subscriber_export import HEADINGS
from apps.console.exports import defuse
from apps.core.models import AuditEntry
from tests.console.conftest import World, log_in_freshly

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
ADDRESS, LIST = "admin:accounts_userprofile_export", "admin:accounts_userprofile_changelist"
WHY = {"reason": "The accountant asked for the yearly plans."}


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_the_file_has_the_rows_and_columns_of_the_list_as_it_is_filtered(world: World, staff: Staff) -> None:
    UserProfile.objects.filter(pk=world.profiles[1].pk).update(monthly_amount=1250, monthly_currency="eur")
    User.objects.filter(username="person-1").update(first_name="Zoë", last_name="Öz")
    client, address = staff("operator"), f"{reverse(ADDRESS)}?view=paying&q=person"
    assert (
        f'href="{reverse(ADDRESS)}?view=paying&amp;q=person"'
        in client.get(f"{reverse(LIST)}?view=paying&q=person").content.decode()
    )
    assert "1 subscriber</h2>" in client.get(address).content.decode()
    answer = client.post(address, WHY)
    (row,) = rows_of(answer)
    assert tuple(row) == HEADINGS
    assert (row["Username"], row["First name"], row["Last name"], row["Per month"], row["Currency"]) == (
        "person-1",
        "Zoë",
        "Öz",
        "12.50",
        "EUR",
    )
    assert (row["Pays for"], row["Seats"], row["Flags"]) == ("Family", "cloud-1", "No seat, Override, Drift")
    assert "no-store" in answer["Cache-Control"]
    assert "attachment" in answer["Content-Disposition"]
    assert len(rows_of(client.post(reverse(ADDRESS), WHY))) == 3


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "  =HYPERLINK()"])
def test_no_cell_is_a_formula(cell: str, world: World, staff: Staff) -> None:
    User.objects.filter(username="person-1").update(first_name=cell)
    found = {row["Username"]: row["First name"] for row in rows_of(staff("admin").post(reverse(ADDRESS), WHY))}
    assert found["person-1"] == defuse(cell) == f"'{cell}"
    assert defuse("Jean-Luc") == "Jean-Luc"


def test_who_exported_what_and_why_is_in_the_audit_log_without_the_name_that_was_searched(
    world: World, staff: Staff
) -> None:
    client = staff("operator")
    assert (
        client.post(f"{reverse(ADDRESS)}?view=override&q=person-1@example.com", {"reason": "short"}).status_code == 200
    )
    assert not AuditEntry.objects.filter(action="list_exported").exists()
    client.post(f"{reverse(ADDRESS)}?view=override&q=person-1@example.com", WHY)
    entry = AuditEntry.objects.get(action="list_exported")
    assert (entry.actor, entry.reason) == ("staff:operator-ada", WHY["reason"])
    assert entry.after == {"rows": 1, "searched": True, "filters": "view=override"}


def test_support_is_refused_and_a_stale_login_leads_to_keycloak(world: World, staff: Staff) -> None:
    support = staff("support")
    assert (support.get(reverse(ADDRESS)).status_code, support.post(reverse(ADDRESS), WHY).status_code) == (403, 403)
    assert "Export as CSV" not in support.get(reverse(LIST)).content.decode()
    stale = staff("operator")
    log_in_freshly(stale, minutes=60)
    assert stale.post(reverse(ADDRESS), WHY).status_code == 302
    assert not AuditEntry.objects.filter(action="list_exported").exists()


def test_the_sixth_file_of_a_day_is_refused(world: World, staff: Staff) -> None:
    client = staff("operator")
    answers = [client.post(reverse(ADDRESS), WHY) for _ in range(6)]
    assert ["attachment" in one.get("Content-Disposition", "") for one in answers] == [True] * 5 + [False]
    assert "five lists" in answers[5].content.decode()
    assert AuditEntry.objects.filter(action="list_exported").count() == 5


def test_a_filter_that_does_not_exist_exports_nobody(world: World, staff: Staff) -> None:
    client = staff("operator")
    assert client.post(f"{reverse(ADDRESS)}?view=nobody", WHY).status_code == 302
    assert client.post(f"{reverse(ADDRESS)}?email__contains=a", WHY).status_code == 400
