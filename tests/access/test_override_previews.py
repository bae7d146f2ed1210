"""Staff see what an override would do before they make it; support extends a grace period within limits."""

import datetime as dt
import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from apps.access import overrides
from apps.access.facts import read_facts
from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.accounts.roles import sync_staff_permissions
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from tests.access.people import late, open_for
from tests.console.conftest import log_in_freshly
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
DAY = dt.timedelta(days=1)
WHY = "She called and will pay on Friday"


@pytest.fixture
def support() -> Client:
    return someone("support")


def someone(role: str) -> Client:
    """A member of staff with that role, freshly logged in."""
    sync_staff_permissions()
    user = User.objects.create(username=f"{role}-ada", is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    client = Client()
    client.force_login(user)
    log_in_freshly(client)
    return client


def ask(client: Client, profile: UserProfile, action: str, query: str = "") -> str:
    """What the dialog, or a part of it, says."""
    address = reverse(f"admin:accounts_userprofile_{action}", args=[profile.pk])
    answer = client.get(address + query, headers={"HX-Request": "true"})
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode())))


def send(client: Client, profile: UserProfile, action: str, **filled: Any) -> Any:
    address = reverse(f"admin:accounts_userprofile_{action}", args=[profile.pk])
    return client.post(address, {"_form_submitted": "true", "reason": WHY} | filled, headers={"HX-Request": "true"})


def rows() -> tuple[int, int, int]:
    return (
        AccessOverride.objects.count(),
        Job.objects.count(),
        AuditEntry.objects.exclude(action="person_viewed").count(),
    )


def test_support_extends_the_grace_of_a_late_payment_and_sees_the_plan_first(world: World, support: Client) -> None:
    dana = late(world)
    assert world.state(dana).access == "suspended"
    before = rows()
    said = ask(support, dana, "extend_grace")
    assert "Assign a seat on nextcloud." in said
    assert "Enable the account" in said
    last = (clock.now() + 7 * DAY).date()
    assert f"{last.day} {last:%B %Y} (7 more days)" in said
    assert rows() == before, "a dialog that is opened changes nothing"

    answer = send(support, dana, "extend_grace", days="7")
    assert answer["HX-Redirect"]
    world.work()
    state = world.state(dana)
    assert (state.access, open_for(state)) == ("grace", True)
    made = AccessOverride.objects.get()
    assert (made.kind, made.ends_at, made.created_by) == (
        "no_suspend", dt.datetime.combine(last + DAY, dt.time(), dt.UTC), "staff:support-ada",
    )  # fmt: skip
    assert AuditEntry.objects.get(action="override_added").reason == WHY


def test_alone_once_a_month_and_no_longer_than_two_weeks(world: World, support: Client) -> None:
    dana = late(world)
    assert "(60 more days) – needs approval" in ask(support, dana, "extend_grace")
    assert "Select a valid choice" in send(support, dana, "extend_grace", days="61").content.decode()
    for days, refusal in ((15, "More than 14 days need an operator's approval"), (61, "Choose 1 to 60 days")):
        with pytest.raises(BadInput, match=refusal):
            overrides.extend_grace(profile=dana, days=days, actor="staff:ada", reason=WHY)
    assert send(support, dana, "extend_grace", days="60")["HX-Redirect"].startswith(
        "/admin/operations/approvalrequest/"
    )
    assert not AccessOverride.objects.exists(), "it is only asked for"
    answer = send(support, dana, "extend_grace", days="14")
    assert answer["HX-Redirect"] == reverse("admin:accounts_userprofile_change", args=[dana.pk])
    world.work()
    world.pass_time(days=20)
    world.work()
    assert "It was extended on" in ask(support, dana, "extend_grace")
    assert "/approvalrequest/" in send(support, dana, "extend_grace", days="3")["HX-Redirect"]
    assert AccessOverride.objects.count() == 1
    assert send(support, dana, "no_suspend", until="2999-01-01").status_code == 403
    world.pass_time(days=11)
    assert "/userprofile/" in send(support, dana, "extend_grace", days="3")["HX-Redirect"]


def test_there_is_no_grace_where_no_payment_is_late(world: World, support: Client) -> None:
    dana = world.subscriber("dana")
    assert "No payment of this subscriber is late" in send(support, dana, "extend_grace", days="3").content.decode()
    assert not AccessOverride.objects.exists()


def test_it_counts_from_the_end_of_grace(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    dana = late(world)
    dana.refresh_from_db()
    ends = dana.access_until
    assert ends is not None
    assert overrides.extended_grace(read_facts(dana), days=3).date() == (ends + 4 * DAY).date()


def test_each_override_shows_what_it_would_do(world: World) -> None:
    dana, operator = world.subscriber("dana"), someone("operator")
    before = rows()
    held = ask(operator, dana, "hold")
    assert "Disable the account" in held
    assert "Keep the seat on nextcloud, without access." in held
    assert "In sync: no changes needed." in ask(operator, dana, "no_suspend")

    vault = Product.objects.get(slug="vaultwarden")
    assert "Choose what to give." in ask(operator, dana, "grant")
    chosen = ask(operator, dana, "grant_plan", f"?products={vault.pk}&products=x&products=99999999999999")
    assert "Others pay €2 a month for this." in chosen
    assert "Assign a seat on vaultwarden." in chosen
    assert "Choose what to give." in ask(operator, dana, "grant_plan", "?products=")
    assert rows() == before


def test_ending_one_shows_what_is_lost(world: World) -> None:
    dana, operator = late(world), someone("operator")
    until = clock.now() + 5 * DAY
    made = overrides.no_suspend(profile=dana, until=until, actor="staff:ada", reason=WHY)
    world.work()
    said = operator.get(
        reverse("admin:access_accessoverride_lift", args=[made.pk]), headers={"HX-Request": "true"}
    ).content.decode()
    assert "Disable the account" in said
    assert "Keep the seat on nextcloud" in said


def test_a_plan_that_cannot_be_made_does_not_stop_the_work(world: World, support: Client) -> None:
    dana = late(world)
    world.fault("keycloak", "http_503")
    assert "The plan cannot be shown now." in ask(support, dana, "extend_grace")
    assert send(support, dana, "extend_grace", days="3")["HX-Redirect"]
    world.fault("keycloak", "ok")
