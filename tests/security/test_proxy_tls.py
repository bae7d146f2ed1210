"""TLS at the proxy of compose.yml: a real nginx with its files and a certificate made here, before a real web server."""

import re
import socket
import ssl
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from apps.core.clear_text import SENTENCE
from apps.core.limits import subject_hash
from apps.core.models import RateLimit
from apps.sandbox.run.servers import free_port
from tests.core.test_metrics import TOKEN
from tests.security import nginx, site
from tests.security.test_headers_everywhere import ALWAYS
from tests.security.test_slow_senders import SECRET

pytestmark = pytest.mark.xdist_group("slow senders")
INTERMEDIATE = re.findall(r"ssl_ciphers (\S+);", (nginx.FOLDER / "tls.conf").read_text())[0].split(":")
OF_RSA = [name for name in INTERMEDIATE if "-RSA-" in name]  # our certificate has such a key
# What clients of OpenSSL 3 still know: without forward secrecy, without authenticated encryption, without either.
WEAK = (
    "AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES128-SHA",
    "AES128-SHA",
    "DHE-RSA-AES128-SHA",
    "NULL-SHA256",
)
PAGE = "/onboarding/"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate, which clients are told to trust."""
    return nginx.make_certificate(tmp_path_factory.mktemp("nginx") / "tls")


@pytest.fixture
def alone(authority: Path) -> Iterator[nginx.Proxy]:
    """Without a web server, for what nginx answers by itself."""
    with nginx.running(authority.parent.parent, web=free_port(), server="tls") as found:
        yield found


@pytest.fixture
def proxy(transactional_db: None, authority: Path, tmp_path: Path) -> Iterator[nginx.Proxy]:
    folder = authority.parent.parent
    (tmp_path / "web").mkdir()
    ours = {"BASE_URL": "https://localhost", "TRUSTED_PROXY_COUNT": "1", "STRIPE_WEBHOOK_SECRET": SECRET}
    with site.running(tmp_path / "web/log", **ours) as web, nginx.running(folder, web=web, server="tls") as found:
        yield found


def handshake(
    port: int, *, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0", protocols: tuple[str, ...] = ()
) -> ssl.SSLSocket:
    """A connection by this version alone, with these ciphers alone below 1.3. Raises ssl.SSLError or ConnectionError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(list(protocols))
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    return context.wrap_socket(plain, server_hostname="localhost")


def refuses(port: int, *, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> bool:
    try:
        handshake(port, version=version, ciphers=ciphers).close()
    except ssl.SSLError as error:
        return "ALERT" in str(error)  # the server's own word, not that this client cannot even ask
    return False


def test_versions_and_ciphers_are_those_of_today(alone: nginx.Proxy) -> None:
    port = alone.ports[8443]
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        assert refuses(port, version=old), old
    for weak in WEAK:
        assert refuses(port, version=ssl.TLSVersion.TLSv1_2, ciphers=f"{weak}:@SECLEVEL=0"), weak
    for good in OF_RSA:
        with handshake(port, version=ssl.TLSVersion.TLSv1_2, ciphers=good) as made:
            assert made.cipher()[0] == good
    with handshake(port, version=ssl.TLSVersion.TLSv1_2, ciphers=":".join(reversed(OF_RSA))) as made:
        assert made.cipher()[0] == OF_RSA[0]  # the strongest first, whatever the client would like
    with handshake(port, version=ssl.TLSVersion.TLSv1_3) as made:
        assert (made.version(), made.cipher()[0]) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def test_it_speaks_http_2(proxy: nginx.Proxy) -> None:
    """By hand, frame by frame (RFC 9113): what is offered, and a page that is found by the name in `:authority`."""
    asked = b"\x82\x87" + b"".join(
        bytes((name, len(text))) + text for name, text in ((4, PAGE.encode()), (1, b"localhost"))
    )
    with handshake(proxy.ports[8443], version=ssl.TLSVersion.TLSv1_3, protocols=("h2", "http/1.1")) as made:
        assert made.selected_alpn_protocol() == "h2"
        made.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4) + frame(1, asked, flags=5, stream=1))
        found = dict(read_frames(made, until=1))
    offered = dict(struct.iter_unpack(">HI", found[4]))
    assert offered[3] == 32  # streams at once
    assert found[1].startswith(b"\x88")  # :status 200


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def read_frames(made: ssl.SSLSocket, *, until: int) -> Iterator[tuple[int, bytes]]:
    """The kinds and payloads of the frames that come, up to the first of this kind; answers only, no acknowledgements."""
    with made.makefile("rb") as stream:
        kind = -1
        while kind != until:
            head = stream.read(9)
            length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
            payload = stream.read(length)
            if not (kind == 4 and flags & 1):
                yield kind, payload


def test_pages_are_answered_with_their_headers_and_plain_http_leads_there(proxy: nginx.Proxy, authority: Path) -> None:
    secure, clear = f"https://localhost:{proxy.ports[8443]}", f"http://127.0.0.1:{proxy.ports[8080]}"
    named = {"Host": "localhost", "X-Forwarded-Proto": "https"}  # in clear nobody can say otherwise
    page = requests.get(secure + PAGE, headers={"Host": "localhost"}, verify=str(authority), timeout=5)
    assert page.status_code == 200
    assert {name: page.headers.get(name) for name in ALWAYS} == ALWAYS
    assert page.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains; preload"
    assert page.headers["Cache-Control"].count("no-store") == 1
    assert "Secure" in requests.get(f"{secure}/accounts/oidc/keycloak/login/", headers={"Host": "localhost"}, verify=str(authority), timeout=5, allow_redirects=False).headers["Set-Cookie"]  # fmt: skip
    led = requests.get(clear + PAGE, headers=named, timeout=5, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (301, f"https://localhost{PAGE}")
    assert "Strict-Transport-Security" not in led.headers
    for address in ("/onboarding/webhook/", "/recovery/send-code/", PAGE):
        refused = requests.post(clear + address, "{}", headers=named, timeout=5, allow_redirects=False)
        assert (refused.status_code, refused.text) == (403, SENTENCE)
    # What nginx itself answers.
    large = requests.post(secure + PAGE, b"x" * 40_000, headers={"Host": "localhost"}, verify=str(authority), timeout=5)
    assert (large.status_code, large.headers["X-Content-Type-Options"]) == (413, "nosniff")
    assert large.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "nginx/" not in large.text + large.headers["Server"]


def test_the_visitors_address_is_the_one_that_connects(proxy: nginx.Proxy, authority: Path) -> None:
    url, made_up = f"https://localhost:{proxy.ports[8443]}/metrics", {"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    asked = requests.get(url, headers=TOKEN | made_up | {"Host": "localhost"}, verify=str(authority), timeout=5)
    assert asked.status_code == 200
    counted = RateLimit.objects.filter(name="scrapes_visitor").values_list("subject", flat=True)
    assert set(counted) == {subject_hash("127.0.0.1")}


def test_a_challenge_that_renews_the_certificate_is_answered_in_clear(alone: nginx.Proxy, authority: Path) -> None:
    folder = authority.parent / "acme/.well-known/acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("proof")
    clear = f"http://127.0.0.1:{alone.ports[8080]}/.well-known/acme-challenge"
    assert requests.get(f"{clear}/token", timeout=5).text == "proof"
    for other in ("", "/", "/nothing", "/../../../key.pem", "/%2e%2e/%2e%2e/%2e%2e/key.pem"):
        answer = requests.get(clear + other, timeout=5, allow_redirects=False)
        assert answer.status_code >= 300, other
        assert "PRIVATE KEY" not in answer.text


def test_one_address_has_its_share_of_requests_at_once(proxy: nginx.Proxy) -> None:
    """200 that send half a body: others at the same address are told to come again, and those elsewhere are answered."""
    port = proxy.ports[8080]
    with site.holding([site.begin(port, PAGE, headers="Content-Length: 9") for _ in range(200)]) as held:
        site.wait_until(lambda: len(site.answered(held)) >= 200 - 128, "what is beyond the share is refused")
        assert site.answer_of(site.answered(held)[0])[0] == 503
        with site.begin(port, PAGE, headers="Content-Length: 1", address="127.0.0.2") as other:
            assert site.answer_of(other)[0] == 403
