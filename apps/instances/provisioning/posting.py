"""One POST to an address that staff have typed, bounded in every way: no redirect, no login, so many bytes, so many seconds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from apps.core.io_guard import refuse_inside_transaction

CONNECT_SECONDS, READ_SECONDS = 3, 20  # Standard Webhooks asks for 15 to 30
WHOLE_SECONDS = 25  # until the end of the answer
LARGEST_ANSWER = 64 * 1024  # bytes; the rest is not read
PIECE = 4096


@dataclass(frozen=True)
class Reply:
    """What came back. `status` None: nothing did, and `text` says why."""

    status: int | None
    text: str
    milliseconds: int


def post(address: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Post it, and read how the answer begins. Raises nothing: an address that does not answer has no status."""
    refuse_inside_transaction()
    began = time.monotonic()
    try:
        with requests.post(
            address, data=body, headers=dict(headers), timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, stream=True,
            auth=_nobody,
        ) as answer:  # fmt: skip
            status, text = answer.status_code, _read(answer, until=began + WHOLE_SECONDS)
    except requests.RequestException as error:
        return Reply(None, type(error).__name__, _since(began))
    return Reply(status, text, _since(began))


def _nobody(request: Any) -> Any:
    """No login: else requests takes one from a .netrc file."""
    return request


def _read(answer: requests.Response, *, until: float) -> str:
    """As it comes, not unpacked: what is packed, too long, too slow or cut off is not all there."""
    found = bytearray()
    try:
        while len(found) < LARGEST_ANSWER and time.monotonic() < until:
            piece = answer.raw.read1(PIECE, decode_content=False)
            if not piece:
                break
            found += piece
    except Exception as error:  # noqa: BLE001  urllib3's and the socket's: it has answered, and that counts
        found += f" ({type(error).__name__})".encode()
    return found.decode(errors="replace")


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
