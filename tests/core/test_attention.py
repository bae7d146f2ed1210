"""Attention items: one open item for each cause, with everybody it affects, until it is over."""

import pytest

from apps.core import attention
from apps.core.attention import Cause
from apps.core.models import AttentionItem

pytestmark = pytest.mark.django_db


def test_the_same_cause_again_joins_the_open_item() -> None:
    first = attention.report(Cause.MIRROR_COPY, "invoice", "An invoice could not be copied.", profiles=[3])
    again = attention.report(Cause.MIRROR_COPY, "invoice", "An invoice could not be copied: too long.", profiles=[1, 3])

    assert again == first
    item = AttentionItem.objects.get()
    assert (item.times, item.profile_ids, item.sentence) == (2, [1, 3], "An invoice could not be copied: too long.")


def test_other_causes_have_their_own_items() -> None:
    attention.report(Cause.MIRROR_COPY, "invoice", "One.")
    attention.report(Cause.MIRROR_COPY, "charge", "Two.")
    attention.report(Cause.DISPUTE, "invoice", "Three.")

    assert attention.open_items().count() == 3


def test_a_cause_that_returns_opens_a_new_item() -> None:
    first = attention.report(Cause.API_VERSION, "acacia", "Another version.")
    assert attention.resolve(Cause.API_VERSION, "acacia")
    assert not attention.resolve(Cause.API_VERSION, "acacia")

    assert attention.report(Cause.API_VERSION, "acacia", "Another version.") != first
    assert attention.open_items().get().times == 1


def test_an_item_names_a_bounded_number_of_people() -> None:
    attention.report(Cause.UNMAPPED_PRICE, "price_1", "Unmapped.", profiles=range(attention.MAX_PROFILES))
    attention.report(Cause.UNMAPPED_PRICE, "price_1", "Unmapped.", profiles=[10**6])

    item = AttentionItem.objects.get()
    assert (len(item.profile_ids), item.times) == (attention.MAX_PROFILES, 2)


def test_long_texts_are_cut_not_refused() -> None:
    attention.report(Cause.UNKNOWN_FACT, "k" * 999, "s" * 5000)

    assert attention.resolve(Cause.UNKNOWN_FACT, "k" * 999, why="w" * 999)
