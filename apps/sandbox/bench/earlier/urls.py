"""dj-stripe's own routes, and a receiver of its signal for what the events of the benchmark are about."""

from django.urls import include, path
from djstripe.signals import WEBHOOK_SIGNALS

from apps.sandbox.bench.earlier.tasks import queue_look_up

urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]
for name in ("created", "updated"):
    WEBHOOK_SIGNALS[f"customer.subscription.{name}"].connect(queue_look_up)
