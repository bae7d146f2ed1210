"""The page for people who cannot get in: what they can do today. It asks for nothing and tells nothing about anybody."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def recovery(request: HttpRequest) -> HttpResponse:
    """How to get back in."""
    return render(request, "storefront/recovery.html")
