"""Hands its tables to the apps `operations` and `login`; the rows stay."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_mass_guard")]
    operations = [
        migrations.AlterModelTable("massloss", "operations_massloss"),
        migrations.AlterModelTable("usedlogouttoken", "login_usedlogouttoken"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel("massloss"),
                migrations.DeleteModel("usedlogouttoken"),
            ]
        ),
    ]
