"""The public waitlist: its page and submission, as JSON or as a plain form, and the pages that emails link to."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.catalog.models import Product
from apps.core import clock, security_events
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.core.requests import client_address, storable, text_field
from apps.core.security_events import SecurityEvent
from apps.instances import capacity
from apps.onboarding import waitlist
from apps.onboarding.basket import Shop
from apps.onboarding.models import WaitlistEntry
from apps.onboarding.waitlist import Link
from apps.storefront import wizard
from apps.storefront.json_views import json_view

State = WaitlistEntry.State
JOINED = "waitlist_joined"  # session key: the address the page thanks for


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The form, for one product (`?product=slug`) or in general; after joining, the thanks."""
    product = waitlist.find_product(storable(request.GET.get("product", "")))
    joined = request.session.pop(JOINED, "") if JOINED in request.session else ""
    return _page(request, product, {"joined": joined})


def _page(request: HttpRequest, product: Product | None, context: dict[str, Any], status: int = 200) -> HttpResponse:
    room = all(capacity.have_room(product.seats()).values()) if product is not None else Shop.load().open
    return render(request, "storefront/waitlist.html", context | {"product": product, "room": room}, status=status)


@require_POST
def submit(request: HttpRequest) -> HttpResponseBase:
    """Join: a JSON body gets a JSON answer, a form gets the page."""
    return _submit_json(request) if request.content_type == "application/json" else _submit_form(request)


@json_view("email", "product")
def _submit_json(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    address = waitlist.join(
        email=text_field(body, "email", limit=254),
        slug=text_field(body, "product", limit=40, required=False),
        client=client_address(request),
    )
    message = _("One more step: open the link we've just emailed to {address}.").format(address=shown_email(address))
    return {"joined": True, "message": message}


def _submit_form(request: HttpRequest) -> HttpResponse:
    email = storable(request.POST.get("email", ""))
    slug = storable(request.POST.get("product", ""))
    try:
        request.session[JOINED] = waitlist.join(email=email, slug=slug, client=client_address(request))
    except BadInput as refusal:
        return _page(request, waitlist.find_product(slug), {"email": email, "problem": refusal}, refusal.status)
    return redirect("onboarding-waitlist")


EntryView = Callable[[HttpRequest, WaitlistEntry], HttpResponse]


def _linked(purpose: str) -> Callable[[EntryView], Callable[[HttpRequest, str], HttpResponse]]:
    """A page behind a link of that purpose: GET shows what a click would do, POST does it.

    A link that has expired gets 410 and what to do now, one that we did not make 404.
    """

    def decorate(view: EntryView) -> Callable[[HttpRequest, str], HttpResponse]:
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def serve(request: HttpRequest, token: str) -> HttpResponse:
            link, entry = waitlist.read_link(storable(token), purpose)
            if entry is not None and link == Link.VALID:
                return view(request, entry)
            security_events.note(SecurityEvent.LINK_REFUSED, link=purpose, reason=link.name.lower())
            if link == Link.FORGED:
                return _entry_page(request, "unknown", None, status=404)
            return _entry_page(request, f"expired_{purpose}", entry, status=410)

        return serve

    return decorate


def _entry_page(
    request: HttpRequest, content: str, entry: WaitlistEntry | None, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"content": content, "entry": entry, "leave_url": _leave_url(entry)} | more
    return render(request, "storefront/waitlist_entry.html", context, status=status)


def _leave_url(entry: WaitlistEntry | None) -> str:
    """Where this entry can leave the list."""
    return waitlist.entry_link(entry.pk, waitlist.LEAVE) if entry else ""


@_linked(waitlist.CONFIRM)
def confirm(request: HttpRequest, entry: WaitlistEntry) -> HttpResponse:
    """From the first email: confirm the address, then show the position in line."""
    if entry.state == State.LEFT:
        return _entry_page(request, "left", entry)
    if request.method == "POST":
        waitlist.confirm(entry)
        return redirect(request.path)
    if entry.confirmed_at is None:
        return _entry_page(request, "confirm", entry)
    return _entry_page(
        request, "confirmed", entry, position=waitlist.position(entry) if entry.state == State.WAITING else 0
    )


@_linked(waitlist.LEAVE)
def leave(request: HttpRequest, entry: WaitlistEntry) -> HttpResponse:
    """Leave the list, by one click."""
    if request.method == "POST":
        waitlist.leave(entry.pk)
        return redirect(request.path)
    return _entry_page(request, "left" if entry.state == State.LEFT else "leave", entry)


@_linked(waitlist.INVITATION)
def invitation(request: HttpRequest, entry: WaitlistEntry) -> HttpResponse:
    """From the invitation: into the wizard, with the address confirmed and the seat reserved."""
    if entry.state != State.INVITED or entry.invited_until is None or entry.invited_until <= clock.now():
        ended = {State.LEFT: "left", State.SERVED: "used", State.WAITING: "withdrawn"}.get(State(entry.state), "over")
        return _entry_page(request, ended, entry, status=410)
    if entry.profile is not None and entry.profile.keycloak_id:
        return _entry_page(request, "customer", entry)
    if request.method == "POST":
        wizard.continue_with(request, waitlist.invited_signup(entry))
        return redirect("onboarding-welcome")
    return _entry_page(request, "invited", entry)
