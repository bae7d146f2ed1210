"""What the console's pages show, and that none grows with its rows. Who may see them: tests/security/url_table.py."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.console import dashboard, menu_counts
from apps.console.admin.mirror import MirrorAdmin
from apps.console.admin.subscriber_tables import TABS
from apps.core import clock
from apps.core.models import AuditEntry, Dependency, Job
from apps.instances.models import Instance
from apps.login import sessions
from tests.console.conftest import World, fill
from tests.console.desk import page_of

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
LIST_QUERIES = 3  # session, user with rights, rows with their count; each few seconds one more: the menu's counts
LONGER_LISTS = dict.fromkeys(  # those with related rows in a column or above the list
    ("catalog.product", "catalog.productprice", "access.accessoverride", "auth.user", "accounts.userprofile", "core.auditentry",
     "access.termschange", "notifications.notification", "core.job"), 4,
) | {"core.lawcheck": 5, "onboarding.waitlistentry": 5, "djstripe.customer": 4}  # fmt: skip


def test_no_list_asks_more_of_the_database_for_fifty_rows_than_for_five(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sessions, "TOUCH_SECONDS", 3600
    )  # each visit of a later minute writes, on a machine that is busy
    monkeypatch.setattr(menu_counts.COUNTED, "seconds", 3600.0)
    client = staff("admin")
    made = fill(5)
    few = {model: queries(client, model) for model in admin.site._registry}
    _more(made, 45)
    many = {model: queries(client, model, warm=True) for model in admin.site._registry}
    assert many == few
    found = {f"{model._meta.app_label}.{model._meta.model_name}": count for model, count in many.items()}
    assert {name: count for name, count in found.items() if count > LIST_QUERIES} == LONGER_LISTS


def test_the_page_of_a_subscriber_asks_few_questions(world: World, staff: Staff) -> None:
    client = staff("admin")
    address = reverse("admin:accounts_userprofile_change", args=[world.profiles[0].pk])
    client.get(address)
    dashboard.forget()
    dashboard.NUMBERS.get()
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    assert len(captured) == 16, "\n".join(query["sql"][:120] for query in captured.captured_queries)


@pytest.mark.parametrize(("key", "title"), [(tab.key, tab.title) for tab in TABS])
def test_a_tab_of_the_subscribers_page_is_loaded_alone_or_with_the_page(
    key: str, title: str, world: World, staff: Staff
) -> None:
    client, profile = staff("viewer"), world.profiles[0]
    address = reverse("admin:accounts_userprofile_tab", args=[profile.pk])
    table = client.get(address, {"tab": key}).content.decode()
    page = client.get(reverse("admin:accounts_userprofile_change", args=[profile.pk]), {"tab": key}).content.decode()
    rows = table.count("<tr>") - 1 if "<table" in table else 0
    count = f' <span class="fd-count">{rows}</span>' if rows else ""
    assert re.search(rf'aria-selected="true" [^>]*>{title}{count}</a>', page)
    assert table.strip() in page
    assert client.get(address, {"tab": "none"}).status_code == 404
    assert staff("").get(address, {"tab": key}).status_code == 403


def _more(made: World, count: int) -> None:
    from tests.console import conftest

    for index in range(5, 5 + count):
        made.instances.append(conftest._instance(made.cloud, index))
        conftest._person(made, index)
    for name in conftest.MIRROR:
        for index in range(5, 5 + count):
            conftest._bare(name, f"{name.lower()}_{index}", {"id": f"{name}_{index}"})


def queries(client: Client, model: Any, *, warm: bool = False) -> int:
    """Of the second visit, or of the first where the page was visited before."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    if not warm:
        client.get(address)
    dashboard.forget()
    dashboard.NUMBERS.get()
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_dashboard_needs_at_most_ten_queries_and_none_while_its_numbers_are_fresh(
    world: World, staff: Staff
) -> None:
    client = staff("viewer")
    client.get(reverse("admin:index"))  # the first visit of a minute is noted in the session
    dashboard.forget()
    with CaptureQueriesContext(connection) as cold:
        answer = client.get(reverse("admin:index"))
    assert answer.status_code == 200
    assert len(cold) <= 10, "\n".join(query["sql"][:120] for query in cold.captured_queries)
    with CaptureQueriesContext(connection) as warm:
        client.get(reverse("admin:index"))
    assert len(warm) <= 4


def test_the_dashboard_answers_what_an_operator_asks(world: World, staff: Staff) -> None:
    Job.objects.filter(key="evt_0000").update(state="blocked")
    now = clock.now()
    Dependency.objects.create(name="stripe", down_since=now, probe_at=now, reason="No answer within 10 s.")
    text = staff("viewer").get(reverse("admin:index")).content.decode()
    assert "Stripe does not answer" in text
    assert re.search(r'data-rows="3" href="/admin/core/job/\?view=stuck"', text)
    assert re.search(r'data-rows="3" href="/admin/notifications/notification/\?view=undelivered"', text)
    assert "No worker has ever run here" in text
    assert "Cloud 0" in text
    assert 'role="img"' in text


@pytest.mark.parametrize(
    ("term", "found"),
    [("cus_0001", 1), ("sub_0002", 1), ("person-1", 1), ("person-1@example.com", 1), ("person", 3), ("PERSON-2@EXAMPLE.com", 1),
     ("00000000-0000-4000-8000-000000000001", 1), ("nobody", 0), ("cus_none", 0), ("CUS_0001", 1), ("Sub_0002", 1),
     ("evt_0001", 1), ("in_0002", 1), ("in_none", 0), ("99999999999999999999999", 0), ("%", 0)],
)  # fmt: skip
def test_search_finds_a_subscriber_by_whatever_names_one(term: str, found: int, world: World, staff: Staff) -> None:
    answer = staff("support").get(reverse("admin:accounts_userprofile_changelist"), {"q": term})
    assert answer.context["cl"].result_count == found


@pytest.mark.parametrize(
    "term", ["ab " * 200, "ab" * 300, "a" * 300 + "@example.com"], ids=["words", "word", "address"]
)
def test_no_search_makes_a_long_statement(term: str, world: World, staff: Staff) -> None:
    """A condition for each of thousands of words takes a web process minutes."""
    client = staff("viewer")
    with CaptureQueriesContext(connection) as asked:
        for model in admin.site._registry:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
            assert client.get(reverse(name), {"q": term}).status_code == 200, name
        assert client.get(reverse("admin:search"), {"s": term}).status_code == 200
    assert max(len(one["sql"]) for one in asked.captured_queries) < 9000


def test_people_are_found_on_the_pages_of_what_they_have(world: World, staff: Staff) -> None:
    client = staff("viewer")
    for page in (
        "instances_seat",
        "access_accessoverride",
        "notifications_notification",
        "instances_seatwait",
    ):
        answer = client.get(reverse(f"admin:{page}_changelist"), {"q": "person-1"})
        assert answer.context["cl"].result_count == 1, page
    answer = client.get(reverse("admin:core_auditentry_changelist"), {"q": f"profile:{world.profiles[0].pk}"})
    assert answer.context["cl"].result_count == 1


def test_no_secret_is_on_any_page(world: World, staff: Staff) -> None:
    client = staff("admin")
    event, mail = world.events[0], "notifications_notification"
    text = client.get(reverse("admin:billing_inboundevent_change", args=[event.pk])).content.decode()
    assert "client_secret" in text
    assert "never-shown" not in text
    row = admin.site._registry
    for model in row:
        if model._meta.label == "notifications.Notification":
            found = client.get(reverse(f"admin:{mail}_change", args=[model.objects.first().pk])).content.decode()
            assert "987654" not in found


def test_the_body_of_an_event_is_for_operators(world: World, staff: Staff) -> None:
    address = reverse("admin:billing_inboundevent_change", args=[world.events[0].pk])
    assert "client_secret" not in staff("support").get(address).content.decode()
    assert "client_secret" in staff("operator").get(address).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "?q=%00",
        "?p=99999999",
        "?p=x",
        "?state__exact=%00",
        "?bogus=1",
        "?id__exact=x",
        "?_facets=1",
    ],
)
def test_hostile_addresses_get_an_answer_and_not_a_fault(query: str, world: World, staff: Staff) -> None:
    client = staff("admin")
    for page in ("accounts_userprofile", "core_job", "core_auditentry", "djstripe_customer"):
        name = f"admin:{page}"
        assert client.get(reverse(f"{name}_changelist") + query).status_code in {200, 302, 400}, (
            page,
            query,
        )


@pytest.mark.parametrize("identity", ["0", "x", "999999999999999999999", "a'b", "_00"])
def test_rows_that_are_not_there_lead_back_or_to_404(identity: str, world: World, staff: Staff) -> None:
    client = staff("admin")
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_change", args=[identity])).status_code in {302, 404}, model


def test_the_command_palette_finds_people_and_survives_nonsense(world: World, staff: Staff) -> None:
    client = staff("support")
    assert "person-1" in client.get(reverse("admin:search"), {"s": "person-1"}).content.decode()
    UserProfile.objects.filter(stripe_customer_id="cus_0002").update(stripe_customer_id="cus_QxYz9")
    InboundEvent.objects.filter(customer_id="cus_0001").update(object_id="in_AbC")
    for term, name in (("cus_QxYz9", "person-2"), ("cus_qxyz9", "person-2"), ("in_AbC", "person-1")):
        assert name in client.get(reverse("admin:search"), {"s": term}).content.decode(), term
    assert client.get(reverse("admin:search"), {"s": "x", "page": "minus"}).status_code == 404
    assert client.get(reverse("admin:search"), {"s": "x", "page": "99"}).status_code == 404
    assert client.get(reverse("admin:search") + "?s=%00").status_code == 400


def test_login_goes_to_keycloak_and_comes_back_only_to_this_site(world: World, staff: Staff) -> None:
    visitor = Client()
    answer = visitor.get(reverse("admin:login"), {"next": "/admin/core/job/"})
    assert answer["Location"].endswith("/accounts/oidc/keycloak/login/?next=/admin/core/job/")
    assert "evil" not in visitor.get(reverse("admin:login"), {"next": "https://evil.example"})["Location"]
    assert staff("viewer").get(reverse("admin:login"), {"next": "/admin/core/job/"})["Location"] == "/admin/core/job/"


def test_logout_is_the_one_logout_and_only_by_post(world: World, staff: Staff) -> None:
    client = staff("viewer")
    assert client.post(reverse("admin:logout")).status_code in {302, 307}
    client.post(reverse("logout"))
    assert client.get(reverse("admin:index")).status_code == 302


def test_the_mirror_mounts_no_view_of_dj_stripes_and_shows_every_kind(world: World, staff: Staff) -> None:
    client = staff("admin")
    for model, page in admin.site._registry.items():
        if not isinstance(page, MirrorAdmin):
            continue
        name = model._meta.model_name
        answer = client.post(f"/admin/djstripe/{name}/action/_cancel/{name}/", {"_selected_action": "1"})
        assert answer.status_code == 405
        assert (
            b"As Stripe has it"
            in client.get(reverse(f"admin:djstripe_{name}_change", args=[model.objects.first().pk])).content
        )


def test_the_subscribers_page_tells_why(world: World, staff: Staff) -> None:
    profile = world.profiles[0]
    text = page_of(staff("support"), profile)
    for part in (
        "person-0",
        "Why",
        "Audit log",
        "Cloud 0",
        "invoice.paid",
        "a friend of the house",
        "Storage 200 GB",
        "Sign-up code",
    ):
        assert part in text, part
    fragment = staff("viewer").get(reverse("admin:accounts_userprofile_plan", args=[profile.pk]))
    assert fragment.status_code == 200
    assert "The plan cannot be shown now" in fragment.content.decode()


def test_products_are_edited_with_a_reason_by_whoever_may(world: World, staff: Staff) -> None:
    plan = world.plan
    address = reverse("admin:catalog_product_change", args=[plan.pk])
    data = {
        "name": "Family and friends", "summary": "", "features": "Calendar\nFiles\nPhotos", "icon": "", "color": "", "position": "0",
        "placement": "plan", "is_active": "on", "parent": "", "max_quantity": "1", "stripe_product_id": "", "includes": [world.cloud.pk],
        "grants_name": ["storage_gb"], "grants_amount": ["200"], "reason": "More storage for everybody",
    }  # fmt: skip
    assert staff("operator").post(address, data).status_code == 403
    client = staff("admin")
    assert client.post(address, data | {"reason": "short"}).status_code == 200
    assert client.post(address, data | {"grants_amount": ["much"]}).status_code == 200
    shown = client.post(address, data)
    plan.refresh_from_db()
    assert plan.grants == {"storage_gb": 100}
    answer = client.post(address, data | {"version": shown.context["version"], "_confirm": "1"})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    plan.refresh_from_db()
    assert (plan.slug, plan.name, plan.grants, plan.features) == (
        "plan", "Family and friends", {"storage_gb": 200}, ["Calendar", "Files", "Photos"],
    )  # fmt: skip
    entry = AuditEntry.objects.get(subject_kind="product", subject_id=str(plan.pk))
    assert (entry.action, entry.actor, entry.reason) == (
        "product_changed",
        "staff:admin-ada",
        "More storage for everybody",
    )
    assert entry.before["grants"] == {"storage_gb": 100}
    assert entry.after["grants"] == {"storage_gb": 200}
    assert "includes" not in entry.after


def test_an_instance_is_created_by_its_domain_with_caps_in_order(world: World, staff: Staff) -> None:
    data = {"product": world.cloud.pk, "slug": "cloud-new", "name": "New", "url": "https://new.example.com", "soft_cap": "5",
            "allocation_cap": "5", "hard_cap": "9", "is_active": "on", "auto_allocate": "on", "reason": "The others fill up"}  # fmt: skip
    address = reverse("admin:instances_instance_add")
    assert staff("operator").post(address, data).status_code == 403
    client = staff("admin")
    answer = client.post(address, data)
    assert "below the allocation cap" in answer.content.decode()
    assert client.post(address, data | {"allocation_cap": "7"}).status_code == 302
    row = Instance.objects.get(slug="cloud-new")
    assert (row.allocated_seats, row.group.name) == (0, "/frontdesk/cloud-new")
    entry = AuditEntry.objects.get(subject_kind="instance", subject_id=str(row.pk))
    assert (entry.actor, entry.reason) == ("staff:admin-ada", "The others fill up")
