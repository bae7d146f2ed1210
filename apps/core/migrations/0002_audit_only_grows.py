"""A trigger refuses UPDATE, DELETE and TRUNCATE on the audit trail."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION core_auditentry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail only grows' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER core_auditentry_no_change BEFORE UPDATE OR DELETE ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_auditentry_refuse();
CREATE TRIGGER core_auditentry_no_truncate BEFORE TRUNCATE ON core_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION core_auditentry_refuse();
"""
ALLOW = """
DROP TRIGGER core_auditentry_no_change ON core_auditentry;
DROP TRIGGER core_auditentry_no_truncate ON core_auditentry;
DROP FUNCTION core_auditentry_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
