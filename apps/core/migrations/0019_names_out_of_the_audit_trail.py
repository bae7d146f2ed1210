"""Take names and addresses out of old audit entries: the trail keeps ids.

An entry keeps its hash, so its chain and all anchors of before still hold. What it says from now on is proven by a new entry at
the end of its chain, which lists the digests (core/audit_chains.py reads it). An entry that was altered before shows as before.
"""

from importlib import import_module
from typing import Any

from django.db import migrations
from django.utils import timezone

digest = import_module("apps.core.migrations.0003_password_email_audit_actions").digest
OF_ACCESS = ("access", "disabled", "deleted")  # kinds of drift whose steps name nobody
WHY = "The audit trail keeps ids, never names."


def without_names(entry: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `before` and `after` of the entry may still say."""
    before, after = entry.before, entry.after
    if entry.action == "account_corrected" and "fields" not in after:
        return {}, {"fields": sorted(before.keys() | after.keys())}
    if entry.action == "drift_found" and after.get("kind") not in OF_ACCESS:
        return before, {name: value for name, value in after.items() if name != "steps"}
    if entry.action == "drift_fixed":
        return {name: value for name, value in before.items() if name != "email"}, after
    if entry.action == "test_email_requested":
        return before, {name: value for name, value in after.items() if name != "to"}
    if entry.action == "signed_up":
        return before, {name: value for name, value in after.items() if name not in {"username", "email"}}
    return before, after


def remove_names(apps: Any, schema_editor: Any) -> None:
    """Chain by chain; nothing where no old entry names anybody."""
    entries = apps.get_model("core", "AuditEntry").objects
    actions = ("account_corrected", "drift_found", "drift_fixed", "test_email_requested", "signed_up")
    chains: dict[tuple[str, str], dict[str, str]] = {}
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
        for entry in entries.filter(action__in=actions).order_by("id").iterator(chunk_size=2_000):
            before, after = without_names(entry)
            if (before, after) == (entry.before, entry.after):
                continue
            was_intact = digest(entry) == entry.hash
            entry.before, entry.after = before, after
            entry.save(update_fields=["before", "after"])
            if was_intact:
                chains.setdefault((entry.subject_kind, entry.subject_id), {})[str(entry.pk)] = digest(entry)
        cursor.execute("ALTER TABLE core_auditentry ENABLE TRIGGER core_auditentry_no_change")
    for (kind, identity), digests in chains.items():
        last = entries.filter(subject_kind=kind, subject_id=identity).order_by("-id").values_list("hash", flat=True)[0]
        line = entries.model(
            at=timezone.now(), subject_kind=kind, subject_id=identity, action="names_removed", actor="system", reason=WHY,
            after={"entries": digests}, prev_hash=last,
        )  # fmt: skip
        line.hash = digest(line)
        line.save()


class Migration(migrations.Migration):
    dependencies = [("core", "0018_even_limits")]
    operations = [migrations.RunPython(remove_names, migrations.RunPython.noop)]
