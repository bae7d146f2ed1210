"""What the stand-ins of products share: each name under a peer is a server of its own, unless it is another name of one.

Every peer keeps its servers in the store under its own name; how a fresh one looks is its own affair.
"""

from collections.abc import Callable
from typing import Any

from apps.sandbox.store import store

Server = dict[str, Any]
Options = dict[str, Any]
MOST_BYTES = 2**60


def server_of(peer: str, name: str, make: Callable[[str], Server]) -> Server:
    """The state of one server; `make` gives a fresh one of that name."""
    servers: dict[str, Server] = store.data[peer]
    if name not in servers:
        servers[name] = make(name)
    found = servers[name]
    return server_of(peer, found["same_as"], make) if "same_as" in found else found


def change_server(
    peer: str, options: Options, *, server: Callable[[str], Server], find: Callable[[Server, str], Options | None]
) -> Options:
    """What the control API does to a server from outside. `same_as`: it is another name of that server from then on; `user`, `used`:
    somebody has so many bytes there. ValueError with a sentence when it is not understood."""
    host, user, used = options.get("host"), options.get("user"), options.get("used")
    if not isinstance(host, str) or not host:
        raise ValueError("host must name a server.")
    if isinstance(options.get("same_as"), str):
        store.data[peer][host] = {"same_as": options["same_as"]}
        return {"same_as": options["same_as"]}
    account = find(server(host), user) if isinstance(user, str) else None
    if account is None:
        raise ValueError(f"host and user must name an account of a server under {peer}.")
    if not isinstance(used, int) or isinstance(used, bool) or not 0 <= used < MOST_BYTES:
        raise ValueError("used must be a whole number of bytes.")
    account["used"] = used
    return {"used": used}
