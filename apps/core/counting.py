"""Counting that stops: a count beside a list costs the same however long the list is."""

from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery


class CountUpTo(Subquery):
    """SQL: how many rows a queryset has, counted up to `limit`. Of rows made by `values` it counts these."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet[Any], limit: int) -> None:
        chosen = rows.order_by()
        super().__init__((chosen if chosen.query.values_select else chosen.values("pk"))[:limit])
