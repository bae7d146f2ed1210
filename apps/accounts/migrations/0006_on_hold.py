"""The access state of a subscriber with a hold is `on_hold`; the right to approve what the safeguard stopped is renamed."""

from django.db import migrations, models
from django.db.models import Q

STATE = "UPDATE accounts_userprofile SET access_state = %s WHERE access_state = %s"
CODENAME = "UPDATE auth_permission SET codename = %s, name = %s WHERE codename = %s"
STATES = ["none", "active", "grace", "suspended", "recovering", "canceled", "expired", "on_hold"]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_hand_over"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.RemoveConstraint("userprofile", "profile_access_state_known"),
        migrations.RunSQL([(STATE, ["on_hold", "held"])], [(STATE, ["held", "on_hold"])]),
        migrations.AddConstraint(
            "userprofile",
            models.CheckConstraint(condition=Q(access_state__in=STATES), name="profile_access_state_known"),
        ),
        migrations.RunSQL(
            [(CODENAME, ["approve_revocations", "Can approve what the safeguard stopped", "confirm_losses"])],
            [(CODENAME, ["confirm_losses", "Can confirm that many lose access at once", "approve_revocations"])],
        ),
    ]
