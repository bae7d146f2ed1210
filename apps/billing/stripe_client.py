"""The only way to Stripe: one client per process with our version, timeouts and host, and what its errors mean for us."""

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
import stripe
from django.conf import settings
from django.utils.translation import gettext as _

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater, WorkError
from apps.core.io_guard import refuse_inside_transaction

RIGHT = re.compile(r"rak_([a-z0-9_]+)_(read|write)\b")
TIMEOUT = (3, 10)  # seconds to connect, to read


class SpentIdempotencyKey(RetryLater):
    """Stripe has kept an answer for this idempotency key that is of no use, and gives it for a day: a new key is needed.

    `before`: it was so before this call already.
    """

    def __init__(self, reason: str, *, before: bool) -> None:
        super().__init__(reason)
        self.before = before


class MissingAtStripe(NeedsOperator):
    """Stripe has no such object; `param` names the parameter that points to it."""

    def __init__(self, reason: str, *, param: str) -> None:
        super().__init__(reason)
        self.param = param


class MissingRight(NeedsOperator):
    """The key is a restricted one without a right that a call needs; Stripe names it as `rak_subscription_read`."""

    def __init__(self, said: str) -> None:
        found = RIGHT.search(said)
        self.right = f"{found[1].replace('_', ' ').capitalize()}: {found[2]}" if found else ""
        missing = f"the right “{self.right}” ({found[0]})" if found else "a right that a call of ours needs"
        super().__init__(
            f"The Stripe key lacks {missing}. Add it to the key in Stripe's dashboard, Developers, API keys."
        )


class MixedCurrencies(NeedsOperator):
    """Stripe charges one customer in one currency, and this one has had another."""

    def __init__(self) -> None:
        support = settings.BRAND["support_email"]
        super().__init__(
            "Stripe does not charge one customer in two currencies. Offer a price in the currency they paid before, or delete"
            " the customer at Stripe: the next payment then makes a new one.",
            told=_(
                "You've paid us in another currency before, and our payment partner can't charge you in two. You haven't been"
                " charged. Please write to {support}, and we'll set you up with a plan that fits."
            ).format(support=support),
        )


def http_client() -> stripe.RequestsClient:
    """How Stripe is reached: every call ends in time, and none follows a redirect, with which the key would go along."""
    session = requests.Session()
    session.max_redirects = 0
    return stripe.RequestsClient(timeout=TIMEOUT, session=session)


@functools.cache
def client() -> stripe.StripeClient:
    """The client of this process, made on first use (after the fork)."""
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=settings.STRIPE_API_VERSION,
        base_addresses={"api": settings.STRIPE_API_HOST},
        http_client=http_client(),
        max_network_retries=2,
    )


class ListPage(NamedTuple):
    """One page of one of Stripe's lists, as plain JSON."""

    data: list[dict[str, Any]]
    has_more: bool

    @property
    def following(self) -> str:
        """After which object the list goes on; empty: it has ended."""
        return str(self.data[-1]["id"]) if self.data and self.has_more else ""


def read_page(client: stripe.StripeClient, path: str, query: Mapping[str, Any]) -> ListPage:
    """One page of a long list that is only read, inside `calling_stripe`.

    The SDK's objects cost more than all the rest of such a call: a class, a copy and a few sets for each nested hash.
    """
    found = client.raw_request("get", f"/v1/{path}", **query).data
    return ListPage(list(found.get("data") or ()), bool(found.get("has_more")))


def read_page_after(path: str, after: str, query: Mapping[str, Any]) -> ListPage:
    """The page of a list after that object, newest first, in a call of its own; from the beginning when the object is gone.

    Raises the errors of `calling_stripe`.
    """
    try:
        with calling_stripe() as client:
            return read_page(client, path, {**query, **({"starting_after": after} if after else {})})
    except MissingAtStripe:
        if not after:
            raise
        return read_page_after(path, "", query)


@contextmanager
def calling_stripe() -> Iterator[stripe.StripeClient]:
    """Around every call: yields the client; raises RetryLater, DependencyDown or NeedsOperator for what goes wrong.

    SpentIdempotencyKey, a RetryLater, says that the same idempotency key can never succeed. docs.stripe.com/api/idempotent_requests

    The sentences name what Stripe said by its codes, never a person's data. docs.stripe.com/error-handling
    """
    refuse_inside_transaction()
    try:
        yield client()
    except stripe.APIConnectionError as error:
        raise DependencyDown("stripe", "Stripe does not answer.") from error
    except stripe.RateLimitError as error:
        raise RetryLater("Stripe asks us to slow down.") from error
    except stripe.PermissionError as error:
        raise MissingRight(error.user_message or "") from error
    except stripe.AuthenticationError as error:
        raise NeedsOperator("Stripe refuses our key; check STRIPE_SECRET_KEY.") from error
    except stripe.IdempotencyError as error:
        raise SpentIdempotencyKey("Stripe knows this idempotency key from a different request.", before=True) from error
    except stripe.InvalidRequestError as error:
        what = f"{error.code or error.http_status}, parameter {error.param or 'none'}"
        raise _refused(error, f"Stripe refuses the request: {what}.") from error
    except stripe.StripeError as error:
        raise _failed(error) from error


def _refused(error: stripe.InvalidRequestError, reason: str) -> WorkError:
    """What a request that Stripe will never accept means for us."""
    if "cannot combine currencies" in (error.user_message or "").lower():
        return MixedCurrencies()
    if error.code == "resource_missing":
        return MissingAtStripe(reason, param=error.param or "")
    return NeedsOperator(reason)


def _failed(error: stripe.StripeError) -> WorkError:
    """What an error on Stripe's side means for us."""
    replayed = (error.headers or {}).get("Idempotent-Replayed") == "true"
    if error.http_status == 500 or replayed:
        return SpentIdempotencyKey(f"Stripe answers {error.http_status}.", before=replayed)
    if error.http_status in {502, 503, 504}:
        return DependencyDown("stripe", f"Stripe answers {error.http_status}.")
    return RetryLater(f"Stripe answers {error.http_status}.")
