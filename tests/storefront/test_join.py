"""The link of an invitation: a new account, one that is there already, and links that lead nowhere any more."""

import datetime as dt

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.models import Job
from apps.onboarding import people
from tests.dashboard.conftest import Catalog, person, subscribe
from tests.dashboard.conftest import catalog as catalog

pytestmark = pytest.mark.django_db
FORM = {"first_name": "Mia", "last_name": "", "username": "mia", "terms": "1"}


@pytest.fixture
def row(catalog: Catalog) -> Membership:
    """Pat pays for two, and has invited Mia."""
    Product.objects.filter(pk=catalog.plan.pk).update(people=2)
    payer = person("pat")
    subscribe(payer, catalog.plan)
    return Membership.objects.create(payer=payer, email="mia@example.com", invited_at=clock.now())


def path(row: Membership) -> str:
    return people.invitation_link(row).removeprefix(settings.BASE_URL)


def test_a_new_person_joins_with_an_account_of_her_own(row: Membership) -> None:
    client = Client()
    page = client.get(path(row)).content.decode()
    assert "<bdi>Pat</bdi> invites you" in page
    assert not Membership.objects.exclude(accepted_at=None).exists()  # reading changes nothing
    assert client.post(path(row), FORM).status_code == 302
    mia = UserProfile.objects.get(user__username="mia")
    row.refresh_from_db()
    assert (mia.email, mia.stripe_customer_id, mia.membership) == ("mia@example.com", None, row)
    assert (row.member, row.terms_version) == (mia, settings.TERMS_VERSION)
    assert Job.objects.filter(kind="sync_user_post_checkout", key=str(mia.pk)).exists()
    assert "ve joined" in client.get(path(row)).content.decode()
    assert UserProfile.customers().filter(pk=mia.pk).exists()  # nobody signs up with her address again


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"first_name": ""}, "enter your name"),
        ({"username": "x"}, "username"),
        ({"username": "PAT"}, "taken"),
        ({"terms": ""}, "accept the terms"),
        ({"terms": "0"}, "Our terms have changed"),
    ],
)
def test_what_is_wrong_stays_beside_its_field(row: Membership, changed: dict[str, str], told: str) -> None:
    answer = Client().post(path(row), FORM | changed)
    assert answer.status_code in {400, 409}
    assert told in answer.content.decode()
    assert 'value="Mia"' in answer.content.decode() or "first_name" in changed
    assert not UserProfile.objects.filter(email="mia@example.com").exists()


def test_who_has_an_account_logs_in_first_and_then_joins(row: Membership) -> None:
    mia = person("mia", stripe_customer_id=None)
    client = Client()
    assert "has an account already" in client.get(path(row)).content.decode()
    assert client.post(path(row), FORM).status_code == 200
    client.force_login(mia.user)
    assert client.post(path(row), {"terms": "1"}).status_code == 302
    row.refresh_from_db()
    assert row.member == mia


def test_nobody_joins_twice_or_their_own_subscription(row: Membership) -> None:
    client = Client()
    client.force_login(row.payer.user)
    answer = client.post(path(row), {"terms": "1"})
    assert (answer.status_code, "your own subscription" in answer.content.decode()) == (409, True)
    ned = person("ned", stripe_customer_id=None)
    people.join(row, ned, terms_version="1")
    assert Client().post(path(row), FORM).status_code == 200  # it says that it has been used
    assert Membership.objects.filter(accepted_at__isnull=False).count() == 1


def test_links_that_lead_nowhere_any_more(row: Membership) -> None:
    link = path(row)
    assert Client().get("/onboarding/join/x/").status_code == 404
    assert Client().post(link.replace(":", "x"), FORM).status_code == 404
    Membership.objects.filter(pk=row.pk).update(invited_at=row.invited_at + dt.timedelta(seconds=5))
    assert Client().get(link).status_code == 410
    row.refresh_from_db()
    Membership.objects.filter(pk=row.pk).update(invited_at=clock.now() - dt.timedelta(days=15))
    row.refresh_from_db()
    assert Client().post(path(row), FORM).status_code == 410
    assert not UserProfile.objects.filter(email="mia@example.com").exists()


def test_a_full_plan_makes_no_account(row: Membership) -> None:
    other = Membership.objects.create(payer=row.payer, email="ned@example.com", invited_at=clock.now())
    people.join(other, person("ned", stripe_customer_id=None), terms_version="1")
    answer = Client().post(path(row), FORM)
    assert answer.status_code == 409
    assert "no room for more people" in answer.content.decode()
    assert not UserProfile.objects.filter(email="mia@example.com").exists()
