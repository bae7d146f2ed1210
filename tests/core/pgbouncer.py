"""A real pgbouncer before the tests' database: Debian's package of that name, started by us."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from apps.sandbox.run.postgres_programs import account
from apps.sandbox.run.servers import free_port

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


@contextmanager
def running(mode: str, *, size: int = 20) -> Iterator[int]:
    """One that lends by `mode` ("session" or "transaction") at most `size` connections; the port it listens on."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if not program:
        pytest.skip("There is no pgbouncer here: apt-get install pgbouncer.")
    to, listen = connection.settings_dict, free_port()
    with tempfile.TemporaryDirectory(prefix="frontdesk-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root it runs as the account of the server, whose socket it has to reach
        words = {"host": to["HOST"], "port": to["PORT"] or 5432, "user": to["USER"], "mode": mode, "size": size}
        (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(listen=listen, **words))
        process = subprocess.Popen([program, "-q", folder / "pgbouncer.ini"], **account())
        try:
            _wait(listen, process)
            yield listen
        finally:
            process.kill()
            process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("pgbouncer did not start")
