"""Lists answer only what their filters ask: no column that is hidden can be read through the address, letter by letter."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.console.navigation import list_url
from apps.notifications.models import Notification
from tests.console.conftest import World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
ROLES = ("viewer", "support", "operator", "admin")
LOOKUPS = (
    "", "__exact", "__iexact", "__contains", "__icontains", "__startswith", "__istartswith", "__endswith", "__regex", "__iregex",
    "__gt", "__gte", "__lt", "__lte", "__range", "__in", "__isnull", "__trigram_similar", "__date", "__year", "__len",
    "__confirm_url__startswith", "__0", "__pk", "__id__exact", "__password", "__user__password__startswith", "__profile__email",
)  # fmt: skip
# What the filters and tabs of each list send; everything else is refused.
FILTERS = {
    "access.accessoverride": {"kind__exact", "kind__isnull"},
    "accounts.privacyrequest": {"kind__exact", "kind__isnull"},
    "accounts.signup": {"state__exact", "state__isnull", "interval__exact", "interval__isnull"},
    "accounts.userprofile": {
        "access_state__exact", "access_state__isnull", "subscription_status__exact", "subscription_status__isnull",
    },
    "billing.inboundevent": {"state__exact", "state__isnull", "source__exact", "source__isnull"},
    "catalog.product": {
        "placement__exact", "placement__isnull", "is_active__exact", "is_active__isnull", "is_app__exact", "is_app__isnull",
    },
    "catalog.productprice": {
        "product__id__exact", "product__isnull", "interval__exact", "interval__isnull", "is_active__exact", "is_active__isnull",
    },
    "core.attentionitem": {"cause"},
    "core.comparisonrun": {"state__exact", "state__isnull"},
    "core.job": {"state__exact", "state__isnull"},
    "core.outage": {"peer"},
    "core.lawcheck": {"state__exact", "state__isnull"},
    "instances.instance": {
        "product__id__exact", "product__isnull", "is_active__exact", "is_active__isnull", "auto_allocate__exact",
        "auto_allocate__isnull",
    },
    "instances.seat": {
        "state__exact", "state__isnull", "product__id__exact", "product__isnull", "instance__id__exact", "instance__isnull",
    },
    "instances.webhookdelivery": {
        "state__exact", "state__isnull", "kind__exact", "kind__isnull", "instance__id__exact", "instance__isnull",
    },
    "instances.seatwait": {"product__id__exact", "product__isnull"},
    "notifications.notification": {"state__exact", "state__isnull", "delivery__exact", "delivery__isnull"},
    "onboarding.waitlistentry": {"state__exact", "state__isnull", "product__id__exact", "product__isnull"},
    "operations.drift": {"kind__exact", "kind__isnull"},
    "operations.safeguardreview": {"state__exact", "state__isnull"},
    "operations.customerimport": {"state__exact", "state__isnull", "source__exact", "source__isnull"},
    "operations.importrow": {"verdict__exact", "verdict__isnull", "state__exact", "state__isnull", "question", "run"},
    "operations.seatmove": {"plan", "state__exact", "state__isnull"},
    "operations.seatplan": {"state__exact", "state__isnull", "kind__exact", "kind__isnull"},
    "accounts.membership": {"end__exact", "end__isnull"},
    "operations.syncrun": {"scope__exact", "scope__isnull"},
    "operations.termspreview": {"state__exact", "state__isnull"},
}  # fmt: skip


def paths_of(model: Any) -> Iterator[str]:
    """Every field of a model, also those of other tables that point at it, and every field one step away."""
    for field in model._meta.get_fields():
        yield field.name
        for further in field.related_model._meta.get_fields() if field.related_model else ():
            yield f"{field.name}__{further.name}"


def test_a_list_admits_the_look_ups_of_its_filters_and_no_other() -> None:
    request, tried = RequestFactory().get("/admin/"), 0
    for model, page in admin.site._registry.items():
        names = {path + lookup for path in ("pk", *paths_of(model)) for lookup in LOOKUPS}
        admitted = {name for name in names if page.lookup_allowed(name, "a", request)}
        assert admitted == FILTERS.get(model._meta.label_lower, set()), model
        tried += len(names)
    assert tried > 20_000


def test_a_refused_filter_gives_every_role_the_same_answer_whatever_the_row_holds(world: World, staff: Staff) -> None:
    clients, lookups = cycle([staff(role) for role in ROLES]), cycle(LOOKUPS)
    for model in admin.site._registry:
        for field in model._meta.get_fields():
            client, name = next(clients), field.name + next(lookups)
            if name in FILTERS.get(model._meta.label_lower, ()):
                continue
            answer = client.get(list_url(model, **{name: "1"}))
            assert (answer.status_code, answer.content) == (400, b"This list has no such filter."), (model, name)


def test_the_reviews_three_readings_fail_for_every_role(world: World, staff: Staff) -> None:
    Notification.objects.update(context={"confirm_url": "https://desk.example/confirm/secret"})
    User.objects.filter(is_staff=False).update(password="pbkdf2$1")
    for client in [staff(role) for role in ROLES]:
        for model, name, hit, miss in (
            ("billing_inboundevent", "body__contains", "never-shown", "qqqzzz"),
            ("notifications_notification", "context__confirm_url__regex", "^https", "^qqq"),
            ("auth_user", "password__startswith", "pbkdf2", "argon2"),
        ):
            address = reverse(f"admin:{model}_changelist")
            answers = {(one.status_code, one.content) for one in (client.get(address, {name: v}) for v in (hit, miss))}
            assert answers == {(400, b"This list has no such filter.")}, name


def test_a_search_finds_nothing_by_what_is_hidden(world: World, staff: Staff) -> None:
    client = staff("viewer")
    User.objects.filter(is_staff=False).update(password="never-shown")
    Notification.objects.update(context={"code": "never-shown"}, error="")
    for model in admin.site._registry:
        assert client.get(list_url(model, q="never-shown")).context["cl"].result_count == 0, model


def test_no_other_door_searches(world: World, staff: Staff) -> None:
    client, seats = staff("admin"), list_url(world.seats[0].__class__)
    asked = {"app_label": "instances", "model_name": "seat", "field_name": "profile", "term": "person"}
    assert client.get(reverse("admin:autocomplete"), asked).status_code == 404
    for name in ("email", "password", "user__password"):
        assert client.get(reverse("admin:accounts_userprofile_changelist"), {"_to_field": name}).status_code == 400
    assert client.get(seats, {"o": "1.2.3", "_facets": "1", "e": "1", "_popup": "1"}).status_code == 200


def test_every_filter_and_tab_still_works(world: World, staff: Staff) -> None:
    client, seat = staff("viewer"), world.seats[0]
    shop = {"product__id__exact": str(world.cloud.pk), "state__exact": "assigned"}
    assert client.get(list_url(type(seat), **shop)).context["cl"].result_count == 3
    assert client.get(list_url(type(seat), product__id__exact="nonsense")).status_code == 302
    for model, page in admin.site._registry.items():
        names = {*FILTERS.get(model._meta.label_lower, ()), *([f"{page.tabs[0]}__exact"] if page.tabs else [])}
        used = {name: "0" for name in names if name.endswith("__exact")}
        assert client.get(list_url(model, **used)).status_code == 200, model
    for model, value in (("operations_drift", "resolved"), ("core_attentionitem", "all")):
        assert client.get(reverse(f"admin:{model}_changelist"), {"is": value}).status_code == 200
