"""What strangers can make us keep: 100 login pages made 100 sessions, 40 wrong codes another 40 (M7 of the security review)."""

import json

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts.models import Signup
from apps.onboarding.models import OneTimeCode, WaitlistEntry
from tests.world import World

LOGIN = "/accounts/oidc/keycloak/login/"


def post_json(client: Client, path: str, **body: str) -> int:
    return client.post(path, json.dumps(body), content_type="application/json").status_code


@pytest.mark.long
def test_strangers_make_no_more_rows_than_a_limit(world: World) -> None:
    """Doors that may make a row, 60 times each from one address without a cookie."""
    for _ in range(60):
        assert Client().get(LOGIN).status_code == 302
        Client().post("/logout/")
        Client().get(f"{LOGIN}callback/?state=x&code=y")
        post_json(Client(), "/recovery/verify-code/", email="ada@example.com", code="123456")
    assert not Session.objects.exists()
    for number in range(60):
        post_json(Client(), "/recovery/send-code/", email=f"a{number}@example.com")
        Client().post("/onboarding/", {"first_name": "Ada"})
        post_json(Client(), "/onboarding/waitlist/submit/", email=f"a{number}@example.com")
    assert Session.objects.count() <= 20 * 3
    assert max(rows.objects.count() for rows in (Signup, OneTimeCode, WaitlistEntry)) <= 20
