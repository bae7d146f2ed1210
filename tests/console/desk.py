"""What the tests of staff's actions share: the demo's shop with its stand-ins, and a dialog filled in and sent."""

from typing import Any

from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.console.admin.subscriber_tables import TABS
from apps.core.models import AuditEntry
from tests.world import World

REASON = "The customer called about it"


def dialog(row: Model, action: str) -> str:
    """The address of an action's dialog."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{action}", args=[row.pk])


def send(client: Client, row: Model, action: str, **filled: Any) -> HttpResponse:
    """The dialog filled in, as htmx sends it."""
    data = {"_form_submitted": "on", "reason": REASON} | filled
    answer: HttpResponse = client.post(dialog(row, action), data, headers={"HX-Request": "true"})
    return answer


def done(answer: HttpResponse) -> bool:
    """Whether the action was taken, rather than refused in the dialog."""
    assert answer.status_code == 200
    return "HX-Redirect" in answer


def page_of(client: Client, profile: UserProfile) -> str:
    """The subscriber's page, with the tables of all its tabs."""
    page = client.get(reverse("admin:accounts_userprofile_change", args=[profile.pk])).content.decode()
    rows = reverse("admin:accounts_userprofile_tab", args=[profile.pk])
    return page + "".join(client.get(rows, {"tab": tab.key}).content.decode() for tab in TABS)


def lines(profile: UserProfile, action: str) -> list[tuple[str, str]]:
    """Who did this to the person, and why, oldest first."""
    found = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(profile.pk), action=action)
    return list(found.order_by("id").values_list("actor", "reason"))


def cancel(town: World, profile: UserProfile) -> None:
    """The subscription ends at once, and everything has followed."""
    town.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    town.deliver()
    profile.refresh_from_db()
    assert profile.access_state == "canceled"
