import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0032_see_personal_data'),
        ('onboarding', '0008_code_purposes'),
    ]

    operations = [
        migrations.CreateModel(
            name='AddressChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('former', models.EmailField(help_text='The address before.', max_length=254)),
                ('changed_at', models.DateTimeField()),
                ('objected_at', models.DateTimeField(blank=True, help_text='When it was undone, or a change before it.', null=True)),
                ('profile', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='address_changes', to='accounts.userprofile')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('objected_at__isnull', True), ('objected_at__gte', models.F('changed_at')), _connector='OR'), name='address_objected_after_change')],
            },
        ),
    ]
