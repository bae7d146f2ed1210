"""The one door to Stripe: a client per process with our version, time-outs and host, and what its errors mean for us."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import stripe
from django.conf import settings

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.core.outside import refuse_inside_transaction

TIMEOUT = (3, 10)  # seconds to connect, to read


@functools.cache
def client() -> stripe.StripeClient:
    """The client of this process, made on first use (after the fork)."""
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=settings.STRIPE_API_VERSION,
        base_addresses={"api": settings.STRIPE_API_HOST},
        http_client=stripe.RequestsClient(timeout=TIMEOUT),
        max_network_retries=2,
    )


@contextmanager
def calling_stripe() -> Iterator[stripe.StripeClient]:
    """Around every call: yields the client; raises RetryLater, DependencyDown or NeedsOperator for what goes wrong.

    The sentences name what Stripe said by its codes, never a person's data. docs.stripe.com/error-handling
    """
    refuse_inside_transaction()
    try:
        yield client()
    except stripe.APIConnectionError as error:
        raise DependencyDown("stripe", "Stripe does not answer.") from error
    except stripe.RateLimitError as error:
        raise RetryLater("Stripe asks us to slow down.") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise NeedsOperator("Stripe refuses our key; check STRIPE_SECRET_KEY and its rights.") from error
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        what = (
            f"{error.code or error.http_status}, parameter {error.param or 'none'}"
            if isinstance(error, stripe.InvalidRequestError)
            else "an idempotency key was used twice for different requests"
        )
        raise NeedsOperator(f"Stripe refuses the request: {what}.") from error
    except stripe.StripeError as error:
        if error.http_status in {502, 503, 504}:
            raise DependencyDown("stripe", f"Stripe answers {error.http_status}.") from error
        raise RetryLater(f"Stripe answers {error.http_status}.") from error
