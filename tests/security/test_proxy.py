"""The proxy of compose.yml: what its file promises, and a real nginx with it before a real web server."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from django.conf import settings

from apps.billing.models import InboundEvent
from apps.sandbox.run.servers import free_port
from tests.core.test_metrics import TOKEN
from tests.security import site
from tests.security.test_slow_senders import SECRET, ask, webhook

CONFIGURATION = (site.ROOT / "config/proxy/nginx.conf").read_text()
COMPOSE = yaml.safe_load((site.ROOT / "compose.yml").read_text())["services"]
SLOW = 1000


def test_only_the_proxy_is_published_and_it_is_counted() -> None:
    assert "ports" not in COMPOSE["web"]
    assert COMPOSE["proxy"]["ports"] == ["${TAILSCALE_IP:-127.0.0.1}:8000:8000"]
    assert COMPOSE["proxy"]["volumes"] == ["./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro"]
    assert "outer" in set(COMPOSE["web"]["networks"]) & set(COMPOSE["proxy"]["networks"])
    for service in ("web", "worker"):
        assert COMPOSE[service]["environment"]["TRUSTED_PROXY_COUNT"] == "${TRUSTED_PROXY_COUNT:-1}"


def test_its_file_buffers_bounds_and_tells_who_asked() -> None:
    said = dict(re.findall(r"^\s*(\w+) ([^;{]+);", CONFIGURATION, flags=re.MULTILINE))
    assert (said["proxy_request_buffering"], said["proxy_buffering"]) == ("on", "on")
    assert int(said["client_max_body_size"].removesuffix("k")) * 1024 == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert int(said["worker_connections"]) > 4 * SLOW
    assert {name for name in said if name.endswith("_timeout")} >= {
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
    }
    assert "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in CONFIGURATION
    assert "set $application http://web:8000;" in CONFIGURATION


@pytest.fixture
def proxy(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    """nginx with the file of compose.yml before the web server of the image; its port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    (tmp_path / "web").mkdir()
    with site.running(tmp_path / "web/log", STRIPE_WEBHOOK_SECRET=SECRET, TRUSTED_PROXY_COUNT="1") as web:
        port = free_port()
        file = tmp_path / "nginx.conf"
        text = CONFIGURATION.replace("http://web:8000", f"http://127.0.0.1:{web}").replace(
            "listen 8000", f"listen {port}"
        )
        file.write_text(text.replace(" /tmp/", f" {tmp_path}/"))
        server = subprocess.Popen([program, "-c", str(file), "-e", "stderr", "-g", "daemon off;"])
        try:
            site.wait_until(lambda: site.answers(port), "the proxy answers")
            yield port
        finally:
            server.terminate()
            server.wait(20)


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
def test_without_the_application_it_says_come_again(proxy: int, tmp_path: Path) -> None:
    """A load while the web server is replaced is answered 503 with Retry-After, which Stripe and browsers understand."""
    port = free_port()
    text = (tmp_path / "nginx.conf").read_text()
    file = tmp_path / "other.conf"
    text = re.sub(r"(http://127\.0\.0\.1:)\d+", rf"\g<1>{free_port()}", text)
    file.write_text(text.replace(f"listen {proxy}", f"listen {port}").replace("nginx.pid", "other.pid"))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    server = subprocess.Popen([program or "nginx", "-c", str(file), "-e", "stderr", "-g", "daemon off;"])
    try:
        site.wait_until(lambda: _status(port) == 503, "it answers for the absent")
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=5).headers["Retry-After"] == "10"
    finally:
        server.terminate()
        server.wait(20)


def _status(port: int) -> int:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).status_code
    except requests.ConnectionError:
        return 0
