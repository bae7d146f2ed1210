"""What the list of the laws is called."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0024_comparison_runs")]
    operations = [migrations.AlterModelOptions("lawcheck", {"verbose_name_plural": "laws"})]
