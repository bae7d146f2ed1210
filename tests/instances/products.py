"""What the tests of products that obey share: two Nextclouds of the sandbox that take orders, and what is in them."""

from typing import Any

import requests

from apps.accounts.models import UserProfile
from apps.instances.models import Instance, ProductAccount, Provisioning
from apps.instances.provisioning.connections import connect, save_connection
from apps.instances.provisioning.contract import Provisioner
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from tests.world import World

GB = 1024**3
HOSTS = ("nextcloud-1", "nextcloud-2")
JSON = {"format": "json"}
WHY = {"actor": "staff:ada", "reason": "products obey from now on"}


def obey(world: World, settings: Any, *, keep_days: int = 30) -> None:
    """From here on the two Nextclouds take orders."""
    settings.PROVISIONER_SECRETS = dict.fromkeys(HOSTS, APP_PASSWORD)
    for slug in HOSTS:
        save_connection(
            Provisioning(
                instance=Instance.objects.get(slug=slug), kind="nextcloud", address=address(world, slug), login=ADMIN,
                group="customers", quota_grant="storage_gb", keep_days=keep_days,
            ),
            **WHY,
        )  # fmt: skip


def address(world: World, slug: str = "nextcloud-1") -> str:
    return f"{world.url}/nextcloud/{slug}"


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


def use(world: World, profile: UserProfile, gb: int) -> None:
    """The person uploads files."""
    where = {"host": "nextcloud-1", "user": profile.keycloak_id, "used": gb * GB}
    assert world.standin.control("nextcloud", **where).status_code == 200


def account(profile: UserProfile, slug: str = "nextcloud-1") -> ProductAccount:
    return ProductAccount.objects.get(profile=profile, instance__slug=slug)
