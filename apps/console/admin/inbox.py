"""The inbox's page: every problem as a card, the oldest first. It has no model; its dialogs are those of the attention items."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.console.inbox import count_aside, read_cards
from apps.console.navigation import may_view_inbox

MINE = "mine"


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All problems; with `?for=mine` the assigned ones of the person who asks."""
    if not may_view_inbox(request):
        raise PermissionDenied
    cards, me = read_cards(), request.user.get_username()
    mine = [card for card in cards if me in card.problem.assignees]
    context = admin.site.each_context(request) | {
        "title": "Needs attention",
        "cards": mine if request.GET.get("for") == MINE else cards,
        "is_mine": request.GET.get("for") == MINE,
        "counts": {"all": len(cards), MINE: len(mine)} | count_aside(),
        "may_act": request.user.has_perm("accounts.retry_job"),
    }
    request.current_app = admin.site.name
    return render(request, "console/inbox.html", context)


ROUTES = (("inbox/", page, "inbox"),)
