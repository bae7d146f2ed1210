"""Plain names for audit actions and job kinds, in old rows too. The hash chains of the trail are computed again."""

from importlib import import_module
from typing import Any

from django.db import migrations

chains = import_module("apps.core.migrations.0003_password_email_audit_actions")

ACTIONS = {
    "access_state": "access_changed",
    "mail_again": "email_resent",
    "recovery_proven": "recovery_code_verified",
    "instance.created": "instance_created",
    "instance.caps": "instance_caps_changed",
    "instance.open": "instance_availability_changed",
    "seat.moved": "seat_moved",
    "seat.waiting": "seat_waiting",
    "seat.held": "seat_reserved",
    "seat.assigned": "seat_assigned",
    "seat.retained": "seat_retained",
    "seat.released": "seat_released",
    "sync_run_again": "sync_run_retried",
    "signup_given_up": "signup_expired",
    "staff.roles_changed": "staff_roles_changed",
    "price_placed": "price_mapped",
    "test_mail_requested": "test_email_requested",
    "test_mail_sent": "test_email_sent",
    "test_mail_failed": "test_email_failed",
    "test_mail_to_nobody": "test_email_no_recipient",
    "loss_confirmed": "revocation_approved",
    "drift_mended": "drift_fixed",
}
# One action for all kinds of override: the kind, which was part of the action's name, moves into the entry.
OVERRIDES = {"hold": "hold", "grant": "grant", "no_suspend": "no_suspend", "keep_place": "keep_seat"}
DETAILS = {f"override_{old}": ("after", {"kind": new}) for old, new in OVERRIDES.items()} | {
    f"override_{old}_lifted": ("before", {"kind": new}) for old, new in OVERRIDES.items()
}
ACTIONS |= {f"override_{kind}": "override_added" for kind in OVERRIDES}
ACTIONS |= {f"override_{kind}_lifted": "override_ended" for kind in OVERRIDES}
KINDS = {
    "release_expired_holds": "release_expired_reservations",
    "send_realm_test_mail": "send_realm_test_email",
}


def rename(apps: Any, schema_editor: Any) -> None:
    """Rename actions (an entry that was tampered with still shows), kinds, and the kind of subject `massloss`."""
    chains.rename_actions(apps, schema_editor, ACTIONS, subjects={"massloss": "safeguardreview"}, details=DETAILS)
    for old, new in KINDS.items():
        apps.get_model("core", "Job").objects.filter(kind=old).update(kind=new)
        apps.get_model("core", "Schedule").objects.filter(kind=old).delete()  # written again by the next sweep


class Migration(migrations.Migration):
    dependencies = [("core", "0005_labels")]
    operations = [migrations.RunPython(rename, migrations.RunPython.noop)]
