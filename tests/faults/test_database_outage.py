"""Postgres cut off under a load of webhooks (F54), and half of its connections: what was acknowledged is there."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.outage import Load, Stack, running, wait_for
from tests.sandbox.stripe_fixture import Shop

pytestmark = pytest.mark.xdist_group("outage")
CUTS = 5
READY_SECONDS = 10
INBOX = "SELECT stripe_event_id FROM billing_inboundevent"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as made:
        yield made


def somebody_who_pays(stack: Stack) -> str:
    """A subscriber with a subscription at Stripe of which we know nothing yet; the id of the customer."""
    shop, onboarding = Shop(stack.sandbox), uuid.uuid4()
    shop.webhooks("drop")
    customer = shop.customer("pm_card_visa")
    ((price,),) = stack.ask(
        "SELECT p.stripe_price_id FROM catalog_productprice p JOIN catalog_product o ON o.id = p.product_id"
        " WHERE o.slug = 'personal' AND p.interval = 'month'"
    )
    shop.subscribe(customer, price)
    name = f"dana-{onboarding.hex[:6]}"
    stack.ask(
        "WITH made AS (INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff,"
        " is_active, date_joined) VALUES (%s, '!', 'Dana', 'Example', %s, false, false, true, now()) RETURNING id, email)"
        " INSERT INTO accounts_userprofile (user_id, email, onboarding_id, stripe_customer_id, subscription_status,"
        " access_state, access_sentence, desired_generation, observed_generation, created_at)"
        " SELECT id, email, %s, %s, '', 'none', '', 0, 0, now() FROM made RETURNING id",
        name, f"{name}@example.com", onboarding, customer,
    )  # fmt: skip
    return customer


def objects(stack: Stack, customer: str) -> list[dict[str, str]]:
    """What the events are about: one person, whose jobs share a lane, and prices, each in a lane of its own."""
    prices = stack.ask("SELECT stripe_price_id FROM catalog_productprice")
    person = [{"id": customer, "object": "customer"}] * len(prices)
    return person + [{"id": price, "object": "price"} for (price,) in prices]


def test_every_acknowledged_event_survives_cuts_of_postgres_under_load(stack: Stack) -> None:
    customer = somebody_who_pays(stack)
    web = {one.pid for one in psutil.Process(stack.processes["web"].pid).children(recursive=True)}
    slowest = 0.0
    with Load(stack, objects(stack, customer)) as load:
        for _ in range(CUTS):
            enough = len(load.acknowledged()) + 40
            wait_for(lambda enough=enough: len(load.acknowledged()) >= enough, what="events acknowledged")
            stack.cut()
            time.sleep(0.5)
            slowest = max(slowest, stack.back())
    acknowledged = load.acknowledged()
    print(len(acknowledged), len(load.answers), Counter(a.status_code if a is not None else None for a in load.answers.values()), slowest)
    print([a.text[:200] for a in load.answers.values() if a is not None and a.status_code >= 400][:3])
    assert acknowledged <= {name for (name,) in stack.ask(INBOX)}
    assert slowest <= READY_SECONDS
    assert web == {one.pid for one in psutil.Process(stack.processes["web"].pid).children(recursive=True)}
    t = time.time()
    while time.time() < t + 150:
        print(round(time.time()-t), stack.ask("select kind, state, count(*), max(attempts), min(last_error) from core_job where state<>'done' group by 1,2"), stack.ask("select name, now()-at from core_beat"))
        stack.pass_time(30)
        time.sleep(5)
        if not stack.ask("select 1 from core_job where state in ('queued','running') and kind='handle_event' limit 1"): break
    print(stack.ask("select access_state from accounts_userprofile where stripe_customer_id=%s", customer))
