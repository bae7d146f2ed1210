"""Changing what is sold shows first whom it touches, and is done only when that was seen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.console import dashboard
from apps.core.models import AuditEntry, Job
from tests.console.catalog_pages import REASON, confirm, page_of, save, shown
from tests.operations.test_impact import sell

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


@pytest.fixture
def shop() -> dict[str, Product]:
    """A plan with an app and storage, which three people hold; and one who holds another plan."""
    wiki = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    plan = Product.objects.create(slug="plan", name="Family", placement="plan", grants={"storage_gb": 100})
    plan.includes.add(wiki)
    other = Product.objects.create(slug="other", name="Other", placement="plan", grants={"storage_gb": 5})
    ProductPrice.objects.create(product=plan, stripe_price_id="price_plan", interval="month", unit_amount=500)
    for number in range(3):
        sell(number, (plan, "price_plan", 1))
    sell(9, (other, "price_other", 1))
    return {"wiki": wiki, "plan": plan, "other": other}


def looked_at() -> set[str]:
    found = Job.objects.filter(kind="reconcile", state="queued").values_list("key", flat=True)
    names = dict(UserProfile.objects.values_list("pk", "user__username"))
    return {names[int(key)] for key in found}


def entries(kind: str = "product") -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(subject_kind=kind).order_by("id"))


def test_texts_of_the_pricing_page_are_saved_at_once(shop: dict[str, Product], staff: Staff) -> None:
    answer = save(staff("admin"), shop["plan"], summary="For all of you", features="Files\nCalendar", highlighted="on")
    assert answer.status_code == 302
    shop["plan"].refresh_from_db()
    assert (shop["plan"].summary, shop["plan"].features) == ("For all of you", ["Files", "Calendar"])
    (entry,) = entries()
    assert (entry.action, entry.actor, entry.reason) == ("product_changed", "staff:admin-ada", REASON)
    assert entry.before == {"summary": "", "features": [], "highlighted": False}
    assert entry.after == {"summary": "For all of you", "features": ["Files", "Calendar"], "highlighted": True}
    assert looked_at() == set()


def test_taking_an_app_out_of_a_plan_shows_how_many_lose_it_and_saves_nothing(
    shop: dict[str, Product], staff: Staff
) -> None:
    answer = save(staff("admin"), shop["plan"], includes=[])
    assert answer.status_code == 200
    found = answer.context["found"]
    assert (len(found.holders), found.gain, found.lose, found.apps[0].lose) == (3, 0, 3, 3)
    text = answer.content.decode()
    for part in ("Nothing has been saved yet", "3 people hold", "Wiki", "Save and take it from 3", REASON):
        assert part in text
    assert list(shop["plan"].includes.all()) == [shop["wiki"]]
    assert (entries(), looked_at()) == ([], set())


def test_confirming_saves_and_looks_at_exactly_the_holders(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    answer = confirm(client, save(client, shop["plan"], includes=[]), reason="Said again on the preview")
    assert answer.status_code == 302
    assert not shop["plan"].includes.exists()
    (entry,) = entries()
    assert entry.reason == "Said again on the preview"
    assert (entry.before, entry.after) == ({"includes": ["wiki"]}, {"includes": [], "holders": 3})
    assert looked_at() == {"person-0", "person-1", "person-2"}


def test_changing_an_app_touches_those_who_hold_a_plan_with_it(shop: dict[str, Product], staff: Staff) -> None:
    answer = save(staff("admin"), shop["wiki"], is_app=None)
    assert (len(answer.context["found"].holders), answer.context["found"].lose) == (3, 3)


def test_a_number_that_grows_is_shown_as_a_gain_in_numbers(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    answer = save(client, shop["plan"], grants_name=["storage_gb", "members"], grants_amount=["200", "0"])
    found = answer.context["found"]
    assert (found.gain, found.lose, [line.name for line in found.numbers]) == (3, 0, ["storage_gb"])
    assert b"Confirm and save" in answer.content
    assert confirm(client, answer).status_code == 302


def test_who_confirms_what_has_changed_meanwhile_is_shown_it_again(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    preview = save(client, shop["plan"], includes=[])
    Product.objects.filter(pk=shop["plan"].pk).update(name="Family and friends")
    again = confirm(client, preview)
    assert again.status_code == 200
    assert "Somebody else changed this in the meantime" in again.context["problem"]
    assert ("Name", "Family and friends", "Family") in again.context["changes"]
    assert (shop["plan"].includes.count(), entries(), looked_at()) == (1, [], set())
    assert confirm(client, again).status_code == 302
    assert not shop["plan"].includes.exists()


def test_another_product_that_changes_meanwhile_shows_the_preview_again(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    preview = save(client, shop["plan"], includes=[])
    Product.objects.filter(pk=shop["wiki"].pk).update(needs_instance=True)
    assert "meantime" in confirm(client, preview).context["problem"]


def test_a_form_opened_before_somebody_elses_save_is_shown_instead_of_saved(
    shop: dict[str, Product], staff: Staff
) -> None:
    client = staff("admin")
    mine = shown(client, shop["plan"])
    assert save(client, shop["plan"], summary="Theirs").status_code == 302
    answer = client.post(page_of(shop["plan"]), mine | {"name": "Mine"})
    assert "Somebody else changed this in the meantime" in answer.context["problem"]
    shop["plan"].refresh_from_db()
    assert (shop["plan"].name, shop["plan"].summary) == ("Family", "Theirs")


def test_taking_from_many_needs_the_slug_typed(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    for number in range(20, 40):
        sell(number, (shop["plan"], "price_plan", 1))
    preview = save(client, shop["plan"], includes=[])
    assert preview.context["found"].many
    assert "Type “plan” to confirm" in preview.content.decode()
    for typed in ({}, {"typed": "Family"}, {"typed": ""}):
        refused = confirm(client, preview, **typed)
        assert refused.context["problem"] == "To take something from 23 people, type “plan”."
        assert (shop["plan"].includes.count(), entries()) == (1, [])
    assert confirm(client, refused, typed=" plan ").status_code == 302
    assert len(looked_at()) == 23


def test_twenty_may_lose_something_without_typing(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    for number in range(20, 37):
        sell(number, (shop["plan"], "price_plan", 1))
    preview = save(client, shop["plan"], includes=[])
    assert (preview.context["found"].lose, preview.context["found"].many) == (20, False)
    assert "typed" not in preview.content.decode()


def test_a_reason_too_short_leads_back_to_the_form_with_everything_in_it(
    shop: dict[str, Product], staff: Staff
) -> None:
    client = staff("admin")
    answer = confirm(client, save(client, shop["plan"], includes=[], name="New name"), reason="why not")
    form = answer.context["adminform"].form
    assert "reason" in form.errors
    assert (form["name"].value(), form["includes"].value()) == ("New name", [])
    assert shop["plan"].includes.exists()


def test_going_back_keeps_what_was_typed_and_saves_nothing(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    preview = save(client, shop["plan"], includes=[], grants_name=["members"], grants_amount=["7"])
    answer = confirm(client, preview, _confirm=None, _edit="1")
    text = answer.content.decode()
    assert "Nothing has been saved yet. Change what you like" in text
    assert 'value="members"' in text
    assert (entries(), looked_at()) == ([], set())


def test_only_who_may_change_the_catalog_sees_a_preview_or_confirms(shop: dict[str, Product], staff: Staff) -> None:
    admin = staff("admin")
    data = shown(admin, shop["plan"]) | {"includes": []}
    preview = admin.post(page_of(shop["plan"]), data)
    for role in ("", "viewer", "support", "operator"):
        assert staff(role).post(page_of(shop["plan"]), data).status_code == 403
        assert confirm(staff(role), preview).status_code == 403
    assert confirm(staff("admin", csrf=True), preview).status_code == 403
    assert shop["plan"].includes.exists()


def test_moving_a_price_to_another_product_takes_its_holders_along(shop: dict[str, Product], staff: Staff) -> None:
    client = staff("admin")
    price = ProductPrice.objects.get(stripe_price_id="price_plan")
    preview = save(client, price, product=shop["other"].pk)
    found = preview.context["found"]
    assert (len(found.holders), found.gain, found.lose) == (3, 0, 3)
    assert confirm(client, preview).status_code == 302
    lines = UserSubscriptionItem.objects.filter(stripe_price_id="price_plan")
    assert set(lines.values_list("product__slug", flat=True)) == {"other"}
    (entry,) = entries("price")
    assert (entry.before, entry.after) == ({"product": "plan"}, {"product": "other", "holders": 3})
    assert looked_at() == {"person-0", "person-1", "person-2"}


def test_whether_a_price_is_offered_touches_nobody(shop: dict[str, Product], staff: Staff) -> None:
    price = ProductPrice.objects.get(stripe_price_id="price_plan")
    assert save(staff("admin"), price, is_active=None).status_code == 302
    assert looked_at() == set()


def test_five_hundred_holders_cost_the_console_as_many_queries_as_five(
    shop: dict[str, Product], staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "KEPT_SECONDS", 3600.0)  # else a slow machine counts its numbers in between
    client = staff("admin")

    def cost(storage: int) -> tuple[int, int]:
        data = shown(client, shop["plan"]) | {"grants_amount": [str(storage)]}
        preview, first = count(lambda: client.post(page_of(shop["plan"]), data))
        done, second = count(lambda: confirm(client, preview, typed="plan"))
        assert done.status_code == 302
        return first, second

    few = cost(50)
    for number in range(20, 517):
        sell(number, (shop["plan"], "price_plan", 1))
    Job.objects.all().delete()
    assert cost(20) == few
    assert len(looked_at()) == 500


def count(do: Callable[[], Any]) -> tuple[Any, int]:
    """Queries without the wake-ups, of which there are at most fifty."""
    with CaptureQueriesContext(connection) as asked:
        answer = do()
    return answer, len([one for one in asked if "django_q" not in one["sql"] and "SAVEPOINT" not in one["sql"]])
