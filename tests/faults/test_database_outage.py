"""F54: Postgres cut off under a load of webhooks, and half of its connections. What was acknowledged is there."""

import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.outage import Load, Stack, running, wait_for
from tests.sandbox.stripe_fixture import Shop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("outage")]
CUTS = 5
READY_SECONDS = 10
HALF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.5"
)
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
        " access_state, access_reason, forecast, desired_generation, observed_generation, created_at)"
        " SELECT id, email, %s, %s, '', 'none', '{}', '[]', 0, 0, now() FROM made RETURNING id",
        name, f"{name}@example.com", onboarding, customer,
    )  # fmt: skip
    return customer


def objects(stack: Stack, customer: str) -> list[dict[str, str]]:
    """What the events are about: one person, whose jobs share a lane, and prices, each in a lane of its own."""
    prices = stack.ask("SELECT stripe_price_id FROM catalog_productprice")
    person = [{"id": customer, "object": "customer"}] * len(prices)
    return person + [{"id": price, "object": "price"} for (price,) in prices]


def web_processes(stack: Stack) -> set[int]:
    site = psutil.Process(stack.processes["site"].pid).children(recursive=True)
    return {one.pid for one in site if "granian" in " ".join(one.cmdline())}


def cut_under_load(stack: Stack, load: Load) -> float:
    """Cut Postgres off in the midst of answers, several times; the seconds the slowest return took."""
    slowest = 0.0
    for _ in range(CUTS):
        enough = len(load.acknowledged()) + 40
        wait_for(lambda enough=enough: len(load.acknowledged()) >= enough, what="events acknowledged")
        stack.cut()
        time.sleep(0.5)
        slowest = max(slowest, stack.back())
    return slowest


def lost(stack: Stack, load: Load) -> set[str]:
    """Events that were acknowledged and are not in the inbox."""
    return load.acknowledged() - {name for (name,) in stack.ask(INBOX)}


def refusals(load: Load) -> set[tuple[int, str]]:
    """How the others were answered: Stripe sends those again."""
    answers = [one for one in load.answers.values() if one is not None and not one.ok]
    return {(one.status_code, one.headers.get("Retry-After", "")) for one in answers}


def all_handled(stack: Stack) -> bool:
    """Whether every event is; what waits for its next try comes nearer with each look."""
    stack.pass_time(10)
    return not stack.ask("SELECT 1 FROM billing_inboundevent WHERE state = 'received' LIMIT 1")


@pytest.mark.fault("F54")
@pytest.mark.times(2)
def test_every_acknowledged_event_survives_cuts_of_postgres_under_load(stack: Stack) -> None:
    customer, web = somebody_who_pays(stack), web_processes(stack)
    with Load(stack, objects(stack, customer)) as load:
        slowest = cut_under_load(stack, load)
    assert len(load.acknowledged()) >= CUTS * 40
    assert lost(stack, load) == set()
    assert refusals(load) == {(503, "10")}
    assert slowest <= READY_SECONDS
    assert web_processes(stack) == web
    wait_for(lambda: all_handled(stack), what="every event handled", seconds=120)
    assert stack.ask("SELECT kind, last_error FROM core_job WHERE state IN ('dead', 'blocked')") == []
    reads = "SELECT access_state, subscription_status FROM accounts_userprofile WHERE stripe_customer_id = %s"
    wait_for(lambda: stack.ask(reads, customer) == [("active", "active")], what="access of who has paid")


@pytest.mark.fault("F54")
def test_half_of_the_connections_cut_cost_nobody_an_event(stack: Stack) -> None:
    with Load(stack, objects(stack, somebody_who_pays(stack))) as load:
        for _ in range(CUTS):
            enough = len(load.acknowledged()) + 20
            stack.ask(HALF)
            wait_for(lambda enough=enough: len(load.acknowledged()) >= enough, what="events acknowledged")
    assert len(load.acknowledged()) >= CUTS * 20
    assert lost(stack, load) == set()
    assert refusals(load) <= {(503, "10")}
    wait_for(lambda: all_handled(stack), what="every event handled", seconds=120)


@pytest.fixture
def careless() -> Iterator[Stack]:
    """Commits are answered before they are on the disk: a stack of its own, since it will lose what others count on."""
    with running() as one:
        for setting in ("synchronous_commit = off", "wal_writer_delay = '10s'"):
            one.ask(f"ALTER SYSTEM SET {setting}")
        one.ask("SELECT pg_reload_conf()")
        yield one


@pytest.mark.mutant
@pytest.mark.fault("F54")
def test_mutant_with_commits_that_do_not_wait_for_the_disk_a_cut_loses_what_was_acknowledged(
    careless: Stack,
) -> None:
    with Load(careless, objects(careless, somebody_who_pays(careless))) as load:
        cut_under_load(careless, load)
    assert lost(careless, load)
