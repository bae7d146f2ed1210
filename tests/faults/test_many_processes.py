"""One house on several hosts: three web servers and four worker processes on one database, and a web and a worker that are killed.

People sign up and pay over HTTP while Stripe tells of it, each event twice and by two ways at once. As behind a balancer, each request
goes to another web server, and to the next where one is gone.
"""

import contextlib
import itertools
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, override
from urllib.parse import urlsplit

import psutil
import pytest
import requests
import stripe
from django.conf import settings
from django.db import connection
from requests.adapters import HTTPAdapter

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.core import clock, heartbeats
from apps.core.job_outcomes import count_deaths
from apps.core.models import Job
from apps.sandbox.walk import Walk
from tests.faults.test_named_steps import at_rest, one_of_each
from tests.faults.test_worker_process import Stack, wait_for
from tests.security.site import answers, running
from tests.world import SECRET, WEBHOOK, World

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("workers"), pytest.mark.timeout(400)]
WEBS, WORKERS, PROCESSES = 3, 2, 2  # each worker with so many processes that run jobs
PEOPLE, AT_ONCE = 30, 6


class Balancer(HTTPAdapter):
    """Hands the requests of one person to the web servers in turn; one that is gone is left out, as its health check would have it."""

    def __init__(self, ports: list[int], number: int) -> None:
        self.ports, self.turn, self.address = ports, itertools.count(number), f"127.0.{number + 1}.1"
        super().__init__()

    @override
    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more, source_address=(self.address, 0))

    @override
    def send(self, request: requests.PreparedRequest, *arguments: Any, **more: Any) -> requests.Response:
        asked, gone = str(request.url), None
        request.headers["Host"] = urlsplit(asked).netloc
        for _ in range(2 * WEBS):
            port = self.ports[next(self.turn) % len(self.ports)]
            request.url = asked.replace(urlsplit(asked).netloc, f"127.0.0.1:{port}", 1)
            try:
                answer = super().send(request, *arguments, **more)
            except requests.ConnectionError as error:
                gone = error
            else:
                request.url = answer.url = asked
                return answer
        raise gone or AssertionError(asked)


class House:
    """The web servers and workers, the people who sign up, and what Stripe tells of them."""

    def __init__(self, world: World, ports: list[int], workers: list[Stack]) -> None:
        self.world, self.ports, self.workers = world, ports, workers
        self.answers: Counter[int] = Counter()
        self.connections: Counter[str] = Counter()
        self.paid: list[Walk] = []
        self.over = threading.Event()

    def sign_up(self, number: int) -> None:
        """Somebody with an address of their own, through the wizard and Stripe's Checkout."""
        walk = Walk(settings.BASE_URL, self.world.url)
        walk.customer.session.mount(settings.BASE_URL, Balancer(self.ports, number))
        walk.sign_up()
        self.paid.append(walk)

    def tell(self) -> None:
        """Stripe, until all have paid and nothing is new."""
        with requests.Session() as first, requests.Session() as second, ThreadPoolExecutor(2) as pool:
            first.mount("http://", Balancer(self.ports, 200))
            second.mount("http://", Balancer(self.ports, 201))
            while True:
                is_last, events = self.over.is_set(), self.world.skip()
                for event in events:
                    self.answers.update(pool.map(post, (first, second), itertools.repeat(event)))
                if is_last and not events:
                    return
                self.over.wait(0.2)

    def kill(self) -> None:
        """The first web server and the first worker, each with all its processes, as if their hosts had lost power."""
        listening = (one for one in psutil.net_connections("tcp") if one.status == "LISTEN")
        web = next(one.pid for one in listening if one.laddr.port == self.ports[0])
        for pid in (self.workers[0].process.pid, web):
            os.killpg(os.getsid(pid or 0), signal.SIGKILL)

    def note_connections(self) -> None:
        """The most that each kind of process has had at once."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT split_part(application_name, ' ', 1), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1"
            )
            self.connections |= Counter(dict(cursor.fetchall()))


def post(session: requests.Session, event: dict[str, Any]) -> int:
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, SECRET, clock.timestamp())
    headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
    return session.post(settings.BASE_URL + WEBHOOK, body, headers=headers, timeout=30).status_code


def variables(url: str, clock_file: Path) -> dict[str, str]:
    """The environment of web and worker, as an operator would write it for this world and so many who come at once."""
    return {
        "POSTGRES_DB": connection.settings_dict["NAME"], "DJANGO_SETTINGS_MODULE": "config.settings", "CLOCK_OFFSET_FILE": str(clock_file),
        "KEYCLOAK_SERVER_URL": f"{url}/keycloak", "KEYCLOAK_ADMIN_CLIENT_ID": "frontdesk-sync",
        "KEYCLOAK_ADMIN_CLIENT_SECRET": "dev-only-sync-secret", "OIDC_RP_CLIENT_SECRET": "dev-only-web-secret",
        "STRIPE_API_HOST": f"{url}/stripe", "STRIPE_WEBHOOK_SECRET": SECRET, "MAILGUN_API_URL": f"{url}/mailgun/v3",
        "MAILBOX_PROVIDERS": "example.org", "CHECKOUT_RUSH": "1000", "SEATS_UNPAID_SHARE": "100", "SEATS_UNPAID_PER_NETWORK": "100",
        "WORKER_PROCESSES": str(PROCESSES),
    }  # fmt: skip


@pytest.fixture
def house(transactional_db: None, world: World, world_process: tuple[str, Path], tmp_path: Path) -> Iterator[House]:
    environment = variables(world.url, world_process[1])
    world.only_room_for(PEOPLE)
    world.skip()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(WEBS) as pool:
        workers = []
        for _ in range(WORKERS):
            workers.append(Stack(settings_module="config.settings", **environment))
            stack.callback(workers[-1].stop)

        def start(number: int) -> int:
            (tmp_path / str(number)).mkdir()
            return stack.enter_context(running(tmp_path / str(number) / "log", **environment))

        ports = list(pool.map(start, range(WEBS)))
        wait_for(lambda: heartbeats.count_alive() == WORKERS, seconds=60, what="all workers")
        yield House(world, ports, workers)


def test_with_a_web_and_a_worker_killed_each_has_what_they_paid_for_once(
    world: World, house: House, figure: Callable[[str], None]
) -> None:
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        stripes = pool.submit(house.tell)
        people = [pool.submit(house.sign_up, number) for number in range(PEOPLE)]
        wait_for(lambda: len(house.paid) >= PEOPLE // 3, seconds=120, what="a third have paid")
        house.note_connections()
        wait_for(lambda: Job.objects.filter(state="running").exists(), seconds=20, what="a job that runs")
        house.kill()
        for one in people:
            one.result()
        house.note_connections()
        house.over.set()
        stripes.result()
    wait_for(at_rest, seconds=120, what="all work done")
    assert house.workers[0].members() == []
    assert not answers(house.ports[0])
    assert set(house.answers) == {200}
    assert list(Job.objects.filter(state__in=["dead", "blocked"]).values_list("kind", "last_error")) == []
    check_runs()
    check_people(world, house)
    house.workers[1].stop()
    world.assert_laws_hold()
    figure(
        f"{PEOPLE} sign-ups, {InboundEvent.objects.count()} events twice, {Job.objects.count()} jobs; connections {dict(house.connections)}"
    )


def check_runs() -> None:
    """No job was begun again before its last run had ended, and only those died that the killed worker was at."""
    jobs = list(Job.objects.exclude(key="periodic"))
    assert [(one.kind, one.runs, one.history) for one in jobs if one.runs > len(one.history)] == []
    # A row may be superseded by one that takes over its history, so the same death can be told by two rows.
    died = {(one.kind, one.key): one.history for one in jobs if count_deaths(one)}
    assert len(died) <= PROCESSES, died


def check_people(world: World, house: House) -> None:
    """Each has one of each, and one mail of each kind."""
    assert len(house.paid) == PEOPLE == UserProfile.objects.count()
    for walk in house.paid:
        profile = UserProfile.objects.get(user__username=walk.username)
        state = world.state(profile)
        assert (state.access, state.account, state.seats) == ("active", True, (("nextcloud", "assigned"),))
        assert state.attributes["storage_gb"] == "200"
        one_of_each(world, profile)
        paid = world.shop.v1.subscriptions.list({"customer": profile.stripe_customer_id or "", "status": "all"})
        assert len(paid.data) == 1
        assert Counter(world.notifications(profile)) == {"keycloak_set_password": 1, "welcome": 1}
