"""The roles page says what the rights in the database are, who has a role, and which login an action asks for."""

import html
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from apps.access.models import AccessOverride
from apps.core import clock
from apps.login import sessions
from tests.console.conftest import World, log_in_freshly
from tests.console.desk import dialog, send

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
# What takes or gives a person something for long: each asks for a login of the last minutes, a longer list is in url_table.py.
DANGEROUS = {
    ("accounts_userprofile", "hold"), ("accounts_userprofile", "grant"), ("accounts_userprofile", "refund"),
    ("accounts_userprofile", "cancel_now"), ("access_accessoverride", "lift"), ("operations_safeguardreview", "confirm"),
    ("operations_approvalrequest", "approve"), ("instances_seat", "release"), ("core_job", "retry_all"),
}  # fmt: skip


def matrix(client: Client) -> dict[str, tuple[str, ...]]:
    """What the page says of each right: yes or no, for viewer, support, operator and admin."""
    page = client.get(reverse("admin:roles")).content.decode()
    rows = re.findall(r"<tr><td[^>]*><b>(.*?)</b>.*?</td>((?:<td>.*?</td>){4})</tr>", page, re.DOTALL)
    return {html.unescape(name): tuple(re.findall(r"Yes|No", cells)) for name, cells in rows}


def test_the_matrix_is_what_the_groups_may_do(world: World, staff: Staff) -> None:
    found = matrix(staff("viewer"))
    assert found["Refund payments"] == ("No", "No", "Yes", "Yes")
    assert found["Sync a subscriber now"] == ("No", "Yes", "Yes", "Yes")
    assert found["Approve what the safeguard stopped"] == ("No", "No", "No", "Yes")
    rights = Permission.objects.filter(group__name="admin").exclude(group__name="viewer")
    assert len(found) == rights.distinct().count() > 20
    refund = Permission.objects.get(codename="refund_payment")
    Group.objects.get(name="support").permissions.add(refund)
    assert matrix(staff("viewer"))["Refund payments"] == ("No", "Yes", "Yes", "Yes")


def test_it_says_who_has_a_role_which_group_gives_it_and_what_two_people_do(world: World, staff: Staff) -> None:
    viewer, _ = staff("viewer"), staff("operator")
    User.objects.filter(username="operator-ada").update(last_login=clock.now())
    User.objects.create(username="gone", is_staff=False).groups.set([Group.objects.get(name="operator")])
    page = html.unescape(viewer.get(reverse("admin:roles")).content.decode())
    assert "/staff/operator" in page
    assert "operator-ada" in page
    assert "last login" in page
    assert ">gone<" not in page
    assert "Approves when asked: Extend grace period, Fix all drift" in page
    assert "Hold*" in page
    assert "Sync now, Sync selected*" in page
    assert staff("").get(reverse("admin:roles")).status_code == 403


@pytest.mark.parametrize(("page", "action"), sorted(DANGEROUS))
def test_what_is_dangerous_asks_for_a_login_of_the_last_minutes(
    page: str, action: str, world: World, staff: Staff
) -> None:
    model: Any = apps.get_model(*page.split("_", 1))
    assert getattr(admin.site._registry[model], action).__wrapped__.fresh


def test_an_old_login_holds_nobody(world: World, staff: Staff) -> None:
    operator, profile = staff("operator"), world.profiles[0]
    log_in_freshly(operator, minutes=6)
    session = operator.session
    session[sessions.CHECKED] = time.time()
    session.save()
    assert "as=fresh" in send(operator, profile, "hold", confirmation="person-0")["HX-Redirect"]
    assert not AccessOverride.objects.filter(kind="hold").exists()
    assert operator.get(dialog(profile, "hold")).status_code == 200
