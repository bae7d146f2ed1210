"""What happened to money on each day, summed from dj-stripe's mirror: paid, refunded and lost by product, late payments, and what coupons took off.

Promises: one statement for each figure, over the rows of its days alone; the shares of a payment's products add up to the payment;
what Stripe may send that is no amount counts as nothing, and never stops the others. No call to Stripe.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

DETAILED = " AND {}.stripe_data ? 'livemode'"  # whole copies, by the index that the nightly pruning uses
NUMBER = "coalesce(jsonb_path_query_first({row}, '$.{name} ? (@ >= 0 && @ <= 1000000000000000)')::numeric, 0)"
SIGNED = "coalesce(jsonb_path_query_first({row}, '$.{name} ? (@ >= -1000000000000000 && @ <= 1000000000000000)')::numeric, 0)"
CURRENCY = "left(lower(coalesce({row}.stripe_data->>'currency', '')), 16)"
PERIOD = "{row}.created >= %(since)s AND {row}.created < %(until)s"
DAY = "({row}.created AT TIME ZONE 'UTC')::date"

# The money of a day, each with the payment it is about.
PAID = """
    SELECT {c_day} AS day, {c_currency} AS currency, {c_amount} AS amount,
        c.customer_id, c.id AS charge_id, c.stripe_data->>'payment_intent' AS intent
    FROM djstripe_charge c WHERE {c_period}{detailed} AND c.stripe_data->>'status' = 'succeeded'
        AND c.stripe_data->'captured' IS DISTINCT FROM 'false'"""
GONE = """
    SELECT {g_day} AS day, {g_currency} AS currency, {g_amount} AS amount,
        c.customer_id, c.id AS charge_id, c.stripe_data->>'payment_intent' AS intent
    FROM djstripe_{table} g LEFT JOIN djstripe_charge c ON c.id = g.charge_id
    WHERE {g_period}{detailed} AND {condition}"""
# The invoice of a payment: the customer's one that names the payment intent or the charge among its payments.
NAMED = """(m.intent <> ''
        AND i.stripe_data->'payments'->'data' @> jsonb_build_array(jsonb_build_object('payment', jsonb_build_object('payment_intent', m.intent)))
        OR i.stripe_data->'payments'->'data' @> jsonb_build_array(jsonb_build_object('payment', jsonb_build_object('charge', m.charge_id))))"""
# A payment is shared among the products of its invoice by what their lines cost. Each share is cut off where the next begins, so that
# nothing is lost by rounding; where no line says a product, it is nobody's.
BY_PRODUCT = """
WITH moved AS MATERIALIZED (SELECT row_number() OVER () AS number, one.* FROM ({money}) one WHERE amount > 0),
lines AS (
    SELECT m.number, coalesce(p.slug, '') AS product,
        {line_amount} - coalesce((
            SELECT sum({off_amount}) FROM jsonb_array_elements(
                CASE WHEN jsonb_typeof(line->'discount_amounts') = 'array' THEN line->'discount_amounts' ELSE '[]' END) off), 0) AS cost
    FROM moved m
    CROSS JOIN LATERAL (
        SELECT i.stripe_data->'lines'->'data' AS found FROM djstripe_invoice i
        WHERE i.customer_id = m.customer_id AND {named} LIMIT 1) bill
    CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(bill.found) = 'array' THEN bill.found ELSE '[]' END) line
    LEFT JOIN catalog_productprice s ON s.stripe_price_id = coalesce(line #>> '{{pricing,price_details,price}}', line #>> '{{price,id}}')
    LEFT JOIN catalog_product p ON p.id = s.product_id
), costs AS (SELECT number, product, sum(cost) AS cost FROM lines GROUP BY 1, 2 HAVING sum(cost) > 0),
shares AS (SELECT *, sum(cost) OVER (PARTITION BY number ORDER BY product) AS upto, sum(cost) OVER (PARTITION BY number) AS whole FROM costs)
SELECT m.day, coalesce(s.product, ''), m.currency, count(*),
    sum(coalesce(div(m.amount * s.upto, s.whole) - div(m.amount * (s.upto - s.cost), s.whole), m.amount))::bigint, 0
FROM moved m LEFT JOIN shares s USING (number) GROUP BY 1, 2, 3
"""
# A payment is late from its first attempt that failed, and counts on that day. `about`: at which attempt it was paid, `otherwise` when
# the invoice was paid without one, empty while it is not paid. A first payment that fails is no late one: nobody is a subscriber yet.
LATE = """
WITH failed AS (
    SELECT c.customer_id, c.stripe_data->>'payment_intent' AS intent, '' AS charge_id, min(c.created) AS since FROM djstripe_charge c
    WHERE {c_period}{detailed} AND c.stripe_data->>'status' = 'failed' AND c.stripe_data->>'payment_intent' <> ''
        AND c.customer_id IS NOT NULL GROUP BY 1, 2
), late AS (
    SELECT m.*, bill.stripe_data, tried.paid_at, tried.attempts FROM failed m
    CROSS JOIN LATERAL (
        SELECT i.stripe_data FROM djstripe_invoice i WHERE i.customer_id = m.customer_id AND {named}
            AND i.stripe_data->>'billing_reason' IS DISTINCT FROM 'subscription_create' LIMIT 1) bill
    CROSS JOIN LATERAL (
        SELECT min(e.created) AS first, min(e.created) FILTER (WHERE e.stripe_data->>'status' = 'succeeded') AS paid_at,
            count(*) FILTER (WHERE e.stripe_data->>'status' IN ('failed', 'succeeded')) AS attempts
        FROM djstripe_charge e WHERE e.customer_id = m.customer_id AND e.stripe_data->>'payment_intent' = m.intent) tried
    WHERE NOT tried.first < m.since
)
SELECT (since AT TIME ZONE 'UTC')::date, CASE WHEN paid_at IS NOT NULL THEN least(attempts, 99)::text
        WHEN stripe_data->>'status' = 'paid' THEN 'otherwise' ELSE '' END,
    {late_currency}, count(*), sum({late_amount})::bigint,
    coalesce(sum(extract(epoch FROM paid_at - since)), 0)::bigint
FROM late GROUP BY 1, 2, 3
"""
# A discount that nobody has told us the coupon of is of none.
DISCOUNTS = """
SELECT {i_day}, coalesce(d.coupon_id::text, ''), {i_currency}, count(*), sum({off_amount})::bigint, 0
FROM djstripe_invoice i CROSS JOIN LATERAL jsonb_array_elements(
    CASE WHEN jsonb_typeof(i.stripe_data->'total_discount_amounts') = 'array' THEN i.stripe_data->'total_discount_amounts' ELSE '[]' END) off
LEFT JOIN billing_discount d ON d.stripe_id = off->>'discount'
WHERE {i_period}{detailed} AND i.stripe_data->>'status' = 'paid' AND {off_amount} > 0 GROUP BY 1, 2, 3
"""
PARTS = {
    **{f"{row}_{name}": part.format(row=row) for row in ("c", "g", "i", "late") for name, part in (("day", DAY), ("currency", CURRENCY), ("period", PERIOD))},
    "c_amount": NUMBER.format(row="c.stripe_data", name="amount"),
    "g_amount": NUMBER.format(row="g.stripe_data", name="amount"),
    "off_amount": NUMBER.format(row="off", name="amount"),
    "late_amount": NUMBER.format(row="stripe_data", name="amount_due"),
    "line_amount": SIGNED.format(row="line", name="amount"),
    "named": NAMED,
}  # fmt: skip


@dataclass(frozen=True)
class DayFigure:
    """A sum of one day. `about`: the product's slug, the coupon's number, or how a late payment ended; `seconds`: of late payments, until they were paid."""

    day: dt.date
    about: str
    currency: str
    count: int
    amount: int
    seconds: int


def sum_paid(first: dt.date, last: dt.date, *, detailed: bool) -> list[DayFigure]:
    """Payments that went through, by product. `detailed`: the days are so recent that every copy is whole."""
    return _read(BY_PRODUCT, PAID, first, last, "c" if detailed else "")


def sum_refunded(first: dt.date, last: dt.date, *, detailed: bool) -> list[DayFigure]:
    """Refunds on the day they were made."""
    happened = "coalesce(g.stripe_data->>'status', '') NOT IN ('failed', 'canceled')"
    return _read(BY_PRODUCT, GONE, first, last, "g" if detailed else "", table="refund", condition=happened)


def sum_lost(first: dt.date, last: dt.date, *, detailed: bool) -> list[DayFigure]:
    """Lost disputes on the day they were opened: that is when the bank takes the money."""
    lost = "g.stripe_data->>'status' = 'lost'"
    return _read(BY_PRODUCT, GONE, first, last, "g" if detailed else "", table="dispute", condition=lost)


def sum_late(first: dt.date, last: dt.date, *, detailed: bool) -> list[DayFigure]:
    """Payments of running subscriptions that failed at first, on the day of their first failure."""
    return _read(LATE, "", first, last, "c" if detailed else "")


def sum_discounts(first: dt.date, last: dt.date, *, detailed: bool) -> list[DayFigure]:
    """What coupons took off paid invoices, by the number of the coupon, on the day the invoice was made."""
    return _read(DISCOUNTS, "", first, last, "i" if detailed else "")


def _read(statement: str, money: str, first: dt.date, last: dt.date, row: str, **parts: str) -> list[DayFigure]:
    parts |= PARTS | {"detailed": DETAILED.format(row) if row else ""}
    filled = statement.format(money=money.format(**parts), **parts)
    since = dt.datetime.combine(first, dt.time(), dt.UTC)
    until = dt.datetime.combine(last, dt.time(), dt.UTC) + dt.timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(filled, {"since": since, "until": until})
        return [DayFigure(*one) for one in cursor.fetchall()]
