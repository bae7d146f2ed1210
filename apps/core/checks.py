"""System checks: what can be told to be wrong before the first request. Ids `frontdesk.E…` stop `check --deploy`."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  (Django's own name)

KEY = re.compile(r"^(sk|rk)_(test|live)_[A-Za-z0-9]{24,}$")


@register(Tags.security)
def settings_are_sound(**_: Any) -> list[CheckMessage]:
    """Secrets and keys that cannot be right, each with what to do."""
    found: list[CheckMessage] = []
    if len(settings.SECRET_KEY) < 50:
        found.append(Error("DJANGO_SECRET_KEY is too short.", hint="Use at least 50 random characters.", id="frontdesk.E001"))
    if not KEY.match(settings.STRIPE_SECRET_KEY):
        found.append(Error("STRIPE_SECRET_KEY is no Stripe secret key.", hint="It starts with sk_ or rk_.", id="frontdesk.E002"))
    for name in ("STRIPE_WEBHOOK_SECRET", "STRIPE_WEBHOOK_SECRET_PREVIOUS"):
        value = getattr(settings, name)
        if (value or name == "STRIPE_WEBHOOK_SECRET") and not (value.startswith("whsec_") and len(value) >= 32):
            found.append(Error(f"{name} is no signing secret.", hint="It starts with whsec_.", id="frontdesk.E003"))
    if settings.STRIPE_LIVE_MODE and (settings.DEBUG or not settings.STRIPE_ALLOW_LIVE):
        hint = "Set STRIPE_ALLOW_LIVE=true, and DEBUG=false, where real money is meant."
        found.append(Error("A live Stripe key is set.", hint=hint, id="frontdesk.E004"))
    if settings.STRIPE_CHECKOUT_UI not in {"embedded", "hosted"}:
        found.append(Error("STRIPE_CHECKOUT_UI must be embedded or hosted.", id="frontdesk.E005"))
    if len(settings.PROMETHEUS_METRICS_API_KEY) < 32:
        hint = "Use at least 32 random characters."
        found.append(Error("PROMETHEUS_METRICS_API_KEY is too short.", hint=hint, id="frontdesk.E006"))
    return found


@register(Tags.compatibility)
def stripe_versions_agree(**_: Any) -> list[CheckMessage]:
    """The version we pin, and the one the SDK was written for."""
    from django.apps import apps

    spoken = apps.get_app_config("billing").spoken_version  # type: ignore[attr-defined]  # billing's own AppConfig
    if spoken == settings.STRIPE_API_VERSION:
        return []
    text = f"The Stripe SDK speaks {spoken}, the settings pin {settings.STRIPE_API_VERSION}."
    return [Warning(text, hint="Upgrade both together, with the fixture tests.", id="frontdesk.W001")]
