"""The JSON APIs of the checkout: proof of the mailbox, usernames, opening the payment, and what they never tell."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.models import Job, RateLimit
from apps.notifications.models import Notification
from apps.onboarding.models import OneTimeCode
from tests.storefront.visitor import (
    ACCOUNT,
    OF_EACH_ANSWER,
    SEND,
    SESSION,
    VALIDATE,
    VERIFY,
    Visitor,
    code_mailed,
    wrong,
)
from tests.world import World


def customer(name: str = "carla", email: str = "carla@example.com") -> UserProfile:
    user = User.objects.create(username=name, email=email)
    return UserProfile.objects.create(user=user, email=email, keycloak_id=f"keycloak-{name}", created_at=clock.now())


def error(answer: HttpResponse) -> tuple[int, str, str]:
    found = answer.json()["error"]  # type: ignore[attr-defined]
    assert found["message"].endswith((".", "expected here.")), found
    return answer.status_code, found["code"], found["field"]


# --- the mailbox -----------------------------------------------------------------------------------------------------


def test_the_code_in_the_mail_proves_the_mailbox_and_the_session_gets_a_new_id(
    shop: dict[str, Product], visitor: Visitor
) -> None:
    visitor.at_checkout()
    assert visitor.api(SEND, email="Dana@EXAMPLE.com").json() == {"sent": True, "minutes": 10}
    before = visitor.client.session.session_key
    answer = visitor.api(VERIFY, email="Dana@example.com", code=f" {code_mailed()} ")
    assert answer.json() == {"proven": True, "email": "Dana@example.com"}
    assert visitor.signup.email_proven_at is not None
    assert visitor.client.session.session_key != before
    old = Client()
    old.cookies[next(iter(visitor.client.cookies))] = str(before)
    assert "signup" not in old.session


def test_a_code_is_worth_nothing_in_another_browser_or_for_another_address(
    shop: dict[str, Product], visitor: Visitor
) -> None:
    thief = Visitor().at_checkout()
    visitor.at_checkout().api(SEND, email="dana@example.com")
    code = code_mailed()
    assert error(thief.api(VERIFY, email="dana@example.com", code=code))[1] == "wrong_code"
    assert error(visitor.api(VERIFY, email="other@example.com", code=code))[1] == "wrong_code"
    assert Signup.objects.exclude(email_proven_at=None).count() == 0
    assert visitor.api(VERIFY, email="dana@example.com", code=code).status_code == 200


def test_five_wrong_codes_burn_the_right_one(shop: dict[str, Product], visitor: Visitor, no_limits: None) -> None:
    visitor.at_checkout().api(SEND, email="dana@example.com")
    code = code_mailed()
    for _ in range(5):
        answer = visitor.api(VERIFY, email="dana@example.com", code=wrong(code))
        assert error(answer) == (400, "wrong_code", "code")
    assert visitor.api(VERIFY, email="dana@example.com", code=code).status_code == 400
    assert visitor.signup.email_proven_at is None


def test_tries_are_limited_before_any_hash_is_computed(
    shop: dict[str, Product], visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.at_checkout()
    looked: list[str] = []
    monkeypatch.setattr("apps.onboarding.codes.consume_code", lambda **asked: looked.append(asked["code"]))
    answers = [visitor.api(VERIFY, email="dana@example.com", code="123456") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 2
    assert len(looked) == 5
    assert answers[-1].headers["Retry-After"] == "60"


def observe(email: str) -> dict[str, Any]:
    """Everything an outsider could measure of one request for a code."""
    RateLimit.objects.all().delete()
    visitor = Visitor().at_checkout()
    counted = [model.objects.count() for model in (Notification, Job, OneTimeCode, RateLimit)]
    with CaptureQueriesContext(connection) as queries:
        answer = visitor.api(SEND, email=email)
    after = [model.objects.count() for model in (Notification, Job, OneTimeCode, RateLimit)]
    shapes = [re.sub(r"'[^']*'|\d+|SAVEPOINT.*", "", query["sql"])[:60] for query in queries]
    return {
        "status": answer.status_code,
        "body": answer.content,
        "headers": {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER},
        "cookies": sorted(answer.cookies),
        "queries": shapes,
        "rows": [new - old for new, old in zip(after, counted, strict=True)],
    }


def test_whether_an_address_has_an_account_is_told_to_its_mailbox_only(
    shop: dict[str, Product],
) -> None:
    customer()
    stranger, known, spelled = (
        observe(email) for email in ("nobody@example.com", "carla@example.com", "CARLA@example.com")
    )
    assert stranger == known == spelled
    assert stranger["rows"] == [1, 1, 1, 8]
    mails = Notification.objects.order_by("pk").values_list("to", "template")
    assert list(mails) == [
        ("nobody@example.com", "signup_code"),
        ("carla@example.com", "already_customer"),
        ("carla@example.com", "already_customer"),
    ]


def test_a_customers_address_cannot_be_proven_again(shop: dict[str, Product], visitor: Visitor) -> None:
    customer()
    visitor.at_checkout().api(SEND, email="carla@example.com")
    for guess in ("", "000000"):
        assert visitor.api(VERIFY, email="carla@example.com", code=guess).status_code == 400
    assert OneTimeCode.objects.get().code_hash == ""


def test_an_unpaid_try_of_earlier_is_no_account(shop: dict[str, Product], visitor: Visitor) -> None:
    profile = customer()
    UserProfile.objects.filter(pk=profile.pk).update(keycloak_id=None)
    visitor.proven("carla@example.com")


def test_while_a_payment_is_open_the_address_stays(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    Signup.objects.update(state="checkout", username="dana")
    assert error(visitor.api(SEND, email="other@example.com")) == (409, "in_checkout", "email")


# --- usernames -------------------------------------------------------------------------------------------------------


def test_names_are_told_only_after_the_mailbox_is_proven(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    assert error(visitor.api(VALIDATE, username="free.name")) == (403, "unproven", "email")


def test_free_taken_reserved_and_lookalike_names(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    customer("carla")
    other = Visitor().proven("emil@example.com")
    Signup.objects.filter(pk=other.signup.pk).update(state="checkout", username="emil")
    answers = {}
    for name in ("dana", "Dana", "CARLA", "emil", "admin", "adm1n", "r.o.o.t", "ab"):
        found = visitor.api(VALIDATE, username=name).json()["username"]  # type: ignore[attr-defined]
        answers[name] = found["available"]
        assert found["message"]
    assert [name for name, free in answers.items() if free] == ["dana", "Dana"]


def test_asking_for_names_is_limited_per_session(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    answers = [visitor.api(VALIDATE, username=f"name{number}").status_code for number in range(22)]
    assert answers[:10] == [200] * 10
    assert 429 in answers


def test_of_an_address_only_its_form_is_told(shop: dict[str, Product], visitor: Visitor) -> None:
    customer()
    visitor.at_checkout()
    for address, good in (("carla@example.com", True), ("new@example.com", True), ("nope", False)):
        assert visitor.api(VALIDATE, email=address).json() == {"email": {"well_formed": good}}  # type: ignore[attr-defined]


# --- the payment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"username": ""}, "required", "username"),
        ({"username": "a"}, "format", "username"),
        ({"username": "support"}, "reserved", "username"),
        ({"username": "carla"}, "taken", "username"),
        ({"last_name": "http://spam"}, "required", "last_name"),
        ({"last_name": "<script>"}, "characters", "last_name"),
        ({"terms": ""}, "required", "terms"),
        ({"terms": True}, "invalid", "terms"),
        ({"terms": "0"}, "terms_changed", "terms"),
        ({"ui": "popup"}, "invalid", "ui"),
        ({"price": 1}, "unknown_field", ""),
        ({"unit_amount": 1}, "unknown_field", ""),
        ({"basket": {"personal": 0}}, "unknown_field", ""),
    ],
)
def test_a_wrong_answer_opens_no_payment(
    shop: dict[str, Product], visitor: Visitor, change: dict[str, Any], code: str, field: str
) -> None:
    customer("carla")
    visitor.proven()
    found = error(visitor.api(SESSION, **(ACCOUNT | change)))
    assert found[1:] in {(code, field), ("characters", field)}
    assert visitor.signup.state == "open"
    assert visitor.signup.checkout_number == 0


def test_no_payment_before_the_mailbox_is_proven_or_the_plan_is_chosen(
    shop: dict[str, Product], visitor: Visitor
) -> None:
    assert error(visitor.api(SESSION, **ACCOUNT))[:2] == (409, "no_signup")
    visitor.at_checkout()
    assert error(visitor.api(SESSION, **ACCOUNT))[:2] == (403, "unproven")
    Signup.objects.update(email="dana@example.com", email_proven_at=clock.now(), basket={})
    assert error(visitor.api(SESSION, **ACCOUNT))[:2] == (409, "no_plan")


def test_only_post_is_answered(shop: dict[str, Product], visitor: Visitor) -> None:
    for url in (SEND, VERIFY, VALIDATE, SESSION):
        answer = visitor.get(url)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_payment_opens_at_our_prices_with_name_and_seat_reserved(world: World, visitor: Visitor) -> None:
    visitor.proven()
    visitor.addons(storage_100="2")
    opened = visitor.api(SESSION, **ACCOUNT)
    assert opened.status_code == 200, opened.content
    answer = opened.json()  # type: ignore[attr-defined]
    assert answer["client_secret"].startswith("cs_")
    assert (answer["ui"], answer["url"]) == ("embedded", "")
    signup = visitor.signup
    assert (signup.state, signup.username, signup.terms_version) == ("checkout", "dana", "1")
    session = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    assert session.amount_total == 500 + 2 * 150
    assert signup.profile is not None
    assert signup.profile.seats.get().state == "reserved"

    again = visitor.api(SESSION, **ACCOUNT).json()  # type: ignore[attr-defined]
    assert again["client_secret"] == answer["client_secret"]
    hosted = visitor.api(SESSION, **ACCOUNT, ui="hosted").json()  # type: ignore[attr-defined]
    assert hosted["url"].startswith(world.url)
    rival = Visitor().proven("emil@example.com")
    assert error(rival.api(SESSION, **ACCOUNT)) == (409, "taken", "username")


def test_a_product_that_fills_up_meanwhile_offers_its_waitlist(world: World, visitor: Visitor) -> None:
    visitor.proven()
    world.only_room_for(1)
    world.subscriber("emil")
    answer = visitor.api(SESSION, **ACCOUNT)
    assert error(answer) == (409, "full", "nextcloud")
    assert "haven't been charged" in answer.content.decode()
    assert visitor.signup.state == "open"


def test_while_stripe_is_away_the_answer_is_a_sentence_and_a_time(world: World, visitor: Visitor) -> None:
    visitor.proven()
    world.fault("stripe", "http_503")
    answer = visitor.api(SESSION, **ACCOUNT)
    world.fault("stripe", "ok")
    assert error(answer)[:2] == (503, "payment_away")
    assert answer.headers["Retry-After"] == "30"
    assert visitor.api(SESSION, **ACCOUNT).status_code == 200


def test_sessions_are_limited_per_mailbox_but_a_reload_is_free(world: World, visitor: Visitor) -> None:
    visitor.proven()
    for _ in range(5):
        assert visitor.api(SESSION, **ACCOUNT).status_code == 200
    names = ["dana.two", "dana.three", "dana.four"]
    answers = [visitor.api(SESSION, **ACCOUNT | {"username": name}).status_code for name in names]
    assert answers == [200, 200, 429]


def test_who_has_paid_is_not_sold_the_same_again(world: World, visitor: Visitor) -> None:
    visitor.proven()
    opened = visitor.api(SESSION, **ACCOUNT).json()  # type: ignore[attr-defined]
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})
    answer = visitor.api(SESSION, **ACCOUNT)
    assert answer.json() == {"paid": True, "url": "/onboarding/success/"}  # type: ignore[attr-defined]
