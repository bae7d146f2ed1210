"""How the console looks: the operator's name and colour, and a label that tells live from test. No queries but the menu's."""

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from apps.console.menu_counts import COUNTED

# How much of the brand's colour is left when it is mixed with white (50-500) or with black (700-950); 600 is the brand.
TINTS = {"50": 6, "100": 12, "200": 24, "300": 40, "400": 56, "500": 74}
SHADES = {"700": 84, "800": 68, "900": 54, "950": 36}


def title(_request: HttpRequest) -> str:
    return str(settings.BRAND["name"])


def environment(_request: HttpRequest) -> list[str]:
    """The label in the corner of every page: access is paused, else real money, or Stripe's test mode."""
    if COUNTED.get().is_paused:
        return ["Access is paused", "danger"]
    return ["Live", "danger"] if settings.STRIPE_LIVE_MODE else ["Test mode", "info"]


def account_links(_request: HttpRequest) -> list[dict[str, str]]:
    """What the person at the desk may do with their own account, which Keycloak keeps."""
    return [
        {"title": "Your sessions", "link": reverse("admin:sessions")},
        {"title": "Your Keycloak account", "link": f"{settings.KEYCLOAK_ISSUER}/account/"},
    ]


def stylesheet(_request: HttpRequest) -> str:
    """The console's own stylesheet, under the name the static files storage gave it."""
    return static("console/console.css")


def script(_request: HttpRequest) -> str:
    """What makes dialogs and menus usable by keyboard alone."""
    return static("console/dialogs.js")


def copy_script(_request: HttpRequest) -> str:
    """What makes commands on a page copyable."""
    return static("console/copy.js")


def import_script(_request: HttpRequest) -> str:
    """What reads a file for an import."""
    return static("console/import.js")


def parts_script(_request: HttpRequest) -> str:
    """What names the parts of Unfold's pages, and lets the keyboard reach them."""
    return static("console/parts.js")


def shortcuts_script(_request: HttpRequest) -> str:
    """What leads to a page by two keys."""
    return static("console/shortcuts.js")


def zone_script(_request: HttpRequest) -> str:
    """What tells the reader's time zone."""
    return static("console/zone.js")


def icon(_request: HttpRequest) -> str:
    """The picture in the browser's tab: that of the whole site."""
    return static("frontdesk/icon.svg")


def primary(_request: HttpRequest) -> dict[str, str]:
    """Unfold's eleven weights of the primary colour, mixed by the browser from the brand's one colour."""
    brand = settings.BRAND["color"]
    tints = {weight: f"color-mix(in oklab, {brand} {part}%, white)" for weight, part in TINTS.items()}
    shades = {weight: f"color-mix(in oklab, {brand} {part}%, black)" for weight, part in SHADES.items()}
    return tints | {"600": brand} | shades
