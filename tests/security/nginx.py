"""A real nginx with the files of config/proxy, in a folder of its own."""

import contextlib
import datetime as dt
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from apps.sandbox.run.servers import free_port
from tests.security import site

USAGE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, key_encipherment=True, content_commitment=False, data_encipherment=False,
    key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
FOLDER = site.ROOT / "config/proxy"


@dataclass(frozen=True)
class Proxy:
    """Where it listens, by the port that the files name, and its process."""

    ports: dict[int, int]
    pid: int

    def list_bodies(self) -> list[int]:
        """The sizes of the bodies that lie in files. These have no name any more: they end with the request."""
        folders = [Path(f"/proc/{child.pid}/fd") for child in psutil.Process(self.pid).children()]
        files = [file for folder in folders for file in folder.iterdir() if "/bodies/" in str(file.readlink())]
        return [file.stat().st_size for file in files]


@contextlib.contextmanager
def running(folder: Path, *, web: int, server: str = "plain") -> Iterator[Proxy]:
    """nginx before the web server at port `web`, with `plain` or `tls`.conf; skips the test where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    folder.mkdir(exist_ok=True)
    texts = {name: (FOLDER / f"{name}.conf").read_text() for name in ("nginx", "application", server)}
    ports = {int(port): free_port() for port in re.findall(r"listen (\d+)", texts[server])}
    replaced = {
        "http://web:8000": f"http://127.0.0.1:{web}",
        " /tmp/": f" {folder}/",
        " /var/cache/nginx/": f" {folder}/",
    }
    replaced |= {" /etc/nginx/": f" {folder}/"}
    replaced |= {f"listen {port}": f"listen {other}" for port, other in ports.items()}
    if not _knows_http2(program):
        replaced |= {" ssl backlog": " ssl http2 backlog", "http2 on;": ""}
    for name, text in texts.items():
        for old, new in replaced.items():
            text = text.replace(old, new)  # noqa: PLW2901
        (folder / ("server.conf" if name == server else f"{name}.conf")).write_text(text)
    command = [
        program,
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        "stderr",
        "-g",
        f"daemon off;{' user root;' * (os.geteuid() == 0)}",
    ]
    process = subprocess.Popen(command)
    try:
        site.wait_until(lambda: all(map(listens, ports.values())), "the proxy listens")
        yield Proxy(ports, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _knows_http2(program: str) -> bool:
    """Whether this nginx has the directive `http2`; before 1.25.1 it was part of `listen`."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None
    return tuple(map(int, found.groups())) >= (1, 25, 1)


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=site.PROMPT):
        return True
    return False


def make_certificate(folder: Path, *, days: float = 30, name: str = "localhost") -> Path:
    """certificate.pem and key.pem, signed by itself, for `name` and 127.0.0.1; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = dt.datetime.now(dt.UTC)
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(title).issuer_name(title).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days)).add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(USAGE, critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem"
