"""The Mailgun part of the doctor: is the sending domain ready, in the region that we ask?"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from django.conf import settings

from apps.core.findings import Finding, Severity, judge
from apps.notifications import mailgun


def check_mailgun() -> Iterator[Finding]:
    """The sending domain, in the region we ask."""
    api, domain = str(settings.ANYMAIL["MAILGUN_API_URL"]), settings.MAILGUN_DOMAIN
    key = "mailgun.domain"
    try:
        answer = mailgun.ask_about_domain()
        state = str(answer.json().get("domain", {}).get("state", "")) if answer.status_code == 200 else ""
    except (requests.RequestException, ValueError, AttributeError):
        yield Finding(
            id=key, severity=Severity.SKIPPED, message="Mailgun could not be asked.", fix="Try again in a moment."
        )
        return
    if answer.status_code in {401, 403}:
        fix = "A key that may only send cannot read domains; otherwise check MAILGUN_API_KEY."
        yield Finding(id=key, severity=Severity.SKIPPED, message="Mailgun does not let our key read domains.", fix=fix)
        return
    other = "api.eu.mailgun.net" if "eu" not in (urlsplit(api).hostname or "") else "api.mailgun.net"
    yield judge(
        state == "active", key, f"{domain} is active at Mailgun.",
        f"{domain} is {state} at Mailgun." if state else f"Mailgun does not know {domain} in this region.",
        why="Customers get no email.", fix=f"Verify the domain at Mailgun, or ask the other region: MAILGUN_API_URL=https://{other}/v3.",
    )  # fmt: skip
