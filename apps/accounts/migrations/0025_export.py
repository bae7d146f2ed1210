"""A permission of its own for taking the list of subscribers away as a file."""

from django.db import migrations

PERMISSIONS = [
    ("sync_userprofile", "Can sync a subscriber now"),
    ("mail_userprofile", "Can send a subscriber a password mail"),
    ("allocate_seat", "Can assign, move and release seats"),
    ("override_access", "Can hold, grant and protect access"),
    ("export_userprofile", "Can export the list of subscribers"),
    ("recover_accounts", "Can send recovery codes, open recovery and keep seats"),
    ("retry_job", "Can retry jobs"),
    ("retry_payment", "Can collect an open payment again"),
    ("schedule_cancellation", "Can cancel at the period's end, and undo it"),
    ("refund_payment", "Can refund payments"),
    ("refund_large_payment", "Can refund more than the limit at once"),
    ("cancel_subscription", "Can cancel subscriptions at once"),
    ("pause_collection", "Can pause and resume payments"),
    ("change_catalog", "Can change what is sold"),
    ("change_capacity", "Can change instances and their caps"),
    ("change_terms", "Can change the terms: grace, recovery window, final expiry"),
    ("approve_revocations", "Can approve what the safeguard stopped"),
]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0024_index_waits")]
    operations = [
        migrations.AlterModelOptions("userprofile", {"permissions": PERMISSIONS, "verbose_name": "subscriber"})
    ]
