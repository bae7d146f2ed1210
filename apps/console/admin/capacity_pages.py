"""The capacity board and its what-if. Both only read."""

import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.console.capacity_board import ROOMS, read_board
from apps.console.capacity_what_if import WhatIfForm, plan_instance
from apps.console.navigation import viewable
from apps.instances.capacity import COMING_FREE_DAYS
from apps.instances.models import Instance

View = Callable[[HttpRequest], HttpResponse]


def guarded(view: View) -> View:
    """For those who may see instances."""

    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not viewable(Instance)(request):
            raise PermissionDenied
        return view(request)

    return answer


def read(request: HttpRequest) -> dict[str, Any]:
    """The board, the form of the what-if, and its answer once something is asked."""
    board = read_board()
    form = WhatIfForm(board, request.GET)
    found: dict[str, Any] = {"board": board, "form": form, "shown": ROOMS, "days": COMING_FREE_DAYS}
    found["until"] = board.at + dt.timedelta(days=COMING_FREE_DAYS)
    product = board.find(form.cleaned_data["product"]) if form.is_valid() else None
    if product is not None:
        names = request.user.has_perm("accounts.view_userprofile")
        found["what_if"] = plan_instance(board, product, form.cleaned_data["seats"], names=names)
    return found


@require_safe
def board_page(request: HttpRequest) -> HttpResponse:
    request.current_app = admin.site.name
    may_plan = request.user.has_perm("accounts.change_capacity")
    context = admin.site.each_context(request) | {"title": "Capacity", "may_plan": may_plan} | read(request)
    return render(request, "console/capacity_board.html", context)


@require_safe
def what_if(request: HttpRequest) -> HttpResponse:
    """The answer alone, below the form of a new instance."""
    return render(request, "console/capacity_what_if.html", read(request))


ROUTES: tuple[tuple[str, View, str], ...] = (
    ("capacity/", guarded(board_page), "capacity_board"),
    ("capacity/what-if/", guarded(what_if), "capacity_what_if"),
)
