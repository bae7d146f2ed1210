from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0008_name_fields_as_staff_do'),
    ]

    operations = [
        migrations.AlterField(
            model_name='productprice',
            name='is_active',
            field=models.BooleanField(default=True, help_text='Offered to new customers; others keep it.', verbose_name='offered'),
        ),
    ]
