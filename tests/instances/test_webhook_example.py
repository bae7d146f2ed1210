"""The receiver that the manual prints obeys as it stands."""

import re
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from typing import Any

import pytest

from apps.console import manual
from apps.core import clock, jobs
from apps.instances.provisioning import accounts, messages, posting
from apps.instances.provisioning.connections import check_connection
from apps.sandbox.receiver_account import NEXT_SECRET, SECRET
from tests.instances.receivers import ToldProduct, log, told
from tests.sandbox.keycloak_fixture import Standin

pytestmark = pytest.mark.django_db
GUARD = ' and order["sequence"] > last.get(order["id"], 0)'
Serve = Callable[[str], dict[str, Any]]


def example() -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```", manual.fill_in("webhooks"), re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Run a receiver from its source; returns its names, with where it is."""
    monkeypatch.setenv("FRONTDESK_SECRETS", f"{NEXT_SECRET},{SECRET}")
    servers: list[HTTPServer] = []

    def run(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "receiver"}
        exec(source, names)
        monkeypatch.setattr(names["Receiver"], "log_message", lambda *_: None)
        servers.append(HTTPServer(("127.0.0.1", 0), names["Receiver"]))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return names | {"url": f"http://127.0.0.1:{servers[-1].server_port}/"}

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def told_by_the_example(names: dict[str, Any], standin: Standin, settings: Any) -> ToldProduct:
    product = ToldProduct(standin, settings)
    product.connection.address = names["url"]
    product.connection.save()
    check_connection(product.connection)
    return product


def test_it_obeys_says_what_it_has_and_refuses_strangers(serve: Serve, standin: Standin, settings: Any) -> None:
    names = serve(example())
    product = told_by_the_example(names, standin, settings)
    product.order(gb=100)
    assert told(names["accounts"]["kc-dana"]) == (True, 100)
    names["accounts"]["kc-dana"] |= {"used": 5, "enabled": False}  # somebody works in the product
    product.check()
    assert told(names["accounts"]["kc-dana"]) == (True, 100)
    product.order("suspended")
    assert told(names["accounts"]["kc-dana"]) == (False, 100)
    assert names["accounts"]["kc-dana"]["used"] == 5
    accounts.order(profile=product.profile, instance=product.place.slug, state=accounts.State.OPEN, quota=None)
    jobs.drain()
    assert told(names["accounts"]["kc-dana"]) == (True, 100)  # what we do not set stays
    product.order("deleted")
    assert names["accounts"] == {}
    assert product.stuck() == []
    assert {state for _, state, _ in log()} == {"accepted"}
    stranger = messages.write_message("m", "account.order", {}, keys=["whsec_" + "A" * 32], at=clock.machine_now())
    assert posting.post(names["url"], stranger.body, stranger.headers).status == 401
    broken = dict(stranger.headers) | {"webhook-signature": "nothing of the kind"}
    assert posting.post(names["url"], stranger.body, broken).status == 401


def overtake(names: dict[str, Any], product: ToldProduct) -> bool:
    """Whether the account is open after a first order that arrives behind the second."""
    sent: list[messages.Message] = []
    plain = messages.write_message

    def write(*args: Any, **more: Any) -> messages.Message:
        sent.append(plain(*args, **more))
        return sent[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "write_message", write)
        product.order("suspended")
        product.order("open")
    posting.post(names["url"], sent[0].body, sent[0].headers)
    return bool(names["accounts"]["kc-dana"]["enabled"])


def test_an_order_that_was_overtaken_does_no_harm(serve: Serve, standin: Standin, settings: Any) -> None:
    names = serve(example())
    assert overtake(names, told_by_the_example(names, standin, settings))


@pytest.mark.mutant
def test_mutant_without_the_sequence_it_would(serve: Serve, standin: Standin, settings: Any) -> None:
    source = example()
    assert GUARD in source
    names = serve(source.replace(GUARD, ""))
    assert not overtake(names, told_by_the_example(names, standin, settings))
