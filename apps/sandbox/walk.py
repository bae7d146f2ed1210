"""`manage.py demo --walk`: one customer over HTTP, from sign-up to recovery, checked at every step.

For each step it prints what the customer, Stripe, Keycloak and staff see, and the seconds it took. Talks to the site as a
browser would, and to the sandbox as Stripe, Keycloak and time do. Exits 0 only if every check passed.
"""

import argparse
import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import requests

from apps.sandbox.stripe_account import StripeAccount
from apps.sandbox.walk_browser import Browser, WalkError

STAFF, STAFF_PASSWORD = "admin.ada", "correct horse battery"
PASSWORD = "a long walk in the park"  # noqa: S105
PATIENCE_SECONDS = 90
MONTH_AND_A_BIT = 32 * 86_400
GOOD_CARD = {"card": "4242424242424242", "exp": "12/45", "cvc": "123", "name": "Wanda Walker"}


class Walk:
    """One customer, one member of staff, and the sandbox that plays the world around them."""

    def __init__(
        self, site: str, sandbox: str, keycloak: str = "", realm: str = "frontdesk", first_name: str = "Wanda"
    ) -> None:
        self.site, self.sandbox = site, sandbox
        self.keycloak_url, self.realm = keycloak or f"{sandbox}/keycloak", realm
        self.first_name = first_name
        self.username = f"{first_name.lower()}-{secrets.token_hex(4)}"
        self.email = f"{self.username}@example.org"
        self.customer, self.staff = Browser(site), Browser(site)
        self.world, self.account_at_stripe = requests.Session(), StripeAccount(sandbox)
        self.seats: list[str] = []

    def run(self) -> None:
        """Every step in order; WalkError at the first check that fails."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("Signs up and pays", self.sign_up),
            ("Has an account and a seat", self.gets_account),
            ("Sets a password and logs in", self.log_in),
            ("Changes to the bigger plan", self.change_plan),
            ("A renewal fails", self.fail_payment),
            ("Pays with a new card", self.repair_payment),
            ("Cancels, and the paid period ends", self.cancel),
            ("Comes back with a code and a payment", self.come_back),
        ]
        began = time.monotonic()
        for number, (title, step) in enumerate(steps, 1):
            started = time.monotonic()
            print(f"\n{number}. {title}", flush=True)
            step()
            print(f"   {'took':<10} {time.monotonic() - started:.1f} s", flush=True)
        print(f"\nAll checks passed. {len(steps)} steps in {time.monotonic() - began:.1f} s.", flush=True)

    # --- the steps -----------------------------------------------------------------------------------------------------

    def sign_up(self) -> None:
        """The wizard, the code from the mail, and Stripe's Checkout."""
        self.customer.submit("/onboarding/", {"first_name": self.first_name})
        self.customer.submit("/onboarding/plan/", {"interval": "month", "plan": "personal"})
        self.customer.submit("/onboarding/addons/", {"storage_100": "1"})
        page = "/onboarding/checkout/"
        self.customer.call(page, "/onboarding/checkout/send-code/", {"email": self.email})
        code = re.findall(r"\b\d{6}\b", self.mail("code")["text"])[0]
        self.customer.call(page, "/onboarding/checkout/verify-code/", {"email": self.email, "code": code})
        shown = re.search(r'name="terms" value="([^"]+)"', self.customer.get(page).text)
        terms = shown[1] if shown else ""
        account = {"username": self.username, "last_name": "Walker", "terms": terms, "ui": "embedded"}
        opened = self.customer.call(page, "/onboarding/checkout/session/", account)
        paid = self.world.post(f"{self.sandbox}/stripe/checkout/embedded/{opened['client_secret']}", data=GOOD_CARD)
        expect(paid.headers.get("X-Sandbox-Outcome") == "paid", "Stripe took the payment")
        self.success_page = paid.headers["X-Sandbox-Return"].removeprefix(self.site)
        self.say("customer", self.customer.headline(self.success_page))

    def gets_account(self) -> None:
        """The success page finishes automatically; account, seat and groups exist."""
        self.until("the success page says it is done", lambda: self.customer.state()["finished"])
        self.say("customer", self.customer.headline(self.success_page))
        self.sees_access(plan="personal", storage="200")

    def log_in(self) -> None:
        """The link of Keycloak's mail, then the dashboard."""
        link = self.mail("Update Your Account")["links"][0]
        self.customer.set_password(link, PASSWORD)
        page = self.customer.log_in("/dashboard/", self.username, PASSWORD)
        expect("Nextcloud" in page and "Personal" in page, "the dashboard shows the plan and its app")
        self.say("customer", "the dashboard, with " + ", ".join(re.findall(r"Nextcloud \d", page)[:1]))

    def change_plan(self) -> None:
        """In Stripe's portal."""
        subscription = self.subscription()
        line = next(item for item in subscription["items"]["data"] if item["price"]["unit_amount"] == 500)
        price = self.stripe("prices", active="true", limit="100")
        plus = next(one["id"] for one in price["data"] if one["unit_amount"] == 900)
        form = {"action": "change", "subscription": subscription["id"], "item": line["id"], "price": plus}
        self.portal(form)
        self.until("Keycloak grants Vaultwarden", lambda: "has_vaultwarden" in self.account()["attributes"])
        page = self.until_page("Plus")
        self.say("customer", "the dashboard now has Vaultwarden" if "Vaultwarden" in page else "")
        self.sees_access(plan="plus", storage="600")

    def fail_payment(self) -> None:
        """The bank refuses the next renewal; with no days of grace the account closes, the seats stay."""
        customer = self.subscription()["customer"]
        self.control("stripe/_control/payments", {"customer": customer, "mode": "fail"})
        self.control("control/clock", {"advance_seconds": MONTH_AND_A_BIT})
        self.until("Stripe says past_due", lambda: self.subscription()["status"] == "past_due")
        self.until("Keycloak has disabled the account", lambda: not self.account()["enabled"])
        self.until("the customer is in no instance group", lambda: not self.groups())
        self.say("customer", f"an email: {self.mail('payment')['subject']}")
        self.say("Stripe", "the subscription is past_due")
        self.say("Keycloak", "the account is disabled, without groups")
        self.staff_see("Suspended")

    def repair_payment(self) -> None:
        """A new card in the portal pays the open invoice; everything opens again, on the same instance."""
        customer = self.subscription()["customer"]
        self.control("stripe/_control/payments", {"customer": customer, "mode": "ok"})
        self.portal_by_staff({"action": "card", **GOOD_CARD})
        self.until("Stripe says active", lambda: self.subscription()["status"] == "active")
        self.until("Keycloak has enabled the account", lambda: self.account()["enabled"] and bool(self.groups()))
        self.staff_see("Active")
        page = self.customer.log_in("/dashboard/", self.username, PASSWORD)
        expect("Nextcloud" in page, "the dashboard shows the app again")
        self.say("customer", "the dashboard again, with the same password")
        self.sees_access(plan="plus", storage="600")

    def cancel(self) -> None:
        """At the period's end: access until then, a mail and a closed account after it."""
        self.portal({"action": "cancel", "subscription": self.subscription()["id"]})
        self.until("the dashboard shows when access ends", lambda: "until" in self.customer.text("/dashboard/"))
        expect(self.account()["enabled"], "access lasts until the paid time ends")
        self.seats = self.groups()
        self.control("control/clock", {"advance_seconds": MONTH_AND_A_BIT})
        self.until("Stripe says canceled", lambda: self.subscription()["status"] == "canceled")
        self.until("Keycloak has disabled the account", lambda: not self.account()["enabled"])
        self.until("the dashboard asks for a login", lambda: self.customer.is_out("/dashboard/"))
        self.say("customer", f"an email: {self.mail('subscription')['subject']}")
        self.say("Stripe", "the subscription is canceled")
        self.say("Keycloak", "the account is disabled; the seats are kept until the final expiry")
        self.staff_see("Canceled")

    def come_back(self) -> None:
        """Recovery: the same customer pays for the same products, and gets the same seats."""
        page = "/recovery/"
        self.customer.call(page, f"{page}send-code/", {"email": self.email})
        code = re.findall(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", self.mail("recovery code")["text"])[0]
        said = self.customer.call(page, f"{page}verify-code/", {"email": self.email, "code": code})
        expect(said["next_step"] == "renew", "the next step is to subscribe again")
        self.until(
            "Keycloak lets the customer log in, but opens no apps",
            lambda: self.account()["enabled"] and not self.groups(),
        )
        url = self.customer.call(page, f"{page}checkout-session/", {})["url"]
        self.world.post(url, data=GOOD_CARD, allow_redirects=False).raise_for_status()
        self.until("the customer is back in the same instance groups", lambda: self.groups() == self.seats)
        self.say("customer", self.customer.headline(page))
        self.sees_access(plan="plus", storage="600")
        self.staff_see("Active")

    # --- what each side sees -------------------------------------------------------------------------------------------

    def sees_access(self, *, plan: str, storage: str) -> None:
        """Paid, enabled, with attributes and groups that fit the plan."""
        self.until(f"Keycloak has {storage} GB", lambda: self.account()["attributes"].get("storage_gb") == [storage])
        self.until("the groups are joined", lambda: len(self.groups()) == (2 if plan == "plus" else 1))
        account, subscription = self.account(), self.subscription()
        expect(subscription["status"] == "active", "Stripe's subscription is active")
        expect(account["enabled"], "Keycloak's account is enabled")
        expect(account["attributes"].get("has_nextcloud") == ["true"], "Keycloak grants Nextcloud")
        self.say("Stripe", f"{subscription['id']} is {subscription['status']}")
        self.say("Keycloak", f"enabled, {storage} GB, groups {', '.join(self.groups())}")
        self.staff_see("Active")

    def staff_see(self, label: str) -> None:
        """The subscriber in the console's list."""
        path = f"/admin/accounts/userprofile/?q={self.username}"
        self.until(f"the console shows {label}", lambda: label in self.staff.log_in(path, STAFF, STAFF_PASSWORD))
        self.say("staff", f"{self.username} in the console: {label}")

    def until(self, what: str, true: Callable[[], Any]) -> None:
        """Poll until `true()`; WalkError after PATIENCE_SECONDS."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            expect(time.monotonic() < deadline, what)
            time.sleep(0.25)

    def until_page(self, word: str) -> str:
        """The dashboard as soon as it has `word`."""
        self.until(f"the dashboard shows {word}", lambda: word in self.customer.text("/dashboard/"))
        return self.customer.text("/dashboard/")

    def say(self, who: str, what: str) -> None:
        """One line of the report."""
        print(f"   {who:<10} {what}", flush=True)

    # --- the world around the site ---------------------------------------------------------------------------------------

    def mail(self, word: str) -> dict[str, Any]:
        """The newest mail to the customer whose subject has `word`, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            box = self.world.get(f"{self.sandbox}/inbox.json", params={"to": self.email}).json()
            found[:] = [one for one in box if word.lower() in one["subject"].lower()]
            return bool(found)

        self.until(f"an email about “{word}” arrives", arrived)
        return found[0]

    def stripe(self, path: str, **query: str) -> dict[str, Any]:
        """A GET at Stripe's API."""
        return self.account_at_stripe.get(path, **query)

    def subscription(self) -> dict[str, Any]:
        """The customer's subscription at Stripe."""
        customer = self.stripe("customers", email=self.email)["data"][0]["id"]
        return dict(self.stripe("subscriptions", customer=customer, status="all")["data"][0])

    def keycloak(self, path: str, **query: str) -> Any:
        """A GET at Keycloak's Admin API, with a token of the service account."""
        form = {
            "grant_type": "client_credentials",
            "client_id": "frontdesk-sync",
            "client_secret": "dev-only-sync-secret",
        }
        url = f"{self.keycloak_url}/realms/{self.realm}/protocol/openid-connect/token"
        while True:
            token = self.world.post(url, data=form).json()["access_token"]
            answer = self.world.get(
                f"{self.keycloak_url}/admin/realms/{self.realm}/{path}",
                params=query,
                headers={"Authorization": f"Bearer {token}"},
            )
            if answer.status_code != 401:  # else the clock jumped between a token and its use
                answer.raise_for_status()
                return answer.json()

    def account(self) -> dict[str, Any]:
        """The customer's Keycloak user."""
        found = self.keycloak("users", username=self.username, exact="true")
        return {"attributes": {}} | dict(self.keycloak(f"users/{found[0]['id']}"))

    def groups(self) -> list[str]:
        """The paths of the instance groups the customer is in."""
        groups = self.keycloak(f"users/{self.account()['id']}/groups")
        return sorted(group["path"] for group in groups if group["path"].startswith("/frontdesk/"))

    def portal(self, form: dict[str, str]) -> None:
        """Open the billing portal from the dashboard and send one of its forms."""
        done = self.world.post(self.customer.portal_link(), data=form, allow_redirects=False)
        expect(done.headers.get("X-Sandbox-Outcome") == "done", f"the portal accepts “{form['action']}”")

    def portal_by_staff(self, form: dict[str, str]) -> None:
        """The portal by a link of Stripe's own mail, as for somebody who cannot log in."""
        params = {"customer": self.subscription()["customer"], "return_url": f"{self.site}/"}
        link = self.account_at_stripe.post("billing_portal/sessions", **params)["url"]
        done = self.world.post(link, data=form, allow_redirects=False)
        expect(done.headers.get("X-Sandbox-Outcome") == "done", f"the portal accepts “{form['action']}”")

    def control(self, path: str, body: dict[str, Any]) -> None:
        """Tell the sandbox to do something."""
        self.world.post(f"{self.sandbox}/{path}", json=body).raise_for_status()


def expect(true: object, what: str) -> None:
    """WalkError naming what was expected, unless `true`."""
    if not true:
        raise WalkError(what)


def main() -> int:
    """Walk; 0 if every check passed, else 1 naming the one that failed."""
    parser = argparse.ArgumentParser(prog="python -m apps.sandbox.walk", description=__doc__)
    parser.add_argument("--site", default="http://localhost:8000")
    parser.add_argument("--sandbox", default="http://localhost:8001")
    parser.add_argument("--keycloak", default="", help="a real Keycloak instead of the sandbox's")
    options = parser.parse_args()
    try:
        Walk(options.site, options.sandbox, options.keycloak).run()
    except WalkError as error:
        print(f"\nFailed: expected that {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
