"""What is sold. Which entitlements a paid item gives is arithmetic in entitlements.py."""

from collections.abc import Collection
from typing import Any, ClassVar, override

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from apps.catalog import translated
from apps.catalog.entitlements import Entitlements, attribute_names
from apps.catalog.translated import TranslatedLines, TranslatedText, column_for
from apps.core import languages
from apps.core.choices import ToneChoices
from apps.core.states import Tone

TEXTS = ("name", "summary", "features", "first_steps")  # what people read of a product
SLUG = RegexValidator(r"^[a-z0-9][a-z0-9_]*$", "Use lowercase letters, digits and underscores.")

SYNC_ADDRESS = RegexValidator(
    r"^[^\s{}]*(\{(url|username)\}[^\s{}]*)*$", "Use no spaces, and no braces except {url} and {username}."
)


class Product(models.Model):
    """A service or an offer: a plan, an app people log in to, or an add-on.

    An app (`is_app`) gives `has_<slug>`; one that `needs_instance` also a seat. A plan gives the apps it `includes`.
    """

    class Placement(ToneChoices):
        """Where the wizard offers it."""

        PLAN = "plan", Tone.BUSY, "Plan"
        GENERAL = "general", Tone.BUSY, "General add-on"
        STORAGE = "storage", Tone.BUSY, "Storage add-on"
        HIDDEN = "hidden", Tone.CALM, "Not offered"

    slug = models.CharField(max_length=40, unique=True, validators=[SLUG])
    name = TranslatedText(max_length=80)
    summary = TranslatedText(max_length=200, blank=True, help_text="One sentence for the pricing page.")
    features = TranslatedLines(default=list, blank=True, help_text="Lines of the pricing page, a list of texts.")
    icon = models.CharField(max_length=40, blank=True, help_text="Name of the icon, e.g. cloud, key, photo, storage.")
    color = models.CharField(max_length=7, blank=True, validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$")])
    position = models.PositiveSmallIntegerField(default=0, help_text="Order on the pricing page, small first.")
    highlighted = models.BooleanField(default=False, help_text="Recommended on the pricing page.")
    placement = models.CharField(max_length=8, choices=Placement, default=Placement.HIDDEN)
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="addons",
        help_text="Only with this plan.",
    )
    includes = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="included_in")
    is_app = models.BooleanField("an app", default=False, help_text="People log in to it: gives has_ and its slug.")
    needs_instance = models.BooleanField(
        "needs an instance", default=False, help_text="Each person gets a seat on one of its instances."
    )
    grants = models.JSONField(default=dict, blank=True, help_text='Numbers that add up, e.g. {"storage_gb": 100}.')
    first_steps = TranslatedLines(
        default=list, blank=True, db_default=models.Value([], models.JSONField()),
        help_text="How to begin with it, a list of texts, for those who have it.",
    )  # fmt: skip
    client_links = models.JSONField(
        default=list, blank=True, db_default=models.Value([], models.JSONField()),
        help_text="Its programs for phone and computer: a list of names, each with an address.",
    )  # fmt: skip
    sync_address = models.CharField(
        max_length=200, blank=True, default="", db_default="", validators=[SYNC_ADDRESS],
        help_text="What a program is told to connect to; {url} is the address of the person's instance, {username} their username.",
    )  # fmt: skip
    guide_url = models.URLField(
        "guide", blank=True, default="", db_default="", help_text="Where more is said about it."
    )
    # The texts above in German; empty: English is read there too (catalog/translated.py).
    name_de = models.CharField("name in German", max_length=80, blank=True, default="", db_default="")
    summary_de = models.CharField("summary in German", max_length=200, blank=True, default="", db_default="")
    features_de = models.JSONField(
        "features in German", default=list, blank=True, db_default=models.Value([], models.JSONField())
    )
    first_steps_de = models.JSONField(
        "first steps in German", default=list, blank=True, db_default=models.Value([], models.JSONField())
    )
    max_quantity = models.PositiveSmallIntegerField(default=1)
    people = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="For how many people one of it is, the buyer included: each has its apps and numbers. 0: for the buyer alone.",
    )
    stripe_product_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    is_active = models.BooleanField("offered", default=True)
    # Every attribute it has ever given: one that it no longer gives is still ours to remove.
    names_given = models.JSONField(default=list, blank=True, editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["position", "name"]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=Q(needs_instance=False) | Q(is_app=True),
                name="product_instance_means_app",
            ),
            models.CheckConstraint(condition=Q(max_quantity__gte=1), name="product_max_quantity_positive"),
        ]

    @override
    def __str__(self) -> str:
        return str(self.name)

    @override
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Remember the attributes it gives from now on; none is ever forgotten."""
        own = Entitlements(frozenset({self.slug} if self.is_app else ()), grants=self.grants)
        self.names_given = sorted({*self.names_given, *attribute_names(own)})
        if fields := kwargs.get("update_fields"):
            kwargs["update_fields"] = {*fields, "names_given"}
        super().save(*args, **kwargs)

    def untranslated(self) -> dict[str, list[str]]:
        """Which texts have no translation, by the language, of those that the site offers beside another one."""
        offered = languages.offered() if len(languages.offered()) > 1 else ()
        found = {
            code: [name for name in TEXTS if getattr(self, name) and not getattr(self, column_for(name, code))]
            for code in translated.LANGUAGES
            if code in offered
        }
        return {code: names for code, names in found.items() if names}

    @property
    def is_sold_by_people(self) -> bool:
        """Whether the buyer chooses for how many people it is."""
        return self.people > 0 and self.max_quantity > 1

    @property
    def most_people(self) -> int:
        """For how many people it can be bought at most; 0: for the buyer alone."""
        return self.people * self.max_quantity

    def seats(self) -> "list[Product]":
        """The products that a buyer of this one needs a seat on. No query where `includes` is prefetched."""
        return [app for app in [self, *self.includes.all()] if app.needs_instance]

    @classmethod
    def seats_of(cls, product_ids: Collection[int]) -> "list[Product]":
        """The products that a buyer of all of these needs a seat on, each once, in the order of locks (ids). One query."""
        seated = cls.objects.filter(needs_instance=True)
        needed = seated.filter(pk__in=product_ids) | seated.filter(included_in__in=product_ids)
        return list(needed.distinct().order_by("pk"))


class ProductPrice(models.Model):
    """A Stripe price a product is sold at. Amounts are in the currency's minor unit (cents)."""

    class Interval(models.TextChoices):
        """Stripe's `recurring.interval`. We offer the first two; the others, and any new one, are only held."""

        MONTH = "month", "Monthly"
        YEAR = "year", "Yearly"
        WEEK = "week", "Weekly"
        DAY = "day", "Daily"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="prices")
    stripe_price_id = models.CharField(max_length=255, unique=True)
    interval = models.CharField(max_length=20, choices=Interval)
    unit_amount = models.PositiveBigIntegerField(
        null=True, help_text="Minor units, e.g. cents. Empty when one has no fixed whole amount."
    )
    currency = models.CharField(max_length=16, default="eur")
    is_active = models.BooleanField("offered", default=True, help_text="Offered to new customers; others keep it.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["product", "interval", "currency"],
                condition=Q(is_active=True),
                name="price_one_active_per_interval",
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(unit_amount__isnull=False), name="price_offered_has_amount"
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(interval__in=["month", "year"]), name="price_offered_by_month_or_year"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.product.name}, {self.get_interval_display().lower()}"
