"""The manual's pages: contents with a search, and the chapters."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.console import manual

LONGEST = 200  # characters of a search


@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """All chapters, or with `?q=` the sections that have these words."""
    term = request.GET.get("q", "").strip()[:LONGEST]
    context: dict[str, Any] = {"title": "Manual", "parts": manual.contents(), "term": term, "hits": manual.search(term)}
    return _page(request, "console/manual.html", context)


@require_safe
def read(request: HttpRequest, chapter: str) -> HttpResponse:
    """One chapter, beside the contents."""
    if chapter not in manual.NAMES:
        raise Http404
    found = manual.read_chapter(chapter)
    place = manual.NAMES.index(chapter)
    context = {
        "title": found.title,
        "chapter": found,
        "parts": manual.contents(),
        "earlier": manual.read_chapter(manual.NAMES[place - 1]) if place else None,
        "later": manual.read_chapter(manual.NAMES[place + 1]) if place + 1 < len(manual.NAMES) else None,
    }
    return _page(request, "console/manual_chapter.html", context)


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    request.current_app = admin.site.name
    return render(request, template, admin.site.each_context(request) | context)


ROUTES: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = (
    ("manual/", contents, "manual"),
    ("manual/<slug:chapter>/", read, "manual_chapter"),
)
