"""The WSGI entry point granian serves: `granian --interface wsgi config.wsgi:application`."""

import os

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from apps.core.log_streams import refuse_to_start


def refuse_real_money_without_law() -> None:
    """With a live Stripe key, stop where terms, privacy notice or imprint are missing: nothing is sold without them."""
    from apps.core.checks import law_is_kept

    for problem in law_is_kept():
        raise ImproperlyConfigured(f"{problem.msg} {problem.hint}")


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
try:
    application = get_wsgi_application()
    refuse_real_money_without_law()
except ImproperlyConfigured as error:
    refuse_to_start(error)
