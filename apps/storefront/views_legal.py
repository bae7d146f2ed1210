"""The operator's legal texts on pages of ours: terms, privacy, imprint, withdrawal, accessibility."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.core import legal


@require_safe
def document(request: HttpRequest, name: str, version: str = "") -> HttpResponse:
    """One text, the terms also as an earlier customer accepted them; 404 where the operator has none."""
    text = legal.read_text(name, version) if name == "terms" or not version else None
    if text is None:
        raise Http404
    return render(request, "storefront/legal.html", {"text": text})
