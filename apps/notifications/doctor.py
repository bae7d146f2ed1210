"""The Mailgun part of the doctor: does it take our emails, and is the domain ready in the region that we ask?

It sends nothing: Mailgun is asked to send an email without any fields, which it refuses once the key and the domain are right.
"""

from collections.abc import Callable, Iterator
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.urls import reverse

from apps.core.findings import Finding, Severity, judge
from apps.notifications import mailgun

READY = 400  # Mailgun's answer to an email without fields
CONSOLE = "Mailgun, Sending"
TOLD = ("delivered", "temporary_fail", "permanent_fail", "complained")  # the webhooks we need


def check_mailgun() -> Iterator[Finding]:
    """Whether emails leave, under which domain, and who is told what became of them."""
    try:
        said = mailgun.ask_to_send()
    except requests.RequestException:
        message = "Mailgun could not be asked."
        yield Finding(id="mailgun.domain", severity=Severity.SKIPPED, message=message, fix="Try again in a moment.")
        return
    yield _check_sending(said)
    yield _check_sender()
    yield from _check_answer("mailgun.domain", "domains", mailgun.ask_about_domain, _check_domain)
    if said.status_code != 404:  # there is a domain
        yield from _check_answer("mailgun.webhooks", "webhooks", mailgun.ask_about_webhooks, _check_webhooks)


def _check_sending(said: requests.Response) -> Finding:
    id_, status = "mailgun.sending", said.status_code
    if status == 429 or status >= 500:
        return Finding(
            id=id_, severity=Severity.SKIPPED, message=f"Mailgun answers {status}.", fix="Try again in a moment."
        )
    problem = "Mailgun refuses our key." if status == 401 else f"Mailgun would not send our emails ({status})."
    return judge(
        status == READY, id_, "Mailgun accepts our emails.", problem, why="Customers get no email.",
        fix=f"{CONSOLE}: is the account or the domain disabled? Is MAILGUN_API_KEY a key of it?",
    )  # fmt: skip


def _check_sender() -> Finding:
    domain = settings.MAILGUN_DOMAIN.lower()
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2].lower()
    return judge(
        f".{sender}".endswith(f".{domain}") or f".{domain}".endswith(f".{sender}"), "mailgun.sender",
        "The sender's address is of the sending domain.", f"The sender is of {sender}, and Mailgun sends for {domain}.", warn=True,
        why="Receivers that check DMARC refuse such emails, or take them for spam.",
        fix="Set DEFAULT_FROM_EMAIL to an address of MAILGUN_DOMAIN, or of the domain above it.",
    )  # fmt: skip


def _check_answer(
    id_: str, what: str, ask: Callable[[], requests.Response], check: Callable[[dict[str, Any]], Iterator[Finding]]
) -> Iterator[Finding]:
    """The findings about what Mailgun answers; skipped when it does not let us read it. Without a domain the answer is empty."""
    try:
        answer = ask()
        found = answer.json() if answer.status_code == 200 else {}
    except (requests.RequestException, ValueError):
        yield Finding(
            id=id_, severity=Severity.SKIPPED, message="Mailgun could not be asked.", fix="Try again in a moment."
        )
        return
    if answer.status_code not in {200, 404} or not isinstance(found, dict):
        fix = "A key that may only send cannot read this; it sends all the same."
        yield Finding(id=id_, severity=Severity.SKIPPED, message=f"Mailgun does not let our key read {what}.", fix=fix)
        return
    yield from check(found)


def _check_domain(answer: dict[str, Any]) -> Iterator[Finding]:
    domain, about = settings.MAILGUN_DOMAIN, answer.get("domain") or {}
    state = "disabled" if about.get("is_disabled") else str(about.get("state", ""))
    host = urlsplit(str(settings.ANYMAIL["MAILGUN_API_URL"])).hostname or ""
    here, other = ("EU", "api.mailgun.net") if "eu" in host.split(".") else ("US", "api.eu.mailgun.net")
    yield judge(
        state == "active", "mailgun.domain", f"{domain} is active at Mailgun, in the region {here}.",
        f"{domain} is {state} at Mailgun." if state else f"Mailgun does not know {domain} in the region {here}.",
        why="Customers get no email.", fix=f"Verify the domain at Mailgun, or ask the other region: MAILGUN_API_URL=https://{other}/v3.",
    )  # fmt: skip
    records = answer.get("sending_dns_records") or []
    # SPF and DKIM; the domain's CNAME for counting opened emails does not matter.
    bad = [one["name"] for one in records if _proves_sender(one) and one.get("valid") != "valid"]
    if state:
        yield judge(
            not bad, "mailgun.dns", "The domain's DNS has SPF and DKIM.", f"Wrong or missing in DNS: {', '.join(bad)}.", warn=True,
            why="Receivers cannot tell our emails from forged ones, and take them for spam.", fix=f"{CONSOLE}, Domain settings, DNS records.",
        )  # fmt: skip


def _proves_sender(record: dict[str, Any]) -> bool:
    return record.get("record_type") == "TXT" or "_domainkey" in str(record.get("name"))


def _check_webhooks(answer: dict[str, Any]) -> Iterator[Finding]:
    """Whether we are told what became of mails; Mailgun's other webhooks get our customers' addresses."""
    hooks = [
        (str(kind), urlsplit(str(url)))
        for kind, one in (answer.get("webhooks") or {}).items()
        for url in one.get("urls") or ([one["url"]] if one.get("url") else [])
    ]
    ours = urlsplit(f"{settings.BASE_URL}{reverse('mailgun-webhook')}")
    told = {kind for kind, url in hooks if (url.hostname, url.path) == (ours.hostname, ours.path)}
    missing = ", ".join(kind for kind in TOLD if kind not in told)
    key = settings.MAILGUN_WEBHOOK_SIGNING_KEY
    yield judge(
        bool(key) and not missing, "mailgun.webhooks", "Mailgun tells us what became of emails.",
        f"Mailgun does not tell us of {missing}." if key else "MAILGUN_WEBHOOK_SIGNING_KEY is empty: we don't hear what became of emails.",
        warn=True, why="Nobody hears that a customer's emails bounce, until the customer has lost access unwarned.",
        fix=f"{CONSOLE}, Webhooks: add {ours.geturl()} for {', '.join(TOLD)}, and set MAILGUN_WEBHOOK_SIGNING_KEY to the HTTP webhook signing key.",
    )  # fmt: skip
    others = [
        (kind, url) for kind, url in hooks if settings.HTTPS or url.hostname != ours.hostname
    ]  # no news where we have no https
    plain = sorted({kind for kind, url in others if url.scheme != "https"})
    yield judge(
        not plain, "mailgun.webhooks.private", "Every Mailgun webhook uses https.", f"Mailgun sends {', '.join(plain)} by plain http.",
        why="Anyone on the network between can read our customers' addresses.", fix=f"{CONSOLE}, Webhooks: use https.",
    )  # fmt: skip
