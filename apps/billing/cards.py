"""The cards that subscriptions are charged to, as dj-stripe mirrors them."""

from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

# A customer's default for invoices, or a subscription's own; either may be an id or the whole object.
EXPIRING = """
SELECT p.id, p.stripe_data ->> 'customer', p.stripe_data #>> '{card,brand}', p.stripe_data #>> '{card,last4}'
FROM djstripe_paymentmethod p
WHERE p.stripe_data #>> '{card,exp_year}' = %(year)s AND p.stripe_data #>> '{card,exp_month}' = %(month)s
  AND (EXISTS (SELECT FROM djstripe_customer c WHERE c.id = p.stripe_data ->> 'customer' AND p.id IN (
         c.stripe_data #>> '{invoice_settings,default_payment_method}', c.stripe_data #>> '{invoice_settings,default_payment_method,id}'))
    OR EXISTS (SELECT FROM djstripe_subscription s WHERE s.customer_id = p.stripe_data ->> 'customer'
         AND s.stripe_data ->> 'status' IN ('active', 'trialing', 'past_due', 'unpaid')
         AND p.id IN (s.stripe_data ->> 'default_payment_method', s.stripe_data #>> '{default_payment_method,id}')))
ORDER BY p.id
"""


@dataclass(frozen=True)
class ExpiringCard:
    """A card that is charged, and its last month. `name`: as its owner knows it, "Visa ending in 4242"."""

    id: str
    customer_id: str
    year: int
    month: int
    name: str


def find_expiring_cards(year: int, month: int) -> list[ExpiringCard]:
    """The charged cards whose last month this is. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRING, {"year": str(year), "month": str(month)})
        return [
            ExpiringCard(card, customer, year, month, _name(str(brand or "").capitalize(), str(last4 or "????")))
            for card, customer, brand, last4 in cursor.fetchall()
        ]


def _name(brand: str, digits: str) -> str:
    return _("{card} ending in {digits}").format(card=brand or _("Card"), digits=digits)
