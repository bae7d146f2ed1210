"""Systems we call that are down: the jobs that need one are parked, and one at a time may probe it.

Promise: a system is down from the first DependencyDown until a job that needs it succeeds. What a person has paused stays so
until a person resumes it: nothing probes it, and no success ends it.
"""

import datetime as dt
from collections.abc import Sequence

import structlog

from apps.core import clock, outages
from apps.core.errors import DependencyDown
from apps.core.models import Dependency, Job
from apps.core.wake_ups import wake_up

log = structlog.get_logger(__name__)

PROBE_SECONDS = 15  # how often one job may try a system that is down
RESTORED = "restored"  # needed by the kinds that give or take access: paused while a restored database is checked
NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


def mark_down(name: str, reason: str) -> None:
    """Note that a system does not answer; it is probed from `PROBE_SECONDS` on."""
    now = clock.now()
    probe_at = now + dt.timedelta(seconds=PROBE_SECONDS)
    down = Dependency(name=name, down_since=now, probe_at=probe_at, reason=reason[:300])
    Dependency.objects.bulk_create([down], ignore_conflicts=True)
    outages.begin(name, reason)


def mark_up(names: Sequence[str]) -> None:
    """Note that systems answer. What was parked on one that was down is due."""
    if names and Dependency.objects.filter(name__in=names, probe_at__lt=NEVER).delete()[0]:
        outages.end(names)
        _release(names)


def forget(name: str) -> None:
    """Count a system as up on which nothing is parked: no job would find out."""
    Dependency.objects.filter(pk=name).delete()
    outages.end([name])


def pause(name: str, reason: str) -> None:
    """Park the jobs that need it until `resume`. Part of the caller's transaction."""
    paused = Dependency(name=name, down_since=clock.now(), probe_at=NEVER, reason=reason[:300])
    Dependency.objects.bulk_create([paused], ignore_conflicts=True)


def resume(name: str) -> None:
    """End `pause`: what was parked is due."""
    Dependency.objects.filter(pk=name).delete()
    _release([name])


def is_paused(name: str) -> bool:
    """Whether it is paused now."""
    return Dependency.objects.filter(pk=name, probe_at=NEVER).exists()


def _release(names: Sequence[str]) -> None:
    parked = Job.objects.filter(state=Job.State.QUEUED, parked_on__in=names)
    due = parked.update(not_before=clock.now(), parked_on="")
    log.info("dependency_up", dependencies=list(names), jobs=due)
    wake_up()


def refuse_while_down(needs: Sequence[str]) -> None:
    """Raise DependencyDown when a needed system is down, but let one job through every `PROBE_SECONDS`."""
    now = clock.now()
    for down in Dependency.objects.filter(name__in=needs) if needs else []:
        probe = Dependency.objects.filter(pk=down.pk, probe_at__lte=now)
        if not probe.update(probe_at=now + dt.timedelta(seconds=PROBE_SECONDS)):
            raise DependencyDown(down.name, down.reason)
