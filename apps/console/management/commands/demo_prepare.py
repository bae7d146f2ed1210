"""`manage.py demo_prepare`: tables, cache table, and a small catalog to look around in. Safe to run again.

For rehearsals with test keys only: it creates products and prices at the Stripe that STRIPE_API_HOST names.
"""

from typing import Any, override

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.billing.prices import create_price, create_product
from apps.catalog.models import Product, ProductPrice
from apps.instances import deployments
from apps.instances.models import Instance, Provisioning
from apps.instances.provisioning import connections

ACTOR = "system:demo"
# slug, name, summary, placement, options; amounts are cents for a month and a year
APPS: list[dict[str, Any]] = [
    {
        "slug": "nextcloud",
        "name": "Nextcloud",
        "name_de": "Nextcloud",
        "summary": "Your files, calendar and contacts.",
        "summary_de": "Ihre Dateien, Kalender und Kontakte.",
        "icon": "cloud",
        "color": "#2368a0",
        "first_steps": [
            "Open it here and log in. Your files, calendar and contacts are on its first page.",
            "Install the program on your computer or phone. It keeps a folder there the same as here.",
            "When the program asks for a server, enter the address below.",
        ],
        "first_steps_de": [
            "Öffnen Sie es hier und melden Sie sich an. Ihre Dateien, Kalender und Kontakte sind auf der ersten Seite.",
            "Installieren Sie das Programm auf Ihrem Computer oder Telefon. Es hält dort einen Ordner auf demselben Stand wie hier.",
            "Wenn das Programm nach einem Server fragt, geben Sie die Adresse hier unten ein.",
        ],
        "client_links": [
            {"name": "Windows, macOS and Linux", "url": "https://nextcloud.com/install/#desktop-files"},
            {"name": "Android", "url": "https://f-droid.org/packages/com.nextcloud.client/"},
            {"name": "iPhone and iPad", "url": "https://apps.apple.com/app/nextcloud/id1125420102"},
        ],
        "sync_address": "{url}",
        "guide_url": "https://docs.nextcloud.com/server/latest/user_manual/en/",
    },
    {
        "slug": "vaultwarden",
        "name": "Vaultwarden",
        "name_de": "Vaultwarden",
        "summary": "A safe for your passwords.",
        "summary_de": "Ein Tresor für Ihre Passwörter.",
        "icon": "key",
        "color": "#8a4b08",
        "placement": "general",
        "prices": {"month": 200, "year": 2000},
    },
    {
        "slug": "immich",
        "name": "Immich",
        "name_de": "Immich",
        "summary": "Your photos and videos, with 100 GB.",
        "summary_de": "Ihre Fotos und Videos, mit 100 GB.",
        "icon": "photo",
        "color": "#2f6b3a",
        "grants": {"photos_gb": 100},
        "placement": "general",
        "prices": {"month": 300, "year": 3000},
    },
]
OFFERS: list[dict[str, Any]] = [
    {
        "slug": "personal",
        "name": "Personal",
        "name_de": "Persönlich",
        "summary": "Everything for one person.",
        "summary_de": "Alles für eine Person.",
        "features": ["Nextcloud with 100 GB", "Calendar and contacts", "Daily backups"],
        "features_de": ["Nextcloud mit 100 GB", "Kalender und Kontakte", "Tägliche Backups"],
        "includes": ["nextcloud"],
        "grants": {"storage_gb": 100},
        "placement": "plan",
        "prices": {"month": 500, "year": 5000},
    },
    {
        "slug": "plus",
        "name": "Plus",
        "name_de": "Plus",
        "summary": "More room, and a safe for your passwords.",
        "summary_de": "Mehr Platz und ein Tresor für Ihre Passwörter.",
        "features": [
            "Nextcloud with 500 GB",
            "Vaultwarden included",
            "Daily backups",
            "Answers within a day",
        ],
        "features_de": [
            "Nextcloud mit 500 GB",
            "Vaultwarden inklusive",
            "Tägliche Backups",
            "Antworten innerhalb eines Tages",
        ],
        "includes": ["nextcloud", "vaultwarden"],
        "grants": {"storage_gb": 500},
        "placement": "plan",
        "highlighted": True,
        "prices": {"month": 900, "year": 9000},
    },
    {
        "slug": "storage_100",
        "name": "100 GB more",
        "name_de": "100 GB mehr",
        "summary": "Extra storage for Nextcloud.",
        "summary_de": "Zusätzlicher Speicher für Nextcloud.",
        "icon": "storage",
        "grants": {"storage_gb": 100},
        "placement": "storage",
        "max_quantity": 10,
        "prices": {"month": 150, "year": 1500},
    },
]
INSTANCES = [
    ("nextcloud-1", "Nextcloud 1", "nextcloud", (40, 50, 60)),
    ("nextcloud-2", "Nextcloud 2", "nextcloud", (40, 50, 60)),
    ("vaultwarden-1", "Vaultwarden 1", "vaultwarden", (80, 100, 120)),
    ("immich-1", "Immich 1", "immich", (40, 50, 60)),
]
OBEY: dict[str, dict[str, str]] = {
    "nextcloud": {"login": "frontdesk", "group": "customers", "quota_grant": "storage_gb"},
    "immich": {"login": "admin@photos.example.com", "quota_grant": "photos_gb"},
}


class Command(BaseCommand):
    """Prepares a database for the demo."""

    help = "Migrate, and create the demo catalog (test keys only)."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--products", default="", help="where the products are that take orders, without kind and name"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if settings.STRIPE_LIVE_MODE:
            raise CommandError("This creates products at Stripe; it refuses to do so with a live key.")
        call_command("migrate", interactive=False, verbosity=0)
        position = 0
        for offer in [*APPS, *OFFERS]:
            position += 10
            _offer(offer, position=position)
        for slug, name, product, caps in INSTANCES:
            _instance(slug, name, product, caps)
            if options["products"] and product in OBEY and slug in settings.PROVISIONER_SECRETS:
                _obey(slug, product, f"{options['products']}/{product}/{slug}")


def _offer(offer: dict[str, Any], *, position: int) -> None:
    """One product with its prices, here and at Stripe, unless it is there."""
    fields = {name: value for name, value in offer.items() if name not in {"includes", "prices"}}
    is_app = offer in APPS
    product, _ = Product.objects.get_or_create(
        slug=offer["slug"],
        defaults=fields | {"position": position, "is_app": is_app, "needs_instance": is_app},
    )
    product.includes.set(Product.objects.filter(slug__in=offer.get("includes", [])))
    for interval, amount in offer.get("prices", {}).items():
        if product.prices.filter(interval=interval, is_active=True).exists():
            continue
        if not product.stripe_product_id:
            product.stripe_product_id = create_product(slug=product.slug, name=product.name)
            product.save(update_fields=["stripe_product_id"])
        price = create_price(
            product_id=product.stripe_product_id,
            interval=interval,
            unit_amount=amount,
            currency="eur",
        )
        ProductPrice.objects.create(
            product=product,
            stripe_price_id=price,
            interval=interval,
            unit_amount=amount,
            currency="eur",
        )


def _instance(slug: str, name: str, product: str, caps: tuple[int, int, int]) -> None:
    if Instance.objects.filter(slug=slug).exists():
        return
    soft, allocation_cap, hard = caps
    instance = Instance(
        product=Product.objects.get(slug=product),
        slug=slug,
        name=name,
        url=f"https://{slug}.example.com/",
        location="Falkenstein",
        country="DE",
        soft_cap=soft,
        allocation_cap=allocation_cap,
        hard_cap=hard,
    )
    deployments.create_instance(instance, actor=ACTOR, reason="demo catalog")


def _obey(slug: str, kind: str, address: str) -> None:
    """Let the product of an instance take orders, unless staff have set it up already."""
    if not Provisioning.objects.filter(instance__slug=slug).exists():
        found = Provisioning(instance=Instance.objects.get(slug=slug), kind=kind, address=address, **OBEY[kind])
        connections.save_connection(found, actor=ACTOR, reason="demo catalog")
