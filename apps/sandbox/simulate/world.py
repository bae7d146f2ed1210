"""What the acts of a simulation use: Stripe's account, the people's rows, the catalog, and the time."""

from dataclasses import dataclass, field
from typing import Any

import requests

from apps.sandbox.simulate.expected import HouseTerms, Offer, PriceList
from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.stack import VARIABLES, SimulatedStack
from apps.sandbox.stripe_account import StripeAccount

Obj = dict[str, Any]
GOOD_CARD = {"card": "4242424242424242", "exp": "12/45", "cvc": "123", "name": "Sim Example"}
# What is sold, as the catalog of the demo says it, written down here once more.
OFFERS = {
    "nextcloud": Offer(frozenset({"nextcloud"})),
    "vaultwarden": Offer(frozenset({"vaultwarden"})),
    "immich": Offer(frozenset({"immich"}), {"photos_gb": 100}),
    "personal": Offer(frozenset({"nextcloud"}), {"storage_gb": 100}),
    "plus": Offer(frozenset({"nextcloud", "vaultwarden"}), {"storage_gb": 500}),
    "storage_100": Offer(numbers={"storage_gb": 100}),
}
AMOUNTS = {500: "personal", 5000: "personal", 900: "plus", 9000: "plus", 200: "vaultwarden", 2000: "vaultwarden",
           300: "immich", 3000: "immich", 150: "storage_100", 1500: "storage_100"}  # fmt: skip
TERMS = HouseTerms(int(VARIABLES["PAYMENT_GRACE_DAYS"]), int(VARIABLES["FINAL_EXPIRY_DAYS"]))
OURS = frozenset(name for one in OFFERS.values() for name in one.numbers) | frozenset(
    name for one in OFFERS.values() for app in one.apps for name in (f"has_{app}", f"{app}_instance")
)


class Impossible(Exception):
    """This cannot happen to this person now; something else may."""


@dataclass
class SimulatedWorld:
    """`failures`: when each invoice's payment was first reported as failed, by Stripe's events."""

    stack: SimulatedStack
    stripe: StripeAccount
    prices: dict[str, str] = field(default_factory=dict)  # product:interval -> price id
    offers: dict[str, Offer] = field(default_factory=lambda: dict(OFFERS))
    failures: dict[str, int] = field(default_factory=dict)

    def now(self) -> int:
        return self.stack.now()

    def price_list(self) -> PriceList:
        return PriceList({one: name.partition(":")[0] for name, one in self.prices.items()}, self.offers)

    def read_prices(self) -> None:
        """Which price of Stripe's is which product, by its amount."""
        for one in self.every("prices", active="true"):
            interval = one["recurring"]["interval"]
            self.prices[f"{AMOUNTS[one['unit_amount']]}:{interval}"] = one["id"]

    def every(self, path: str, **query: str) -> list[Obj]:
        """All pages of one of Stripe's lists."""
        found: list[Obj] = []
        page: Obj = {"has_more": True}
        while page["has_more"]:
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = self.stripe.get(path, limit="100", **query, **after)
            found += page["data"]
        return found

    def subscriptions(self, life: Life) -> list[Obj]:
        """All of the person's, the newest first."""
        return self.every("subscriptions", customer=life.customer, status="all") if life.customer else []

    def running(self, life: Life, *statuses: str) -> Obj:
        """The newest that is in one of these statuses; by default active."""
        for one in self.subscriptions(life):
            if one["status"] in (statuses or ("active",)):
                return one
        raise Impossible

    def profile(self, life: Life) -> Any:
        return self.profile_by_id(life.profile)

    @staticmethod
    def profile_by_id(number: int) -> Any:
        from apps.accounts.models import UserProfile

        return UserProfile.objects.select_related("user").get(pk=number)

    def pay_page(self, url: str, **form: str) -> None:
        """Fill one of Stripe's payment pages in."""
        answer = requests.post(url, data=GOOD_CARD | form, allow_redirects=False, timeout=60)
        if answer.headers.get("X-Sandbox-Outcome") != "paid":
            raise Impossible
