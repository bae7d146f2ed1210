"""One visitor who walked all addresses with eight methods made 37,710 lines of metrics (M7 of the security review)."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts.models import Signup
from tests.core.test_metrics import TOKEN, values
from tests.security.addresses import METHODS, all_addresses
from tests.world import World

SERIES = 2000


@pytest.mark.long
def test_no_walk_makes_more_than_2000_series(world: World) -> None:
    """All addresses by strangers, one with made-up methods too; views are still told apart. None of it makes a session."""
    client, addresses = Client(), all_addresses()
    assert len(addresses) > 200
    for address in addresses:
        for method in METHODS:
            client.cookies.clear()
            client.generic(method, address)
    assert not Session.objects.exists()
    assert not Signup.objects.exists()
    for number in range(100):
        client.generic(f"M{number}", "/onboarding/", headers={"X-Forwarded-Proto": str(number)})
        client.get(f"/made-up/{number}/")
    found = values(client.get("/metrics", headers=TOKEN).text)
    assert 100 < len(found) <= SERIES
    asked = {name: value for name, value in found.items() if "responses_total_by_status_view_method_total{" in name}
    assert asked[
        'django_http_responses_total_by_status_view_method_total{method="all",status="405",view="stripe-webhook"}'
    ]
    assert any('view="admin:"' in name for name in asked)
    assert any("requests_latency_seconds_by_view_method_bucket{" in name and "dashboard" in name for name in found)
