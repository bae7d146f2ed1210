import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_any_id_and_amount'),
    ]

    operations = [
        migrations.AddField(
            model_name='product',
            name='first_steps',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='How to begin with it, a list of texts, for those who have it.'),
        ),
        migrations.AddField(
            model_name='product',
            name='client_links',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='Its programs for phone and computer: a list of names, each with an address.'),
        ),
        migrations.AddField(
            model_name='product',
            name='sync_address',
            field=models.CharField(blank=True, db_default='', default='', help_text="What a program is told to connect to; {url} is the address of the person's instance, {username} their username.", max_length=200, validators=[django.core.validators.RegexValidator('^[^\\s{}]*(\\{(url|username)\\}[^\\s{}]*)*$', 'Use no spaces, and no braces except {url} and {username}.')]),
        ),
        migrations.AddField(
            model_name='product',
            name='guide_url',
            field=models.URLField(blank=True, db_default='', default='', help_text='Where more is said about it.'),
        ),
    ]
