"""What the tests of webhooks share: instances whose product is a receiver of the sandbox, and what it has been told."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.models import Dependency, Job
from apps.instances.models import Instance, ProductAccount, Provisioning, WebhookDelivery
from apps.instances.provisioning import accounts, checks
from apps.instances.provisioning.connections import save_connection
from apps.sandbox.receiver_account import SECRET
from tests.instances import house
from tests.instances.products import GB, HOSTS, WHY
from tests.sandbox.keycloak_fixture import Standin
from tests.world import World


def connection(standin: Standin, place: Instance) -> Provisioning:
    return Provisioning(
        instance=place,
        kind="webhook",
        address=f"{standin.url}/receiver/{place.slug}",
        group="customers",
        quota_grant="storage_gb",
    )


def listen(world: World, settings: Any) -> None:
    """From here on the two Nextclouds of the shop are products of another kind, told by webhooks."""
    settings.PROVISIONER_SECRETS = dict.fromkeys(HOSTS, SECRET)
    for slug in HOSTS:
        save_connection(connection(world.standin, Instance.objects.get(slug=slug)), **WHY)


def state(standin: Standin, slug: str) -> dict[str, Any]:
    """All that one receiver keeps."""
    found: dict[str, Any] = standin.control_state("receiver").get(slug) or {"accounts": {}, "seen": [], "messages": []}
    return found


def change(standin: Standin, user_id: str | None, changes: dict[str, Any] | None, slug: str) -> None:
    """Somebody works in the product itself."""
    assert standin.control("receiver", host=slug, user=user_id, set=changes).status_code == 200


def told(found: dict[str, Any] | None) -> tuple[bool, float] | None:
    """What counts of an account: whether it lets in, and its quota in GB."""
    return (found["enabled"], found["quota"] / GB) if found else None


def log() -> list[tuple[str, str, int | None]]:
    """The delivery log, the oldest first."""
    return list(WebhookDelivery.objects.order_by("pk").values_list("kind", "state", "status"))


class ToldProduct:
    """One instance told by webhooks, and one person with an account there; no shop, no Keycloak."""

    def __init__(self, standin: Standin, settings: Any) -> None:
        self.standin = standin
        self.place = house.instance(house.app())
        (self.profile,) = house.people(1)
        UserProfile.objects.filter(pk=self.profile.pk).update(keycloak_id="kc-dana")
        self.profile.refresh_from_db()
        settings.PROVISIONER_SECRETS = {self.place.slug: SECRET}
        self.connection = connection(standin, self.place)
        save_connection(self.connection, **WHY)

    def order(self, state: str = "open", gb: int = 100) -> None:
        """Say what the account should be, and have the job run."""
        state = ProductAccount.State(state)
        accounts.order(profile=self.profile, instance=self.place.slug, state=state, quota=gb * GB)
        jobs.drain()

    def work(self) -> None:
        """Run whatever waits, for a time or for a product that was down."""
        Dependency.objects.update(probe_at=clock.now())
        Job.objects.filter(state="queued").update(not_before=clock.now())
        jobs.drain()

    def check(self) -> None:
        """Six hours later."""
        ProductAccount.objects.update(read_at=None)
        checks.check_due()
        jobs.drain()

    def stuck(self) -> list[tuple[str, str]]:
        """The jobs that are not done, and why."""
        rows = Job.objects.exclude(state__in=["done", "superseded"])
        return list(rows.values_list("state", "last_error"))

    @property
    def account(self) -> ProductAccount:
        return ProductAccount.objects.get()

    @property
    def has(self) -> tuple[bool, float] | None:
        """What it has of the person."""
        return told(self.state["accounts"].get("kc-dana"))

    @property
    def state(self) -> dict[str, Any]:
        return state(self.standin, self.place.slug)

    def change(self, changes: dict[str, Any] | None) -> None:
        change(self.standin, "kc-dana", changes, self.place.slug)

    def fault(self, mode: str, **more: Any) -> None:
        self.standin.fault(mode, peer="receiver", **more)


@pytest.fixture
def product(standin: Standin, settings: Any) -> ToldProduct:
    return ToldProduct(standin, settings)
