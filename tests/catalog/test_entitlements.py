"""Paid items become entitlements by adding up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.entitlements import (
    NOTHING,
    Entitlements,
    attribute_names,
    bytes_granted,
    describe_bytes,
    describe_number,
    total,
)

SLUGS = st.sampled_from(["nextcloud", "vaultwarden", "photos"])
GRANTS = st.dictionaries(st.sampled_from(["storage_gb", "members"]), st.integers(0, 1000))


@st.composite
def entitlements(draw: st.DrawFn) -> Entitlements:
    apps = draw(st.frozensets(SLUGS))
    seats = frozenset(app for app in apps if draw(st.booleans()))
    return Entitlements(apps, seats, draw(GRANTS))


def same(one: Entitlements, other: Entitlements) -> bool:
    """Equal, a number of none being the same as no number."""
    numbers = [{name: amount for name, amount in each.grants.items() if amount} for each in (one, other)]
    return (one.apps, one.seats, numbers[0]) == (other.apps, other.seats, numbers[1])


def test_a_plan_and_storage_add_up() -> None:
    plan = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100})
    more = Entitlements(grants={"storage_gb": 100})
    bought = plan + more.times(5)
    assert bought.grants == {"storage_gb": 600}
    assert bought.attributes({"nextcloud": "nextcloud-1"}) == {
        "has_nextcloud": "true",
        "nextcloud_instance": "nextcloud-1",
        "storage_gb": "600",
    }


def test_an_app_without_its_seat_is_not_announced() -> None:
    plan = Entitlements(frozenset({"nextcloud", "wiki"}), frozenset({"nextcloud"}), {"storage_gb": 100})
    assert plan.attributes({}) == {"has_wiki": "true", "storage_gb": "100"}


def test_the_same_app_twice_is_the_same_app() -> None:
    app = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}))
    assert app + app == app
    assert app.times(3) == app


def test_none_of_an_item_is_nothing() -> None:
    item = Entitlements(frozenset({"nextcloud"}), frozenset(), {"storage_gb": 5})
    assert item.times(0) == item.times(-1) == NOTHING
    assert total([]) == NOTHING


@given(st.lists(entitlements(), max_size=6), st.randoms())
def test_the_order_of_items_is_irrelevant(parts: list[Entitlements], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(shuffled) == total(parts)


@given(entitlements(), entitlements(), entitlements())
def test_it_does_not_matter_what_is_added_first(one: Entitlements, two: Entitlements, three: Entitlements) -> None:
    assert same((one + two) + three, one + (two + three))
    assert same(one + NOTHING, one)


@given(entitlements(), st.integers(1, 9))
def test_so_many_of_an_item_are_as_many_times_it(item: Entitlements, quantity: int) -> None:
    assert same(item.times(quantity), total([item] * quantity))


@given(entitlements(), st.dictionaries(SLUGS, st.just("one-1")))
def test_only_names_of_the_catalog_are_written(item: Entitlements, instances: dict[str, str]) -> None:
    written = item.attributes(instances)
    assert written.keys() <= attribute_names(item)
    assert all(written.values())
    assert {f"has_{app}" for app in item.seats - instances.keys()}.isdisjoint(written)


@pytest.mark.parametrize(
    ("name", "amount", "words"),
    [
        ("storage_gb", 200, "Storage 200 GB"),
        ("storage_gb", 12_000, "Storage 12,000 GB"),
        ("mailboxes", 5, "Mailboxes 5"),
        ("shared_calendars", 3, "Shared calendars 3"),
        ("gb", 7, "Gb 7"),
    ],
)
def test_a_number_is_described_in_words(name: str, amount: int, words: str) -> None:
    assert describe_number(name, amount) == words


@pytest.mark.parametrize(
    ("name", "amount", "found"),
    [
        ("storage_gb", 2, 2 * 1024**3),
        ("storage_kb", 1, 1024),
        ("mail_tb", 1, 1024**4),
        ("mailboxes", 5, None),
        ("gb", 5, None),
    ],
)
def test_a_number_with_a_unit_is_so_many_bytes(name: str, amount: int, found: int | None) -> None:
    assert bytes_granted(name, amount) == found


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1024**2, "1 MB"), (500 * 1024**3, "500 GB"), (1536 * 1024**3, "1.5 TB"),
     (1024**4 - 1, "1 TB"), (5000 * 1024**4, "5,000 TB")],
)  # fmt: skip
def test_bytes_are_read_in_their_largest_unit(amount: int, words: str) -> None:
    assert describe_bytes(amount) == words
