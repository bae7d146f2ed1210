"""Where the present work comes from: the request or the run of a job it belongs to. Each line of the log says it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.contextvars import bound_contextvars, get_contextvars

RUN_ID = "job-"  # begins the name of a run; no request may call itself so
LONGEST = 64


def _read(name: str) -> Any:
    return get_contextvars().get(name, "")


def request_id() -> str:
    """The request that caused this work, however many jobs ago; without one, the first run of a job that did; else empty."""
    return str(_read("request_id"))[:LONGEST]


def request_or_run() -> str:
    """The name of the request that is being answered, or of the run of a job, as `job-7-1`; else empty. The audit trail keeps it."""
    return f"{RUN_ID}{_read('job_id')}-{_read('run')}" if _read("job_id") else request_id()


def is_request() -> bool:
    """Whether a request is being answered, rather than a job run."""
    return bool(request_id() and not _read("job_id"))


@contextmanager
def in_run(*, job_id: int, run: int, caused_by: str) -> Iterator[None]:
    """Until the block ends, work belongs to this run of a job."""
    with bound_contextvars(job_id=job_id, run=run, request_id=caused_by or f"{RUN_ID}{job_id}-{run}"):
        yield
