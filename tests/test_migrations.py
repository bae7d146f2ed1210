"""Each migration since the last release can run while that release serves: see migration_rules.py."""

import re
from collections import defaultdict
from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models.functions import Now

from apps.core.models import Job
from tests.migration_rules import judge

# The newest migrations of the last release: up to here an update stops the site. After a release, those that it has.
RELEASED = {
    "access": "0010_terms",
    "accounts": "0019_delivery",
    "billing": "0012_money_flags",
    "catalog": "0004_any_id_and_amount",
    "core": "0025_laws",
    "djstripe": "0001_squashed_0003_2_11",
    "instances": "0005_counters_by_state",
    "login": "0003_end_sessions_kept_in_clear",
    "notifications": "0008_delivery",
    "onboarding": "0004_search",
    "operations": "0006_drift_mark",
    "storefront": "0003_hand_over_to_onboarding",
}
CHARGE = models.CheckConstraint(condition=models.Q(attempts__lt=99), name="few_attempts")
REASON = Job._meta.get_field("reason")


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)


@pytest.fixture(scope="module")
def present(loader: MigrationLoader) -> ProjectState:
    """The models as all migrations leave them."""
    return loader.project_state()


def since_the_release(loader: MigrationLoader) -> list[tuple[str, str]]:
    """Our migrations that the last release has not."""
    ours = [key for key in loader.disk_migrations if loader.disk_migrations[key].__module__.startswith("apps.")]
    done = {one for key in RELEASED.items() for one in loader.graph.forwards_plan(key)}
    return sorted(set(ours) - done)


def test_each_migration_since_the_release_can_run_while_it_serves(loader: MigrationLoader) -> None:
    wrong = {
        f"{label}.{name}": found
        for label, name in since_the_release(loader)
        if (found := judge(loader.get_migration(label, name), loader.project_state((label, name), at_end=False)))
    }
    assert wrong == {}


def test_the_list_of_the_release_is_whole(loader: MigrationLoader) -> None:
    ours = {
        label
        for label, name in loader.disk_migrations
        if loader.disk_migrations[label, name].__module__.startswith("apps.")
    }
    assert ours == set(RELEASED)


COLUMNS = """
SELECT attrelid::regclass::text, attname, attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '', attnotnull,
    format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""


@pytest.fixture(scope="module")
def released(loader: MigrationLoader) -> ProjectState:
    """The models as the last release has them."""
    return loader.project_state(list(RELEASED.items()))


def find_unwritable(released: ProjectState) -> list[str]:
    """What a release of these models could not write into today's tables, or would not find there."""
    tables: dict[str, dict[str, tuple[bool, bool, str]]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        for table, column, *kind in cursor.fetchall():
            tables[table.strip('"')][column] = tuple(kind)
    found = []
    for model in released.apps.get_models(include_auto_created=True):
        if model._meta.app_label not in RELEASED:
            continue
        fields = {field.column: field for field in model._meta.local_concrete_fields}
        today = tables[model._meta.db_table]
        found += [f"{model._meta.db_table}.{name} is gone" for name in fields.keys() - today.keys()]
        found += [
            f"{model._meta.db_table}.{name} stays empty" for name in today.keys() - fields.keys() if today[name][0]
        ]
        found += [
            f"{model._meta.db_table}.{name} {why}"
            for name, field in fields.items()
            if name in today and (why := _differs(field, *today[name]))
        ]
    return found


def _differs(field: Any, _unfilled: bool, required: bool, kind: str) -> str:
    if field.null and required:
        return "may no longer be empty"
    length = re.fullmatch(r"character varying\((\d+)\)", kind)
    return "is shorter" if length and field.max_length and int(length[1]) < field.max_length else ""


@pytest.mark.fault("F55")
@pytest.mark.django_db
def test_what_the_release_writes_fits_todays_tables(released: ProjectState) -> None:
    """Without its code: each column that it knows is there and takes what it may write, and each other fills itself."""
    assert find_unwritable(released) == []


@pytest.mark.mutant
@pytest.mark.fault("F55")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "ADD COLUMN next text NOT NULL DEFAULT ''; ALTER TABLE core_job ALTER COLUMN next DROP DEFAULT",
            "next stays empty",
        ),
        ("DROP COLUMN reason", "reason is gone"),
        ("RENAME COLUMN reason TO cause", "reason is gone"),
        ("ALTER COLUMN finished_at SET NOT NULL", "finished_at may no longer be empty"),
        ("ALTER COLUMN kind TYPE varchar(9)", "kind is shorter"),
    ],
)
def test_mutant_a_table_that_would_refuse_it_is_found(released: ProjectState, change: str, why: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE core_job {change}")
    assert f"core_job.{why}" in find_unwritable(released)


def migration(*operations: Any, atomic: bool = True, safe_because: str = "") -> migrations.Migration:
    """One of core's that has not been written yet."""
    body = {"operations": list(operations), "atomic": atomic} | ({"safe_because": safe_because} if safe_because else {})
    kind = type("Migration", (migrations.Migration,), body)
    made: migrations.Migration = kind("0999_next", "core")
    return made


def add(field: Any, name: str = "next", model: str = "job") -> migrations.AddField:
    return migrations.AddField(model, name, field)


def alter(**changes: Any) -> migrations.AlterField:
    """Job.reason, with other arguments."""
    _, _, _, arguments = REASON.deconstruct()
    return migrations.AlterField("job", "reason", models.CharField(**arguments | changes))


INDEX = models.Index(fields=["attempts"], name="by_attempts")
REFUSED: dict[str, tuple[migrations.Migration, str]] = {
    "a column that nobody fills": (migration(add(models.CharField(default="", max_length=9))), "does not fill it"),
    "a default that is computed": (migration(add(models.DateTimeField(db_default=Now()))), "written anew"),
    "a unique column": (migration(add(models.CharField(null=True, max_length=9, unique=True))), "under a lock"),
    "a reference with its index": (
        migration(add(models.ForeignKey("core.job", null=True, on_delete=models.CASCADE))), "under a lock",
    ),
    "a column goes": (migration(migrations.RemoveField("job", "reason")), "still uses it"),
    "a column gets another name": (migration(migrations.RenameField("job", "reason", "cause")), "still uses it"),
    "a table goes": (migration(migrations.DeleteModel("AuditAnchor")), "still uses it"),
    "an index": (migration(migrations.AddIndex("job", INDEX)), "AddIndexConcurrently"),
    "a constraint": (migration(migrations.AddConstraint("job", CHARGE)), "NotValid"),
    "a constraint and its check at once": (
        migration(AddConstraintNotValid("job", CHARGE), ValidateConstraint("job", "few_attempts"), safe_because="One of four."), "of its own",
    ),
    "a constraint that may refuse what the previous release writes": (migration(AddConstraintNotValid("job", CHARGE)), "agree with it"),
    "a constraint that an upsert may name": (migration(migrations.RemoveConstraint("job", "job_running_has_start")), "agree with it"),
    "a shorter text": (migration(alter(max_length=20)), "type changes"),
    "another type": (migration(migrations.AlterField("job", "attempts", models.BigIntegerField())), "type changes"),
    "a column that may no longer be empty": (
        migration(migrations.AlterField("job", "finished_at", models.DateTimeField())), "may still write nothing",
    ),
    "two tables": (
        migration(add(models.IntegerField(null=True)), add(models.IntegerField(null=True), model="attentionitem")), "several",
    ),
    "code of its own": (migration(migrations.RunSQL("SELECT 1")), "safe_because"),
    "code while a table is locked": (
        migration(add(models.IntegerField(null=True)), migrations.RunSQL("SELECT 1"), safe_because="one row"), "lock while",
    ),
    "several steps that cannot be undone": (
        migration(AddIndexConcurrently("job", INDEX), add(models.IntegerField(null=True)), atomic=False), "not atomic",
    ),
    "a column that the new release does not fill": (
        migration(migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("job", "reason")])), "first null",
    ),
}  # fmt: skip
FINE = {
    "a column with a default in the database": migration(
        add(models.CharField(db_default="", default="", max_length=9))
    ),
    "a column that may be empty": migration(add(models.DateTimeField(null=True))),
    "an index, built while all work": migration(AddIndexConcurrently("job", INDEX), atomic=False),
    "a constraint for what comes": migration(AddConstraintNotValid("job", CHARGE), safe_because="Tries end at four."),
    "a constraint less": migration(
        migrations.RemoveConstraint("job", "job_running_has_start"), safe_because="No upsert names it."
    ),
    "the check of what is there": migration(ValidateConstraint("job", "few_attempts")),
    "a longer text": migration(alter(max_length=400)),
    "another explanation": migration(alter(help_text="Why.")),
    "a column that nobody uses any more": migration(
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("job", "finished_at")])
    ),
    "code that says why": migration(migrations.RunSQL("SELECT 1"), safe_because="It reads one row."),
    "a table with all that belongs to it": migration(
        migrations.CreateModel("Next", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("next", "name", models.CharField(max_length=9)),
        migrations.AddIndex("next", models.Index(fields=["name"], name="next_name")),
    ),
}


@pytest.mark.mutant
@pytest.mark.fault("F55")
@pytest.mark.parametrize("case", REFUSED)
def test_mutant_what_would_stop_the_previous_release_is_refused(case: str, present: ProjectState) -> None:
    one, why = REFUSED[case]
    found = judge(one, present)
    assert len(found) == 1
    assert why in found[0]


@pytest.mark.fault("F55")
@pytest.mark.parametrize("case", FINE)
def test_what_the_previous_release_does_not_notice_is_not_refused(case: str, present: ProjectState) -> None:
    assert judge(FINE[case], present) == []
