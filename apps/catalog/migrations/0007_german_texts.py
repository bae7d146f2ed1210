from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0006_people'),
    ]

    operations = [
        migrations.AddField(
            model_name='product',
            name='name_de',
            field=models.CharField(blank=True, db_default='', default='', max_length=80, verbose_name='name in German'),
        ),
        migrations.AddField(
            model_name='product',
            name='summary_de',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='summary in German'),
        ),
        migrations.AddField(
            model_name='product',
            name='features_de',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, verbose_name='features in German'),
        ),
        migrations.AddField(
            model_name='product',
            name='first_steps_de',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, verbose_name='first steps in German'),
        ),
    ]
