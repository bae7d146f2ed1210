"""The earlier stack's Celery: a task looks up a customer, or processes an event that the webhook has only stored."""

import os
from typing import Any

from celery import Celery
from django.db import transaction

from apps.sandbox.bench.earlier import tell_start

APP = Celery("earlier", broker=os.environ["EARLIER_REDIS"])
APP.conf.update(task_ignore_result=True, task_acks_late=True)


def _look_up(customer: str) -> None:
    from djstripe.models import Customer

    Customer.objects.filter(id=customer).first()


def _process(trigger: int) -> None:
    from djstripe.models import WebhookEventTrigger

    WebhookEventTrigger.objects.get(pk=trigger).process()


look_up, process, start = APP.task(_look_up), APP.task(_process), APP.task(tell_start)


def queue_look_up(event: Any, **_signal: Any) -> None:
    """Receives dj-stripe's signal, inside its transaction."""
    customer = event.data["object"]["customer"]
    transaction.on_commit(lambda: look_up.delay(customer))


def process_later(trigger: Any, **_options: Any) -> None:
    """dj-stripe calls it instead of processing."""
    transaction.on_commit(lambda: process.delay(trigger.pk))
