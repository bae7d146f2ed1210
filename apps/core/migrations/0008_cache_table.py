"""The table of Django's database cache, which `createcachetable` would make; one that is there keeps its rows."""

from django.db import migrations

TABLE = """
CREATE TABLE IF NOT EXISTS "cache" (
    "cache_key" varchar(255) NOT NULL PRIMARY KEY, "value" text NOT NULL, "expires" timestamp with time zone NOT NULL);
CREATE INDEX IF NOT EXISTS "cache_expires" ON "cache" ("expires");
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0007_attention_items")]
    operations = [migrations.RunSQL(TABLE, migrations.RunSQL.noop)]
