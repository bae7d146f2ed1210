"""Makes the worker able to run the benchmark's jobs."""

from typing import override

from django.apps import AppConfig

NOTHING, STARTED = "bench_nothing", "bench_started"


class BenchConfig(AppConfig):
    """No models; part of no real installation."""

    name = "apps.sandbox.bench"

    @override
    def ready(self) -> None:
        from apps.core import jobs
        from apps.sandbox.bench.earlier import tell_start

        jobs.register(NOTHING, lambda _key: None)
        jobs.register(STARTED, tell_start)
