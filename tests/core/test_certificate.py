"""The certificate of BASE_URL, at a real TLS server."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core import attention, certificate
from apps.operations import doctor
from tests.security.nginx import make_certificate


@contextlib.contextmanager
def serving(folder: Path, *, days: float, name: str = "localhost") -> Iterator[tuple[int, Path]]:
    """A TLS server with a new certificate; its port, and the certificate."""
    file = make_certificate(folder, days=days, name=name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, folder / "key.pem")
    listening = socket.create_server(("127.0.0.1", 0))

    def shake_hands() -> None:
        with contextlib.suppress(OSError):  # who does not trust it says so; in the end it is closed
            while True:
                with contextlib.suppress(ssl.SSLError, ConnectionError), listening.accept()[0] as plain:
                    context.wrap_socket(plain, server_side=True).close()

    thread = threading.Thread(target=shake_hands)
    thread.start()
    try:
        yield listening.getsockname()[1], file
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("days", "name", "trusted", "found", "said"),
    [
        (90, "localhost", True, "passed", "trusted, and for more than two weeks"),
        (15, "localhost", True, "passed", "trusted"),
        (13, "localhost", True, "error", "ends in 13 days"),
        (-1, "localhost", True, "error", "certificate has expired"),
        (90, "localhost", False, "error", "do not trust the certificate of https://localhost"),  # by an authority of its own
        (90, "other.example.com", True, "error", "Hostname mismatch"),
    ],
)  # fmt: skip
def test_it_is_trusted_and_lasts(
    days: float, name: str, trusted: bool, found: str, said: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    with serving(tmp_path, days=days, name=name) as (port, file):
        settings.BASE_URL = f"https://localhost:{port}"
        if trusted:
            monkeypatch.setattr(certificate, "DEFAULT_CA_BUNDLE_PATH", str(file))
        finding = certificate.check_certificate()
    assert (finding.severity, said in finding.message) == (found, True), finding.message


def test_a_site_that_does_not_answer_from_here_is_no_error(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.BASE_URL = f"https://localhost:{taken.getsockname()[1]}"
    assert certificate.check_certificate().severity == "skipped"


def test_staff_are_told_until_it_is_renewed(
    db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HTTPS = True
    for days, told in ((3, 1), (90, 0)):
        with serving(tmp_path, days=days) as (port, file):
            settings.BASE_URL = f"https://localhost:{port}"
            monkeypatch.setattr(certificate, "DEFAULT_CA_BUNDLE_PATH", str(file))
            doctor._report([one for one in doctor.check_frontdesk() if one.id == certificate.KEY], of_realm=False)
        items = attention.open_items().filter(cause=attention.Cause.DOCTOR, key=certificate.KEY)
        assert [item.key for item in items] == [certificate.KEY] * told
