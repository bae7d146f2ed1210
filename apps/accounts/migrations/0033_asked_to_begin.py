from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0032_see_personal_data"),
    ]

    operations = [
        migrations.AddField(
            model_name="signup",
            name="asked_to_begin_at",
            field=models.DateTimeField(
                blank=True, help_text="Asked us to begin before the days to withdraw are over.", null=True
            ),
        ),
    ]
