"""What the sandbox posts to the application: one body, one answer."""

import http.client
from urllib.parse import urlsplit

ANSWER_SECONDS = 15


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """POST one body of JSON; the status of the answer, 0 when there is none."""
    target = urlsplit(url)
    opener = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = opener(target.hostname or "", target.port, timeout=ANSWER_SECONDS)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    try:
        connection.request(
            "POST", path, body=body, headers={"Content-Type": "application/json; charset=utf-8"} | headers
        )
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
