from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0008_check_draining'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='location',
            field=models.CharField(blank=True, db_default='', default='', help_text='Where its data lives, e.g. Falkenstein.', max_length=80),
        ),
        migrations.AddField(
            model_name='instance',
            name='country',
            field=models.CharField(blank=True, db_default='', default='', help_text='Its country, as an ISO code of two letters.', max_length=2),
        ),
        migrations.AddField(
            model_name='instance',
            name='notice',
            field=models.CharField(blank=True, choices=[('maintenance', 'Maintenance'), ('disruption', 'Disruption')], db_default='', default='', editable=False, max_length=12),
        ),
        migrations.AddField(
            model_name='instance',
            name='notice_from',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='notice_until',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
