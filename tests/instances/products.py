"""What the tests of products that obey share: two servers of the sandbox that take orders, and what is in them."""

from typing import Any

import requests

from apps.accounts.models import UserProfile
from apps.instances.models import Instance, ProductAccount, Provisioning
from apps.instances.provisioning.connections import connect, save_connection
from apps.instances.provisioning.contract import Provisioner
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from tests.instances.peers import IMMICH, NEXTCLOUD, Peer
from tests.world import World

GB = 1024**3
HOSTS = ("nextcloud-1", "nextcloud-2")
JSON = {"format": "json"}
WHY = {"actor": "staff:ada", "reason": "products obey from now on"}


def obey(world: World, settings: Any, peer: Peer = NEXTCLOUD, *, keep_days: int = 30) -> None:
    """From here on the two instances take orders."""
    settings.PROVISIONER_SECRETS = dict.fromkeys(HOSTS, peer.secret)
    for slug in HOSTS:
        save_connection(
            Provisioning(
                instance=Instance.objects.get(slug=slug), kind=peer.kind, address=address(world, slug, peer), login=peer.login,
                group=peer.group, quota_grant="storage_gb", keep_days=keep_days,
            ),
            **WHY,
        )  # fmt: skip


def address(world: World, slug: str = "nextcloud-1", peer: Peer = NEXTCLOUD) -> str:
    return f"{world.url}/{peer.kind}/{slug}"


def product(slug: str = "nextcloud-1") -> Provisioner:
    return connect(Provisioning.objects.select_related("instance").get(instance__slug=slug))


def call(world: World, method: str, path: str, slug: str = "nextcloud-1", **rest: Any) -> requests.Response:
    """One call of Nextcloud's API past the application, as its administrator makes by hand."""
    url = f"{address(world, slug)}/ocs/v2.php/cloud/{path}"
    headers = {"OCS-APIRequest": "true"}
    return requests.request(
        method, url, params=JSON, headers=headers, auth=(ADMIN, APP_PASSWORD), timeout=10, allow_redirects=False, **rest
    )


def there(world: World, profile: UserProfile | str, slug: str = "nextcloud-1") -> dict[str, Any] | None:
    """The person's account as Nextcloud shows it to anybody; None: there is none."""
    key = profile if isinstance(profile, str) else profile.keycloak_id
    answer = call(world, "GET", f"users/{key}", slug)
    if answer.status_code == 404:
        return None
    found: dict[str, Any] = answer.json()["ocs"]["data"]
    return found


def told(found: dict[str, Any] | None) -> tuple[bool, float, list[str]] | None:
    """What counts of it: whether it lets in, its quota in GB, its groups."""
    return (found["enabled"], found["quota"]["quota"] / GB, found["groups"]) if found else None


def call_immich(world: World, method: str, path: str, slug: str = "nextcloud-1", **fields: Any) -> Any:
    """One call of Immich's API past the application; its answer."""
    url = f"{address(world, slug, IMMICH)}/api/admin/users{path}"
    answer = requests.request(method, url, json=fields, headers={"x-api-key": IMMICH.secret}, timeout=10)
    answer.raise_for_status()
    return answer.json()


def find_in_immich(world: World, profile: UserProfile, slug: str = "nextcloud-1") -> dict[str, Any] | None:
    """The person's account, also from the trash, as Immich's administrator sees it."""
    users = call_immich(world, "GET", "?withDeleted=true", slug)
    return next((user for user in users if profile.keycloak_id in (user["oauthId"], user["storageLabel"])), None)


def read_in(peer: Peer, world: World, profile: UserProfile) -> tuple[bool, float] | None:
    """Whether the person's account lets in, and its quota in GB, past the application; None: there is none."""
    if peer is NEXTCLOUD:
        found = told(there(world, profile))
        return found[:2] if found else None
    user = find_in_immich(world, profile)
    return (user["status"] == "active", user["quotaSizeInBytes"] / GB) if user else None


def use(world: World, profile: UserProfile, gb: int, peer: Peer = NEXTCLOUD) -> None:
    """The person uploads files."""
    where = {"host": "nextcloud-1", "user": profile.keycloak_id, "used": gb * GB}
    assert world.standin.control(peer.kind, **where).status_code == 200


def account(profile: UserProfile, slug: str = "nextcloud-1") -> ProductAccount:
    return ProductAccount.objects.get(profile=profile, instance__slug=slug)
