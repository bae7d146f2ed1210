"""Each foreign key has an index that its column leads, without a condition on anything else.

A list of somebody's rows is read by it, and so is every row that is deleted: Postgres looks for what refers to it.
"""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey

pytestmark = pytest.mark.django_db

LEADING = """SELECT r.relname, a.attname FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indisvalid AND coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname), true)"""

NOT_NEEDED = {
    "Discount.coupon": "Coupons are never deleted, and only the discounts in use are asked for: two indexes hold those."
}


def find_unindexed() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(LEADING)
        leading = set(cursor.fetchall())
    keys: list[Any] = [
        field
        for model in apps.get_models(include_auto_created=True)
        if model.__module__.startswith("apps.") and model._meta.managed and not model._meta.proxy
        for field in model._meta.local_concrete_fields
        if isinstance(field, ForeignKey)
    ]
    assert len(keys) > 40
    return {f"{key.model.__name__}.{key.name}" for key in keys if (key.model._meta.db_table, key.column) not in leading}


def test_each_foreign_key_leads_an_index() -> None:
    assert find_unindexed() == NOT_NEEDED.keys()


@pytest.mark.mutant
def test_mutant_without_its_index_one_is_found_though_a_partial_one_begins_with_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX product_account_profile")
    assert find_unindexed() == {*NOT_NEEDED, "ProductAccount.profile"}
