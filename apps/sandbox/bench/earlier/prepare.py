"""Makes the tables and rows of the earlier stack and prints what events cost it; a process of its own, with settings of its own."""

import dataclasses
import json
import sys

import django

ENDPOINT = "5e1f0000-0000-4000-8000-000000000001"
WEBHOOK = f"/stripe/webhook/{ENDPOINT}/"


def main() -> None:
    """One event a line is read, and one JSON object of counts a line written."""
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from djstripe.models import Account, APIKey, WebhookEndpoint

    from apps.sandbox.bench.counters import counting
    from apps.sandbox.bench.requests_in_process import Application, request

    call_command("migrate", verbosity=0)
    # Without the account and its key dj-stripe would ask Stripe for them, once.
    account = Account.objects.create(id=settings.STRIPE_ACCOUNT_ID)
    shared = {"livemode": False, "djstripe_owner_account": account}
    APIKey.objects.create(secret=settings.STRIPE_SECRET_KEY, type="secret", **shared)
    WebhookEndpoint.objects.create(
        id="we_bench", djstripe_uuid=ENDPOINT, secret=settings.STRIPE_WEBHOOK_SECRET, enabled_events=["*"], status="enabled",
        url="https://earlier.example.com", **shared,
    )  # fmt: skip
    application = Application()
    for line in sys.stdin:
        with counting() as counts:
            application.answer(request(WEBHOOK, line.strip().encode()))
        print(json.dumps(dataclasses.asdict(counts)))


if __name__ == "__main__":
    main()
