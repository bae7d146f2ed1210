"""The products that obey, each with its stand-in, as tests reach them past the application."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.instances.provisioning.contract import AccountOwner, ProductHost, Provisioner
from apps.instances.provisioning.immich import Immich
from apps.instances.provisioning.nextcloud import Nextcloud
from apps.sandbox import immich_account, nextcloud_account
from tests.sandbox.keycloak_fixture import Standin

ID = "0b7e2c1a-1111-4222-8333-944455556666"
DANA = AccountOwner(ID, "Dana Example", "dana@example.com")


@dataclass(frozen=True)
class Peer:
    """One kind of product."""

    kind: str
    label: str
    make: Callable[[ProductHost], Provisioner]
    login: str
    secret: str
    group: str = ""

    def connect(self, standin: Standin, **more: Any) -> Provisioner:
        """To the server cloud-1 of the stand-in."""
        host = {
            "name": "cloud-1", "dependency": "instance-1", "address": f"{standin.url}/{self.kind}/cloud-1/", "login": self.login,
            "secret": self.secret, "group": self.group,
        }  # fmt: skip
        return self.make(ProductHost(**{**host, **more}))

    def offline(self) -> Provisioner:
        return self.make(ProductHost("cloud-1", "instance-1", "http://127.0.0.1:9", self.login, self.secret))


NEXTCLOUD = Peer(
    "nextcloud", "Nextcloud", Nextcloud, nextcloud_account.ADMIN, nextcloud_account.APP_PASSWORD, "customers"
)
IMMICH = Peer("immich", "Immich", Immich, immich_account.ADMIN, immich_account.API_KEY)
PEERS = (NEXTCLOUD, IMMICH)
