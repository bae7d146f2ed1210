"""The sandbox's Stripe account as its owner uses it: API calls with the secret key, and the sandbox's own switches."""

from typing import Any

import requests

KEY = "sk_test_sandbox00000000000000000000"


class StripeAccount:
    """Calls raise requests.HTTPError for what is refused."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox, self.session = sandbox, requests.Session()
        self.session.auth = (KEY, "")

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self.session.get(f"{self.sandbox}/stripe/v1/{path}", params=query)
        answer.raise_for_status()
        return dict(answer.json())

    def post(self, path: str, **form: Any) -> dict[str, Any]:
        answer = self.session.post(f"{self.sandbox}/stripe/v1/{path}", data=form)
        answer.raise_for_status()
        return dict(answer.json())

    def delete(self, path: str) -> dict[str, Any]:
        answer = self.session.delete(f"{self.sandbox}/stripe/v1/{path}")
        answer.raise_for_status()
        return dict(answer.json())

    def control(self, name: str, **wish: Any) -> None:
        """Turn one of the switches of sandbox.stripe.control."""
        self.session.post(f"{self.sandbox}/stripe/_control/{name}", json=wish).raise_for_status()
