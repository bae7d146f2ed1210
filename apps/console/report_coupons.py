"""The report on coupons: what each takes off, who uses it now and until when, and how much was given off."""

import datetime as dt
from collections import Counter, defaultdict
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import date_format

from apps.billing.coupons import CouponUse, count_users
from apps.billing.models import Coupon
from apps.console.exports import Row
from apps.console.report_period import Period
from apps.console.reports import MoneyReport, ReportCell, ReportLine, ReportTable, money_cells, plain_amount
from apps.console.saved_views import COUNT_LIMIT, count_text
from apps.core.dates import day
from apps.core.money import format_money
from apps.operations import report_figures
from apps.operations.models import ReportFigure

PARAMETER = "coupon"
UNKNOWN = "Not known"
NOBODY = CouponUse(0, None)
GivenOff = dict[
    str, dict[str, Counter[dt.date]]
]  # by currency, coupon (its number as text; empty: not known) and month


def report_coupons(period: Period) -> MoneyReport:
    """Three queries."""
    given = _sum_by_month(period)
    uses, wanted = count_users(COUNT_LIMIT), {about for of_currency in given.values() for about in of_currency if about}
    coupons = {str(one.pk): one for one in Coupon.objects.filter(pk__in={*uses, *map(int, wanted)})}
    names = _name(coupons) | {"": UNKNOWN}
    shown = sorted(
        (about for about in names if about or any("" in one for one in given.values())),
        key=lambda about: (not about, names[about].casefold()),
    )
    lines = [
        _line(names[about], coupons.get(about), uses.get(int(about or 0), NOBODY), given, about) for about in shown
    ]
    tables = (
        [
            ReportTable(
                "Coupons", ("Coupon", "Takes off", "Used now by", "Until", "Given off in this time"), tuple(lines)
            )
        ]
        if lines
        else []
    )
    if len(period.months) > 1:
        tables += [_by_month(given[currency], names, shown, currency, period.months) for currency in sorted(given)]
    return MoneyReport(
        tables=tuple(tables),
        headings=("Currency", "Month", "Coupon", "Id at Stripe", "Given off"),
        file=tuple(_rows(given, names, coupons)),
        empty="Nobody uses a coupon, and none took anything off in this time.",
        how=(
            "Given off: what a coupon took off invoices that have been paid, in the month of the invoice. Invoices that are not paid, or are void,"
            " do not count. Currencies are never added up.",
            "Used now: it takes something off the next invoice. A coupon that is used once is no longer used when its invoice is made. Who uses it"
            " is as Stripe said when the subscriber was last fetched, and is looked at again each night.",
            f"“{UNKNOWN}”: Stripe does not say any more which coupon it was. A coupon that is deleted at Stripe stays here, and for who uses it.",
        ),
    )  # fmt: skip


def describe_terms(coupon: Coupon) -> str:
    """What it takes off, and for how long."""
    if coupon.percent_off is not None:
        off = f"{coupon.percent_off.normalize():f} %"
    elif coupon.amount_off is not None:
        off = format_money(coupon.amount_off, coupon.currency)
    else:
        return "not known"
    if coupon.duration == "repeating" and coupon.months:
        return f"{off} for {coupon.months} month{'s' if coupon.months != 1 else ''}"
    return (
        f"{off} {'once' if coupon.duration == 'once' else 'for ever' if coupon.duration == 'forever' else ''}".strip()
    )


def describe_end(coupon: Coupon | None, use: CouponUse) -> str:
    """Until when it is used by those who use it now."""
    if not use.people:
        return "–"
    if coupon is not None and coupon.duration == "once":
        return "the next invoice"
    if use.last_end is None:
        return "no end"
    return f"{day(use.last_end)} at the latest"


def _sum_by_month(period: Period) -> GivenOff:
    found: GivenOff = defaultdict(lambda: defaultdict(Counter))
    for one in report_figures.read((ReportFigure.Name.DISCOUNT,), period.first, period.last):
        found[one.currency][one.about if one.about.isdecimal() else ""][one.day.replace(day=1)] += one.amount
    return found


def _name(coupons: dict[str, Coupon]) -> dict[str, str]:
    """Each by its name; with its id where another one is called the same, and with a word where it is deleted."""
    often = Counter(str(one) for one in coupons.values())
    return {
        about: f"{one}{f' ({one.stripe_id})' if often[str(one)] > 1 else ''}{', deleted at Stripe' if one.is_deleted else ''}"
        for about, one in coupons.items()
    }


def _line(name: str, coupon: Coupon | None, use: CouponUse, given: GivenOff, about: str) -> ReportLine:
    url = f"{reverse('admin:accounts_userprofile_changelist')}?{urlencode({PARAMETER: about})}" if coupon else ""
    amounts = [format_money(given[one][about].total(), one) for one in sorted(given) if about in given[one]]
    return ReportLine(
        name,
        (
            ReportCell(describe_terms(coupon) if coupon else "–"),
            ReportCell(count_text(use.people), url, use.people if coupon else None),
            ReportCell(describe_end(coupon, use)),
            ReportCell(" + ".join(amounts) or "–"),
        ),
    )


def _by_month(
    given: dict[str, Counter[dt.date]], names: dict[str, str], shown: list[str], currency: str, months: list[dt.date]
) -> ReportTable:
    """What was given off; a month in each row."""
    columns = [about for about in shown if about in given]
    lines = []
    for month in months:
        amounts = [given[about][month] for about in columns]
        lines.append(ReportLine(date_format(month, "M Y"), money_cells([*amounts, sum(amounts)], currency)))
    whole = [given[about].total() for about in columns]
    lines.append(ReportLine("Total", money_cells([*whole, sum(whole)], currency), is_total=True))
    headings = ("Month", *(names[about] for about in columns), "Total")
    return ReportTable(f"{currency.upper()} given off by month", headings, tuple(lines))


def _rows(given: GivenOff, names: dict[str, str], coupons: dict[str, Coupon]) -> list[Row]:
    return [
        (currency.upper(), f"{month:%Y-%m}", names.get(about, UNKNOWN), coupons[about].stripe_id if about in coupons else "", plain_amount(amount, currency))
        for currency in sorted(given)
        for about, months in given[currency].items()
        for month, amount in sorted(months.items())
    ]  # fmt: skip
