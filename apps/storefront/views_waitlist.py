"""The public waitlist page and its submission, as JSON or as a plain form."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.core.errors import BadInput
from apps.core.requests import client_address, text_field
from apps.storefront import waitlist
from apps.storefront.views_api import api

JOINED = "waitlist_joined"  # session key: the address the page thanks for


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The form, for one product (`?product=slug`) or in general; after joining, the thanks."""
    context = {
        "product": waitlist.product_called(_storable(request.GET.get("product", ""))),
        "joined": request.session.pop(JOINED, "") if JOINED in request.session else "",
    }
    return render(request, "storefront/waitlist.html", context)


@require_POST
def submit(request: HttpRequest) -> HttpResponseBase:
    """Join: a JSON body gets a JSON answer, a form gets the page."""
    return _submit_json(request) if request.content_type == "application/json" else _submit_form(request)


@api("email", "product")
def _submit_json(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    address = waitlist.join(
        email=text_field(body, "email", limit=254),
        slug=text_field(body, "product", limit=40, required=False),
        client=client_address(request),
    )
    return {
        "joined": True,
        "message": f"You are on the list. We write to {address} when there is room.",
    }


def _submit_form(request: HttpRequest) -> HttpResponse:
    email = _storable(request.POST.get("email", ""))
    slug = _storable(request.POST.get("product", ""))
    try:
        request.session[JOINED] = waitlist.join(email=email, slug=slug, client=client_address(request))
    except BadInput as refusal:
        context = {"product": waitlist.product_called(slug), "email": email, "problem": refusal}
        return render(request, "storefront/waitlist.html", context, status=refusal.status)
    return redirect("onboarding-waitlist")


def _storable(text: str) -> str:
    """Form text without the NUL that Postgres cannot compare, cut to what any field here may hold."""
    return text.replace("\x00", "")[:300].strip()
