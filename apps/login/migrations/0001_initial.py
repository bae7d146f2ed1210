"""Takes over the tables that other apps handed over; their content types come along, and with them permissions and log entries."""

from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("accounts", "0005_hand_over"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
        migrations.CreateModel(
            name='UsedLogoutToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('jti', models.CharField(max_length=255, unique=True)),
                ('used_at', models.DateTimeField(db_index=True)),
            ],
        ),
            ]
        ),
        migrations.RunSQL(
            "UPDATE django_content_type SET app_label = 'login' WHERE app_label = 'accounts' AND model = 'usedlogouttoken'",
            "UPDATE django_content_type SET app_label = 'accounts' WHERE app_label = 'login' AND model = 'usedlogouttoken'",
        ),
    ]
