"""The report on coupons: terms, who uses each and until when, and what was given off, also after a coupon is deleted at Stripe."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing import coupon_check, coupons
from apps.billing.ledger import Ledger
from apps.billing.models import Coupon, Discount
from apps.billing.stripe_client import MissingAtStripe, MissingRight
from apps.core.dates import day
from apps.core.errors import DependencyDown, RetryLater, WorkError
from apps.operations import report_figures
from tests.console.test_billing_tab import tab
from tests.console.test_reports import in_dollars, read
from tests.dashboard.conftest import person
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


def make(town: World, key: str, **terms: Any) -> str:
    made: Any = town.shop.v1.coupons.create({"id": key, **terms})  # type: ignore[typeddict-item]
    return str(made.id)


def use(town: World, name: str, coupon: str) -> UserProfile:
    """Somebody whose subscription begins again, with a coupon."""
    person = town.subscriber(name)
    town.shop.v1.subscriptions.cancel(person.stripe_subscription_id or "")
    method = town.shop.v1.payment_methods.list({"customer": person.stripe_customer_id or ""}).data[0].id
    wish: Any = {"default_payment_method": method, "discounts": [{"coupon": coupon}]}
    town.shop.subscribe(person.stripe_customer_id or "", town.price("personal"), **wish)
    return person


def lines(client: Client, **asked: str) -> dict[str, tuple[str, ...]]:
    report_figures.record()
    return read(client, "coupons", **asked).get("Coupons", {})


def users(client: Client, coupon: str) -> list[str]:
    """Who is in the list that the report links to, which says how many they are."""
    table = client.get(reverse("admin:report_coupons")).context["report"].tables[0]
    cell = next(line.cells[1] for line in table.lines if line.name.startswith(coupon))
    found = client.get(cell.url).context["cl"]
    assert found.result_count == cell.rows
    return sorted(row.user.username for row in found.result_list)


def test_terms_users_and_what_was_given_off_in_each_currency(town: World, staff: Staff) -> None:
    make(town, "half", name="Half price", percent_off=50, duration="forever")
    make(town, "two", name="Welcome", amount_off=200, currency="eur", duration="once")
    make(town, "spring", percent_off=12.5, duration="repeating", duration_in_months=2)
    dana, fred = use(town, "dana", "half"), use(town, "fred", "spring")
    use(town, "emil", "two")
    in_dollars(town, "personal")
    use(town, "gina", "half")
    town.subscriber("hugo")
    town.deliver()
    client = staff("admin")
    last = Discount.objects.get(profile=fred).ends_at
    assert lines(client) == {
        "Half price": ("50 % for ever", "2", "no end", "€2.50 + $3.50"),
        "spring": ("12.5 % for 2 months", "1", f"{day(last)} at the latest", "€0.62"),
        "Welcome": ("€2 once", "0", "–", "€2"),
    }
    assert users(client, "Half price") == ["dana", "gina"]
    assert users(client, "Welcome") == []
    assert "Half price: 50 % for ever" in tab(client, dana)
    assert f"spring: 12.5 % for 2 months, until {day(last)}" in tab(client, fred)
    by_month = read(client, "coupons", period="12_months")["EUR given off by month"]
    assert by_month["Total"] == ("€2.50", "€0.62", "€2", "€5.12")
    file = client.post(reverse("admin:report_coupons_export"), {"reason": "The accountant asked for it."})
    assert '"Half price","half","2.50"' in file.content.decode()


def test_a_coupon_that_is_deleted_stays_for_who_uses_it_until_it_is_taken_away(town: World, staff: Staff) -> None:
    make(town, "half", name="Half price", percent_off=50, duration="forever")
    dana, client = use(town, "dana", "half"), staff("admin")
    town.deliver()
    town.shop.v1.coupons.delete("half")
    coupon_check.check_coupons()
    town.pass_time(days=32)
    town.deliver()
    assert lines(client, period="12_months") == {
        "Half price, deleted at Stripe": ("50 % for ever", "1", "no end", "€5")
    }
    dana.refresh_from_db()
    town.shop.v1.subscriptions.delete_discount(dana.stripe_subscription_id or "")
    town.deliver()
    assert lines(client, period="12_months")["Half price, deleted at Stripe"][1:3] == ("0", "–")
    assert "Half price" not in tab(client, dana)


def test_a_coupon_that_was_deleted_before_it_was_seen_has_its_id(town: World, staff: Staff) -> None:
    make(town, "flash", percent_off=50, duration="forever")
    use(town, "dana", "flash")
    town.shop.v1.coupons.delete("flash")
    town.deliver()
    assert lines(staff("admin")) == {"flash, deleted at Stripe": ("not known", "1", "no end", "€2.50")}


def test_what_the_key_may_not_read_stops_nothing_and_is_asked_for_once_it_may(town: World, staff: Staff) -> None:
    make(town, "half", name="Half price", percent_off=50, duration="forever")
    town.shop.control("settings", missing_rights=["coupon_read"])
    dana, client = use(town, "dana", "half"), staff("admin")
    town.deliver()
    assert (town.state(dana).access, town.jobs(), Discount.objects.exists()) == ("active", [], False)
    assert lines(client) == {"Not known": ("–", "0", "–", "€2.50")}
    town.shop.control("settings", missing_rights=[])
    coupon_check.check_coupons()
    town.work()
    assert lines(client) == {"Half price": ("50 % for ever", "1", "no end", "€2.50")}
    town.requests.clear()
    coupon_check.check_coupons()
    assert [one for one in town.requests if "subscriptions" in str(one)] == []


@pytest.mark.parametrize(
    ("problem", "calls"),
    [
        (DependencyDown("stripe", "Stripe does not answer."), 1),
        (RetryLater("Stripe asks us to slow down."), 1),
        (MissingRight("rak_coupon_read"), 1),
        (MissingAtStripe("No such subscription.", param="id"), 3),
    ],
)
def test_a_stripe_that_is_away_is_asked_once_and_not_for_each_row(
    problem: WorkError, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call waits for its time to run out, three times: twenty of them held a worker for ten minutes."""
    asked: list[str] = []

    def fetch(_kind: str, parent: str) -> dict[str, Any]:
        asked.append(parent)
        raise problem

    monkeypatch.setattr(coupons, "_fetch", fetch)
    running: Any = [{"id": f"sub_{one}", "status": "active", "discounts": [f"di_{one}"]} for one in range(3)]
    coupons.note_discounts(person("dana"), {"id": "cus_dana"}, running, Ledger())
    assert len(asked) == calls


def test_a_discount_of_the_whole_customer_ends_with_it_and_new_names_are_taken_over(town: World, staff: Staff) -> None:
    make(town, "loyal", name="Loyal", percent_off=10, duration="forever")
    dana, client = town.subscriber("dana"), staff("admin")
    customer = dana.stripe_customer_id or ""
    discount = {
        "id": "di_loyal", "object": "discount", "source": {"type": "coupon", "coupon": "loyal"}, "customer": customer,
        "subscription": None, "start": 1700000000, "end": None,
    }  # fmt: skip
    town.shop.control("edit", kind="customer", id=customer, fields={"discount": discount})
    town.shop.v1.customers.update(customer, {"description": "loyal"})
    town.deliver()
    assert lines(client) == {"Loyal": ("10 % for ever", "1", "no end", "–")}
    town.shop.control("edit", kind="coupon", id="loyal", fields={"name": "Old friends"})
    coupon_check.check_coupons()
    assert users(client, "Old friends") == ["dana"]
    town.shop.control("edit", kind="customer", id=customer, fields={"discount": None})
    town.shop.v1.customers.update(customer, {"description": "gone"})
    town.deliver()
    coupon_check.check_coupons()
    assert lines(client) == {}
    assert Coupon.objects.get().name == "Old friends"


def test_two_coupons_of_one_name_are_told_apart(town: World, staff: Staff) -> None:
    for key in ("a", "b"):
        make(town, key, name="Spring", percent_off=50, duration="forever")
        use(town, f"user-{key}", key)
    town.deliver()
    assert set(lines(staff("admin"))) == {"Spring (a)", "Spring (b)"}
