"""The operator's colours as a stylesheet: the brand colour adjusted to be readable on light and dark, and product tints.

A stylesheet of its own, because the Content-Security-Policy forbids inline style. Contrast is WCAG 2.2's (1.4.3): 4.5.
"""

import colorsys
import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.catalog.models import Product

Color = tuple[float, float, float]  # red, green, blue, each 0 to 1

HEX = re.compile(r"^#[0-9a-fA-F]{6}$")
WHITE: Color = (1.0, 1.0, 1.0)
BLACK: Color = (0.0, 0.0, 0.0)
# The darkest background of light pages and the lightest of dark ones, as site.css has them.
LIGHT_BACKGROUND = "#f0f2ef"
DARK_BACKGROUND = "#232a26"
FALLBACK = "#2f5d50"
MIN_CONTRAST = 4.5


@require_safe
def brand_css(_request: HttpRequest) -> HttpResponse:
    """`brand.css`: variables for the brand colour and one class `tint-<slug>` per coloured product."""
    chosen = str(settings.BRAND["color"])
    brand = parse_hex(chosen if HEX.match(chosen) else FALLBACK)
    light, dark = (
        make_readable(brand, on=parse_hex(LIGHT_BACKGROUND)),
        make_readable(brand, on=parse_hex(DARK_BACKGROUND)),
    )
    rules = [
        f":root {{ --brand: {to_hex(brand)}; --brand-ink: {to_hex(text_color_on(brand))}; --brand-text: {to_hex(light)}; }}",
        f"@media (prefers-color-scheme: dark) {{ :root {{ --brand-text: {to_hex(dark)}; }} }}",
    ]
    tints = Product.objects.exclude(color="").values_list("slug", "color")
    rules += [f".tint-{slug} {{ --tint: {color}; }}" for slug, color in tints if HEX.match(color)]
    response = HttpResponse("\n".join(rules) + "\n", content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def parse_hex(color: str) -> Color:
    """`#rrggbb` as fractions."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def to_hex(color: Color) -> str:
    """Fractions as `#rrggbb`."""
    return "#" + "".join(f"{round(part * 255):02x}" for part in color)


def relative_luminance(color: Color) -> float:
    """Relative luminance, w3.org/TR/WCAG22/#dfn-relative-luminance."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast_ratio(one: Color, other: Color) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    dark, light = sorted((relative_luminance(one), relative_luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def text_color_on(background: Color) -> Color:
    """White or black, whichever reads better on `background`; white where it is good enough."""
    return WHITE if contrast_ratio(WHITE, background) >= MIN_CONTRAST else BLACK


def make_readable(color: Color, *, on: Color) -> Color:
    """`color`, darkened or lightened in its own hue only as far as it must to be read as text on the background `on`."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*color)
    target = 0.0 if relative_luminance(on) > 0.18 else 1.0
    for percent in range(0, 101, 2):
        moved = colorsys.hls_to_rgb(hue, lightness + (target - lightness) * percent / 100, saturation)
        if contrast_ratio(moved, on) >= MIN_CONTRAST:
            return moved
    return (target, target, target)
