"""The reports on money, each with a period to choose and a file to take away. They only read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.console.exports import ask_for_export, send_file
from apps.console.navigation import may_view_money
from apps.console.report_churn import report_churn
from apps.console.report_coupons import report_coupons
from apps.console.report_period import Period, PeriodForm
from apps.console.reports import MoneyReport, report_recovered, report_revenue
from apps.console.site import takes_posts
from apps.operations import report_figures

RIGHT = "accounts.export_userprofile"


@dataclass(frozen=True)
class ReportPage:
    """A report at an address of its own. `is_recorded`: its numbers are counted by a job, and not now."""

    name: str
    title: str
    read: Callable[[Period], MoneyReport]
    is_recorded: bool = True

    @property
    def url(self) -> str:
        return reverse(f"admin:report_{self.name}")


PAGES = (
    ReportPage("revenue", "Revenue", report_revenue),
    ReportPage("churn", "Churn", report_churn, is_recorded=False),
    ReportPage("recovered", "Recovered payments", report_recovered),
    ReportPage("coupons", "Coupons", report_coupons),
)


def page_view(page: ReportPage) -> Callable[..., HttpResponse]:
    """The view that shows it."""

    @require_safe
    def view(request: HttpRequest) -> HttpResponse:
        if not may_view_money(request):
            raise PermissionDenied
        form = PeriodForm(request.GET)
        period = form.chosen
        context = admin.site.each_context(request) | {
            "title": page.title, "form": form, "period": period, "report": page.read(period), "asked": form.data.get("period") or "this_month",
            "counted_at": report_figures.counted_at() if page.is_recorded else None, "is_recorded": page.is_recorded,
            "export": f"{page.url}export/?{period.query}" if request.user.has_perm(RIGHT) else "",
        }  # fmt: skip
        request.current_app = admin.site.name
        return render(request, "console/report.html", context)

    return view


def export_view(page: ReportPage) -> Callable[..., HttpResponse]:
    """The view that gives it away as a file."""

    @takes_posts
    def view(request: HttpRequest) -> HttpResponse:
        if not may_view_money(request) or not request.user.has_perm(RIGHT):
            raise PermissionDenied
        form = PeriodForm(request.GET)
        if not form.is_valid():
            return HttpResponseRedirect(f"{page.url}?{request.GET.urlencode()}")
        period = form.chosen
        report = page.read(period)

        def send(reason: str) -> HttpResponse:
            what = {"report": page.name, "from": f"{period.first}", "to": f"{period.last}"}
            return send_file(request, report.file, name=page.name, headings=report.headings, reason=reason, what=what)

        def describe() -> dict[str, Any]:
            return {
                "title": f"Export: {page.title}", "heading": f"{page.title}, {period.text}", "headings": report.headings,
                "sentence": "A CSV file of the report's numbers. It names nobody.", "back": f"{page.url}?{period.query}", "back_to": "Back to the report",
            }  # fmt: skip

        request.current_app = admin.site.name
        return ask_for_export(request, send, describe)

    return view


ROUTES: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = tuple(
    route
    for page in PAGES
    for route in (
        (f"reports/{page.name}/", page_view(page), f"report_{page.name}"),
        (f"reports/{page.name}/export/", export_view(page), f"report_{page.name}_export"),
    )
)
