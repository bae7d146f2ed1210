"""Hands its tables to the app `onboarding`; the rows stay."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("storefront", "0002_waitlist_invitations")]
    operations = [
        migrations.AlterModelTable("onetimecode", "onboarding_onetimecode"),
        migrations.AlterModelTable("waitlistentry", "onboarding_waitlistentry"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel("onetimecode"),
                migrations.DeleteModel("waitlistentry"),
            ]
        ),
    ]
