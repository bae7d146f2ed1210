"""Errors in Stripe's words: a status and the body `{"error": {...}}` (docs.stripe.com/api/errors)."""

from typing import Any


class ApiError(Exception):
    """An answer other than 200. `saved` says if an Idempotency-Key keeps it (Stripe keeps what began to execute)."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.saved = status == 402 or status >= 500
        self.error: dict[str, Any] = {"message": message, "type": kind, **fields}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request cannot be right."""
    extra = {name: value for name, value in (("param", param), ("code", code)) if value}
    return ApiError(400, message, **extra)


def unknown_parameter(name: str) -> ApiError:
    """400 for a parameter Stripe does not know at this address."""
    return invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def missing_parameter(name: str) -> ApiError:
    """400 for a required parameter that is not there."""
    return invalid(f"Missing required param: {name}.", name, "parameter_missing")


def no_such(kind: str, identifier: str, param: str = "id") -> ApiError:
    """`resource_missing`: 404 when the address names the object, 400 when a parameter does."""
    words = {"checkout.session": "checkout.session", "payment_method": "PaymentMethod"}
    words |= {
        "billing_portal.configuration": "configuration",
        "payment_intent": "payment_intent",
        "webhook_endpoint": "webhook endpoint",
    }
    name = words.get(kind, kind.replace("_", " "))
    status = 404 if param == "id" else 400
    return ApiError(status, f"No such {name}: '{identifier}'", code="resource_missing", param=param)


def card_error(*, code: str, decline_code: str | None, message: str, **fields: Any) -> ApiError:
    """402: the bank said no."""
    extra = {"decline_code": decline_code} if decline_code else {}
    return ApiError(402, message, kind="card_error", code=code, **extra, **fields)
