"""The forms of products and prices: lines and rows instead of JSON, and whatever is typed gets a sentence, never a fault."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog.models import Product, ProductPrice
from apps.core.models import AuditEntry
from tests.console.catalog_pages import REASON, page_of, save, shown

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


@pytest.fixture
def plan() -> Product:
    wiki = Product.objects.create(slug="wiki", name="Wiki", is_app=True)
    plan = Product.objects.create(
        slug="plan", name="Family", placement="plan", grants={"storage_gb": 100, "members": 3}, features=["Files", "Mail"]
    )  # fmt: skip
    plan.includes.add(wiki)
    ProductPrice.objects.create(product=plan, stripe_price_id="price_month", interval="month", unit_amount=500)
    return plan


def errors(answer: Any) -> dict[str, list[str]]:
    """The sentences at the fields; the page shows each of them."""
    assert answer.status_code == 200, "it was saved"
    found = {name: list(list_) for name, list_ in answer.context["adminform"].form.errors.items()}
    assert found, "it was not refused"
    return found


def test_the_form_shows_lines_and_rows_and_no_json(plan: Product, staff: Staff) -> None:
    text = staff("admin").get(page_of(plan)).content.decode()
    assert "Files\nMail</textarea>" in text
    for part in (
        'value="storage_gb"',
        'value="100"',
        'aria-label="Name of number 2"',
        'aria-label="Amount of number 4"',
    ):
        assert part in text
    assert "[&quot;Files" not in text
    assert "{&quot;storage_gb" not in text


def test_saving_what_was_shown_changes_nothing(plan: Product, staff: Staff) -> None:
    before = Product.objects.values().get(pk=plan.pk)
    assert save(staff("admin"), plan).status_code == 302
    assert Product.objects.values().get(pk=plan.pk) == before
    assert list(plan.includes.values_list("slug", flat=True)) == ["wiki"]
    (entry,) = AuditEntry.objects.filter(subject_kind="product")
    assert (entry.before, entry.after) == ({}, {})


def test_rows_are_added_emptied_and_changed(plan: Product, staff: Staff) -> None:
    answer = save(
        staff("admin"), plan, grants_name=[" storage_gb ", "", "projects"], grants_amount=["250", " ", "007"]
    )  # fmt: skip
    assert answer.status_code == 302
    plan.refresh_from_db()
    assert plan.grants == {"storage_gb": 250, "projects": 7}
    assert plan.names_given == ["members", "projects", "storage_gb"]


def test_how_to_begin_is_typed_as_lines(plan: Product, staff: Staff) -> None:
    links = "Android phone https://example.com/a\n\nLinux  https://example.com/l"
    typed = {"first_steps": "Open it.\nLog in.", "client_links": links, "sync_address": "{url}dav/{username}/"}
    assert save(staff("admin"), plan, **typed).status_code == 302
    plan.refresh_from_db()
    assert plan.first_steps == ["Open it.", "Log in."]
    assert plan.client_links == [
        {"name": "Android phone", "url": "https://example.com/a"}, {"name": "Linux", "url": "https://example.com/l"},
    ]  # fmt: skip
    assert shown(staff("admin"), plan)["client_links"] == links.replace("\n\n", "\n").replace("x  ", "x ")


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("client_links", "Android", "“Android” is not a name and an https:// address."),
        ("client_links", "Trap javascript:alert(1)", "is not a name and an https:// address."),
        ("client_links", "https://example.com/a", "https://example.com/a has no name."),
        ("sync_address", "{host}/dav", "no braces except {url} and {username}"),
        ("guide_url", "javascript:alert(1)", "Enter a valid URL."),
    ],
)
def test_an_address_that_is_none_is_refused_at_its_field(
    field: str, typed: str, sentence: str, plan: Product, staff: Staff
) -> None:
    found = errors(save(staff("admin"), plan, **{field: typed}))
    assert sentence in " ".join(found[field])


@pytest.mark.parametrize(
    ("name", "amount", "sentence"),
    [
        ("Storage GB", "1", "“Storage GB” is no name for a number."),
        ("größe", "1", "“größe” is no name for a number."),
        ("a" * 41, "1", "is no name for a number."),
        ("", "5", "The amount 5 has no name."),
        ("storage_gb", "", "“storage_gb” needs a whole number"),
        ("storage_gb", "-1", "“storage_gb” needs a whole number"),
        ("storage_gb", "1.5", "“storage_gb” needs a whole number"),
        ("storage_gb", "٣", "“storage_gb” needs a whole number"),
        ("storage_gb", "1" * 10, "“storage_gb” needs a whole number"),
        ("storage_gb", "1\x00", "“storage_gb” needs a whole number"),
        ("has_wiki", "1", "“has_wiki” is kept for something else."),
        ("wiki_instance", "1", "“wiki_instance” is kept for something else."),
        ("email", "1", "“email” is kept for something else."),
    ],
)
def test_a_row_that_cannot_stand_says_why_and_is_shown_again(
    name: str, amount: str, sentence: str, plan: Product, staff: Staff
) -> None:
    answer = save(staff("admin"), plan, grants_name=[name], grants_amount=[amount])
    (found,) = errors(answer)["grants"]
    assert sentence in found
    plan.refresh_from_db()
    assert plan.grants == {"storage_gb": 100, "members": 3}


def test_a_name_given_twice_too_many_rows_and_halves_of_rows_are_refused(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    twice = errors(save(client, plan, grants_name=["members", "members"], grants_amount=["1", "2"]))
    assert twice["grants"] == ["“members” is there twice. Keep one of them."]
    many = [f"n{index}" for index in range(21)]
    assert errors(save(client, plan, grants_name=many, grants_amount=["1"] * 21))["grants"] == ["At most 20 numbers."]
    assert "needs a whole number" in errors(save(client, plan, grants_name=["members"], grants_amount=[]))["grants"][0]
    assert "has no name" in errors(save(client, plan, grants_name=[], grants_amount=["1"]))["grants"][0]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("needs_instance", "on", "Only an app can need an instance."),
        ("max_quantity", "0", "At least one can be bought."),
        ("position", "99999", "less than or equal to 32767"),
        ("color", "red", "Enter a valid value"),
        ("placement", "nowhere", "not one of the available choices"),
        ("stripe_product_id", "price_1", "This is the id of a price."),
        ("features", "x" * 121, "At most 20 lines of at most 120 characters."),
        ("includes", ["999999"], "not one of the available choices"),
        ("includes", ["x"], "is not a valid"),
        ("parent", "x", "not one of the available choices"),
        ("name", "a\x00b", "Null characters are not allowed."),
        ("summary", "x" * 201, "at most 200 characters"),
        ("reason", "no", "at least 10 characters"),
    ],
)
def test_what_a_field_refuses_is_said_at_the_field(
    field: str, value: Any, sentence: str, plan: Product, staff: Staff
) -> None:
    found = errors(save(staff("admin"), plan, **{field: value}))
    assert sentence in " ".join(found[field])
    assert not AuditEntry.objects.filter(subject_kind="product").exists()


def test_a_product_is_neither_its_own_parent_nor_goes_with_what_is_no_plan(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    assert errors(save(client, plan, parent=plan.pk))["parent"] == ["A product cannot be its own parent."]
    wiki = Product.objects.get(slug="wiki")
    assert "Wiki is not offered as a plan" in errors(save(client, plan, parent=wiki.pk))["parent"][0]
    assert errors(save(client, wiki, includes=[wiki.pk]))["includes"] == ["A product cannot include itself."]
    assert save(client, wiki, parent=plan.pk, placement="general").status_code == 302


def test_a_product_of_the_same_slug_is_refused_with_a_sentence(plan: Product, staff: Staff) -> None:
    answer = save(staff("admin"), Product, name="Again", slug="plan", max_quantity="1", position="0", placement="plan")
    assert errors(answer)["slug"] == ["Product with this Slug already exists."]


def test_two_who_save_at_the_same_moment_get_a_sentence(
    plan: Product, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.console.admin.catalog import ProductAdmin

    def beaten(*_args: Any) -> None:
        raise IntegrityError("duplicate key")

    monkeypatch.setattr(ProductAdmin, "save_model", beaten)
    client = staff("admin")
    answer = client.post(page_of(plan), shown(client, plan), follow=True)
    assert "Somebody else saved at the same moment" in answer.content.decode()


ANYTHING = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "on", "0", "-1", "1e9", "\x00", "[]", "{}", "null", "9" * 30, "<script>", "' OR 1=1", "💥" * 30]
    ),
)
FIELDS = (
    "name", "summary", "features", "icon", "color", "position", "highlighted", "placement", "is_active", "parent",
    "max_quantity", "stripe_product_id", "is_app", "needs_instance", "includes", "grants_name", "grants_amount", "reason",
    "version", "typed", "_confirm", "_edit",
)  # fmt: skip


@pytest.mark.long
def test_no_input_is_a_fault(plan: Product, staff: Staff) -> None:
    client = staff("admin")
    form = shown(client, plan)

    @settings(max_examples=40)
    @given(st.dictionaries(st.sampled_from(FIELDS), st.lists(ANYTHING, max_size=4), max_size=6))
    def takes(odd: dict[str, list[str]]) -> None:
        answer = client.post(page_of(plan), form | odd)
        assert answer.status_code in {200, 302}
        if answer.status_code == 302:  # saved: a form of before would only be shown again
            form.update(shown(client, plan))
        plan.refresh_from_db()
        assert json.dumps(plan.grants)
        assert all(isinstance(amount, int) for amount in plan.grants.values())
        assert isinstance(plan.features, list)

    takes()


def test_the_reason_is_kept_for_a_new_product_and_what_it_is(staff: Staff) -> None:
    answer = save(
        staff("admin"), Product, name="Notes", slug="notes", is_app="on", max_quantity="1", position="4",
        placement="general", features="One\n\nTwo", grants_name=["notes"], grants_amount=["5"],
    )  # fmt: skip
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = Product.objects.get(slug="notes")
    assert (made.features, made.grants, made.names_given) == (
        ["One", "Two"], {"notes": 5}, ["has_notes", "notes", "notes_instance"],
    )  # fmt: skip
    entry = AuditEntry.objects.get(subject_kind="product", subject_id=str(made.pk))
    assert (entry.action, entry.reason, entry.after["grants"]) == ("product_created", REASON, {"notes": 5})
