"""What all who start servers here need: a free port, whether something answers, and the web server as the image runs it."""

import socket
import urllib.error
import urllib.request

WEB = "--interface wsgi --host 127.0.0.1 --http 1 --no-ws --workers 1 --blocking-threads 4 --backpressure 256"
WEB_APPLICATION = "--log-level warning config.wsgi:application"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str) -> bool:
    """Whether it answers 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (our own addresses)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
