"""The page of the laws: what holds, what breaks the others, since when, and checking all of them now."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from apps.core import jobs, law_checks, laws
from apps.core.laws import LawResult
from apps.core.models import AuditEntry, LawCheck
from apps.instances.models import Instance
from tests.console.conftest import World
from tests.console.desk import done

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
LIST, CHECK_NOW = "admin:core_lawcheck_changelist", "admin:core_lawcheck_check_now"


@pytest.fixture(autouse=True)
def _nothing_checked(world: World) -> None:
    LawCheck.objects.all().delete()


def read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def check(number: str) -> LawResult:
    (found,) = laws.run([number])
    law_checks.keep(found)
    return found


def test_every_law_is_there_in_words_before_the_first_check(world: World, staff: Staff) -> None:
    text = read(staff("viewer"), reverse(LIST))
    assert text.count("Not checked yet") == len(laws.all_laws())
    assert all(escape(law.title) in text for law in laws.all_laws())
    assert "Check now" not in text, "a viewer may not ask for work"


def test_a_violation_leads_to_what_breaks_the_law_and_stays_to_be_seen_when_it_ended(
    world: World, staff: Staff
) -> None:
    client, seat = staff("viewer"), world.seats[0]
    Instance.objects.filter(pk=seat.instance_id).update(allocated_seats=7)
    check("L8")
    check("L9")
    row = LawCheck.objects.get(law="L8")
    page = reverse("admin:core_lawcheck_change", args=[row.pk])
    first = read(client, reverse(LIST))
    assert (
        f'Of {len(laws.all_laws())} laws, 1 holds, 1 is violated (<a class="fd-link" href="{page}">L8</a>) and' in first
    )
    text = read(client, page)
    assert reverse("admin:instances_instance_change", args=[seat.instance_id]) in text
    assert "counts 7 seats" in text
    Instance.objects.filter(pk=seat.instance_id).update(allocated_seats=1)
    check("L8")
    assert LawCheck.objects.filter(law="L8").count() == 2
    assert f"{row.checked_at:%Y}" in read(client, reverse(LIST))
    assert "counts 7 seats" in read(client, page)


def test_a_violation_about_a_subscriber_names_them_by_a_link(world: World, staff: Staff) -> None:
    profile = world.profiles[0]
    type(profile).objects.filter(pk=profile.pk).update(keycloak_id=None)
    check("L7")
    text = read(staff("support"), reverse("admin:core_lawcheck_change", args=[LawCheck.objects.get(law="L7").pk]))
    assert f'href="{reverse("admin:accounts_userprofile_change", args=[profile.pk])}">{profile}</a>' in text


def test_staff_can_have_them_checked_now_and_see_how_far_it_is(world: World, staff: Staff) -> None:
    client = staff("operator")
    filled = {"_form_submitted": "on", "reason": "after the repair"}
    assert done(client.post(reverse(CHECK_NOW), filled, headers={"HX-Request": "true"}))
    assert f"0 of {len(laws.all_laws())} laws are checked" in read(client, reverse(LIST))
    entry = AuditEntry.objects.get(action="law_check_requested")
    assert (entry.actor, entry.reason) == ("staff:operator-ada", "after the repair")
    jobs.drain()
    text = read(client, reverse(LIST))
    assert "laws are checked" not in text
    assert "Not checked yet" not in text
