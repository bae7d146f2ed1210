"""The certificate that visitors of BASE_URL are shown: do browsers trust it, and for how long?"""

import socket
import ssl
import time
from urllib.parse import urlsplit

from django.conf import settings
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from apps.core.findings import Finding, Severity, judge

ENOUGH_DAYS = 14  # it is renewed a month before its end; somebody who renews it by hand has two weeks
PATIENCE_SECONDS = 5
KEY = "site.certificate"
FIX = "Renew it, with its whole chain, where TLS ends: at your proxy, or in TLS_FOLDER (then `docker compose kill -s HUP proxy-tls`)."


def check_certificate() -> Finding:
    """By Mozilla's list of authorities, which this machine's own, if it has any, are not on."""
    try:
        days = _days_left(settings.BASE_URL)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "TLS fails"
        problem, passed = f"Browsers do not trust the certificate of {settings.BASE_URL}: {reason}.", False
    except OSError:
        message = f"{settings.BASE_URL} does not answer from here."
        return Finding(id=KEY, severity=Severity.SKIPPED, message=message, fix="Check its certificate in a browser.")
    else:
        problem, passed = f"The certificate of {settings.BASE_URL} ends in {days:.0f} days.", days > ENOUGH_DAYS
    why = "Nobody reaches the site, nor does Stripe its webhook, once browsers refuse the certificate."
    return judge(passed, KEY, "The certificate is trusted, and for more than two weeks.", problem, why=why, fix=FIX)


def _days_left(url: str) -> float:
    """Raises ssl.SSLError when it is not trusted, and other OSErrors when nobody answers."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    with (
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=PATIENCE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as made,
    ):
        shown = made.getpeercert() or {}
    return (ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86_400
