"""Every request of the sandbox: find its peer, apply the peer's fault, hold the store's lock around the view.

A view that calls out over HTTP while serving sets `unlocked = True` on itself and takes the lock where it needs it.
A fault's delay and its cut of the connection happen outside the lock, so that one slow peer does not slow the others.
"""

import socket
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from apps.sandbox import faults
from apps.sandbox.store import store


class Sandbox:
    """Django middleware. Views read the fault they have to act out themselves from `faults.mode(request)`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        _send_at_once(request)
        with store.lock:
            fault = faults.take(request)
        early = faults.before(request, fault)
        if early is not None:
            return early
        response = self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            store.changed()
        return _measured(faults.after(request, fault, response))

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Call the view under the lock, unless it has asked to be called without."""
        if getattr(view, "unlocked", False):
            return None
        with store.lock:
            return view(request, *args, **kwargs)


def _send_at_once(request: HttpRequest) -> None:
    """The server sends head and body apart; without this a kept connection waits 40 ms between the two."""
    line = faults.connection(request)
    if line is not None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _measured(response: HttpResponseBase) -> HttpResponseBase:
    """Say how long the answer is, so that the client may keep its connection."""
    if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))
    return response
