"""The subscriber's page beside a page without content behind the same login."""

from collections.abc import Callable
from functools import partial

from django.contrib.auth.models import User
from django.test import Client

from apps.sandbox.bench import path_signup
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, compare, repeat
from apps.sandbox.bench.requests_in_process import Application

NAME, EMPTY, DASHBOARD = "dashboard", "/bench/empty/", "/dashboard/"


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (it shows one subscriber)
    """Ratios of CPU and wall, in this process."""
    path_signup.sign_up(Application(), NAME, set())
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(User.objects.get(username=NAME))

    def get(url: str) -> None:
        answer = client.get(url)
        if answer.status_code != 200:
            raise LookupError(f"{url} answered {answer.status_code}")

    def prepare(url: str, count: int) -> Callable[[], None]:
        return repeat(get, [url] * count)

    ratios = compare({"empty": partial(prepare, EMPTY), "full": partial(prepare, DASHBOARD)})
    return [
        Figure("dashboard", "CPU, dashboard / empty page behind login", ratios["full"]["cpu"]),
        Figure("dashboard", "wall, dashboard / empty page behind login", ratios["full"]["wall"]),
        Figure("dashboard", "CPU, empty page / itself", ratios[CONTROL]["cpu"]),
    ]
