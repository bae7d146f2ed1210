"""One person, the same name and address everywhere: at Stripe after a correction, and in both spellings of a domain."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.operations import drift
from apps.operations.models import Drift
from tests.console.desk import done, send
from tests.field.test_account_refused import ANN, refused
from tests.world import World

Staff = Callable[..., Client]
BY = {"actor": "staff:sam", "reason": "seen in the list of differences"}
STORED, SHOWN = "anna@xn--mller-kva.de", "anna@müller.de"


def at_stripe(world: World, profile: UserProfile) -> tuple[str | None, str | None]:
    found = world.shop.v1.customers.retrieve(profile.stripe_customer_id or "")
    return found.name, found.email


def keycloak_email(world: World, profile: UserProfile, email: str) -> None:
    """Somebody changes it in Keycloak, and the comparison runs."""
    given = world.account(profile) | {"email": email, "emailVerified": True}
    assert world.admin("PUT", f"/users/{profile.keycloak_id}", json=given).status_code == 204
    drift.compare_subscriber(profile)


# --- Stripe's customer follows ------------------------------------------------------------------------------------------


def test_a_correction_reaches_stripe_once(world: World, staff: Staff) -> None:
    anna = refused(world, last_name="SMITH/DUPONT")
    world.fault("stripe", "down")
    answers = ANN | {"last_name": "Smith Dupont", "email": "ann@example.net"}
    assert done(send(staff("support"), anna, "correct_account", **answers))
    world.work()
    assert world.jobs() != []
    world.fault("stripe", "ok")
    world.retry()
    world.deliver()
    assert at_stripe(world, anna) == ("Ann Smith Dupont", "ann@example.net")
    world.requests.clear()
    customers.update_customer(str(anna.pk))
    assert [method for method, *_ in world.requests] == ["GET"]
    assert world.jobs() == []


def test_what_somebody_wrote_at_stripe_stays(world: World, staff: Staff) -> None:
    anna = refused(world, last_name="SMITH/DUPONT")
    world.shop.v1.customers.update(anna.stripe_customer_id or "", {"email": "books@example.org"})
    world.deliver()
    assert done(send(staff("support"), anna, "correct_account", **ANN | {"email": "ann@example.net"}))
    world.deliver()
    assert at_stripe(world, anna) == ("Ann Lee", "books@example.org")


def test_an_address_taken_over_from_keycloak_reaches_stripe_too(world: World) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    keycloak_email(world, dana, "dana@elsewhere.example")
    drift.fix_drift(Drift.objects.get(kind="email"), **BY)
    world.deliver()
    assert at_stripe(world, dana) == ("Dana Example", "dana@elsewhere.example")
    assert at_stripe(world, eve) == ("Eve Example", "eve@example.com")


# --- international domains -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", [SHOWN, STORED, "ANNA@MÜLLER.DE"])
def test_the_two_spellings_of_a_domain_are_no_drift(world: World, theirs: str) -> None:
    anna = world.subscriber("anna")
    UserProfile.objects.filter(pk=anna.pk).update(email=STORED)
    anna.refresh_from_db()
    keycloak_email(world, anna, theirs)
    assert not Drift.objects.exists()


def test_drift_with_such_a_domain_is_stored_in_one_and_shown_in_the_other(world: World, staff: Staff) -> None:
    anna = world.subscriber("anna")
    keycloak_email(world, anna, SHOWN)
    found = Drift.objects.get(kind="email")
    assert (found.keycloak_value, SHOWN in found.steps[0]) == (STORED, True)
    page = staff("support").get(reverse("admin:operations_drift_change", args=[found.pk])).content.decode()
    assert SHOWN in page
    assert STORED not in page
    assert SHOWN in drift.fix_drift(found, **BY)
    anna.refresh_from_db()
    assert (anna.email, drift.compare_subscriber(anna)) == (STORED, [])


@pytest.mark.parametrize("term", [SHOWN, STORED, "müller.de", "xn--mller-kva.de", "müller", "Anna@Müller.de"])
@pytest.mark.parametrize("stored", [SHOWN, STORED])
def test_staff_find_both_spellings(world: World, staff: Staff, stored: str, term: str) -> None:
    """Rows from an import may have either."""
    anna, _ = world.subscriber("anna"), world.subscriber("dana")
    UserProfile.objects.filter(pk=anna.pk).update(email=stored)
    answer: Any = staff("support").get(reverse("admin:accounts_userprofile_changelist"), {"q": term})
    assert [row.pk for row in answer.context["cl"].result_list] == [anna.pk]
