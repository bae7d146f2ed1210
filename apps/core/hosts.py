"""The hosts of the workers, watched each minute: one that is gone, and two of one name, are attention items until that ends."""

from django.conf import settings

from apps.core import attention, heartbeats, jobs, metrics
from apps.core.attention import Cause

KIND, MINUTE = "check_hosts", 60
MOST_HOSTS = 50  # in the metrics
NAMESAKES = "Two machines or containers that run workers are called {}. The pages and alerts cannot tell them apart: give each a host name of its own."


def register() -> None:
    """Make the job known, and the hosts' numbers in `/metrics`."""
    jobs.register(KIND, check, label="Check the workers' hosts", every=MINUTE)
    metrics.GAUGES += [
        ("frontdesk_workers", "Workers that gave a sign of life within a minute, by host", ["host"], _count_alive),
        (
            "frontdesk_host_silent_seconds",
            "How long no worker of a host gave a sign of life",
            ["host"],
            _measure_silence,
        ),
    ]


def _count_alive() -> metrics.Rows:
    return [(host.name, host.alive) for host in heartbeats.list_hosts()[:MOST_HOSTS]]


def _measure_silence() -> metrics.Rows:
    return [(host.name, host.silent_seconds) for host in heartbeats.list_hosts()[:MOST_HOSTS]]


def list_gone() -> list[heartbeats.Host]:
    """The hosts none of whose workers gave a sign of life for HOST_GONE_MINUTES, and which are not forgotten yet."""
    return [one for one in heartbeats.list_hosts() if one.silent_seconds > 60 * settings.HOST_GONE_MINUTES]


def check(_key: str = "") -> None:
    """The job: open and end the items."""
    gone, twice = list_gone(), heartbeats.list_namesakes()
    for host in gone:
        sentence = (
            f"No worker of the host {host.name} has given a sign of life for {host.silent_seconds / 60:.0f} minutes. Its jobs run on"
            " others. Start it again; if it was taken down for good, ignore this: it ends within a day."
        )
        attention.report(Cause.HOST_GONE, host.name, sentence)
    for name in twice:
        attention.report(Cause.HOST_NAME, name, NAMESAKES.format(name))
    attention.resolve_all_but(Cause.HOST_GONE, [host.name for host in gone], why="It is back, or forgotten.")
    attention.resolve_all_but(Cause.HOST_NAME, twice, why="Each machine has a name of its own.")
