"""Why a state holds becomes a code with its dates; the next sync writes the forecast, and what a state alone doesn't tell."""

from django.db import migrations, models

CODES = """
UPDATE accounts_userprofile SET access_reason = jsonb_strip_nulls(jsonb_build_object(
    'code', CASE access_state WHEN 'active' THEN 'paid' WHEN 'grace' THEN 'payment_late' WHEN 'suspended' THEN 'unpaid'
        WHEN 'none' THEN 'never_paid' ELSE access_state END,
    'until', to_char(
        CASE WHEN access_state IN ('canceled', 'expired') THEN final_expiry_at ELSE access_until END AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')))
WHERE access_sentence <> ''
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_signup_network")]

    operations = [
        migrations.AddField(
            "userprofile",
            "access_reason",
            models.JSONField(blank=True, default=dict, help_text="Why: a code with its dates, core/reasons.py."),
        ),
        migrations.AddField(
            "userprofile",
            "forecast",
            models.JSONField(blank=True, default=list, help_text="What happens next, soonest first: access/forecast.py."),
        ),
        migrations.AddField(
            "userprofile",
            "next_change_at",
            models.DateTimeField(blank=True, help_text="The first date of the forecast.", null=True),
        ),
        migrations.RunSQL(CODES, migrations.RunSQL.noop),
        migrations.RemoveField("userprofile", "access_sentence"),
        migrations.AddIndex("userprofile", models.Index(fields=["next_change_at", "-id"], name="profile_next_change")),
    ]
