"""The values of an email that must not lie readable are `encrypted`."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_labels")]
    operations = [migrations.RenameField("notification", "sealed", "encrypted")]
