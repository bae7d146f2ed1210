"""Each migration since the last release can run while that release serves: see migration_rules.py."""

from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
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
        migration(AddConstraintNotValid("job", CHARGE), ValidateConstraint("job", "few_attempts")), "of its own",
    ),
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
    "a constraint for what comes": migration(AddConstraintNotValid("job", CHARGE)),
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
