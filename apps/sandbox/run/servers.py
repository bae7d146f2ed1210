"""What all who start servers here need: a free port, whether something answers, and the web server as the image runs it."""

import random
import socket
import urllib.error
import urllib.request

WEB = "--interface wsgi --host 127.0.0.1 --http 1 --no-ws --workers 1 --blocking-threads 4 --backpressure 256"
WEB_APPLICATION = "--log-level warning config.wsgi:application"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that no other caller is given while this process lives.

    The kernel's own free ports (Linux: 32768 and above) go to the next who connects or asks for one, often before
    the server that they are meant for has started. These lie below, and the UDP port of the same number, which
    nobody uses, is kept open as the reservation: it ends with the process, however that ends.
    """
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311  (no secret)
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        reservation.detach()
        return port


def answers(url: str) -> bool:
    """Whether it answers 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (our own addresses)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
