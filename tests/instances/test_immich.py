"""What is Immich's own: whose account it is, its trash, its keys, and what its stand-in refuses in its words."""

from dataclasses import replace
from typing import Any

import pytest
import requests

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.sandbox.immich_account import ADMIN, API_KEY
from tests.instances.peers import DANA, ID, IMMICH
from tests.instances.products import GB
from tests.sandbox.keycloak_fixture import Standin

DAY = 86_400


def ask(standin: Standin, method: str, path: str, key: str = API_KEY, **fields: Any) -> requests.Response:
    url = f"{standin.url}/immich/cloud-1/api/{path}"
    return requests.request(method, url, json=fields, headers={"x-api-key": key} if key else {}, timeout=10)


def only(standin: Standin) -> dict[str, Any]:
    """The one account besides the administrator's, wherever it is in its life."""
    users = ask(standin, "GET", "admin/users?withDeleted=true").json()
    (found,) = [user for user in users if user["email"] != ADMIN]
    return dict(found)


def log_in(standin: Standin, email: str = DANA.email, sub: str = ID) -> requests.Response:
    return standin.control("immich", host="cloud-1", sub=sub, email=email)


def test_a_login_finds_the_account_by_its_address_once_and_by_the_keycloak_id_from_then_on(standin: Standin) -> None:
    product = IMMICH.connect(standin)
    product.ensure(DANA, quota=GB)
    assert (only(standin)["storageLabel"], only(standin)["oauthId"]) == (ID, "")
    moved = replace(DANA, email="dana@new.example.com")
    product.ensure(moved, quota=GB, found=product.find(ID))  # the address follows Keycloak's until then
    assert log_in(standin, email=DANA.email).status_code == 400
    assert log_in(standin, email=moved.email).json()["user"] == only(standin)["id"]
    assert only(standin)["oauthId"] == ID
    ask(standin, "PUT", f"admin/users/{only(standin)['id']}", storageLabel=None, email="mine@example.com")
    found = IMMICH.connect(standin).find(ID)
    assert found is not None
    assert (found.email, found.quota) == (None, GB)


def test_who_is_in_the_trash_stays_outside_and_comes_back_to_everything(standin: Standin) -> None:
    product = IMMICH.connect(standin)
    product.ensure(DANA, quota=GB)
    log_in(standin)
    standin.control("immich", host="cloud-1", user=ID, used=7)
    product.suspend(ID)
    assert only(standin)["status"] == "deleted"
    assert log_in(standin).status_code == 400
    standin.control("clock", advance_seconds=3000 * DAY)
    product.resume(ID)
    assert log_in(standin).status_code == 200
    assert only(standin)["quotaUsageInBytes"] == 7


def test_a_trash_that_is_emptied_too_soon_suspends_nobody(standin: Standin) -> None:
    product = IMMICH.connect(standin)
    product.ensure(DANA, quota=GB)
    standin.control("immich", host="cloud-1", delete_delay=7)
    for ask_it in (product.check, lambda: product.suspend(ID)):
        with pytest.raises(NeedsOperator, match="deletes what is in its trash after 7 days"):
            ask_it()
    assert only(standin)["status"] == "active"


def test_a_removal_that_goes_on_after_the_answer_is_waited_for(standin: Standin) -> None:
    product = IMMICH.connect(standin)
    product.ensure(DANA, quota=GB)
    product.suspend(ID)  # nothing in the trash can be deleted: it is restored first
    standin.fault("removal_stuck", peer="immich")
    product.deprovision(ID)
    with pytest.raises(RetryLater, match="has not removed all files") as waits:
        product.find(ID)
    assert waits.value.after is not None
    product.deprovision(ID)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": DANA.email, "storageLabel": None}, "has the address of account"),
        ({"email": "someone@example.com", "storageLabel": ID}, "another Keycloak account logs in to it"),
    ],
)
@pytest.mark.parametrize("in_trash", [False, True])
def test_a_strangers_account_is_not_taken_over(
    standin: Standin, fields: dict[str, Any], words: str, in_trash: bool
) -> None:
    made = ask(standin, "POST", "admin/users", name="S", password="a password", **fields).json()
    log_in(standin, email=fields["email"], sub="somebody-else")
    if in_trash:
        ask(standin, "DELETE", f"admin/users/{made['id']}")
    with pytest.raises(NeedsOperator, match=words) as refused:
        IMMICH.connect(standin).ensure(DANA, quota=GB)
    assert made["id"] in str(refused.value)
    assert "@" not in str(refused.value)
    IMMICH.connect(standin).deprovision(ID)
    assert only(standin)["id"] == made["id"]


@pytest.mark.parametrize("is_used", [False, True])
def test_what_staff_are_told_about_an_address_that_is_taken_can_be_done(standin: Standin, is_used: bool) -> None:
    made = ask(standin, "POST", "admin/users", name="S", email=DANA.email, password="a password").json()
    if is_used:
        log_in(standin, sub="her-former-id")
    ask(standin, "DELETE", f"admin/users/{made['id']}")
    words, change = (
        ("cannot be handed over", {"email": "old@example.com"})
        if is_used
        else ("set its storage label", {"storageLabel": ID})
    )
    with pytest.raises(NeedsOperator, match=words):
        IMMICH.connect(standin).ensure(DANA, quota=GB)
    ask(standin, "POST", f"admin/users/{made['id']}/restore")
    assert ask(standin, "PUT", f"admin/users/{made['id']}", **change).status_code == 200
    product = IMMICH.connect(standin)
    product.ensure(DANA, quota=GB, found=product.find(ID))
    found = IMMICH.connect(standin).find(ID)
    assert found is not None
    assert (found.enabled, found.quota) == (True, GB)


@pytest.mark.parametrize("text", ["{}", "[{}]", "null", "3", '{"permissions": ["all"]}'])
def test_what_answers_in_another_form_counts_as_down(
    standin: Standin, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = 200, text.encode()
    monkeypatch.setattr(requests, "request", lambda *_, **__: answer)
    product = IMMICH.connect(standin)
    for ask_it in (product.check, lambda: product.find(ID)):
        with pytest.raises(DependencyDown, match="does not answer as Immich does"):
            ask_it()


def test_two_accounts_of_one_person_are_left_to_staff(standin: Standin) -> None:
    standin.control("immich", host="cloud-1", auto_register=True)
    IMMICH.connect(standin).ensure(DANA, quota=GB)
    log_in(standin, email="dana@else.example.com")
    with pytest.raises(NeedsOperator, match="has several accounts"):
        IMMICH.connect(standin).suspend(ID)


@pytest.mark.parametrize(
    ("settings", "host", "words"),
    [
        ({"permissions": ["adminUser.read", "user.read"]}, {}, "adminUser.create, adminUser.delete, adminUser.update"),
        ({"oauth": False}, {}, "OAuth is off"),
        ({}, {"group": "customers"}, "Immich has no groups"),
        ({}, {"login": "ada@example.com"}, "is not that of an administrator ada@example.com"),
    ],
)
def test_what_is_not_set_up_is_named_by_the_check(
    standin: Standin, settings: dict[str, Any], host: dict[str, str], words: str
) -> None:
    standin.control("immich", host="cloud-1", **settings)
    with pytest.raises(NeedsOperator, match=words):
        IMMICH.connect(standin, **host).check()


def test_a_key_that_may_too_little_stops_the_instance_and_not_one_account(standin: Standin) -> None:
    IMMICH.connect(standin).ensure(DANA, quota=GB)
    standin.control("immich", host="cloud-1", permissions=["adminUser.read", "systemConfig.read"])
    with pytest.raises(DependencyDown, match=r"Missing required permission: adminUser\.delete"):
        IMMICH.connect(standin).suspend(ID)


@pytest.mark.parametrize(
    ("method", "path", "key", "fields", "status", "words"),
    [
        ("GET", "admin/users", "", {}, 401, "Authentication required"),
        ("GET", "admin/users", "wrong", {}, 401, "Invalid API key"),
        ("GET", f"admin/users/{ID}", API_KEY, {}, 400, "User not found"),
        ("GET", "admin/users/7", API_KEY, {}, 400, "Invalid UUID"),
        ("POST", "admin/users", API_KEY, {"name": "Dana"}, 400, "Validation failed"),
        ("POST", "admin/users", API_KEY, {"name": "D", "email": "d", "password": "p"}, 400, "Invalid email address"),
        ("POST", "admin/users", API_KEY, {"name": "D", "email": ADMIN, "password": "p"}, 400, "User exists"),
        ("GET", "admin/groups", API_KEY, {}, 404, "Cannot GET"),
    ],
)  # fmt: skip
def test_the_stand_in_refuses_in_the_words_of_the_real_one(
    standin: Standin, method: str, path: str, key: str, fields: dict[str, Any], status: int, words: str
) -> None:
    answer = ask(standin, method, path, key, **fields)
    assert answer.status_code == status
    assert words in answer.text


def test_a_quota_below_nothing_and_a_double_label_are_refused_as_its_database_does(standin: Standin) -> None:
    IMMICH.connect(standin).ensure(DANA, quota=GB)
    path = f"admin/users/{only(standin)['id']}"
    assert "quotaSizeInBytes" in ask(standin, "PUT", path, quotaSizeInBytes=-1).text
    double = {"name": "N", "email": "n@example.com", "password": "p", "storageLabel": ID}
    assert ask(standin, "POST", "admin/users", **double).status_code == 500
    assert ask(standin, "PUT", path, email=ADMIN).json()["message"] == "Email already in use by another account"
