"""The only app that speaks Stripe."""

from typing import Any, override

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Registers the job kinds, and keeps Stripe's key out of the database."""

    name = "apps.billing"
    verbose_name = "Stripe"
    spoken_version = ""

    @override
    def ready(self) -> None:
        import stripe
        from djstripe.models import Account, Product

        from apps.billing import backfill, events, mirror
        from apps.billing.stripe_client import TIMEOUT

        def our_account(_cls: type[Any], _api_key: str) -> Any:
            """dj-stripe would store the key in clear and ask Stripe whose it is; there is one account, ours."""
            return Account.objects.get_or_create(id=_account_id())[0]

        def no_features(_self: Any, **_options: Any) -> None:
            """dj-stripe would ask Stripe for a product's features inside its transaction; we do not use them."""

        self.spoken_version = stripe.api_version
        Account.get_or_retrieve_for_api_key = classmethod(our_account)
        Product._sync_product_features = no_features
        stripe.default_http_client = stripe.RequestsClient(timeout=TIMEOUT)
        events.register()
        mirror.register()
        backfill.register()


def _account_id() -> str:
    from django.conf import settings

    return str(settings.STRIPE_ACCOUNT_ID)
