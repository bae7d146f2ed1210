"""A fresh Debian to go live on: this machine's own under overlays, in namespaces that vanish with the process that made them.

What is typed there is what the manual prints, word for word. What cannot be there is stood in for, and only here:
`apt install` finds the packages of this machine and fetches none that is there; uv finds a Python where it would put one;
`systemctl` starts what the units say, as their users (systemctl.py); names of the internet lead to this machine, whose
certificates our own authority signs, and the libraries that bring a list of authorities have it there.
"""

import datetime as dt
import os
import pty
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.image import machine as namespaces

SOURCE = Path(__file__).resolve().parents[2]
OVERLAID = ("etc", "opt", "srv", "usr", "var")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SITE, KEYCLOAK, SMTP = "kunden.example.com", "login.example.com", "smtp.example.com"
STRIPE, MAILGUN = ("api.stripe.com", "js.stripe.com", "checkout.stripe.com"), "api.mailgun.net"
NAMES = (SITE, KEYCLOAK, SMTP, *STRIPE, MAILGUN)
AUTHORITY = Path("/usr/local/share/ca-certificates/house.crt")
KEYCLOAK_PORT, SANDBOX_PORT = 8002, 8001
SECONDS = 300  # that a line may take
# The way to the registries, for `pip` and `uv` as for anybody on this machine.
REGISTRIES = (
    "PIP_",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "SSL_CERT",
    "REQUESTS_CA",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
# Who is behind each name; the sandbox serves the peers below paths of its own.
PEERS = f"""
map $host $peer {{
    {KEYCLOAK} http://127.0.0.1:{KEYCLOAK_PORT};
    {STRIPE[2]} http://127.0.0.1:{SANDBOX_PORT};
    {MAILGUN} http://127.0.0.1:{SANDBOX_PORT}/mailgun;
    default http://127.0.0.1:{SANDBOX_PORT}/stripe;
}}
server {{
    listen 443 ssl;
    server_name {" ".join((KEYCLOAK, *STRIPE, MAILGUN))};
    ssl_certificate /etc/letsencrypt/live/{SITE}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{SITE}/privkey.pem;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Forwarded-Port 443;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    location / {{ proxy_pass $peer$request_uri; }}
    location /stripe/ {{ proxy_pass http://127.0.0.1:{SANDBOX_PORT}; }}
}}
"""


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def lay_overlays(folder: Path) -> None:
    """From here on nothing that is written below /etc, /opt, /srv, /usr, /var or /run reaches the machine."""
    namespaces.mount("-t", "tmpfs", "-o", "mode=700", "golive", folder)
    for name in OVERLAID:
        upper, work = folder / name / "upper", folder / name / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        upper.chmod(0o755)
        options = f"lowerdir=/{name},upperdir={upper},workdir={work}"
        try:
            namespaces.mount("-t", "overlay", "overlay", "-o", options, f"/{name}")
        except subprocess.CalledProcessError as error:
            raise namespaces.Impossible("This machine allows no overlay mounts.") from error
    namespaces.mount("-t", "tmpfs", "-o", "mode=755", "run", "/run")
    _lend_python()
    _write_programs()


def _lend_python() -> None:
    """Where uv would unpack the Python it downloads."""
    version = sysconfig.get_config_var("py_version")
    target = Path(f"/opt/uv/python/cpython-{version}-linux-{os.uname().machine}-gnu")
    target.mkdir(parents=True)
    namespaces.mount("--bind", sys.base_prefix, target)
    libraries = Path("/etc/ld.so.conf.d/python.conf")
    libraries.write_text(f"{target}/lib\n")  # one that was built here looks in its first folder
    subprocess.run(["ldconfig"], check=True)


def _write_programs() -> None:
    """`apt` and `systemctl` of this machine, before those of Debian in PATH."""
    folder = Path("/usr/local/sbin")
    (folder / "systemctl").write_text(f'#!/bin/sh\nexec {sys.executable} {SOURCE}/tests/golive/systemctl.py "$@"\n')
    (folder / "apt").write_text(
        '#!/bin/sh\nset -e\nshift\nif dpkg --status "$@" >/dev/null 2>&1; then echo "All are there."; exit; fi\n'
        'export DEBIAN_FRONTEND=noninteractive\napt-get update -qq\nexec apt-get install -y -qq --no-install-recommends "$@"\n'
    )
    for program in folder.iterdir():
        program.chmod(0o755)


def leave_internet() -> int:
    """A network of our own from here on, in which the names of our peers lead to this machine; returns the way to the other one."""
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    namespaces.alone({})
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n::1 localhost\n")
    AUTHORITY.parent.mkdir(parents=True, exist_ok=True)
    AUTHORITY.write_bytes(_sign_certificate(Path(f"/etc/letsencrypt/live/{SITE}")))
    return outside


def trust_authority() -> None:
    """As if a public one had signed: on the lists of authorities that libraries bring along."""
    for site in Path("/opt/frontdesk/.venv/lib").glob("python*/site-packages"):
        for trusted in (site / "certifi/cacert.pem", site / "stripe/data/ca-certificates.crt"):
            text = trusted.read_bytes()
            trusted.unlink()  # it may be a link into uv's cache
            trusted.write_bytes(text + b"\n" + AUTHORITY.read_bytes())


def _sign_certificate(folder: Path) -> bytes:
    """privkey.pem and fullchain.pem for all names, as certbot leaves them; returns the authority's certificate."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def begun(name: str, public: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named("The house's authority"))
        builder = builder.public_key(public).serial_number(x509.random_serial_number()).not_valid_before(now - day)
        constraints = x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, key_encipherment=False, content_commitment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True).add_extension(constraints, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        return builder.add_extension(issuer, critical=False).not_valid_after(now + 89 * day)

    root = begun("The house's authority", root_key.public_key(), is_authority=True).sign(root_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    leaf = begun(SITE, key.public_key(), is_authority=False).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    own = leaf.sign(root_key, hashes.SHA256()).public_bytes(pem)
    folder.mkdir(parents=True)
    (folder / "fullchain.pem").write_bytes(own + root.public_bytes(pem))
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(plain)
    (folder / "privkey.pem").chmod(0o600)
    return root.public_bytes(pem)


def repository() -> Path:
    """The code as a repository to clone from: what is tracked here, and what is new and not ignored."""
    folder = Path(tempfile.mkdtemp(prefix="code-", dir="/run"))
    git = [
        "git",
        f"--git-dir={folder}",
        f"--work-tree={SOURCE}",
        "-c",
        "user.name=golive",
        "-c",
        "user.email=golive@example.com",
    ]
    subprocess.run([*git, "init", "-q"], check=True)
    for words in (["add", "-A"], ["commit", "-qm", "The code"], ["config", "core.bare", "true"]):
        subprocess.run([*git, *words], check=True)
    return folder


class Refused(Exception):
    """A line of the manual failed; with what it said."""


class Terminal:
    """Root's shell on the machine: each line as it is typed, with answers to what it asks, in an environment that has nothing else."""

    def __init__(self, outside: int) -> None:
        """`outside`: the network that leads to the registries."""
        self.folder, self.outside = "/root", outside
        self.env = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", "SHELL": "/bin/sh"}
        self.lent = {name: value for name, value in os.environ.items() if name.upper().startswith(REGISTRIES)}

    def type(self, line: str, answers: Mapping[str, str] | None = None) -> str:
        """Run one line; `answers`: what is typed where a question has these words. Returns what stood on the screen."""
        began, lent = time.monotonic(), self.lent if re.search(r"\b(pip|uv|apt) ", line) else None
        child, terminal = pty.fork()
        if not child:
            if lent is not None:
                os.setns(self.outside, os.CLONE_NEWNET)
            os.chdir(self.folder)
            os.execve("/bin/sh", ["sh", "-ec", f"{line}\npwd > /run/folder"], self.env | (lent or {}))
        shown = _converse(terminal, answers or {}, began + SECONDS)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        say(f"[{time.monotonic() - began:5.1f} s] # {line}")
        if code:
            raise Refused(f"`{line}` ended with {code}:\n{shown[-6000:]}")
        self.folder = Path("/run/folder").read_text().strip()
        return shown


def _converse(terminal: int, answers: Mapping[str, str], deadline: float) -> str:
    """Read until the end, typing an answer at each question: a last line that ends with a colon and has one of the keys."""
    shown, unread = "", ""
    while time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 65_536).decode(errors="replace")
        except OSError:  # the other side has ended
            break
        if not piece:
            break
        shown, unread = shown + piece, unread + piece
        asked = unread.rpartition("\n")[2].rstrip()
        answer = next((answers[one] for one in answers if asked.endswith(":") and one in asked), None)
        if answer is not None:
            os.write(terminal, f"{answer}\n".encode())
            unread = ""
    os.close(terminal)
    return shown.replace("\r\n", "\n")


def start_postgres() -> None:
    """What Debian does when the package is installed; again, where it has, to be in our network."""
    Path("/run/postgresql").mkdir(exist_ok=True)
    shutil.chown("/run/postgresql", "postgres", "postgres")
    newest = max(Path("/etc/postgresql").iterdir(), key=lambda one: int(one.name))
    subprocess.run(["pg_ctlcluster", newest.name, "main", "restart"], check=True)


def publish_peers(shell: Terminal) -> None:
    """Everybody else's names, by the nginx that Debian has started."""
    Path("/etc/nginx/conf.d/peers.conf").write_text(PEERS)
    Path("/etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    shell.type("systemctl restart nginx")
