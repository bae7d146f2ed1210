"""From the payment to the access: the real web server and two real workers, one after another and fifty at once.

The fifty only with the stand-in of Keycloak: they are about our work, and a real Keycloak takes the cores they share.
"""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection

from apps.accounts.models import Signup
from apps.core import jobs
from apps.instances.models import Instance
from apps.onboarding import signup_checkout
from apps.sandbox.bench import path_signup, processes
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import spread
from apps.sandbox.bench.requests_in_process import Application
from apps.sandbox.bench.server import deliver_events
from apps.sandbox.walk import GOOD_CARD

ALONE, AT_ONCE, PATIENCE_SECONDS = 20, 50, 180


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (a signup does not depend on them)
    """Seconds until the row says that access was given, beside the calls to Stripe and Keycloak that have to be made."""
    Instance.objects.update(soft_cap=3000, allocation_cap=4000, hard_cap=5000)
    is_real = not settings.KEYCLOAK_SERVER_URL.startswith(os.environ["SANDBOX_BASE_URL"])
    peers = _time_calls()
    port = int(urlsplit(os.environ["SANDBOX_APP_URL"]).port or 0)
    with processes.running(processes.granian(port), ready=processes.accepts(port)), processes.worker():
        deliver_events("deliver")
        try:
            for number in range(2):
                _wait([_open(f"warm{number}")])
            alone = [_wait([_open(f"alone{number}")])[0] for number in range(ALONE)]
            together = [] if is_real else _wait([_open(f"burst{number}") for number in range(AT_ONCE)])
        finally:
            deliver_events("drop")
    figures = [
        Figure("paid", "calls to Keycloak of one signup", spread(peers["keycloak"]), "s"),
        Figure("paid", "calls to Stripe of one signup", spread(peers["others"]), "s"),
        Figure("paid", "payment to access, alone", spread(alone), "s"),
    ]
    if is_real:
        name = "payment to access, alone, p95 / p95 of the real Keycloak's calls"
        return [*figures, Figure("paid", name, spread([_p95(alone) / _p95(peers["keycloak"])]))]
    return [
        *figures,
        Figure("paid", "payment to access, alone, p95", spread([_p95(alone)]), "s"),
        Figure("paid", "payment to access, 50 at once, p95", spread([_p95(together)]), "s"),
    ]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _time_calls() -> dict[str, list[float]]:
    """How long the calls of some signups take, by peer; in this process, one after another."""
    found: dict[str, list[float]] = {"others": [], "keycloak": []}
    application, seen, send = Application(), set[str](), requests.Session.send
    for number in range(ALONE + 1):
        spent = dict.fromkeys(found, 0.0)

        def timed(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
            began = time.perf_counter()
            answer = send(session, request, **options)  # type: ignore[arg-type]
            peer = "keycloak" if str(request.url).startswith(settings.KEYCLOAK_SERVER_URL) else "others"
            spent[peer] = spent.get(peer, 0.0) + time.perf_counter() - began  # noqa: B023  (used within this turn)
            return answer

        signup = path_signup.pay(f"calls{number}")
        path_signup.deliver(application, seen)
        requests.Session.send = timed  # type: ignore[method-assign, assignment]
        try:
            jobs.drain()
        finally:
            requests.Session.send = send  # type: ignore[method-assign]
        path_signup.refuse_without_access(signup)
        if number:
            for peer in found:
                found[peer].append(spent[peer])
    return found


def _open(name: str) -> tuple[Signup, str]:
    """A signup and the page where it can be paid."""
    signup = path_signup.fill_in(name)
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    return signup, f"{os.environ['SANDBOX_BASE_URL']}/stripe/checkout/embedded/{opened.client_secret}"


def _wait(opened: list[tuple[Signup, str]]) -> list[float]:
    """Pay all at once; for each the seconds from its payment to its access."""

    def pay(page: str) -> float:
        requests.post(page, data=GOOD_CARD, allow_redirects=False, timeout=60).raise_for_status()
        return time.perf_counter()

    ids = [str(signup.pk) for signup, _ in opened]
    active: dict[str, float] = {}
    with ThreadPoolExecutor(len(opened)) as pool:
        payments = [pool.submit(pay, page) for _, page in opened]
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while len(active) < len(ids):
            for paid in payments:
                if paid.done():
                    paid.result()  # raises where the payment itself has failed
            for one in _with_access(ids):
                active.setdefault(one, time.perf_counter())
            if time.perf_counter() > deadline:
                raise LookupError(f"{len(ids) - len(active)} of {len(ids)} have paid and have no access")
            time.sleep(0.01)
        return [max(0.0, active[one] - paid.result()) for one, paid in zip(ids, payments, strict=True)]


def _with_access(ids: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.id::text FROM accounts_signup s JOIN accounts_userprofile p ON p.id = s.profile_id"
            " WHERE s.id = ANY(%s::uuid[]) AND p.access_state = 'active' AND p.synced_at IS NOT NULL",
            [ids],
        )
        return [str(one) for (one,) in cursor.fetchall()]
