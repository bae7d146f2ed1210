"""Makes the worker able to run the benchmark's job."""

from typing import override

from django.apps import AppConfig

NOTHING = "bench_nothing"


class BenchConfig(AppConfig):
    """No models; part of no real installation."""

    name = "apps.sandbox.bench"

    @override
    def ready(self) -> None:
        from apps.core import jobs

        jobs.register(NOTHING, lambda _key: None)
