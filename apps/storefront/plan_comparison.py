"""The plans side by side: a row for each number, app and add-on, and what each plan says to it. Arithmetic over the shop."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from babel.numbers import get_group_symbol
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.catalog.entitlements import split_number
from apps.catalog.models import Product
from apps.core import languages
from apps.onboarding.basket import Offer, Shop

# What numbers of the catalog count, as their names are read; another one is shown as it is written there.
COUNTED = (
    gettext_noop("Storage"), gettext_noop("Traffic"), gettext_noop("Members"), gettext_noop("People"), gettext_noop("Users"),
    gettext_noop("Mailboxes"), gettext_noop("Domains"), gettext_noop("Projects"),
)  # fmt: skip


class Cell(StrEnum):
    """What a plan says to a row."""

    INCLUDED = "included"
    PRICED = "priced"  # can be added, for the price of the row's offer
    FULL = "full"
    NONE = "none"
    NUMBER = "number"


@dataclass(frozen=True)
class ComparedValue:
    """One cell; `text` is its number, `offer` what is added at a price."""

    kind: Cell
    text: str = ""
    offer: Offer | None = None


@dataclass(frozen=True)
class ComparedRow:
    """One line of the table."""

    name: str
    values: tuple[ComparedValue, ...]


def compare_plans(shop: Shop) -> list[ComparedRow]:
    """The rows, each with a value for each plan; none for a single plan, which there is nothing to compare with."""
    if len(shop.plans) < 2:
        return []
    sold_alone = {offer.product.pk for offer in shop.general}
    apps = {app.pk: app for plan in shop.plans for app in plan.product.includes.all() if app.pk not in sold_alone}
    return [
        *_numbers(shop),
        *(_app(shop, app) for app in sorted(apps.values(), key=lambda app: (app.position, app.name))),
        *(_addon(shop, offer) for offer in (*shop.general, *shop.storage)),
    ]


def _numbers(shop: Shop) -> list[ComparedRow]:
    """What adds up, such as storage: of the plan and the apps it includes."""
    totals = [_grants(plan.product) for plan in shop.plans]
    names = list(dict.fromkeys(name for total in totals for name in total))
    rows = []
    for name in names:
        split = [split_number(name, total.get(name, 0)) for total in totals]
        cells = tuple(
            ComparedValue(Cell.NUMBER if total.get(name) else Cell.NONE, _written(one[1]))
            for total, one in zip(totals, split, strict=True)
        )
        rows.append(ComparedRow(_(split[0][0]), cells))
    return rows


def _written(number: str) -> str:
    """A number such as 1,000 GB as the reader's language groups it."""
    return number.replace(",", get_group_symbol(languages.active()))


def _grants(plan: Product) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for product in (plan, *plan.includes.all()):
        for name, amount in product.grants.items():
            found[name] = found.get(name, 0) + amount
    return found


def _app(shop: Shop, app: Product) -> ComparedRow:
    """An app that comes with some plans alone."""
    kinds = (Cell.INCLUDED if app in plan.product.includes.all() else Cell.NONE for plan in shop.plans)
    return ComparedRow(app.name, tuple(ComparedValue(kind) for kind in kinds))


def _addon(shop: Shop, addon: Offer) -> ComparedRow:
    return ComparedRow(addon.product.name, tuple(ComparedValue(_kind(addon, plan), offer=addon) for plan in shop.plans))


def _kind(addon: Offer, plan: Offer) -> Cell:
    if addon.is_included_in(plan):
        return Cell.INCLUDED
    if not addon.fits(plan):
        return Cell.NONE
    return Cell.FULL if addon.full else Cell.PRICED
