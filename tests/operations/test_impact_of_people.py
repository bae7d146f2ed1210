"""A product is for fewer people: who would lose access is shown first, and those leave, the newest first."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client

from apps.access import memberships, sharing
from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import clock
from apps.core.models import Job
from apps.operations import impact
from apps.operations.impact import CatalogChange, CatalogImpact
from tests.access.test_sharing import make_member
from tests.console.catalog_pages import confirm, save
from tests.console.conftest import staff as staff
from tests.operations.test_impact import sell

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
DAY = dt.timedelta(days=1)


@pytest.fixture
def plan() -> Product:
    """For three: Pat with Mia, and Ned who joined later; and Sam, who shares it with nobody."""
    wiki = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    made = Product.objects.create(slug="plan", name="Family", placement="plan", people=3)
    made.includes.add(wiki)
    pat = sell(1, (made, "price_plan", 1))
    sell(2, (made, "price_plan", 1))
    for name, ago in (("mia", 9), ("ned", 2)):
        make_member(pat, name, accepted_at=clock.now() - ago * DAY)
    Membership.objects.create(payer=pat, email="ida@example.com", invited_at=clock.now() - 10 * DAY)
    UserProfile.objects.update(access_state="active")
    return made


def who(*names: str) -> list[int]:
    return sorted(UserProfile.objects.filter(user__username__in=names).values_list("pk", flat=True))


def for_people(plan: Product, people: int) -> CatalogImpact:
    """What it would do; nothing is changed."""
    before = entitlements_by_product()
    Product.objects.filter(pk=plan.pk).update(people=people)
    after = entitlements_by_product()
    Product.objects.filter(pk=plan.pk).update(people=plan.people)
    return impact.measure_impact(CatalogChange(before, after))


@pytest.mark.parametrize(
    ("people", "leaving"), [(4, ()), (3, ()), (2, ("ned",)), (1, ("mia", "ned")), (0, ("mia", "ned"))]
)
def test_who_joined_last_would_leave_first_and_no_payer(plan: Product, people: int, leaving: tuple[str, ...]) -> None:
    found = for_people(plan, people)
    assert (list(found.leaving), found.lose, found.gain) == (who(*leaving), len(leaving), 0)


def test_the_rule_invited_first_then_who_joined_always_the_newest() -> None:
    def row(number: int, joined: int | None, invited: int) -> Membership:
        accepted = clock.now() - joined * DAY if joined is not None else None
        return Membership(pk=number, invited_at=clock.now() - invited * DAY, accepted_at=accepted)

    rows = [row(1, 9, 20), row(2, 2, 30), row(3, None, 40), row(4, None, 1), row(5, 5, 6)]
    left = [[one.pk for one in sharing.find_surplus(rows, people)] for people in (7, 6, 5, 4, 3, 2, 1, 0)]
    assert left == [[], [], [4], [3, 4], [2, 3, 4], [5, 2, 3, 4], [1, 5, 2, 3, 4], []]


def test_staff_see_who_leaves_and_confirming_ends_the_memberships(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    shown = save(client, plan, people="2")
    page = shown.content.decode()
    assert "1 person loses access because the subscription" in page
    assert f"/{who('ned')[0]}/change/" in page
    assert not Job.objects.filter(kind=memberships.KIND).exists()
    assert confirm(client, shown).status_code == 302
    (job,) = Job.objects.filter(kind=memberships.KIND)
    memberships.sync_members(job.key)
    open_ones = Membership.objects.filter(ended_at=None).values_list("member__user__username", flat=True)
    assert set(open_ones) == {"mia"}
