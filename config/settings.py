"""Every setting of Frontdesk, from the environment alone. Environments differ by values, never by code.

The table of variables is in README.md; .env.example lists them. Cross-checks are system checks in apps/core/checks.py.
"""

from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext

from config.brand import brand
from config.database import database, pooler
from config.environment import boolean, choice, hours, integer, named_secrets, secret, text, words

django_stubs_ext.monkeypatch()  # Paginator[Any] and the like, see the README of django-stubs

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The site ---------------------------------------------------------------------------------------------------------
SECRET_KEY = secret("DJANGO_SECRET_KEY")
SECRET_KEY_FALLBACKS = secret("DJANGO_SECRET_KEY_PREVIOUS", "").split()  # what they made is still read
DEBUG = boolean("DEBUG", default=False)
BASE_URL = text("BASE_URL", "http://localhost:8000").rstrip("/")
_site = urlsplit(BASE_URL)
HTTPS = _site.scheme == "https"
ALLOWED_HOSTS = [_site.hostname or "localhost", *words("ALLOWED_HOSTS")]
CSRF_TRUSTED_ORIGINS = [BASE_URL]
# Web and worker call no host but those of Keycloak, Stripe and Mailgun, and these (apps/core/egress.py).
OUTBOUND_HOSTS = words("OUTBOUND_HOSTS")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
# A file that holds a number of seconds added to the system's time, for rehearsals; empty: the system's time.
CLOCK_OFFSET_FILE = text("CLOCK_OFFSET_FILE", "")

INSTALLED_APPS = [
    "django_prometheus",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "csp",
    "djstripe",
    "django_q",
    "anymail",
    "apps.core",
    "apps.accounts",
    "apps.login",
    "apps.catalog",
    "apps.billing",
    "apps.identity",
    "apps.instances",
    "apps.notifications",
    "apps.access",
    "apps.onboarding",
    "apps.operations",
    "apps.storefront",
    "apps.dashboard",
    "apps.console",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "apps.core.requests.request_context",
    "apps.core.clear_text.refuse_clear_text",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "apps.core.probes.answer_probes",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.core.languages.choose_language",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.login.sessions.watch",
    "apps.storefront.refusals.RefusedWork",
    "apps.core.metrics.CountRequests",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.brand.brand",
            ],
        },
    },
]

# --- The operator's brand ---------------------------------------------------------------------------------------------
BRAND = brand(BASE_URL)

# --- Database ---------------------------------------------------------------------------------------------------------
DATABASES = {"default": database()}
POSTGRES_POOLER = pooler()  # of web alone (apps/core/pooling.py)
# The role of web and worker, where `migrate` runs as another one, which owns the tables (apps/core/rights.py).
POSTGRES_APP_USER = text("POSTGRES_APP_USER", "")
POSTGRES_APP_PASSWORD = secret("POSTGRES_APP_PASSWORD", "")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
}
# One generated file instead of the 50 seconds of dj-stripe's own chain; a test compares the schemas.
MIGRATION_MODULES = {"djstripe": "apps.billing.djstripe_migrations"}

# --- Cookies, headers, sizes ------------------------------------------------------------------------------------------
_prefix = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_prefix}frontdesk-sid"
SESSION_ENGINE = "apps.login.session_store"
CSRF_FAILURE_VIEW = "apps.storefront.views_errors.csrf_failure"
CSRF_COOKIE_NAME = f"{_prefix}frontdesk-csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # Lax: the way back from Keycloak is a cross-site GET
SESSION_COOKIE_AGE = 12 * 3600
LANGUAGE_COOKIE_NAME = f"{_prefix}frontdesk-language"
LANGUAGE_COOKIE_SECURE, LANGUAGE_COOKIE_HTTPONLY = HTTPS, True
SECURE_SSL_REDIRECT = HTTPS and boolean("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^(health|health/live|metrics)/?$"]  # apps/core/probes.py
SECURE_HSTS_SECONDS = 63_072_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "strict-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How many proxies are in front of us; each adds one address to X-Forwarded-For. 0: none, the header is ignored.
TRUSTED_PROXY_COUNT = integer("TRUSTED_PROXY_COUNT", 0)
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
DATA_UPLOAD_MAX_NUMBER_FILES = 0

KEYCLOAK_SERVER_URL = text("KEYCLOAK_SERVER_URL").rstrip("/")
_keycloak = urlsplit(KEYCLOAK_SERVER_URL)
KEYCLOAK_ORIGIN = f"{_keycloak.scheme}://{_keycloak.netloc}"

_logo = urlsplit(str(BRAND["logo_url"]))
_logo_host = [f"{_logo.scheme}://{_logo.netloc}"] if _logo.netloc else []

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", *_logo_host],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'", KEYCLOAK_ORIGIN],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# --- Static files -----------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# True in the image, whose build runs collectstatic: hashed, compressed files. A checkout serves them as they lie there.
STATIC_COLLECTED = boolean("STATIC_COLLECTED", default=False)
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_ROOT = BASE_DIR / "static/root"  # what browsers ask for at the site's top: favicon.ico
WHITENOISE_USE_FINDERS = not STATIC_COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing is uploaded
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Keycloak: login (OIDC) and Admin API -----------------------------------------------------------------------------
KEYCLOAK_REALM = text("KEYCLOAK_REALM")
KEYCLOAK_ISSUER = f"{KEYCLOAK_SERVER_URL}/realms/{KEYCLOAK_REALM}"
OIDC_RP_CLIENT_ID = text("OIDC_RP_CLIENT_ID")
OIDC_RP_CLIENT_SECRET = secret("OIDC_RP_CLIENT_SECRET")
KEYCLOAK_ADMIN_CLIENT_ID = text("KEYCLOAK_ADMIN_CLIENT_ID")
KEYCLOAK_ADMIN_CLIENT_SECRET = secret("KEYCLOAK_ADMIN_CLIENT_SECRET")
# A second account that only reads, for the realm doctor; without it the doctor sees less.
KEYCLOAK_DOCTOR_CLIENT_ID = text("KEYCLOAK_DOCTOR_CLIENT_ID", "")
KEYCLOAK_DOCTOR_CLIENT_SECRET = secret("KEYCLOAK_DOCTOR_CLIENT_SECRET", "")
# Instance groups live below this group; it is ours alone. Staff groups live below the second.
KEYCLOAK_PARENT_GROUP = text("KEYCLOAK_PARENT_GROUP", "/frontdesk").rstrip("/")
KEYCLOAK_STAFF_GROUP = text("KEYCLOAK_STAFF_GROUP", "/staff").rstrip("/")
# How strong a login of staff must be (the ID token's `acr`); none: as Keycloak's own rules say, as in a demo without https.
_acr = text("STAFF_REQUIRED_ACR", "2" if HTTPS else "none")
STAFF_REQUIRED_ACR = "" if _acr == "none" else _acr
# Whether the account page leads to Keycloak's page for a passkey; the realm has to support it, which the doctor checks.
PASSKEYS = boolean("PASSKEYS", default=False)
# A Keycloak user that always exists: when a search for it finds nobody, answers about others are not believed.
KEYCLOAK_CANARY_USERNAME = text("KEYCLOAK_CANARY_USERNAME", "")

AUTHENTICATION_BACKENDS = ["apps.login.sessions.KeycloakBackend"]
LOGIN_URL = "/accounts/oidc/keycloak/login/"
LOGIN_REDIRECT_URL = "/dashboard/"
LOGOUT_REDIRECT_URL = ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "apps.login.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "apps.login.adapters.KeycloakAdapter"
SOCIALACCOUNT_ONLY = True
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
ACCOUNT_EMAIL_VERIFICATION = "none"
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "keycloak",
                "name": "Keycloak",
                "client_id": OIDC_RP_CLIENT_ID,
                "secret": OIDC_RP_CLIENT_SECRET,
                "settings": {"server_url": f"{KEYCLOAK_ISSUER}/.well-known/openid-configuration"},
            }
        ],
    }
}

# --- Stripe -----------------------------------------------------------------------------------------------------------
STRIPE_SECRET_KEY = secret("STRIPE_SECRET_KEY")
STRIPE_PUBLISHABLE_KEY = text("STRIPE_PUBLISHABLE_KEY")
STRIPE_WEBHOOK_SECRET = secret("STRIPE_WEBHOOK_SECRET")
STRIPE_WEBHOOK_SECRET_PREVIOUS = secret("STRIPE_WEBHOOK_SECRET_PREVIOUS", "")  # accepted too during a rotation
STRIPE_API_VERSION = "2026-08-26.dahlia"
STRIPE_LIVE_MODE = "_live_" in STRIPE_SECRET_KEY
STRIPE_ALLOW_LIVE = boolean("STRIPE_ALLOW_LIVE", default=False)
STRIPE_API_HOST = text("STRIPE_API_HOST", "https://api.stripe.com").rstrip("/")
SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]  # the host above is always set; its default is Stripe's own
STRIPE_ACCOUNT_ID = text("STRIPE_ACCOUNT_ID", "acct_frontdesk")
STRIPE_JS_URL = text("STRIPE_JS_URL", "https://js.stripe.com/dahlia/stripe.js")
STRIPE_CSP_HOSTS = words(  # what the checkout page may load, frame and call: docs.stripe.com/security/guide
    "STRIPE_CSP_HOSTS",
    "https://js.stripe.com https://checkout.stripe.com https://hooks.stripe.com https://api.stripe.com",
)
STRIPE_CHECKOUT_UI = text("STRIPE_CHECKOUT_UI", "embedded")
# What Stripe's Checkout offers beside the payment (apps/billing/checkout_features.py); off: Stripe's own defaults.
STRIPE_AUTOMATIC_TAX = boolean("STRIPE_AUTOMATIC_TAX", default=False)
STRIPE_TAX_IDS = boolean("STRIPE_TAX_IDS", default=False)
STRIPE_BILLING_ADDRESS = choice("STRIPE_BILLING_ADDRESS", "auto", ("auto", "required"))
STRIPE_PROMOTION_CODES = boolean("STRIPE_PROMOTION_CODES", default=False)
STRIPE_TRIAL_DAYS = integer("STRIPE_TRIAL_DAYS", 0)
STRIPE_TRIAL_CARD = boolean("STRIPE_TRIAL_CARD", default=True)
STRIPE_LOCALE = text("STRIPE_LOCALE", "")
STRIPE_BRANDING = boolean("STRIPE_BRANDING", default=False)
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
CHECKOUT_SESSION_MINUTES = integer("CHECKOUT_SESSION_MINUTES", 30, minimum=30)

# --- Mail -------------------------------------------------------------------------------------------------------------
EMAIL_BACKEND = "apps.notifications.mailgun.DirectBackend"
MAILGUN_API_KEY = secret("MAILGUN_API_KEY")
# Signs what Mailgun tells of our mails (apps/notifications/tracking.py); empty: it is not listened to.
MAILGUN_WEBHOOK_SIGNING_KEY = secret("MAILGUN_WEBHOOK_SIGNING_KEY", "")
MAILGUN_DOMAIN = text("MAILGUN_DOMAIN", "example.com")
MAILGUN_WAITLIST_ADDRESS = text("MAILGUN_WAITLIST_ADDRESS", "")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = text("DEFAULT_FROM_EMAIL", f"{BRAND['name']} <no-reply@{MAILGUN_DOMAIN}>")
ANYMAIL = {
    "MAILGUN_API_KEY": MAILGUN_API_KEY,
    "MAILGUN_SENDER_DOMAIN": MAILGUN_DOMAIN,
    "MAILGUN_API_URL": text("MAILGUN_API_URL", "https://api.mailgun.net/v3"),
    "REQUESTS_TIMEOUT": 10,
}

# --- Products: what our account on each instance logs in with (apps/instances/provisioning) ---------------------------
PROVISIONER_SECRETS = named_secrets("PROVISIONER_SECRETS", secret("PROVISIONER_SECRETS", ""))

# --- Policy: what happens when money is late or ends (apps/access/policy.py) ------------------------------------------
PAYMENT_GRACE_DAYS = integer("PAYMENT_GRACE_DAYS", 0)
RECOVERY_WINDOW_HOURS = integer("RECOVERY_WINDOW_HOURS", 72, minimum=1)
FINAL_EXPIRY_DAYS = integer("FINAL_EXPIRY_DAYS", 30, minimum=1)
PAUSED_COLLECTION = choice("PAUSED_COLLECTION", "keep", ("keep", "close"))
LOST_DISPUTE = choice("LOST_DISPUTE", "suspend", ("suspend", "flag"))
WAITLIST_CONFIRM_DAYS = integer("WAITLIST_CONFIRM_DAYS", 7, minimum=1)
WAITLIST_INVITATION_DAYS = integer("WAITLIST_INVITATION_DAYS", 3, minimum=1)

# --- Jobs (apps/core/jobs.py; django-q2 executes, our Job row is the truth) -------------------------------------------
WORKER_PROCESSES = integer("WORKER_PROCESSES", 2, minimum=1)
JOB_TIMEOUT_SECONDS = 60
Q_CLUSTER = {
    "name": "frontdesk",
    "orm": "default",
    "broker_class": "apps.core.broker.LedgerBroker",
    "workers": WORKER_PROCESSES,
    "queue_limit": WORKER_PROCESSES,
    "bulk": 1,
    "guard_cycle": 1,
    "scheduler": False,
    "timeout": JOB_TIMEOUT_SECONDS,
    "retry": 300,  # without effect here, but django-q2 asks for one that is longer than the time-out
    "ack_failures": True,
    "max_attempts": 1,
    "catch_up": False,
    "save_limit": -1,
    "recycle": 500,
    "max_rss": 300_000,
}

# --- Alerts (apps/core/alerts.py) ---------------------------------------------------------------------------------------
ALERT_URLS = secret("ALERT_URLS", "").split()
SENTRY_DSN = secret("SENTRY_DSN", "")  # errors are reported there (apps/core/error_reports.py); empty: nowhere
ALERT_AFTER_MINUTES = integer("ALERT_AFTER_MINUTES", 5)
HOST_GONE_MINUTES = integer("HOST_GONE_MINUTES", 10, minimum=2)  # of silence of a host's workers (apps/core/hosts.py)
ALERT_QUIET_HOURS = hours("ALERT_QUIET_HOURS")

# --- Metrics, audit anchor, restore marker -----------------------------------------------------------------------------
PROMETHEUS_METRICS_API_KEY = secret("PROMETHEUS_METRICS_API_KEY")
PROMETHEUS_EXPORT_MIGRATIONS = False
PROMETHEUS_LATENCY_BUCKETS = (0.025, 0.1, 0.25, 1.0, 5.0, float("inf"))
# Where the audit trail's daily anchor goes beside the log, and what signs it; empty: nowhere, and the key above.
AUDIT_ANCHOR_FILE = text("AUDIT_ANCHOR_FILE", "")
AUDIT_ANCHOR_KEY = secret("AUDIT_ANCHOR_KEY", "")
AUDIT_ANCHOR_KEY_PREVIOUS = secret("AUDIT_ANCHOR_KEY_PREVIOUS", "").split()
# A file on a disk that no backup of the database brings back, which shows that one was restored; empty: nobody notices.
RESTORE_MARKER_FILE = text("RESTORE_MARKER_FILE", "")

# --- Files of their own: the brand's sentences; the law; limits and retention; the log; the console's theme and menu -------------------------------------
from config.brand import *  # noqa: E402, F403  (settings by their names)
from config.languages import *  # noqa: E402, F403  (settings by their names)
from config.legal import *  # noqa: E402, F403  (settings by their names)
from config.limits import *  # noqa: E402, F403  (settings by their names)
from config.logs import *  # noqa: E402, F403  (settings by their names)
from config.unfold import UNFOLD  # noqa: E402, F401
