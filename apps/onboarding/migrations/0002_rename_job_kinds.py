"""Plain names for two job kinds, in queued and finished jobs and in the schedule."""

from django.db import migrations

RENAMED = {"settle_signup": "check_checkout", "forget_stale_signups": "prune_signups"}


def rename_kinds(kinds):
    statements = []
    for old, new in kinds.items():
        statements.append(("UPDATE core_job SET kind = %s, lane = replace(lane, %s, %s) WHERE kind = %s", [new, old, new, old]))
        statements.append(("UPDATE core_schedule SET kind = %s WHERE kind = %s", [new, old]))
    return statements


class Migration(migrations.Migration):
    dependencies = [("onboarding", "0001_initial"), ("core", "0006_plain_names")]
    operations = [
        migrations.RunSQL(rename_kinds(RENAMED), rename_kinds({new: old for old, new in RENAMED.items()})),
    ]
