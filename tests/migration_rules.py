"""Which migrations can run while the previous release serves, and goes on serving beside the new one.

Two things break it: a column that the previous release does not know how to fill or still reads, and a lock that is held for as long
as a table takes to read or to write anew. What a rule cannot judge says on its class why it is safe, `safe_because`: code and SQL of its own,
a constraint that rows of the previous release might break, and one taken away by which it may find the row that it updates.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.postgres import operations as postgres
from django.db import connection, migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import CharField, TextField, Value
from django.db.models.fields import NOT_PROVIDED

Verdict = str  # a sentence; empty: it is fine
Context = tuple[str, ProjectState]  # the app's label, and the state before the operation

FREE = (
    migrations.CreateModel, migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AlterModelTableComment,
    migrations.RemoveIndex, migrations.RenameIndex, postgres.ValidateConstraint, postgres.AddIndexConcurrently, postgres.RemoveIndexConcurrently,
)  # fmt: skip
CODE = (migrations.RunPython, migrations.RunSQL)
CONSTRAINTS = (postgres.AddConstraintNotValid, migrations.RemoveConstraint)
HARMLESS = (migrations.AlterModelOptions, migrations.AlterModelManagers)


def judge(migration: migrations.Migration, before: ProjectState) -> list[str]:
    """What is wrong with it; `before`: the models as the migrations before it left them."""
    operations = migration.operations
    made = {one.name_lower for one in operations if isinstance(one, migrations.CreateModel)}
    found = _judge_whole(migration, made)
    state = before.clone()
    for one in operations:
        if _model(one) not in made:
            reason = getattr(migration, "safe_because", "")
            if said := _judge_one(one, (migration.app_label, state), reason):
                found.append(f"{one.describe()}: {said}")
        one.state_forwards(migration.app_label, state)
    return found


def _model(one: Operation) -> str:
    return str(getattr(one, "model_name", None) or getattr(one, "name", None) or "").lower()


def _judge_whole(migration: migrations.Migration, made: set[str]) -> list[str]:
    operations = migration.operations
    found = []
    if not migration.atomic and len(operations) > 1:
        found.append("It is not atomic, so it must be one operation: given up half way, it could not be tried again.")
    touched = {_model(one) for one in operations if not isinstance(one, (*CODE, *HARMLESS))} - made
    if len(touched) > 1:
        found.append(f"It locks several tables at once ({', '.join(sorted(touched))}): one migration for each.")
    if migration.atomic and touched and any(isinstance(one, CODE) for one in operations):
        found.append("It holds a table's lock while code or SQL of its own runs: a migration for each.")
    kinds = {type(one) for one in operations}
    if {postgres.AddConstraintNotValid, postgres.ValidateConstraint} <= kinds:
        found.append(
            "It reads the whole table under the lock that adds the constraint: validate in a migration of its own."
        )
    return found


def _judge_one(one: Operation, context: Context, reason: str) -> Verdict:
    if isinstance(one, CODE):
        return "" if reason else "say why the previous release can run beside it, and how long it locks: safe_because."
    if isinstance(one, CONSTRAINTS):
        return "" if reason else "say why the previous release's rows and upserts agree with it: safe_because."
    if isinstance(one, migrations.SeparateDatabaseAndState):
        return _judge_separate(one, context, reason)
    rule = RULES.get(type(one))
    if rule is not None:
        return rule(one, context)
    return "" if type(one) in FREE else "no rule says that it is safe."


def _judge_added(one: Any, _context: Context) -> Verdict:
    field: Any = one.field
    if field.many_to_many:
        return ""
    if field.generated or (hasattr(field.db_default, "resolve_expression") and not isinstance(field.db_default, Value)):
        return "the table is written anew under a lock: add it empty, and fill it in a migration of its own."
    if not _fills_itself(field):
        return "the previous release does not fill it: null=True, or a db_default."
    if field.unique or field.db_index:
        return "its index is built under a lock: db_index=False, and AddIndexConcurrently in a migration of its own."
    return ""


def _judge_altered(one: Any, context: Context) -> Verdict:
    label, state = context
    after = state.clone()
    one.state_forwards(label, after)
    old, new = (each.apps.get_model(label, one.model_name)._meta.get_field(one.name) for each in (state, after))
    editor: Any = connection.schema_editor(collect_sql=True)
    if not editor._field_should_be_altered(old, new):
        return ""
    if old.null and not new.null:
        return "the previous release may still write nothing there, and the whole table is read under a lock."
    if _fills_itself(old) and not _fills_itself(new):
        return "the previous release may count on the default."
    if (new.unique, new.db_index) != (old.unique, old.db_index) or old.remote_field or new.remote_field:
        return "an index or a reference is made under a lock."
    return (
        ""
        if _only_wider(old, new)
        else "its type changes: the table is written anew, and the previous release reads the old type."
    )


def _only_wider(old: Any, new: Any) -> bool:
    """A longer varchar, or a text: nothing is read or written."""
    if old.db_parameters(connection) == new.db_parameters(connection):
        return True
    if type(old) is not CharField or not isinstance(new, CharField | TextField):
        return False
    return new.max_length is None or (old.max_length or 0) <= new.max_length


def _fills_itself(field: Any) -> bool:
    return bool(field.null or field.db_default is not NOT_PROVIDED)


def _judge_separate(one: migrations.SeparateDatabaseAndState, context: Context, reason: str) -> Verdict:
    label, state = context
    for each in one.database_operations:
        if said := _judge_one(each, context, reason):
            return said
    for each in one.state_operations:
        if isinstance(each, migrations.RemoveField):
            field = state.models[label, each.model_name_lower].get_field(each.name)
            if not (field.many_to_many or _fills_itself(field)):
                return "the new release does not fill it, and it is still there: first null=True, or a db_default."
    return ""


def _refuse(said: str) -> Callable[[Any, Context], Verdict]:
    return lambda _one, _context: said


IN_USE = "the previous release still uses it: take it out of the state alone, and drop it one release later."
LOCKED = "it is built under a lock: use AddIndexConcurrently, in a migration of its own that is not atomic."
UNCHECKED = (
    "the whole table is read under a lock: AddConstraintNotValid, then ValidateConstraint in a migration of its own."
)
RULES: dict[type[Operation], Callable[[Any, Context], Verdict]] = {
    migrations.AddField: _judge_added,
    migrations.AlterField: _judge_altered,
    migrations.AddIndex: _refuse(LOCKED),
    migrations.AddConstraint: _refuse(UNCHECKED),
    **{kind: _refuse(IN_USE) for kind in (
        migrations.RemoveField, migrations.RenameField, migrations.DeleteModel, migrations.RenameModel, migrations.AlterModelTable,
    )},
}  # fmt: skip
