"""The only app that speaks Stripe."""

from typing import Any, NoReturn, override

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
        from djstripe.models.base import StripeModel

        from apps.billing import (
            backfill,
            coupon_check,
            customers,
            event_span,
            events,
            forgetting,
            laws,
            laws_stripe,
            mirror,
            price_list,
            second_subscription,
        )  # fmt: skip
        from apps.billing.stripe_client import http_client

        def our_account(_cls: type[Any], _api_key: str) -> Any:
            """dj-stripe would store the key in clear and ask Stripe whose it is; there is one account, ours."""
            return Account.objects.get_or_create(id=_account_id())[0]

        def no_features(_self: Any, **_options: Any) -> None:
            """dj-stripe would ask Stripe for a product's features inside its transaction; we do not use them."""

        def nothing_more(_self: Any, **_options: Any) -> NoReturn:
            """dj-stripe would fetch what an object refers to inside its transaction; it leaves out what Stripe has not."""
            missing: Any = stripe.InvalidRequestError
            raise missing("No such object here.", None, code="resource_missing")

        self.spoken_version = stripe.api_version
        StripeModel.api_retrieve = nothing_more
        Account.get_or_retrieve_for_api_key = classmethod(our_account)
        Product._sync_product_features = no_features
        stripe.default_http_client = http_client()
        events.register()
        mirror.register()
        customers.register()
        forgetting.register()
        second_subscription.register()
        backfill.register()
        coupon_check.register()
        event_span.register()
        price_list.register()
        laws.register_laws()
        laws_stripe.register_laws()


def _account_id() -> str:
    from django.conf import settings

    return str(settings.STRIPE_ACCOUNT_ID)
