"""API keys in the console: made by an admin, shown in one answer, and from then on only by their first letters."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.operations.models import CustomerApiKey
from tests.console.conftest import World
from tests.console.test_actions import REASON, next_month

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
MAKE, LIST = "admin:operations_customerapikey_make_key", "admin:operations_customerapikey_changelist"
KEY = re.compile(r"fdk_[0-9a-f]{8}_[0-9a-f]{64}")


def fill_in(client: Client, **terms: object) -> str:
    data = {"name": "CRM", "expires_at": next_month(), "reason": REASON, "_form_submitted": "1"} | terms
    answer = client.post(reverse(MAKE), data, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_key_is_shown_once_works_and_is_nowhere_else(world: World, staff: Staff) -> None:
    admin = staff("admin")
    said = fill_in(admin, scopes=["customers:personal"], networks="127.0.0.0/8\n\n::1")
    (text,) = KEY.findall(said)
    assert "It has customers:personal and customers:read, from 127.0.0.0/8, ::1/128." in said
    headers = {"Authorization": f"Bearer {text}"}
    found = Client().get("/api/v1/customers", {"email": "person-0@example.com"}, headers=headers).json()
    assert [one["id"] for one in found["customers"]] == [world.profiles[0].pk]
    key = CustomerApiKey.objects.get(prefix=text[4:12])
    pages = [reverse(LIST), reverse("admin:operations_customerapikey_change", args=[key.pk]), reverse("admin:index")]
    for page in [*pages, reverse("admin:core_auditentry_changelist")]:
        assert not KEY.search(admin.get(page).content.decode()), page
    assert f"fdk_{key.prefix}_…" in admin.get(pages[0]).content.decode()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s', [f"%{text[13:]}%"])
            assert cursor.fetchone() == (0,), table
    admin.post(
        reverse("admin:operations_customerapikey_revoke", args=[key.pk]),
        {"reason": REASON, "_form_submitted": "1"},
        headers={"HX-Request": "true"},
    )
    assert Client().get("/api/v1/customers", headers=headers).json()["code"] == "key_revoked"


def test_what_is_filled_in_wrong_makes_no_key(world: World, staff: Staff) -> None:
    count, admin = CustomerApiKey.objects.count(), staff("admin")
    for wrong, sentence in (
        ({"networks": "example.com"}, "Name networks such as"), ({"networks": "\n".join(["10.0.0.1"] * 21)}, "at most 20 networks"),
        ({"expires_at": "2999-01-01"}, "Let it end within"), ({"expires_at": "2001-01-01"}, "That day is over"),
        ({"scopes": ["customers:write"]}, "Select a valid choice"), ({"name": ""}, "This field is required"),
    ):  # fmt: skip
        assert sentence in fill_in(admin, **wrong), wrong
    assert CustomerApiKey.objects.count() == count
    assert staff("operator").post(reverse(MAKE), {"name": "CRM"}).status_code == 403
