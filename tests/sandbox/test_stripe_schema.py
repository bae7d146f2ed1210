"""The judge itself: it must see what is wrong, or its silence means nothing."""

import copy
from typing import Any

import pytest

from apps.sandbox.stripe.forms import PARAMETERS
from apps.sandbox.stripe.records import SHAPES
from tests.sandbox.stripe_fixture import Shop
from tests.sandbox.stripe_schema import judge

SPOILED = {
    "a bad status": lambda it: it.update(status="overdue"),
    "missing items": lambda it: it.pop("items"),
    "an item without period": lambda it: it["items"]["data"][0].pop("current_period_end"),
    "text for a time": lambda it: it.update(created="yesterday"),
    "a number in metadata": lambda it: it.update(metadata={"n": 1}),
    "a null customer": lambda it: it.update(customer=None),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_it_sees_what_is_wrong_with_a_subscription(shop: Shop, fault: str) -> None:
    made = shop.v1.subscriptions.retrieve(shop.subscribe()["id"])
    assert made.last_response is not None
    whole: dict[str, Any] = made.last_response.data
    assert judge().errors(whole) == []
    spoiled = copy.deepcopy(whole)
    SPOILED[fault](spoiled)
    assert judge().errors(spoiled) != []


def test_it_sees_what_is_wrong_with_a_request() -> None:
    path = "/v1/checkout/sessions"
    good = [("mode", "subscription"), ("ui_mode", "embedded_page"), ("line_items[0][quantity]", "1")]
    assert judge().request_errors("POST", path, good) == []
    for bad in (("ui_mode", "embedded"), ("coupon", "x"), ("line_items[0][quantity]", "two"), ("expires_at", "soon")):
        assert judge().request_errors("POST", path, [("mode", "subscription"), bad]) != []
    assert judge().request_errors("GET", "/v1/nonsense", []) != []


def test_the_parameters_the_sandbox_knows_are_the_documents() -> None:
    """Every address with its parameters' names; what is required is required there too."""
    for operation, table in PARAMETERS.items():
        known = judge().operations[operation]
        assert set(table["params"]) == set(known.get("properties", {})), operation
        assert set(table["required"]) == set(known.get("required", [])), operation


def test_every_shape_is_of_a_kind_the_document_knows() -> None:
    kinds = {shape["object"] for name, shape in SHAPES.items() if name != "charge_card"}
    assert kinds - set(judge().names) - set(judge().schemas) == set()
