"""Errors told to Sentry (or what speaks its protocol, such as GlitchTip), if SENTRY_DSN names one.

Promises: what is sent is what the log may say: no request, no form, no values of variables, no addresses or secrets; a
service that is away delays nothing and loses nothing but reports.
"""

from typing import Any

from django.conf import settings

from apps.core import logs

NEVER = (
    "request",
    "user",
    "breadcrumbs",
    "modules",
    "extra",
)  # parts of a report that may name people, or say what nobody needs


def begin() -> None:
    """From here on each error that is logged is reported too, by this process and those forked from it."""
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk  # only where it is used
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment="live" if settings.STRIPE_LIVE_MODE else "test",
        default_integrations=False,
        integrations=[LoggingIntegration(level=None)],
        max_breadcrumbs=0,
        include_local_variables=False,
        before_send=scrub,
    )


def scrub(report: Any, _hint: Any) -> Any:
    """The report as the log would say it."""
    return logs.clean({name: part for name, part in report.items() if name not in NEVER})
