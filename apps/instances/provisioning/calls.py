"""Calls to the product on one instance: how long they may take, and what says that the whole instance is down.

What else an answer means is read by the provisioner itself. `doing` ends "could not …" and names no person.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from apps.core.errors import DependencyDown
from apps.core.io_guard import refuse_inside_transaction
from apps.instances.provisioning.contract import ProductHost

TIMEOUT, LONG = (3, 6), (3, 60)  # seconds to connect, to read
SLOW, PATIENCE = 2, 30  # seconds: a slow call, and how many of them one job waits for in all
AWAY = (429, 502, 503, 504)  # throttled, in maintenance, or a proxy in front of it says that it is away


class ProductCalls:
    """One job's calls to one instance. An instance that makes it wait too long counts as down."""

    def __init__(self, host: ProductHost, label: str) -> None:
        self.host, self.label = host, label
        self._waited = 0.0

    def send(self, method: str, path: str, doing: str, *, is_long: bool = False, **rest: Any) -> requests.Response:
        """One call; `path` is below the instance's address. `is_long`: it may take as long as it needs."""
        refuse_inside_transaction()
        if self._waited > PATIENCE:
            raise self.down(f"is too slow to {doing}")
        began = time.monotonic()
        try:
            answer = requests.request(
                method, f"{self.host.address.rstrip('/')}/{path}", timeout=LONG if is_long else TIMEOUT, allow_redirects=False,
                **rest,
            )  # fmt: skip
        except requests.RequestException as error:
            raise self.down(f"did not answer when asked to {doing} ({type(error).__name__})") from error
        took = time.monotonic() - began
        self._waited += took if took > SLOW and not is_long else 0
        return self._refuse_down(answer, doing)

    def _refuse_down(self, answer: requests.Response, doing: str) -> requests.Response:
        status = answer.status_code
        if status in AWAY or answer.is_redirect:
            raise self.down(f"is away ({status}) and could not {doing}")
        if status == 401:
            raise self.down(f"refuses our login (401). Look at PROVISIONER_SECRETS; it could not {doing}")
        return answer

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """For reading answers: what has another form comes from another product, or from a release that we do not know."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self.down(f"does not answer as {self.label} does") from error

    def down(self, what: str) -> DependencyDown:
        """The error that parks all work for this instance."""
        return DependencyDown(self.host.dependency, f"{self.label} on {self.host.name} {what}.")

    def strange(self, answer: requests.Response, doing: str) -> DependencyDown:
        """What answers is no such product, or not of a release that we know."""
        return self.down(f"does not answer as {self.label} does ({answer.status_code}) and could not {doing}")
