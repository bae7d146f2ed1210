"""The Stripe stand-in as its users meet it: Stripe's own SDK, a browser's forms, an endpoint for webhooks.

Every request that succeeds and every answer is held against Stripe's OpenAPI document on the way; so is every event
when a test ends.
"""

import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import stripe

from tests.sandbox.stripe_schema import judge

KEY = "sk_test_" + "SandboxTests" * 3
VERSION = "2026-08-26.dahlia"
GOOD, DECLINED, ASKS, FAILS_LATER = ("4242424242424242", "4000000000000002", "4000002760003184", "4000000000000341")
DAY = 86_400


class JudgedClient(stripe.RequestsClient):
    """An HTTP client that fails the test for anything Stripe's document does not know."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answer_headers = super().request(method, url, headers, post_data)
        address = urlsplit(url)
        path = address.path.removeprefix("/stripe")
        pairs = parse_qsl(address.query if method.lower() == "get" else post_data or "", keep_blank_values=True)
        answer = json.loads(body)
        if status == 200:
            assert judge().request_errors(method.upper(), path, pairs) == []
            wrong = judge().errors(answer)
            assert wrong == [], wrong
        else:
            assert judge().errors(answer, "error") == []
        return body, status, answer_headers


class Shop:
    """A Stripe account in the sandbox, driven as the application and its customers drive it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stripe = stripe.StripeClient(
            KEY, base_addresses={"api": f"{url}/stripe"}, stripe_version=VERSION, http_client=JudgedClient(timeout=30)
        )
        self.v1 = self.stripe.v1
        self._numbers = itertools.count()

    def control(self, name: str, **wish: Any) -> dict[str, Any]:
        return self._post(f"/stripe/_control/{name}", wish)

    def webhooks(self, mode: str) -> None:
        self._post("/control/webhooks", {"mode": mode})

    def flush(self) -> dict[str, Any]:
        return self._post("/control/webhooks/flush", {})

    def pass_time(self, *, days: float = 0, seconds: int = 0) -> None:
        self._post("/control/clock", {"advance_seconds": round(days * DAY) + seconds})

    def _post(self, path: str, wish: Any) -> dict[str, Any]:
        answer = requests.post(self.url + path, json=wish, timeout=60)
        assert answer.status_code == 200, answer.text[:500]
        return dict(answer.json())

    def price(self, amount: int = 1000, interval: str = "month", **rest: Any) -> str:
        product = self.v1.products.create({"name": f"Plan {next(self._numbers)}"})
        wish: Any = {
            "product": product.id,
            "unit_amount": amount,
            "currency": "usd",
            "recurring": {"interval": interval},
            **rest,
        }
        return self.v1.prices.create(wish).id

    def customer(self, method: str = "") -> str:
        made = self.v1.customers.create({"email": f"dana{next(self._numbers)}@example.com", "name": "Dana Example"})
        if method:
            saved = self.v1.payment_methods.attach(method, {"customer": made.id})
            self.v1.customers.update(made.id, {"invoice_settings": {"default_payment_method": saved.id}})
        return made.id

    def subscribe(self, customer: str = "", price: str = "", **rest: Any) -> dict[str, Any]:
        wish: Any = {
            "customer": customer or self.customer("pm_card_visa"),
            "items": [{"price": price or self.price()}],
            **rest,
        }
        return self.v1.subscriptions.create(wish).to_dict()

    def subscription(self, identifier: str) -> dict[str, Any]:
        return self.v1.subscriptions.retrieve(identifier).to_dict()

    def session(self, **wish: Any) -> dict[str, Any]:
        """An embedded session for a subscription, unless told otherwise."""
        base: Any = {
            "mode": "subscription",
            "line_items": [{"price": wish.pop("price", "") or self.price(), "quantity": 1}],
        }
        if "success_url" not in wish:
            base |= {
                "ui_mode": "embedded_page",
                "return_url": "http://app.test/success?session_id={CHECKOUT_SESSION_ID}",
            }
        if "customer" not in wish and "customer_email" not in wish:
            base["customer"] = self.customer()
        return self.v1.checkout.sessions.create(base | wish).to_dict()

    def pay(self, session: dict[str, Any], card: str = GOOD, **form: str) -> requests.Response:
        """Fill the session's page in."""
        page = session["url"] or f"{self.url}/stripe/checkout/embedded/{session['client_secret']}"
        return self.post(page, card=card, exp="12/34", cvc="123", name="Dana Example", **form)

    def post(self, page: str, **form: str) -> requests.Response:
        answer = requests.post(page, data=form, allow_redirects=False, timeout=30)
        assert answer.status_code in (200, 303), answer.text[:300]
        return answer

    def portal(self, customer: str, **wish: Any) -> str:
        return self.v1.billing_portal.sessions.create(
            {"customer": customer, "return_url": "http://app.test/back", **wish}
        ).url

    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first, as they would be delivered."""
        page = requests.get(f"{self.url}/stripe/v1/events?limit=100", auth=(KEY, ""), timeout=30).json()
        found = list(page["data"])
        while page["has_more"]:
            page = requests.get(
                f"{self.url}/stripe/v1/events?limit=100&starting_after={found[-1]['id']}", auth=(KEY, ""), timeout=30
            ).json()
            found += page["data"]
        return found[::-1]

    def story(self, about: str = "") -> list[str]:
        """The types of the events, of one object where its id is given."""
        return [event["type"] for event in self.events() if about in ("", event["data"]["object"].get("id"))]


def check_events(events: list[dict[str, Any]]) -> None:
    for event in events:
        wrong = judge().errors(event, "event") + judge().errors(event["data"]["object"])
        assert wrong == [], (event["type"], wrong)
        assert event["api_version"] == VERSION


@pytest.fixture
def shop(sandbox: str) -> Iterator[Shop]:
    """An empty Stripe account; at the end every event it made is judged."""
    made = Shop(sandbox)
    made.webhooks("deliver")
    yield made
    check_events(made.events())


class Receiver:
    """An endpoint that keeps what it gets and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, str]] = []
        self.status = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.status == 200:
                    outer.got.append((body, self.headers["Stripe-Signature"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.got]

    def wait(self, enough: Callable[[], bool], seconds: float = 10) -> float:
        """Wait until it is so; the seconds it took."""
        began = time.monotonic()
        while not enough():
            assert time.monotonic() - began < seconds, f"got only {self.types()}"
            time.sleep(0.005)
        return time.monotonic() - began


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()
