"""The accounts of a product that somebody else has written and that takes its orders as signed webhooks."""

from typing import Any

from apps.sandbox.products import server_of
from apps.sandbox.receiver_account import SECRET


def host_of(name: str) -> dict[str, Any]:
    """The state of one receiver; every name is one."""
    return server_of("receiver", name, _fresh)


def _fresh(_name: str) -> dict[str, Any]:
    return {"accounts": {}, "sequences": {}, "seen": [], "secrets": [SECRET], "messages": []}


def apply_order(host: dict[str, Any], data: dict[str, Any]) -> None:
    """Make the account what it should be."""
    host["sequences"][data["id"]] = data["sequence"]
    if not data["exists"]:
        host["accounts"].pop(data["id"], None)
        return
    account = host["accounts"].setdefault(data["id"], {"used": 0, "quota": None})
    account["enabled"], account["group"] = data["enabled"], data["group"]
    if data["quota"] is not None:
        account["quota"] = data["quota"]


def show(host: dict[str, Any], user_id: str) -> dict[str, Any] | None:
    """An account as its answers have it, with more than anybody asked for."""
    found = host["accounts"].get(user_id)
    if found is None:
        return None
    return {
        "id": user_id, "enabled": found["enabled"], "quota": found["quota"], "used": found["used"], "in_group": True, "plan": None,
        "labels": ["", {"a": [1.5]}],
    }  # fmt: skip


def change(options: dict[str, Any]) -> dict[str, Any]:
    """Somebody works in the product: `host`, and `secrets` it takes from then on, or what `set` changes of account `user` (null: it goes)."""
    name = options.get("host")
    if not isinstance(name, str) or not name:
        raise ValueError("host must name a receiver.")
    host = host_of(name)
    if "secrets" in options:
        host["secrets"] = options["secrets"]
        return {"secrets": len(host["secrets"])}
    user, changes = options.get("user"), options.get("set")
    if user not in host["accounts"]:
        raise ValueError("user must name an account of the receiver.")
    if changes is None:
        del host["accounts"][user]
    else:
        host["accounts"][user].update(changes)
    return {"account": host["accounts"].get(user)}
