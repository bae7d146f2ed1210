"""Which subscriber uses which coupon."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0032_see_personal_data"), ("billing", "0025_next_charge_tax")]

    operations = [
        migrations.CreateModel(
            "Coupon",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stripe_id", models.CharField(max_length=255, unique=True)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("percent_off", models.DecimalField(blank=True, decimal_places=4, max_digits=7, null=True)),
                ("amount_off", models.BigIntegerField(blank=True, help_text="Minor units.", null=True)),
                ("currency", models.CharField(blank=True, max_length=16)),
                (
                    "duration",
                    models.CharField(
                        blank=True, help_text="once, repeating or forever; empty: not known.", max_length=20
                    ),
                ),
                (
                    "months",
                    models.PositiveBigIntegerField(blank=True, help_text="Of one that is repeating.", null=True),
                ),
                (
                    "is_deleted",
                    models.BooleanField(default=False, help_text="At Stripe: nobody new can use it."),
                ),
                ("fetched_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            "Discount",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stripe_id", models.CharField(max_length=255, unique=True)),
                (
                    "subscription_id",
                    models.CharField(blank=True, help_text="Empty: of everything they pay.", max_length=255),
                ),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                (
                    "ends_at",
                    models.DateTimeField(blank=True, help_text="Empty: it has no end, or is used once.", null=True),
                ),
                (
                    "ended_at",
                    models.DateTimeField(
                        blank=True, help_text="When it was found to be used up or taken away.", null=True
                    ),
                ),
                (
                    "coupon",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Empty: Stripe does not say which.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="discounts",
                        to="billing.coupon",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="discounts",
                        to="accounts.userprofile",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["coupon", "profile", "ends_at"],
                        name="discount_in_use",
                    )
                ]
            },
        ),
    ]
