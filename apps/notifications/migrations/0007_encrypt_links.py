"""Links that are a right to act lie readable in no row: they go where the mail has left, and are encrypted where it has not."""

from typing import Any

from django.db import migrations

from apps.core import encryption

LINKS = ("confirm_url", "invite_url", "leave_url")


def hide_links(apps: Any, _schema_editor: Any) -> None:
    """Row by row; each has its own."""
    emails = apps.get_model("notifications", "Notification").objects
    for row in emails.filter(context__has_any_keys=LINKS).iterator(chunk_size=1_000):
        links = {name: str(row.context.pop(name)) for name in LINKS if name in row.context}
        if row.state != "sent":
            row.encrypted = encryption.encrypt(links)
        row.save(update_fields=["context", "encrypted"])


class Migration(migrations.Migration):
    dependencies = [("notifications", "0006_search")]
    operations = [migrations.RunPython(hide_links, migrations.RunPython.noop)]
