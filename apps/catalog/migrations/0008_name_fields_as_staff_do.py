from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0007_german_texts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='product',
            name='guide_url',
            field=models.URLField(blank=True, db_default='', default='', help_text='Where more is said about it.', verbose_name='guide'),
        ),
        migrations.AlterField(
            model_name='product',
            name='is_active',
            field=models.BooleanField(default=True, verbose_name='offered'),
        ),
        migrations.AlterField(
            model_name='product',
            name='is_app',
            field=models.BooleanField(default=False, help_text='People log in to it: gives has_ and its slug.', verbose_name='an app'),
        ),
        migrations.AlterField(
            model_name='product',
            name='needs_instance',
            field=models.BooleanField(default=False, help_text='Each person gets a seat on one of its instances.', verbose_name='needs an instance'),
        ),
    ]
