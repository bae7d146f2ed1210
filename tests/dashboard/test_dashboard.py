"""The subscriber's page: what it shows, to whom, and what it costs."""

import datetime as dt
import socket
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.core import clock
from apps.dashboard import overview
from apps.instances.models import Instance, Seat
from tests.dashboard.conftest import DUE, Catalog, person, seat, subscribe

URL = "/dashboard/"


def text(answer: HttpResponse) -> str:
    """What a person reads: no tags, single spaces."""

    class Reader(HTMLParser):
        words: list[str] = []

        def handle_data(self, data: str) -> None:
            self.words.append(data)

    reader = Reader()
    reader.words = []
    reader.feed(answer.content.decode())
    return " ".join(" ".join(reader.words).split())


def page_of(profile: UserProfile) -> str:
    client = Client()
    client.force_login(profile.user)
    return text(client.get(URL))


def status_of(profile: UserProfile) -> dict[str, str]:
    profile.refresh_from_db()
    return {app.name: app.status for app in overview.of(profile).apps}


def test_a_visitor_is_taken_to_login(client: Client, db: None) -> None:
    assert client.get("/")["Location"] == URL
    assert client.get(URL)["Location"] == f"/accounts/oidc/keycloak/login/?next={URL}"


def test_it_shows_apps_plan_charge_and_account(client_of_nora: Client) -> None:
    answer = client_of_nora.get(URL)
    page = text(answer)
    for words in (
        "Hello, Nora",
        "Your subscription is active.",
        "Cloud One",
        "Home plan",
        "2 × 100 GB",
        "€12.50",
        "€4 a month",
        "Next charge 14 March 2027 €16.50",
        "nora@example.com",
        "Log out",
        "Change plan or storage",
        "Address and tax ID",
        "Change password",
    ):
        assert words in page, words
    assert 'href="https://cloud-1.example.com/"' in answer.content.decode()


def test_it_costs_three_queries(client_of_nora: Client, django_assert_num_queries: Any) -> None:
    client_of_nora.get(URL)  # the first visit notes when the session began
    with django_assert_num_queries(3):
        client_of_nora.get(URL)


def test_it_costs_no_more_for_somebody_with_much(
    nora: UserProfile, catalog: Catalog, client_of_nora: Client, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        subscribe(nora, catalog.storage, catalog.notes, catalog.cloud)
    client_of_nora.get(URL)
    with django_assert_num_queries(3):
        client_of_nora.get(URL)


def test_it_calls_nobody(client_of_nora: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client_of_nora.get(URL)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the dashboard called out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert client_of_nora.get(URL).status_code == 200


def test_another_subscriber_sees_nothing_of_it(nora: UserProfile, catalog: Catalog) -> None:
    page = page_of(person("omar"))
    assert "Omar" in page
    for secret in ("Nora", "nora", "Home plan", "Cloud One", "16.50"):
        assert secret not in page


def test_a_user_who_is_neither_is_told_so(db: None, client: Client) -> None:
    client.force_login(User.objects.create(username="nobody"))
    assert client.get(URL).status_code == 403


def test_an_app_without_its_seat_says_that_it_is_being_prepared(nora: UserProfile) -> None:
    Seat.objects.all().delete()
    assert status_of(nora) == {"Cloud": "preparing", "Notes": "included"}
    assert "Being prepared" in page_of(nora)


def test_a_seat_that_is_only_held_opens_nothing(nora: UserProfile) -> None:
    Seat.objects.update(state="reserved", reserved_until=clock.now())
    assert status_of(nora)["Cloud"] == "preparing"


def test_a_released_seat_is_not_shown(catalog: Catalog) -> None:
    omar = person("omar")
    seat(omar, catalog.instance, "released")
    assert status_of(omar) == {}


def test_a_granted_app_is_shown_while_the_grant_lasts(catalog: Catalog) -> None:
    omar, now = person("omar"), clock.now()
    day = dt.timedelta(days=1)
    grant = AccessOverride.objects.create(
        profile=omar,
        kind="grant",
        reason="a gift",
        created_by="x",
        created_at=now,
        starts_at=now - day,
        ends_at=now + day,
    )
    grant.products.add(catalog.plan)
    assert status_of(omar) == {"Cloud": "preparing", "Notes": "included"}
    AccessOverride.objects.update(ends_at=now - dt.timedelta(hours=1))
    assert status_of(omar) == {}
    AccessOverride.objects.update(ends_at=now + day, lifted_at=now)
    assert status_of(omar) == {}


def test_an_address_that_is_not_of_the_web_is_no_link(nora: UserProfile) -> None:
    Instance.objects.update(url="javascript:alert(1)")
    Subscription.objects.update(open_invoice_url="javascript:alert(1)")
    assert overview.of(nora).owed == ()
    assert status_of(nora)["Cloud"] == "preparing"


def test_names_are_escaped(nora: UserProfile, client_of_nora: Client) -> None:
    Instance.objects.update(name="<script>alert(1)</script>")
    User.objects.filter(pk=nora.user_id).update(first_name="<b>Nora</b>")
    page = client_of_nora.get(URL).content
    assert b"<script>alert" not in page
    assert b"<b>Nora" not in page


def test_a_canceled_subscription_says_when_it_ends_and_charges_nothing(nora: UserProfile) -> None:
    Subscription.objects.update(cancel_at=DUE)
    found = overview.of(nora)
    assert (found.charges, found.ends_at) == ((), DUE)
    assert "Ends on 14 March 2027" in page_of(nora)


def test_a_trial_without_a_card_says_that_it_ends_and_asks_for_one(nora: UserProfile) -> None:
    Subscription.objects.update(status="trialing", trial_end=DUE, after_trial="cancel")
    found, page = overview.of(nora), page_of(nora)
    assert (found.charges, found.lapses_at) == ((), DUE)
    assert "Trial ends on 14 March 2027" in page
    assert ("Add a card" in page, "Change card" in page) == (True, False)


def test_the_next_charge_is_only_what_is_due_first(nora: UserProfile) -> None:
    UserSubscriptionItem.objects.filter(unit_amount=1250).update(current_period_end=DUE + dt.timedelta(days=200))
    (charge,) = overview.of(nora).charges
    assert (charge.at, charge.amount, charge.currency) == (DUE, 400, "eur")


@pytest.mark.parametrize("status", ["canceled", "incomplete", "incomplete_expired"])
def test_a_subscription_that_is_over_is_not_shown(status: str, nora: UserProfile) -> None:
    Subscription.objects.update(status=status)
    assert overview.of(nora).lines == ()


@pytest.mark.parametrize("status", ["unpaid", "paused"])
def test_a_subscription_that_does_not_charge_names_no_charge(status: str, nora: UserProfile) -> None:
    Subscription.objects.update(status=status)
    found = overview.of(nora)
    assert (found.charges, len(found.lines)) == ((), 2)


def test_a_line_of_a_product_we_do_not_know_is_shown_too(nora: UserProfile) -> None:
    UserSubscriptionItem.objects.update(product=None)
    assert {line.name for line in overview.of(nora).lines} == {"Other"}


def test_a_late_payment_says_what_to_do(nora: UserProfile) -> None:
    UserProfile.objects.update(access_state="grace", access_reason={"code": "payment_late", "until": DUE.isoformat()})
    Subscription.objects.update(open_invoice_url="https://invoice.example.com/1")
    page = page_of(nora)
    for words in ("Your last payment failed.", "Pay the open invoice", "Update payment details", "Open"):
        assert words in page
    assert status_of(nora)["Cloud"] == "open"


def test_somebody_recovering_sees_paused_apps_and_how_to_pay(nora: UserProfile) -> None:
    UserProfile.objects.update(access_state="recovering", access_reason={"code": "recovering"}, access_until=DUE)
    Seat.objects.update(state="retained")
    page = page_of(nora)
    for words in (
        "Your apps are paused until the subscription is paid.",
        "Update payment details",
        "Paused",
        "This stays open until 14 March 2027",
    ):
        assert words in page
    assert set(status_of(nora).values()) == {"paused"}


def test_somebody_recovering_without_a_subscription_is_led_to_a_new_one(catalog: Catalog) -> None:
    omar = person("omar", access_state="recovering")
    assert "Subscribe again" in page_of(omar)


def test_somebody_whose_account_is_being_made_is_told_so(catalog: Catalog) -> None:
    omar = person("omar", access_state="none", access_reason={}, stripe_customer_id=None, keycloak_id=None)
    page = page_of(omar)
    assert "Your account is being prepared" in page
    assert "Change plan or storage" not in page


def test_the_page_holds_no_inline_script_or_style(client_of_nora: Client) -> None:
    answer = client_of_nora.get(URL)
    page = answer.content.decode()
    assert "<script" not in page
    assert "style=" not in page
    assert "https://billing.stripe.com" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_the_front_door_says_goodbye_once_after_a_logout(client):
    session = client.session
    session["just_left"] = True
    session.save()
    assert "You are logged out" in client.get("/").content.decode()
    assert client.get("/")["Location"] == URL
