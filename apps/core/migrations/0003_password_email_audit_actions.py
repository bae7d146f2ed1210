"""One name for each audit action of the password email, in old entries too. Their hash chains are computed again."""

import hashlib
import json
from typing import Any

from django.db import migrations

RENAMED = {
    "password.mail_requested": "password_email_requested",
    "password_mail_requested": "password_email_requested",
    "password_mail_sent": "password_email_sent",
}


def rename(apps: Any, schema_editor: Any) -> None:
    """Rename the actions of password emails."""
    rename_actions(apps, schema_editor, RENAMED)


def rename_actions(
    apps: Any,
    schema_editor: Any,
    renamed: dict[str, str],
    *,
    subjects: dict[str, str] | None = None,
    details: dict[str, tuple[str, dict[str, str]]] | None = None,
) -> None:
    """Rename actions and kinds of subject, and recompute the hashes of their chains; a tampered entry still shows.

    `details`: for an old action, what its name said beyond the new one, and the field (`before` or `after`) that keeps it.
    """
    subjects, details = subjects or {}, details or {}
    entries = apps.get_model("core", "AuditEntry").objects
    touched = entries.filter(action__in=renamed) | entries.filter(subject_kind__in=subjects)
    chains = list(touched.values_list("subject_kind", "subject_id").distinct().order_by("subject_kind", "subject_id"))
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
        for kind, identity in chains:
            before = last = ""
            for entry in entries.filter(subject_kind=kind, subject_id=identity).order_by("id"):
                intact = entry.prev_hash == before and entry.hash == digest(entry)
                before = entry.hash
                if entry.action in details:
                    field, said = details[entry.action]
                    setattr(entry, field, getattr(entry, field) | said)
                entry.action = renamed.get(entry.action, entry.action)
                entry.subject_kind = subjects.get(kind, kind)
                if intact:
                    entry.prev_hash = last
                    entry.hash = digest(entry)
                last = entry.hash
                entry.save(update_fields=["subject_kind", "action", "before", "after", "prev_hash", "hash"])
        cursor.execute("ALTER TABLE core_auditentry ENABLE TRIGGER core_auditentry_no_change")


def digest(entry: Any) -> str:
    """As core.audit computed it when this was written."""
    line = [
        entry.prev_hash, entry.at.isoformat(), entry.subject_kind, entry.subject_id, entry.action, entry.actor,
        entry.reason, entry.before, entry.after,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(line, sort_keys=True, default=str).encode()).hexdigest()


LANE = "UPDATE core_job SET lane = kind || ':' || key WHERE kind = 'send_keycloak_password_reset_email' AND state <> 'running'"


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_only_grows")]
    operations = [
        migrations.RunPython(rename, migrations.RunPython.noop),
        migrations.RunSQL(LANE, migrations.RunSQL.noop),
    ]
