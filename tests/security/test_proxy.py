"""The proxy of compose.yml: what its file promises, and a real nginx with it before a real web server."""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from django.conf import settings

from apps.billing.models import InboundEvent
from apps.core.requests import MAX_JSON_BYTES
from apps.sandbox.run.servers import free_port
from tests.core.test_metrics import TOKEN
from tests.security import nginx, site
from tests.security.test_slow_senders import SECRET, ask, webhook

CONFIGURATION = (nginx.FOLDER / "nginx.conf").read_text()
APPLICATION = (nginx.FOLDER / "application.conf").read_text()
COMPOSE = yaml.safe_load((site.ROOT / "compose.yml").read_text())["services"]
SLOW = 1000
KIB, MIB = 1024, 1024 * 1024


def directives(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(\w+) ([^;{]+);", text, flags=re.MULTILINE))


def test_only_the_proxies_are_published_and_they_are_counted() -> None:
    assert "ports" not in COMPOSE["web"]
    assert COMPOSE["proxy"]["ports"] == ["${TAILSCALE_IP:-127.0.0.1}:8000:8000"]
    for name, server in (("proxy", "plain"), ("proxy-tls", "tls")):
        ours = {file.removeprefix("./config/proxy/").removesuffix(":ro") for file in COMPOSE[name]["volumes"]}
        assert ours >= {f"{file}.conf:/etc/nginx/{file}.conf" for file in ("nginx", "application")}
        assert f"{server}.conf:/etc/nginx/server.conf" in ours
        assert "outer" in set(COMPOSE["web"]["networks"]) & set(COMPOSE[name]["networks"])
    for service in ("web", "worker"):
        assert COMPOSE[service]["environment"]["TRUSTED_PROXY_COUNT"] == "${TRUSTED_PROXY_COUNT:-1}"


def test_its_files_buffer_bound_and_tell_who_asked() -> None:
    said, inside = directives(CONFIGURATION), directives(APPLICATION)
    assert (inside["proxy_request_buffering"], inside["proxy_buffering"]) == ("on", "on")
    assert int(said["client_max_body_size"].removesuffix("k")) * KIB >= 2 * MAX_JSON_BYTES
    assert said["client_body_buffer_size"] == said["client_max_body_size"]  # never in a file
    assert int(inside["client_max_body_size"].removesuffix("k")) * KIB == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert int(said["worker_connections"]) > 4 * SLOW
    assert {name for name in said if name.endswith("_timeout")} >= {
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
    }
    assert inside["proxy_set_header"] == 'X-Forwarded-Host ""'
    assert "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in APPLICATION
    assert "proxy_set_header X-Request-ID $request_id;" in APPLICATION
    assert "set $application http://web:8000;" in APPLICATION


def test_the_memory_of_its_files_has_room_for_all_large_bodies() -> None:
    most = int(re.findall(r"limit_conn large_bodies (\d+);", APPLICATION)[0]) * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    room = dict(one.split(":size=") for one in COMPOSE["proxy"]["tmpfs"])
    assert said_folder().startswith("/var/cache/nginx/")
    assert int(room["/var/cache/nginx"].removesuffix("m")) * MIB > most
    assert sum(int(size.removesuffix("m")) for size in room.values()) * 2 <= int(
        COMPOSE["proxy"]["mem_limit"].removesuffix("m")
    )


def said_folder() -> str:
    return directives(CONFIGURATION)["client_body_temp_path"]


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    """The web server of the image, behind one proxy; its port."""
    (tmp_path / "web").mkdir()
    with site.running(tmp_path / "web/log", STRIPE_WEBHOOK_SECRET=SECRET, TRUSTED_PROXY_COUNT="1") as port:
        yield port


@pytest.fixture
def running(web: int, tmp_path: Path) -> Iterator[nginx.Proxy]:
    """nginx with the files of compose.yml before it."""
    with nginx.running(tmp_path / "nginx", web=web) as found:
        yield found


@pytest.fixture
def proxy(running: nginx.Proxy) -> int:
    """Its port."""
    port = running.ports[8000]
    site.wait_until(lambda: site.answers(port), "the proxy answers")
    return port


@pytest.mark.long
@pytest.mark.xdist_group("slow senders")
def test_1000_slow_senders_stop_nobody(proxy: int) -> None:
    for number, (headers, sent) in enumerate(
        (("Content-Length: 1000", b"{"), ("Transfer-Encoding: chunked", b"3\r\n{"), ("Content-Len", b""), ("", b""))
    ):
        with site.holding([site.begin(proxy, "/onboarding/webhook/", headers=headers, sent=sent) for _ in range(SLOW)]):
            for path in ("/health/live", "/onboarding/", "/recovery/"):
                assert ask(proxy, path) == 200, headers
            assert webhook(proxy, f"evt_{number}") == 200, headers
            assert site.slow_phone(proxy, "/recovery/send-code/", {"email": "not an address"})[0] in {400, 403}, headers
    idle = [socket.create_connection(("127.0.0.1", proxy)) for _ in range(SLOW)]
    with site.holding(idle):
        assert ask(proxy, "/onboarding/") == 200
        assert webhook(proxy, "evt_idle") == 200
    assert InboundEvent.objects.count() == 5


@pytest.mark.long
@pytest.mark.xdist_group("slow senders")
def test_it_refuses_two_lengths_and_large_bodies_and_names_the_visitor(proxy: int) -> None:
    """What a request smuggler needs, what no view takes, and an address that a visitor makes up."""
    for headers in (
        "Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5", "Transfer-Encoding: gzip, chunked", "Content-Length: -1",
    ):  # fmt: skip
        with site.begin(
            proxy, "/onboarding/webhook/", headers=headers, sent=b"0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
        ) as made:
            status, answer = site.answer_of(made)
            assert status in {400, 501}, headers
            assert answer.count(b"HTTP/1.1") == 1, headers
    url = f"http://127.0.0.1:{proxy}"
    assert requests.post(f"{url}/onboarding/webhook/", b"x" * 300_000, timeout=5).status_code == 413
    made_up = [TOKEN | {"X-Forwarded-For": f"192.0.2.{number}"} for number in range(99)]
    answers = [requests.get(f"{url}/metrics", headers=headers, timeout=5).status_code for headers in made_up]
    assert (answers[0], 429 in answers) == (200, True)


@pytest.mark.long
@pytest.mark.xdist_group("slow senders")
def test_large_slow_bodies_leave_room_for_others(proxy: int, running: nginx.Proxy) -> None:
    """400 that send all but the end of 256 KiB: 100 MB without a bound, and the memory of nginx has 72 MB for them."""
    size = 255 * KIB
    senders = []
    for _ in range(400):
        senders.append(site.begin(proxy, "/onboarding/webhook/", headers=f"Content-Length: {size}", sent=b""))
        senders[-1].settimeout(5)
        with contextlib.suppress(OSError):  # those beyond the bound are refused at once
            senders[-1].sendall(b"x" * (size - 1))
    with site.holding(senders):
        site.wait_until(lambda: len(running.list_bodies()) == 256, "as many as there is room for lie in files")
        assert sum(running.list_bodies()) <= 64 * MIB
        site.wait_until(lambda: len(site.answered(senders)) >= 400 - 256, "all others are refused")
        refused = site.answered(senders)
        status, answer = site.answer_of(refused[0])
        assert (status, b"Retry-After: 10" in answer) == (503, True)
        assert webhook(proxy, "evt_1") == 200
        assert site.slow_phone(proxy, "/recovery/send-code/", {"email": "not an address"})[0] in {400, 403}
        assert ask(proxy, "/onboarding/") == 200
    # No other address takes a body that would need a file.
    for address in ("/", "/admin/", "/recovery/send-code/"):
        answer = requests.post(f"http://127.0.0.1:{proxy}{address}", b"x" * 33 * KIB, timeout=5)
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (413, "nosniff")


@pytest.mark.long
@pytest.mark.xdist_group("slow senders")
def test_without_the_application_it_says_come_again(tmp_path: Path) -> None:
    """A load while the web server is replaced is answered 503 with Retry-After, which Stripe and browsers understand."""
    with nginx.running(tmp_path / "nginx", web=free_port()) as found:
        answer = requests.get(f"http://127.0.0.1:{found.ports[8000]}/", timeout=5)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
