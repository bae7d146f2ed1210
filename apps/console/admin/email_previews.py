"""Every email we can write: when and to whom it goes, and how it reads, filled in with sample values. It has no model."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.notifications.email_list import EMAILS, sample_values
from apps.notifications.email_templates import render_email


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The list; with `?name=` one email, its text and its HTML in a frame that may do nothing."""
    name = request.GET.get("name", "")
    if name and name not in EMAILS:
        raise Http404
    context = admin.site.each_context(request) | {
        "title": f"Email: {EMAILS[name].title}" if name else "What each email says",
        "emails": EMAILS,
        "kind": EMAILS.get(name),
        "email": render_email(name, sample_values(name)) if name else None,
    }
    request.current_app = admin.site.name
    return render(request, "console/email_previews.html", context)


ROUTES = (("email-previews/", page, "email-previews"),)
