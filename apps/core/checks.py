"""System checks: mistakes that show before the first request. Ids `frontdesk.E…` stop `check --deploy`."""

import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  (Django's own name)

from apps.core import legal
from apps.core.networks import is_near

KEY = re.compile(r"^(sk|rk)_(test|live)_[A-Za-z0-9]{24,}\Z")
TRIAL, CONSENT = 730, 1200  # docs.stripe.com/api/checkout/sessions/create
# docs.stripe.com/api/checkout/sessions/create#create_checkout_session-locale
STRIPE_LOCALES = {
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id", "it",
    "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh",
    "zh-HK", "zh-TW",
}  # fmt: skip
RANDOM = "Use at least {} random characters."


def _errors(*cases: tuple[bool, str, str, str]) -> list[CheckMessage]:
    """The cases (is it wrong, what is wrong, what to do, id) that are wrong."""
    return [Error(text, hint=hint, id=f"frontdesk.{code}") for wrong, text, hint, code in cases if wrong]


@register(Tags.security)
def secrets_are_sound(**_: Any) -> list[CheckMessage]:
    """Refuse secrets that cannot be right."""
    current, previous = settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_WEBHOOK_SECRET_PREVIOUS
    whsec = "It starts with whsec_ and has at least 32 characters."
    return _errors(
        (len(settings.SECRET_KEY) < 50, "DJANGO_SECRET_KEY is too short.", RANDOM.format(50), "E001"),
        (
            any(len(key) < 50 for key in settings.SECRET_KEY_FALLBACKS),
            "DJANGO_SECRET_KEY_PREVIOUS holds something that is no key.",
            "Separate several keys by spaces.",
            "E001",
        ),
        (
            not KEY.match(settings.STRIPE_SECRET_KEY),
            "STRIPE_SECRET_KEY is not a secret key.",
            "It starts with sk_ or rk_.",
            "E002",
        ),
        (not _signs(current), "STRIPE_WEBHOOK_SECRET is not a signing secret.", whsec, "E003"),
        (
            bool(previous) and not _signs(previous),
            "STRIPE_WEBHOOK_SECRET_PREVIOUS is not a signing secret.",
            whsec,
            "E003",
        ),
        (
            len(settings.PROMETHEUS_METRICS_API_KEY) < 32,
            "PROMETHEUS_METRICS_API_KEY is too short.",
            RANDOM.format(32),
            "E006",
        ),
    )


def _is_scheme(url: str) -> bool:
    return bool(re.match(r"[a-z0-9+.]+://.", url))


def _signs(secret: str) -> bool:
    return secret.startswith("whsec_") and len(secret) >= 32


@register(Tags.security)
def choices_are_sound(**_: Any) -> list[CheckMessage]:
    """Refuse settings that contradict each other or risk real money."""
    live = settings.STRIPE_LIVE_MODE and (settings.DEBUG or not settings.STRIPE_ALLOW_LIVE)
    allow = "For real payments set STRIPE_ALLOW_LIVE=true and DEBUG=false."
    ui = settings.STRIPE_CHECKOUT_UI not in {"embedded", "hosted"}
    return _errors(
        (live, "A live Stripe key is set.", allow, "E004"),
        (ui, "STRIPE_CHECKOUT_UI is neither embedded nor hosted.", "Choose one of the two.", "E005"),
        (
            settings.STRIPE_TRIAL_DAYS > TRIAL,
            "STRIPE_TRIAL_DAYS is too many.",
            f"Stripe takes {TRIAL} at most.",
            "E013",
        ),
        (
            settings.STRIPE_LOCALE not in STRIPE_LOCALES | {""},
            "STRIPE_LOCALE is no language of Stripe's pages.",
            f"Choose one of {', '.join(sorted(STRIPE_LOCALES))}, or leave it empty.",
            "E013",
        ),
        (
            max(len(settings.STRIPE_CONSENT_TEXT), len(settings.STRIPE_CONSENT_TEXT_DE)) > CONSENT,
            "STRIPE_CONSENT_TEXT or its German is too long.",
            f"Stripe takes {CONSENT} characters at most.",
            "E013",
        ),
    )


@register(Tags.security)
def law_is_kept(**_: Any) -> list[CheckMessage]:
    """Refuse real money without the texts that the law asks of a site that sells; the web server does not start, either."""
    missing = legal.list_missing() if settings.STRIPE_LIVE_MODE else []
    said = f"A live Stripe key is set, but there is no {legal.name_missing(missing)}."
    hint = f"Set {', '.join(missing)}, or put the texts into LEGAL_FOLDER: {', '.join(legal.files_of(missing))}."
    return _errors((bool(missing), said, hint, "E012"))


@register(Tags.security)
def peers_are_reached_in_private(**_: Any) -> list[CheckMessage]:
    """Secrets and personal data travel encrypted."""
    peers: dict[str, str] = {
        "MAILGUN_API_URL": str(settings.ANYMAIL["MAILGUN_API_URL"]),
        **({"SENTRY_DSN": settings.SENTRY_DSN} if settings.SENTRY_DSN else {}),
        "KEYCLOAK_SERVER_URL": settings.KEYCLOAK_SERVER_URL,
        "STRIPE_API_HOST": settings.STRIPE_API_HOST,
    }
    hint = "Use https; plain http is for addresses of this machine."
    return _errors(
        *[
            (not _is_private(url), f"{name} would send secrets and personal data unencrypted.", hint, "E007")
            for name, url in peers.items()
        ]
    )


def _is_private(url: str) -> bool:
    """Encrypted on the way, or not leaving this machine (or its container network, whose names have no dot)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or is_near(host)


DATABASE_TLS = "Set POSTGRES_SSLMODE=verify-full (or ?sslmode=verify-full in DATABASE_URL) and POSTGRES_SSLROOTCERT."


@register(Tags.security, deploy=True)
def database_is_reached_in_private(**_: Any) -> list[CheckMessage]:
    """All customer data travels to the database: libpq's own default gives in when it hears "no TLS", from anybody."""
    database = settings.DATABASES["default"]
    options = database.get("OPTIONS", {})
    hosts = str(database.get("HOST") or options.get("host", "")).split(",")
    hosts += [settings.POSTGRES_POOLER["HOST"]] if settings.POSTGRES_POOLER else []
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE", "prefer")
    if all(map(is_near, hosts)) or mode in {"verify-ca", "verify-full"}:
        return []
    if mode == "require":
        text = "The connection to the database is encrypted, but nobody checks who answers it."
        return [Warning(text, hint=DATABASE_TLS, id="frontdesk.W003")]
    return [Error("The connection to the database may be plain text.", hint=DATABASE_TLS, id="frontdesk.E011")]


@register(Tags.compatibility)
def stripe_versions_agree(**_: Any) -> list[CheckMessage]:
    """The version we pin, and the one the SDK was written for."""
    from django.apps import apps

    spoken = apps.get_app_config("billing").spoken_version  # type: ignore[attr-defined]  # billing's own AppConfig
    if spoken == settings.STRIPE_API_VERSION:
        return []
    text = f"The Stripe SDK speaks {spoken}, the settings pin {settings.STRIPE_API_VERSION}."
    return [Warning(text, hint="Upgrade both together, with the fixture tests.", id="frontdesk.W001")]


@register(Tags.security)
def staff_have_a_second_factor(**_: Any) -> list[CheckMessage]:
    """Warn when a password alone opens the console of a public site. Keycloak's levels 0 and 1 are single sign-on and a password."""
    if not settings.HTTPS or settings.STAFF_REQUIRED_ACR not in ("", "0", "1"):
        return []
    text = "Staff log in with a password alone: STAFF_REQUIRED_ACR asks for no second factor."
    hint = "Give the realm's browser flow a condition Level of Authentication 2 with a second factor, and set it to 2."
    return [Warning(text, hint=hint, id="frontdesk.W002")]


# How the secrets of the rehearsal's realm file and of the demo begin, which everybody can read, and one that nobody has set.
PUBLISHED = ("dev-only-", "${", "whsec_sandbox_", "metrics-0123456789")
SECRETS = (
    "OIDC_RP_CLIENT_SECRET", "KEYCLOAK_ADMIN_CLIENT_SECRET", "KEYCLOAK_DOCTOR_CLIENT_SECRET", "STRIPE_WEBHOOK_SECRET",
    "STRIPE_WEBHOOK_SECRET_PREVIOUS", "PROMETHEUS_METRICS_API_KEY",
)  # fmt: skip


def redirects_to_itself() -> bool:
    """Whether each request is answered with a redirect to the same address: nobody is trusted to say that it came by https."""
    return bool(settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXY_COUNT)


def list_published_secrets() -> list[str]:
    """The names of the secrets that our repository shows to everybody."""
    return [name for name in SECRETS if str(getattr(settings, name)).startswith(PUBLISHED)]


@register(Tags.security, deploy=True)
def site_is_reachable(**_: Any) -> list[CheckMessage]:
    """Refuse what answers each request behind a proxy with a redirect to itself, and secrets that are public."""
    hint = (
        "Set TRUSTED_PROXY_COUNT to the number of proxies that add to X-Forwarded-For, each of which sets or passes on"
        " X-Forwarded-Proto. Without any proxy set SECURE_SSL_REDIRECT=false."
    )
    said = "BASE_URL is https, but no proxy is trusted to say so: each request is redirected to itself for ever."
    return _errors(
        (redirects_to_itself(), said, hint, "E008"),
        (
            not all(map(_is_scheme, settings.ALERT_URLS)),
            "ALERT_URLS holds something that is no address.",
            "See appriseit.com.",
            "E010",
        ),
        *[
            (
                settings.HTTPS,
                f"{name} is published in our repository.",
                "Make a new one where it comes from: in Keycloak, at Stripe, or at random.",
                "E009",
            )
            for name in list_published_secrets()
        ],
    )


@register(Tags.database, deploy=True)
def role_has_least_rights(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """`check --deploy --database default`, as web and worker: what an SQL injection could do beyond reading and writing rows."""
    from apps.core import rights

    excess = rights.list_excess() if databases else []
    hint = "Run migrate as the owner with POSTGRES_APP_USER set, and web and worker as that role."
    return [Warning(f"The database's role {', '.join(excess)}.", hint=hint, id="frontdesk.W004")] if excess else []


@register(Tags.database, deploy=True)
def sessions_are_ours(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """`check --deploy --database default`, as worker: a pooler that lends its session by transaction would run jobs twice."""
    from apps.core import pooling

    lent = bool(databases) and pooling.are_sessions_lent()
    return _errors((lent, "A pooler lends our sessions by transaction.", pooling.REMEDY, "E014"))
