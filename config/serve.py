"""The web server: granian with its own options (`python -m config.serve --interface wsgi …`), which outlives quick kills.

granian ends with all its workers when one dies twice within 5.5 seconds. Here it goes on, until workers die so often
that starting them again cannot be the cure. The application is loaded once, and its workers are forked from there.
`--blocking-threads` says how many requests each of them works on at once; those whose body is slow wait in further threads.
"""

import time
from typing import Any, override

from django.conf import settings
from granian import cli
from granian.server import Server

from apps.core.egress import restrict_calls
from apps.core.log_streams import GRANIAN, taken_over
from apps.core.pooling import use_pooler
from apps.core.preload import preload
from apps.core.request_bodies import BodiesFirst

DEATHS, SECONDS = 20, 60.0
SEATS = 4


class PatientServer(Server):  # type: ignore[misc, valid-type]  # one of two classes, as Python was built
    """Forgets its workers' deaths, as long as there are fewer than `DEATHS` within `SECONDS`."""

    deaths: tuple[float, ...] = ()

    def __init__(self, *args: Any, blocking_threads: int | None = None, **options: Any) -> None:
        import config.wsgi as loaded

        front = BodiesFirst(loaded.application, seats=blocking_threads or SEATS)
        loaded.application = front  # type: ignore[assignment]
        options |= {"log_dictconfig": GRANIAN, "log_access": settings.LOG_REQUESTS or options.get("log_access", False)}
        super().__init__(*args, blocking_threads=front.threads, **options)

    @override
    def serve(self, *args: Any, **options: Any) -> None:
        with taken_over("config.serve"):
            super().serve(*args, **options)

    @override
    def _respawn_workers(self, workers: list[int], *args: Any, **options: Any) -> None:
        super()._respawn_workers(workers, *args, **options)
        now = time.monotonic()
        self.deaths = (*(at for at in self.deaths if at > now - SECONDS), *[now] * len(workers))
        if len(self.deaths) < DEATHS:
            self.respawned_wrks.clear()


def main() -> None:
    """Serve until told to stop; granian reads the command line."""
    import config.wsgi  # noqa: F401  (before the workers are forked)

    use_pooler()
    preload()
    restrict_calls()
    cli.Server = PatientServer  # type: ignore[attr-defined]  # granian has no other way in
    cli.entrypoint()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
