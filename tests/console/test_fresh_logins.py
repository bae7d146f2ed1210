"""Who acts has rights at Keycloak now, and for what is dangerous a login of the last minutes; both asked before anything is done."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.catalog.models import Product
from apps.console.checks import action_names
from apps.core.models import AuditEntry
from apps.identity import keycloak as identity
from apps.identity import session_checks
from apps.instances.models import Instance
from apps.login import reauthentication, sessions
from tests.console.conftest import World, log_in_freshly
from tests.console.desk import REASON, dialog, send
from tests.login.conftest import Person, fresh_keys, keycloak, local, person
from tests.rows import writes
from tests.sandbox.keycloak_fixture import Standin
from tests.security.url_table import WITHOUT_FRESH_LOGIN

__all__ = ["fresh_keys", "keycloak", "person"]  # the fixtures

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/admin/core/job/?q=1"}


def rows() -> dict[str, int]:
    """All that an action may write but the line of its refusal, and what follows Keycloak."""
    aside = ("auth_", "usersessions", "core_auditentry")
    return {name: count for name, count in writes().items() if not name.startswith(aside)}


def refusals() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(action="action_refused").order_by("id").values_list("actor", "reason"))


def asks_for_login(answer: Any) -> bool:
    target = urlsplit(answer.headers.get("HX-Redirect", ""))
    return target.path == "/accounts/oidc/keycloak/login/" and parse_qs(target.query)["as"] == ["fresh"]


def test_every_action_but_these_asks_for_a_fresh_login() -> None:
    found = {
        (f"{model._meta.app_label}_{model._meta.model_name}", name)
        for model, page in admin.site._registry.items()
        for name in action_names(page)
        if not getattr(page, name).__wrapped__.fresh
    }
    assert found == {(page, name) for page, name in WITHOUT_FRESH_LOGIN if page != "realm"}


def test_the_forms_of_catalog_and_capacity_ask_too_and_keep_what_was_typed(world: World, staff: Staff) -> None:
    client, plan = staff("admin"), world.plan
    edit = reverse("admin:catalog_product_change", args=[plan.pk])
    product = {
        "name": "Family and friends", "features": "Calendar\nFiles", "position": "0", "placement": "plan", "is_active": "on",
        "max_quantity": "1", "includes": [world.cloud.pk], "grants_name": ["storage_gb"], "grants_amount": ["200"], "reason": REASON,
    }  # fmt: skip
    for address, data in (
        (edit, product),
        (reverse("admin:catalog_product_add"), product | {"slug": "new"}),
        (reverse("admin:catalog_productprice_add"), {"reason": REASON}),
        (reverse("admin:instances_instance_add"), {"name": "Cloud 9", "slug": "cloud-9", "reason": REASON}),
    ):
        log_in_freshly(client, minutes=6)
        before, session = rows(), client.session
        session[sessions.CHECKED] = time.time()
        session.save()
        assert asks_for_login(client.post(address, data)), address
        assert rows() == before
        assert staff("viewer").post(address, data).status_code == 403  # not a word about logins
    assert (Product.objects.get(pk=plan.pk).name, Instance.objects.filter(slug="cloud-9").exists()) == ("Family", False)
    client.post(edit, product)
    log_in_freshly(client)
    text = client.get(edit).content.decode()
    assert "Family and friends" in text
    assert 'value="200"' in text
    assert REASON in text
    assert "Family and friends" not in client.get(reverse("admin:catalog_product_add")).content.decode()


@pytest.fixture
def ada(person: Person, keycloak: Standin, settings: Any, world: World) -> Person:
    """An administrator who has logged in at Keycloak."""
    settings.KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
    settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
    identity._client.cache_clear()
    person.log_in("admin.ada")
    return person


def age(person: Person, *, login: int = 0, check: int = 0) -> None:
    """Let the login and the last check be so many seconds older."""
    session = person.here.session
    session[reauthentication.FRESH_UNTIL] -= login
    session[sessions.CHECKED] -= check
    session.save()


def test_who_logs_in_again_finds_the_dialog_as_it_was_and_may_go_on(ada: Person, world: World) -> None:
    age(ada, login=301)
    seat, typed = world.seats[0], {"confirmation": "person-0", "instance": world.instances[1].pk}
    page = "/admin/instances/seat/?q=person-0"
    refused = ada.here.post(
        dialog(seat, "move"), {"_form_submitted": "on", "reason": REASON} | typed, headers=HTMX | {"HX-Current-URL": f"http://testserver{page}"},
    )  # fmt: skip
    assert asks_for_login(refused)
    address = ada.to_keycloak(refused["HX-Redirect"])
    assert "max_age=" in address
    back = ada.here.get(local(ada.at_keycloak(f"{address}&prompt=login", "admin.ada")))
    assert back["Location"] == page
    shown = ada.here.get(page).content.decode()
    assert "Nothing has been done yet" in shown
    assert f'hx-get="{dialog(seat, "move")}"' in shown
    form = ada.here.get(dialog(seat, "move")).content.decode()
    assert REASON in form
    assert 'value="person-0"' in form
    assert f'value="{world.instances[1].pk}" selected' in form
    seat.refresh_from_db()
    assert seat.instance == world.instances[0]
    assert "HX-Redirect" in send(ada.here, seat, "move", **typed)
    seat.refresh_from_db()
    assert seat.instance == world.instances[1]
    assert REASON not in ada.here.get(dialog(seat, "move")).content.decode()


def test_a_login_that_does_not_say_when_is_no_fresh_one_and_says_so(ada: Person, world: World) -> None:
    session = ada.here.session
    session[reauthentication.FRESH_UNTIL] = 0
    session.save()
    answer = send(ada.here, world.seats[0], "release", confirmation="person-0")
    assert answer["HX-Redirect"] == "/admin/"
    assert "scope “basic”" in ada.here.get("/admin/").content.decode()


# --- what is written down ------------------------------------------------------------------------------------------------


def lines(action: str) -> list[tuple[str, str, str, str]]:
    found = AuditEntry.objects.filter(action=action).order_by("id")
    return list(found.values_list("subject_kind", "subject_id", "actor", "reason"))


def test_logins_of_staff_are_written_down_and_those_that_are_refused(
    ada: Person, keycloak: Standin, settings: Any
) -> None:
    known = User.objects.get(username="admin.ada")
    assert lines("staff_logged_in") == [("user", str(known.pk), "staff:admin.ada", "")]
    settings.STAFF_REQUIRED_ACR = "2"
    again = Person(keycloak)
    weak = again.log_in("admin.ada")
    assert again.log_in("admin.ada", str(weak["Location"])).status_code == 403
    assert lines("staff_login_refused") == [("user", str(known.pk), "staff:admin.ada", "no second factor")]


def test_an_action_without_the_right_is_written_down_once_an_hour(world: World, staff: Staff) -> None:
    client, viewer = staff("viewer"), User.objects.get(username="viewer-ada")
    for _ in range(3):
        assert send(client, world.jobs[0], "retry_one").status_code == 403
    assert lines("action_refused") == [("user", str(viewer.pk), "staff:viewer-ada", "no right to do it")]


def test_looking_at_personal_data_is_one_line_for_each_of_staff_person_and_hour(world: World, staff: Staff) -> None:
    first, second = world.profiles[:2]
    for client in (staff("viewer"), staff("support")):
        for address in (
            reverse("admin:accounts_userprofile_change", args=[first.pk]),
            reverse("admin:accounts_userprofile_tab", args=[first.pk]) + "?tab=timeline",
            reverse("admin:instances_seat_change", args=[world.seats[0].pk]),
            reverse("admin:accounts_userprofile_change", args=[second.pk]),
            reverse("admin:billing_inboundevent_change", args=[world.events[0].pk]),
            reverse("admin:core_job_change", args=[world.jobs[0].pk]),
            reverse("admin:accounts_userprofile_changelist"),
        ):
            client.get(address)
    seen = [("profile", str(first.pk)), ("profile", str(second.pk)), ("event", str(world.events[0].pk))]
    wanted = [(*one, f"staff:{role}-ada", "") for role in ("viewer", "support") for one in seen]
    assert lines("person_viewed") == wanted
    assert "Personal data viewed" not in staff("viewer").get("/admin/").content.decode()
    assert "Personal data viewed" in staff("viewer").get(reverse("admin:core_auditentry_changelist")).content.decode()


# --- accounts that changed at Keycloak --------------------------------------------------------------------------------


def account_of(keycloak: Standin, name: str) -> str:
    found = keycloak.call("GET", "/users", params={"username": name, "exact": "true"}).json()
    return str(found[0]["id"])


@pytest.fixture
def disabled(ada: Person, keycloak: Standin) -> Any:
    """Ada's account is disabled at Keycloak, and nobody has noticed yet."""
    account = f"/users/{account_of(keycloak, 'admin.ada')}"
    keycloak.call("PUT", account, json={"enabled": False})
    yield ada
    keycloak.call("PUT", account, json={"enabled": True})


@pytest.mark.parametrize("idle", [61, 10 * 60])
def test_a_disabled_member_of_staff_does_nothing_more_however_long_they_rested(
    idle: int, disabled: Person, world: World
) -> None:
    age(disabled, check=idle)
    before = rows()
    answer = send(disabled.here, world.jobs[0], "retry_one")
    assert answer["HX-Redirect"] == "/admin/"
    assert rows() == before
    assert refusals() == [("staff:admin.ada", "no rights at Keycloak anymore")]
    assert disabled.here.get("/admin/").status_code == 302


def test_the_job_ends_sessions_of_staff_who_rest(disabled: Person, settings: Any) -> None:
    session = disabled.here.session
    session.set_expiry(settings.SESSION_COOKIE_AGE - 10 * 60)  # as if the last visit had been ten minutes ago
    session.save()
    session_checks.check_logins("")
    assert disabled.here.get("/admin/").status_code == 302
    assert not User.objects.get(username="admin.ada").is_staff


@pytest.mark.fault("F68")
def test_a_demoted_member_of_staff_is_refused_by_the_role_they_have_now(
    ada: Person, keycloak: Standin, world: World
) -> None:
    account = account_of(keycloak, "admin.ada")
    admins, viewers = (
        str(keycloak.call("GET", f"/group-by-path/staff/{one}").json()["id"]) for one in ("admin", "viewer")
    )
    try:
        keycloak.call("DELETE", f"/users/{account}/groups/{admins}")
        keycloak.call("PUT", f"/users/{account}/groups/{viewers}")
        age(ada, check=61)
        before = rows()
        assert send(ada.here, world.jobs[0], "retry_one").status_code == 403
        assert rows() == before
    finally:
        keycloak.call("PUT", f"/users/{account}/groups/{admins}")
        keycloak.call("DELETE", f"/users/{account}/groups/{viewers}")


def test_while_keycloak_does_not_answer_support_goes_on_for_a_while_and_danger_waits(
    ada: Person, keycloak: Standin, world: World
) -> None:
    keycloak.fault("down")
    try:
        age(ada, check=61)
        before = rows()
        assert send(ada.here, world.seats[0], "release", confirmation="person-0")["HX-Redirect"] == "/admin/"
        assert rows() == before
        assert "Keycloak does not answer" in ada.here.get("/admin/").content.decode()
        assert send(ada.here, world.jobs[0], "retry_one")["HX-Redirect"] != "/admin/"
        age(ada, check=15 * 60)
        before = rows()
        assert send(ada.here, world.jobs[1], "retry_one")["HX-Redirect"] == "/admin/"
        assert rows() == before
    finally:
        keycloak.fault("ok")
    assert SocialAccount.objects.filter(user__is_staff=True).count() == 1
