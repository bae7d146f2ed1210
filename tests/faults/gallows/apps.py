"""Lays the traps. Whose job runs is known from its key; GALLOWS is a folder with a file per person that names a step."""

import functools
import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig

from tests.faults.gallows.steps import AFTER, BEFORE, JOINING, LEAVING

running: list[str] = [""]  # the name of the person whose job this process runs


class GallowsConfig(AppConfig):
    """Django's handle on the app."""

    name = "tests.faults.gallows"

    def ready(self):
        from apps.core import job_outcomes, jobs, worker

        job_outcomes.FIRST_RETRY_SECONDS = 0.5
        worker.SWEEP_SECONDS = 1.0
        worker.IDLE_STOP_SECONDS = 3.0
        for name, (place, attribute, when) in (JOINING | LEAVING).items():
            lay(place, attribute, functools.partial(die, name), when)
        for kind in jobs.KINDS.values():
            jobs.KINDS[kind.name] = jobs.Kind(kind.name, "", known(kind.name, kind.handler), kind.needs, kind.every)


def lay(place: str, attribute: str, trap: Callable[[], None], when: str) -> None:
    """Put a trap before or after what is called there."""
    from apps.access import apply, plan
    from apps.core import jobs

    if place == "kind":
        kind = jobs.KINDS[attribute]
        jobs.KINDS[attribute] = jobs.Kind(kind.name, "", around(kind.handler, trap, when), kind.needs, kind.every)
    elif place == "step":
        step = getattr(plan, attribute)
        apply.STEPS[step] = around(apply.STEPS[step], trap, when)
    else:
        holder: Any = importlib.import_module(place)
        *classes, name = attribute.split(".")
        for each in classes:
            holder = getattr(holder, each)
        setattr(holder, name, around(getattr(holder, name), trap, when))


def around(call: Callable[..., Any], trap: Callable[[], None], when: str) -> Callable[..., Any]:
    @functools.wraps(call)
    def called(*args: Any, **kwargs: Any) -> Any:
        if when == BEFORE:
            trap()
        result = call(*args, **kwargs)
        if when == AFTER:
            trap()
        return result

    return called


def die(step: str) -> None:
    """Killed here, if the person whose job this is was told so; once."""
    order = Path(os.environ["GALLOWS"]) / running[0]
    if running[0] and order.exists() and order.read_text() == step:
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def known(kind: str, handler: Callable[[str], None]) -> Callable[[str], None]:
    def called(key: str) -> None:
        running[0] = person(kind, key)
        handler(key)

    return called


def person(kind: str, key: str) -> str:
    """The username of whom the job is about; empty for nobody in particular."""
    from apps.accounts.models import Signup, UserProfile
    from apps.billing.models import InboundEvent
    from apps.notifications.models import Notification

    people = UserProfile.objects.select_related("user")
    if kind == "handle_event":
        found = people.filter(stripe_customer_id=InboundEvent.objects.get(stripe_event_id=key).customer_id or "-")
    elif kind == "mirror_customer":
        found = people.filter(stripe_customer_id=key)
    elif kind == "check_checkout":
        found = people.filter(pk__in=Signup.objects.filter(pk=key).values("profile"))
    elif kind == "send_notification":
        found = people.filter(pk__in=Notification.objects.filter(pk=key).values("profile"))
    else:
        number = key.partition(":")[0]
        found = people.filter(pk=number) if number.isdecimal() else people.none()
    return next((profile.user.username for profile in found), "")
