"""Nothing costs more than budgets.py says, nor less without its line being changed."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.access import reconcile
from apps.billing import mirror
from apps.console import dashboard
from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.path_pages import PAGES
from tests.bench.budgets import BUDGETS
from tests.world import World, bring_welcomes_forward

COLUMNS = ("queries", "commits", "stripe", "keycloak", "mailgun")
BASKET = {"personal": 1, "vaultwarden": 1}


def measure(action: Callable[[], object]) -> tuple[int, ...]:
    with counting() as counts:
        action()
    return tuple(getattr(counts, column) for column in COLUMNS)


def page(client: Client, url: str) -> tuple[int, ...]:
    """The second visit: the first fills what a process keeps."""

    def visit() -> None:
        dashboard.forget()
        assert client.get(url).status_code == 200

    visit()
    return measure(visit)


def pages_of_staff(dana_pk: int) -> dict[str, tuple[int, ...]]:
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    urls = PAGES | {"one subscriber": f"/admin/accounts/userprofile/{dana_pk}/change/"}
    return {f"console: {name}": page(client, url) for name, url in urls.items() if "," not in name}


def pages_of_customers(user: User) -> dict[str, tuple[int, ...]]:
    found = {f"page {url}": page(Client(), url) for url in ("/onboarding/", "/recovery/", "/health/live")}
    client = Client()
    client.force_login(user)
    return found | {"page /dashboard/": page(client, "/dashboard/")}


def chains(world: World) -> dict[str, tuple[int, ...]]:
    """A signup from its payment to its access, and what follows when nothing changes; events and jobs together."""
    world.subscriber("warm", **BASKET)
    dana = world.pay(world.signup("dana", **BASKET))
    events = world.new_events()
    found = {"webhook: one new event": measure(lambda: world.post_events(events[:1]))}
    found["webhook: an event again"] = measure(lambda: world.post_events(events[:1]))
    world.post_events(events[1:])
    found["jobs of a signup"] = measure(world.work)
    assert bring_welcomes_forward() == 1
    found["its welcome email"] = measure(world.work)
    world.deliver()
    assert world.state(dana).access == "active"

    def run_job(ask: Callable[[], object]) -> tuple[int, ...]:
        ask()
        return measure(world.work)

    found["job reconcile, no change"] = run_job(lambda: reconcile.enqueue(dana, reason="test"))
    found["job mirror_customer, no change"] = run_job(
        lambda: mirror.mirror_later(dana.stripe_customer_id, reason="test")
    )
    world.pass_time(days=32)
    world.post_events(
        [event for event in world.new_events() if event["data"]["object"].get("customer") == dana.stripe_customer_id]
    )
    return found | {"jobs of a renewal": measure(world.work)}


@pytest.mark.django_db(transaction=True)
def test_everything_costs_what_the_table_says(world: World) -> None:
    found = chains(world)
    dana = User.objects.get(username="dana")
    found |= pages_of_customers(dana) | pages_of_staff(dana.profile.pk)
    wrong = [f"    {name!r}: {costs}," for name, costs in found.items() if BUDGETS.get(name) != costs]
    assert not wrong, (
        f"Where this is meant, tests/bench/budgets.py needs these lines ({', '.join(COLUMNS)}):\n" + "\n".join(wrong)
    )
    assert found.keys() == BUDGETS.keys(), "lines of tests/bench/budgets.py that nothing measures any more"
