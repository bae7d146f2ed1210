"""What `manage.py setup` makes at Mailgun: the webhooks that tell what became of each email. It can be repeated.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/domain-webhooks
"""

from collections.abc import Iterator
from typing import Any

import requests
from django.conf import settings
from django.urls import reverse

from apps.core.setup_steps import Outcome, Step
from apps.notifications import mailgun
from apps.notifications.doctor import TOLD


def set_up() -> Iterator[Step]:
    """Every step at Mailgun."""
    url = f"{settings.BASE_URL}{reverse('mailgun-webhook')}"
    by_hand = f"In Mailgun, Webhooks of {settings.MAILGUN_DOMAIN}, add {url} for {', '.join(TOLD)}."
    try:
        answer = mailgun.ask_about_webhooks()
        if answer.status_code == 404:
            yield Step(
                Outcome.TO_DO, f"Mailgun knows no domain {settings.MAILGUN_DOMAIN}: add it there, with its DNS records."
            )
            return
        if answer.status_code != 200:
            yield Step(
                Outcome.TO_DO,
                f"The key may not read webhooks ({answer.status_code}), as one that only sends. {by_hand}",
            )
            return
        yield from _add(url, answer.json().get("webhooks") or {}, by_hand)
    except (requests.RequestException, ValueError, AttributeError):
        yield Step(Outcome.FAILED, "Mailgun could not be asked. Run this command again in a moment.")


def _add(url: str, known: dict[str, Any], by_hand: str) -> Iterator[Step]:
    lacking = [name for name in TOLD if url not in ((known.get(name) or {}).get("urls") or [])]
    for name in lacking:
        urls = [*((known.get(name) or {}).get("urls") or []), url]
        answer = mailgun.set_webhook(name, urls, is_new=not known.get(name))
        if answer.status_code != 200:
            yield Step(Outcome.TO_DO, f"Mailgun did not take the webhook {name} ({answer.status_code}). {by_hand}")
            return
    said = f"Mailgun tells {url} what became of each email."
    yield Step(Outcome.MADE if lacking else Outcome.KEPT, said)
