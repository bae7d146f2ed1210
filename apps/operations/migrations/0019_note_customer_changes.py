"""Triggers note each transaction that changes what the customer API says of somebody: no code can forget to.

The function belongs to who migrates and writes as its owner, since web and worker get their rights on the new table only after `migrate`.
Triggers need nobody's right to call it, so nobody else has it: a role that reads alone must not write through it.
It takes no lock that another transaction waits for: each writes rows of its own.
"""

from django.db import migrations

NOTE = """
CREATE OR REPLACE FUNCTION operations_note_change(VARIADIC customers bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO operations_customerchange (profile_id, transaction)
    SELECT DISTINCT one, pg_current_xact_id()::text::bigint FROM unnest(customers) AS one WHERE one IS NOT NULL
    ON CONFLICT DO NOTHING
$$
"""
# For each table: which customers a row is about, and the columns that say something of them.
WATCHED = {
    "accounts_userprofile": (
        "ARRAY[{row}.id]",
        (
            "email", "email_problem", "language", "keycloak_id", "stripe_customer_id", "access_state", "access_reason", "access_until",
            "final_expiry_at", "forecast", "membership_id",
        ),
    ),
    "auth_user": (
        "ARRAY(SELECT id FROM accounts_userprofile WHERE user_id = {row}.id)",
        ("username", "first_name", "last_name"),
    ),
    "accounts_membership": ("ARRAY[{row}.payer_id, {row}.member_id]", ("payer_id", "member_id", "accepted_at", "ended_at")),
    "billing_subscription": (
        "ARRAY(SELECT id FROM accounts_userprofile WHERE stripe_customer_id = {row}.customer_id)",
        (
            "customer_id", "status", "current_period_end", "trial_end", "cancel_at", "ended_at", "pause", "pause_ends_at", "past_due_since",
        ),
    ),
    "billing_usersubscriptionitem": (
        "ARRAY[{row}.profile_id]",
        ("profile_id", "subscription_id", "stripe_price_id", "product_id", "quantity", "unit_amount", "currency", "interval"),
    ),
    "instances_seat": ("ARRAY[{row}.profile_id]", ("profile_id", "product_id", "instance_id", "state")),
    # Everybody with a seat there, at most its hard cap: rare, since only staff rename and move an instance.
    "instances_instance": (
        "ARRAY(SELECT profile_id FROM instances_seat WHERE instance_id = {row}.id AND state <> 'released')",
        ("slug", "name", "url"),
    ),
    # What a reconcile changed, such as numbers that a payer or the catalog gives; one that changes nothing has no steps.
    "access_lastsync": ("ARRAY[{row}.profile_id]", ("(CASE WHEN NEW.steps <> '[]' THEN {row}.generation END)", "(CASE WHEN NEW.steps <> '[]' THEN {row}.steps END)")),
}  # fmt: skip
FUNCTION = """
CREATE OR REPLACE FUNCTION operations_note_{table}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN PERFORM operations_note_change(VARIADIC {old}); RETURN NULL; END IF;
    IF TG_OP = 'UPDATE' THEN PERFORM operations_note_change(VARIADIC {old} || {new}); RETURN NULL; END IF;
    PERFORM operations_note_change(VARIADIC {new}); RETURN NULL;
END $$
"""
CLOSE = "REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC"
TRIGGERS = (
    "CREATE OR REPLACE TRIGGER operations_note_rows AFTER INSERT OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION operations_note_{table}()",
    "CREATE OR REPLACE TRIGGER operations_note_changes AFTER UPDATE ON {table} FOR EACH ROW"
    " WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION operations_note_{table}()",
)


def statements() -> list[str]:
    """Each of which can be given again, and holds one table for a moment."""
    found = [NOTE, CLOSE.format(function="operations_note_change(bigint[])")]
    for table, (people, columns) in WATCHED.items():
        old, new = (people.format(row=row) for row in ("OLD", "NEW"))
        found.append(FUNCTION.format(table=table, old=old, new=new))
        found.append(CLOSE.format(function=f"operations_note_{table}()"))
        was, becomes = (", ".join(_read(name, row) for name in columns) for row in ("OLD", "NEW"))
        found += [one.format(table=table, old=was, new=becomes) for one in TRIGGERS]
    return found


def _read(column: str, row: str) -> str:
    return column.format(row=row) if "{row}" in column else f"{row}.{column}"


def statements_back() -> list[str]:
    found = []
    for table in WATCHED:
        found += [f"DROP TRIGGER IF EXISTS operations_note_{one} ON {table}" for one in ("rows", "changes")]
        found.append(f"DROP FUNCTION IF EXISTS operations_note_{table}()")
    return [*found, "DROP FUNCTION IF EXISTS operations_note_change(bigint[])"]


class Migration(migrations.Migration):
    atomic = False  # so that no two tables are held at once
    dependencies = [
        ("operations", "0018_customer_api"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("access", "0011_incident_mode"),
        ("billing", "0031_after_trial"),
        ("instances", "0020_one_live_account_alone"),
    ]
    safe_because = (
        "The previous release does not see the triggers: they write as their owner, into a table that it does not know. Each takes"
        " its table for the moment in which it is made, waits for writes that are under way, and can be made again."
    )
    operations = [migrations.RunSQL(statements(), statements_back())]
