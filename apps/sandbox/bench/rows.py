"""Rows by the million: INSERT ... SELECT on the server, with the indexes made afterwards. For empty tables only."""

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import NOT_PROVIDED, Field, Model

INDEXES = """SELECT c.oid::regclass::text, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)"""


def insert(model: type[Model], *, rows: str, **columns: str) -> None:
    """One row of `model` for each of `rows`, what follows FROM; a column not named gets the model's default.

    Columns are SQL expressions over `rows`. They may not hold `%`.
    """
    names: list[str] = []
    expressions: list[str] = []
    parameters: list[Any] = []
    fields: list[Field[Any, Any]] = model._meta.concrete_fields  # type: ignore[assignment]
    for field in fields:
        if field.attname in columns:
            names.append(str(field.column))
            expressions.append(columns[field.attname])
        elif not (field.null or field.primary_key or field.db_default is not NOT_PROVIDED):
            names.append(str(field.column))
            expressions.append("%s")
            parameters.append(field.get_db_prep_save(field.get_default(), connection))
    if unknown := columns.keys() - {field.attname for field in fields}:
        raise LookupError(f"{model.__name__} has no {unknown}")
    table, *quoted = [connection.ops.quote_name(name) for name in (model._meta.db_table, *names)]
    execute(f"INSERT INTO {table} ({', '.join(quoted)}) SELECT {', '.join(expressions)} FROM {rows}", parameters)  # noqa: S608


def execute(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []


@contextlib.contextmanager
def indexes_made_at_the_end(*models: type[Model]) -> Iterator[None]:
    """Within a transaction: drop the indexes that belong to no constraint, and make them again at the end."""
    tables = [model._meta.db_table for model in models]
    found = [index for table in tables for index in execute(INDEXES, [table])]
    for name, _ in found:
        execute(f"DROP INDEX {name}")
    yield
    for _, definition in found:
        execute(definition)
