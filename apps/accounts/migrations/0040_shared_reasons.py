"""What was decided before a reason said whose money it is about: of those for whom another one pays, or did, it is that one's.

By the former rule: a membership, and no subscription of their own that pays. The next sync says it of each decision by itself.
"""

from typing import Any, ClassVar

from django.db import migrations

BATCH = 2_000
FILL = """
UPDATE accounts_userprofile SET access_reason = access_reason || '{"is_shared": true}', forecast = coalesce((
    SELECT jsonb_agg(
        CASE WHEN one ? 'about' AND left(one->>'change', 8) <> 'override' THEN one || '{"is_shared": true}' ELSE one END ORDER BY number)
    FROM jsonb_array_elements(forecast) WITH ORDINALITY AS entries(one, number)), '[]')
WHERE id IN (
    SELECT id FROM accounts_userprofile
    WHERE membership_id IS NOT NULL AND subscription_status NOT IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
        AND access_reason ? 'code' AND NOT access_reason ? 'is_shared'
    ORDER BY id LIMIT %s FOR UPDATE)
"""


def fill(_apps: Any, schema_editor: Any) -> None:
    """A few at a time, so that nobody waits for all of them."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(FILL, [BATCH])
        while cursor.rowcount:
            cursor.execute(FILL, [BATCH])


class Migration(migrations.Migration):
    atomic = False
    safe_because: ClassVar[str] = (
        "It adds a key that the previous release does not read, and locks a few rows at a time, no table."
    )
    dependencies = [("accounts", "0039_imported_at")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
