"""Visitors who send a body slowly, or never: eight of them stopped the whole site (H1 of the security review)."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from django.db import connection

from apps.billing.models import InboundEvent
from tests.billing.door import raw, sign
from tests.security import site

pytestmark = pytest.mark.xdist_group("slow senders")
COMPOSE = yaml.safe_load((site.ROOT / "compose.yml").read_text())["services"]
SECRET = "whsec_" + "a" * 40
DOORS = [
    ("/onboarding/webhook/", "Content-Length: 1000"),
    ("/onboarding/webhook/", "Transfer-Encoding: chunked"),
    ("/recovery/send-code/", "Content-Length: 1000\r\nContent-Type: application/json"),
    ("/onboarding/", "Content-Length: 1000\r\nContent-Type: application/x-www-form-urlencoded"),
    ("/onboarding/", "Content-Length: 1000\r\nContent-Type: multipart/form-data; boundary=x"),
    ("/accounts/logout/", "Content-Length: 200000"),
    ("/health/live", "Content-Length: 1000"),
    ("/nowhere/", "Content-Length: 1000"),
]


@pytest.fixture
def port(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    with site.running(tmp_path / "web.log", STRIPE_WEBHOOK_SECRET=SECRET) as port:
        yield port


def ask(port: int, path: str, **more: object) -> int:
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=site.PROMPT, **more).status_code  # type: ignore[arg-type]


def webhook(port: int, name: str) -> int:
    body = raw(id=name)
    headers = {"Stripe-Signature": sign(body, SECRET), "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/onboarding/webhook/"
    return requests.post(url, body, headers=headers, timeout=site.PROMPT).status_code


def test_64_slow_senders_stop_nobody(port: int) -> None:
    """At every kind of door, each with 64 and all in turn: pages, health and Stripe are answered promptly."""
    for number, (path, headers) in enumerate(DOORS):
        with site.holding([site.begin(port, path, headers=headers) for _ in range(64)]):
            assert ask(port, "/health/live") == 200, path
            assert ask(port, "/onboarding/") == 200, path
            assert webhook(port, f"evt_{number}") == 200, path
            assert site.slow_phone(port, "/recovery/send-code/", {"email": "not an address"})[0] in {400, 403}, path
    assert InboundEvent.objects.count() == len(DOORS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert cursor.fetchone()[0] <= 2 * 4 + 1  # seats of both processes, and the test


@pytest.mark.long
def test_beyond_what_waits_only_further_bodies_are_refused(port: int) -> None:
    """400 slow senders at one address: others get through, and the same address does where it sends no body, or later."""
    with site.holding([site.begin(port, "/onboarding/webhook/") for _ in range(400)]) as held:
        # Two processes, and a third while one of them is replaced.
        assert site.count_threads(port) * 3 / 2 < COMPOSE["web"]["pids_limit"] * 0.8
        phone = site.slow_phone(port, "/recovery/send-code/", {"email": "not an address"}, address="127.0.0.2")
        assert phone[0] in {400, 403}
        assert {ask(port, path) for path in ("/health/live", "/onboarding/") * 4} == {200}
        # Which of the two processes takes a connection is the kernel's choice.
        site.wait_until(lambda: webhook(port, "evt_1") == 503, "a further body of the same visitor is refused")
        site.wait_until(lambda: site.answered(held), "so are those who came too late")
        status, answer = site.answer_of(site.answered(held)[0])
        assert (status, b"retry-after: 10" in answer.lower()) == (503, True)
        assert b"granian" not in answer.lower()
    site.wait_until(lambda: webhook(port, "evt_2") == 200, "the webhook answers again")


def test_who_says_nothing_or_never_reads_stops_nobody(port: int) -> None:
    """64 connections without a byte, with half a head, and 64 that ask for much and read none of it."""
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(128)]
    for one in silent[:64]:
        one.sendall(b"GET /onboarding/ HTTP/1.1\r\nHost: loc")
    deaf = []
    for _ in range(64):
        deaf.append(socket.socket())
        deaf[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf[-1].connect(("127.0.0.1", port))
        deaf[-1].sendall(b"GET /static/admin/js/vendor/jquery/jquery.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with site.holding([*silent, *deaf]):
        assert ask(port, "/health/live") == 200
        assert ask(port, "/onboarding/") == 200
        assert webhook(port, "evt_1") == 200


def test_a_body_that_ends_early_does_nothing(port: int) -> None:
    """What arrived of a form is not taken for the form."""
    gone = site.begin(port, "/onboarding/", sent=b"first_name=Ada")
    gone.shutdown(socket.SHUT_WR)
    with gone:
        assert gone.recv(100).split(b" ")[:2] in ([b""], [b"HTTP/1.1", b"400"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM django_session) + (SELECT count(*) FROM core_ratelimit)")
        assert cursor.fetchone()[0] == 0
