"""Which product an instance runs, as far as we command it: its provisioner, its configuration, and what it logs in with."""

import functools
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.core import attention, audit, egress
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, NeedsOperator
from apps.core.locks import LockClass, lock_until_commit
from apps.instances.models import Instance, ProductAccount, Provisioning
from apps.instances.provisioning.contract import ProductHost, Provisioner, Receiver
from apps.instances.provisioning.immich import Immich
from apps.instances.provisioning.nextcloud import Nextcloud
from apps.instances.provisioning.webhook import Webhook

log = structlog.get_logger(__name__)

GROUP = "frontdesk.provisioners"
Make = Callable[[ProductHost], Provisioner | Receiver]


@functools.cache
def find_provisioners() -> dict[str, Make]:
    """By kind: ours, and those that other packages bring. One that cannot be loaded is left out."""
    found: dict[str, Make] = {}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except Exception:  # another's package; its failure is its own
            log.exception("provisioner_not_loaded", provisioner=entry.name)
    return found | {"immich": Immich, "nextcloud": Nextcloud, "webhook": Webhook}


def label_of(kind: str) -> str:
    """The product's name, for staff."""
    return str(getattr(find_provisioners().get(kind), "label", kind))


def needs_login(kind: str) -> bool:
    """Whether this kind of product knows us by the name of an account there."""
    return bool(getattr(find_provisioners().get(kind), "needs_login", True))


def dependency_of(instance_id: int) -> str:
    """What an instance is called where systems that are down are listed."""
    return f"instance-{instance_id}"


def connect(provisioning: Provisioning) -> Provisioner | Receiver:
    """The product on the instance of this configuration. NeedsOperator when its kind or its secret is missing."""
    slug = provisioning.instance.slug
    make = find_provisioners().get(provisioning.kind)
    if make is None:
        raise NeedsOperator(f"No provisioner is called {provisioning.kind}, which {slug} asks for.")
    secret = settings.PROVISIONER_SECRETS.get(slug)
    if not secret:
        raise NeedsOperator(f"PROVISIONER_SECRETS has nothing for {slug}. Add it for web and worker, and restart them.")
    return make(
        ProductHost(
            name=slug,
            dependency=dependency_of(provisioning.instance_id),
            address=provisioning.address,
            login=provisioning.login,
            secret=secret,
            group=provisioning.group,
        )
    )


def check_connection(provisioning: Provisioning) -> None:
    """Ask the product whether it obeys, and which server it is. BadInput about the address, or the errors of the provisioner.

    No transaction may be open.
    """
    url = urlsplit(provisioning.address)
    if url.scheme != "https" and settings.HTTPS:
        raise BadInput("Our login would be readable on its way. Use an address with https.", field="address")
    if url.username or url.password:
        raise BadInput(
            "The address is shown to staff, so it must not contain a username or a password.", field="address"
        )
    if (url.hostname or "") not in egress.added_hosts():
        raise BadInput(f"Add {url.hostname} to OUTBOUND_HOSTS, and restart web and worker.", field="address")
    provisioning.server_id = connect(provisioning).check()


def host_of(address: str) -> str:
    """An address in the one form that tells two products apart: host, port and path, without what means the same."""
    url = urlsplit(address.strip().lower())
    name, usual = (url.hostname or "").rstrip("."), {"https": 443, "http": 80}.get(url.scheme)
    port = "" if url.port in (None, usual) else f":{url.port}"
    path = "/".join(part for part in url.path.removesuffix("/index.php").split("/") if part)
    return f"{name}{port}/{path}".rstrip("/")


@transaction.atomic
def save_connection(provisioning: Provisioning, *, actor: str, reason: str) -> None:
    """Write the configuration of an instance.

    BadInput when another instance commands the same server: each would delete the other's accounts. And when accounts of ours would
    stay behind, where nobody suspends or deletes them any more.
    """
    provisioning.host = host_of(provisioning.address)
    lock_until_commit(LockClass.PRODUCT_HOST, "any")
    if other := find_twin(provisioning):
        raise BadInput(
            f"{other.instance} has this {_what_is_same(provisioning, other)} already. Give one product one instance: two would delete"
            " each other's accounts.",
            field="address",
        )
    instance = Instance.objects.select_for_update().get(pk=provisioning.instance_id)
    before = Provisioning.objects.filter(instance=instance).first()
    _refuse_to_leave_accounts(instance, before or _read_last(instance), provisioning)
    provisioning.pk = before.pk if before else None
    provisioning.save()
    _record(instance, before, provisioning, actor, reason)
    if before and before.kind != provisioning.kind:
        _end_refusals(instance)


def find_twin(provisioning: Provisioning) -> Provisioning | None:
    """Another instance's connection to the same server: by its address, or by what the server says that it is."""
    same = Q(host=provisioning.host)
    if provisioning.server_id:
        same |= Q(kind=provisioning.kind, server_id=provisioning.server_id)
    others = Provisioning.objects.filter(same).exclude(instance=provisioning.instance_id)
    return others.select_related("instance").first()


def _what_is_same(one: Provisioning, other: Provisioning) -> str:
    return "address" if one.host == other.host else "server, by another address,"


def _refuse_to_leave_accounts(instance: Instance, before: Provisioning | None, after: Provisioning) -> None:
    if before is None or _is_same_server(before, after):
        return
    gone = Q(state=ProductAccount.State.DELETED, synced_at__isnull=False)
    if count := ProductAccount.objects.filter(instance=instance).exclude(gone).count():
        accounts = "1 account of ours is" if count == 1 else f"{count:,} accounts of ours are"
        raise BadInput(
            f"{accounts} in {label_of(before.kind)} at {before.address}, and nobody would suspend or delete them there any more. Another"
            " address of the same server can be saved. For another server, add an instance, drain this one, and wait until its"
            " accounts are deleted.",
            field="kind" if before.kind != after.kind else "address",
        )


def _is_same_server(before: Provisioning, after: Provisioning) -> bool:
    if before.kind != after.kind:
        return False
    if getattr(find_provisioners().get(before.kind), "may_move", False):
        return True
    # Another server there by now is found by note_server, and staff say that it is right by saving again.
    is_same_address = host_of(before.address) == host_of(after.address)
    return is_same_address or (bool(before.server_id) and before.server_id == after.server_id)


def _read_last(instance: Instance) -> Provisioning | None:
    """What it was before it was told to take no orders any more."""
    lines = audit.entries_about(("instance", instance.pk))
    last = lines.filter(action=AuditAction.INSTANCE_PROVISIONING_CHANGED).order_by("-pk").first()
    known = {name: last.before.get(name, "") for name in ("kind", "address", "server_id")} if last else {}
    return Provisioning(instance=instance, **known) if known.get("kind") else None


def note_server(provisioning: Provisioning, server_id: str) -> None:
    """Keep which server answers, once. NeedsOperator when it is not the one that was connected, or another instance's."""
    slug, was = provisioning.instance.slug, provisioning.server_id
    if server_id in ("", was):
        return
    if was:
        raise NeedsOperator(
            f"Another server answers for {slug} than the one that was connected: accounts of ours may be missing there. If it is the"
            " right one, save its provisioning again."
        )
    provisioning.server_id = server_id
    if twin := find_twin(provisioning):
        raise NeedsOperator(f"{slug} and {twin.instance.slug} are one server. End the provisioning of one of them.")
    Provisioning.objects.filter(pk=provisioning.pk, server_id="").update(server_id=server_id)


@transaction.atomic
def remove_connection(instance: Instance, *, actor: str, reason: str) -> None:
    """Command the instance no more. What its accounts are there stays."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    before = Provisioning.objects.filter(instance=found).first()
    if before is None:
        raise BadInput(f"{found} is not commanded by us.", field="kind")
    Provisioning.objects.filter(pk=before.pk).delete()
    _record(found, before, None, actor, reason)
    _end_refusals(found)


def _end_refusals(instance: Instance) -> None:
    """No message will be accepted there that could end them."""
    mine = Q(key=instance.slug) | Q(key__startswith=f"{instance.slug}:")
    keys = attention.open_items().filter(mine, cause=Cause.WEBHOOK_REFUSED).values_list("key", flat=True)
    attention.resolve(Cause.WEBHOOK_REFUSED, *keys, why="The instance takes no webhooks any more.")


def _record(
    instance: Instance, before: Provisioning | None, after: Provisioning | None, actor: str, reason: str
) -> None:
    audit.record(
        subject=("instance", instance.pk), action=AuditAction.INSTANCE_PROVISIONING_CHANGED, actor=actor, reason=reason,
        before=_as_values(before), after=_as_values(after),
    )  # fmt: skip


def _as_values(one: Provisioning | None) -> dict[str, Any]:
    names = ("kind", "address", "login", "group", "quota_grant", "keep_days", "server_id")
    return {name: getattr(one, name) for name in names} if one else {}
