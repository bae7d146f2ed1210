"""All that one signup costs after its payment: its events and every job that follows, in this process, against the stand-ins."""

import json
import os
from typing import Any

import requests

from apps.accounts.models import Signup
from apps.core import clock, jobs
from apps.onboarding import signup_checkout
from apps.sandbox.bench.counters import Counts, counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import spread
from apps.sandbox.bench.requests_in_process import WEBHOOK, Application, request
from apps.sandbox.stripe_account import KEY
from apps.sandbox.walk import GOOD_CARD

BASKET = {"personal": 1, "vaultwarden": 1}
SIGNUPS = 3


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (a signup does not depend on them)
    """Median counts of some signups; the first one, which fills caches, is not counted."""
    application, seen = Application(), set[str]()
    found = [sign_up(application, f"bench{number}", seen) for number in range(SIGNUPS + 1)][1:]
    parts = (("queries", "queries"), ("commits", "commits"), ("Stripe calls", "stripe"), ("Keycloak calls", "keycloak"))
    return [Figure("signup", name, spread([float(getattr(one, field)) for one in found])) for name, field in parts]


def sign_up(application: Application, name: str, seen: set[str]) -> Counts:
    """One signup until nothing is left to do; the counts are of the jobs."""
    signup = pay(name)
    deliver(application, seen)
    with counting() as counts:
        jobs.drain()
    refuse_without_access(signup)
    return counts


def refuse_without_access(signup: Signup) -> None:
    """LookupError unless the signup has led to access."""
    found = Signup.objects.select_related("profile").get(pk=signup.pk)
    if found.profile is None or found.profile.access_state != "active":
        raise LookupError(f"{found.username} has paid and has no access")


def fill_in(name: str) -> Signup:
    """A wizard with everything in it."""
    now = clock.now()
    return Signup.objects.create(
        first_name="Bench", last_name="Example", username=name, email=f"{name}@example.com", email_proven_at=now, interval="month",
        basket=BASKET, terms_version="1", terms_accepted_at=now, created_at=now,
    )  # fmt: skip


def pay(name: str) -> Signup:
    """A wizard filled in and its Checkout paid; Stripe has told nothing yet."""
    signup = fill_in(name)
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    page = f"{os.environ['SANDBOX_BASE_URL']}/stripe/checkout/embedded/{opened.client_secret}"
    requests.post(page, data=GOOD_CARD, allow_redirects=False, timeout=30).raise_for_status()
    return signup


def deliver(application: Application, seen: set[str]) -> int:
    """Post the events that are not `seen` yet to the webhook, in their order; how many."""
    events = _new_events(f"{os.environ['SANDBOX_BASE_URL']}/stripe/v1/events", seen)
    for event in events:
        application.answer(request(WEBHOOK, json.dumps(event).encode()))
    return len(events)


def _new_events(url: str, seen: set[str]) -> list[dict[str, Any]]:
    """All that are not in `seen`, and then are; the oldest first."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"data": [], "has_more": True}
    while page["has_more"]:
        after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
        page = requests.get(url, params={"limit": "100"} | after, auth=(KEY, ""), timeout=30).json()
        fresh = [event for event in page["data"] if event["id"] not in seen]
        seen |= {event["id"] for event in fresh}
        found += fresh
        page["has_more"] &= bool(fresh)
    return found[::-1]
