from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0024_index_accounts_of_a_person'),
    ]

    operations = [
        migrations.AlterField(
            model_name='instance',
            name='auto_allocate',
            field=models.BooleanField(default=True, help_text='New subscribers may be assigned here.', verbose_name='open to new subscribers'),
        ),
        migrations.AlterField(
            model_name='instance',
            name='is_active',
            field=models.BooleanField(default=True, verbose_name='in use'),
        ),
        migrations.AlterField(
            model_name='instance',
            name='url',
            field=models.URLField(help_text='Where its users go.', verbose_name='address'),
        ),
    ]
