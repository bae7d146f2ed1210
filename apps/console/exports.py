"""A file for a spreadsheet: why it is needed is asked, how often is limited, and it is in the audit log.

Promise: no cell is taken for a formula, whatever a person calls themselves.
"""

import csv
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console import fresh_logins
from apps.console.dialogs import ReasonField
from apps.core import audit, clock, limits
from apps.core.audit_actions import AuditAction

Row = tuple[str | int | Decimal, ...]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
TOO_OFTEN = "You have exported five lists today. Try again tomorrow, or ask an administrator to."


class ExportForm(forms.Form):
    """Why the file is needed."""

    reason = ReasonField()


def ask_for_export(
    request: HttpRequest, send: Callable[[str], HttpResponse], read_context: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """The page that asks why; after that, what `send` makes with the reason. The caller has checked the right to it."""
    form = ExportForm(request.POST or None)
    fresh_logins.fill_in(form, request)
    if request.method == "POST":
        if refused := fresh_logins.refuse_stale(request):
            return refused
        if form.is_valid() and limits.allow(exports_staff=str(request.user.pk)):
            return send(form.cleaned_data["reason"])
        if form.is_valid():
            form.add_error("reason", TOO_OFTEN)
    return render(request, "console/export.html", admin.site.each_context(request) | {"form": form} | read_context())


def send_file(
    request: HttpRequest, rows: Iterable[Row], *, name: str, headings: tuple[str, ...], reason: str, what: dict[str, Any]
) -> HttpResponse:  # fmt: skip
    """The file, and the line about it. `what`: what the audit log says of it, besides how many rows it has."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{clock.now():%Y-%m-%d}.csv"'
    answer.write("\ufeff")  # so that spreadsheets read it as UTF-8
    writer = csv.writer(answer, quoting=csv.QUOTE_ALL)
    writer.writerow(headings)
    count = 0
    for row in rows:
        writer.writerow([defuse(cell) if isinstance(cell, str) else cell for cell in row])
        count += 1
    user: Any = request.user
    audit.record(
        subject=("user", user.pk),
        action=AuditAction.LIST_EXPORTED,
        actor=f"staff:{user.get_username()}",
        reason=reason,
        after={"rows": count} | what,
    )
    return answer


def defuse(cell: str) -> str:
    """A cell that a spreadsheet takes for text, and not for a formula that it computes."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell
