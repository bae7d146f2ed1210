"""The rules of every console page: who may see it, how one logs in and out, and which scripts may run.

Promises: only staff get in, and only through Keycloak; a signed-in subscriber gets 403, not a login that loops; a page takes
a POST only where it says so; personal data is masked for staff without the right to see it; pages allow what Unfold needs (Alpine evaluates attributes) and nothing from elsewhere; hostile
query strings get 400 or 404.
"""

from collections.abc import Callable
from typing import Any, override

from csp.decorators import csp_replace
from django.conf import settings
from django.contrib.admin.exceptions import DisallowedModelAdminLookup, DisallowedModelAdminToField
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe
from unfold.sites import UnfoldAdminSite

from apps.console import dashboard, fresh_logins, personal, viewing, zones
from apps.core import masking
from apps.core.requests import SAFE

CONTENT_POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'", settings.KEYCLOAK_ORIGIN],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}
View = Callable[..., HttpResponse]


def takes_posts[V: View](view: V) -> V:
    """Mark a view of the console that changes something. To all others a POST is refused: Django's would answer it like a GET."""
    view.takes_posts = True  # type: ignore[attr-defined]
    return view


def refuse_post(view: View, request: HttpRequest) -> HttpResponse | None:
    """What staff get who post where nothing is posted, or whose account may have ended."""
    if not hasattr(view, "takes_posts"):
        return HttpResponseNotAllowed(SAFE)
    return viewing.refuse_change(request, view) or fresh_logins.refuse_unchecked(request)


def answer_masked(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """The page, in the reader's time zone; to staff who may not see personal data with all of it masked."""
    with zones.in_readers_zone(request), masking.masked(wanted=not personal.is_shown_to(request.user)):
        answer = view(request, *args, **kwargs)
        if isinstance(answer, TemplateResponse):
            answer.render()  # what it reads, it reads in here
    return answer


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]
    """Unfold's site with our login, our content policy and our answers to strangers."""

    @override
    def has_permission(self, request: HttpRequest) -> bool:
        """True for active staff, False for anonymous visitors; anybody else is refused at once."""
        if not request.user.is_authenticated:
            return False
        if not (request.user.is_active and request.user.is_staff):
            raise PermissionDenied
        return True

    @override
    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Every page of the console passes here."""
        inner: Any = csp_replace(CONTENT_POLICY)(super().admin_view(view, cacheable))

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if any("\x00" in value for values in request.GET.lists() for value in (values[0], *values[1])):
                return HttpResponseBadRequest("The address holds a character that cannot be searched for.")
            acts = request.method not in SAFE and self.has_permission(request)
            viewing.narrow_rights(request)
            if acts and (refused := refuse_post(view, request)):
                return refused
            try:
                answer = answer_masked(inner, request, *args, **kwargs)
            except PermissionDenied:
                if acts:
                    fresh_logins.record_refusal(request, "no right to do it")
                raise
            except (DisallowedModelAdminLookup, DisallowedModelAdminToField):
                return HttpResponseBadRequest("This list has no such filter.")
            if request.method == "POST":
                dashboard.forget()
            return answer

        guarded.__dict__.update(inner.__dict__)
        return guarded

    def extra_urls(self) -> list[URLPattern]:
        """Pages that are about no model (Unfold asks for them)."""
        from apps.console.admin import (  # the pages need the site; it needs them when addresses are read
            capacity_pages,
            email_previews,
            event_spans,
            inbox,
            manual,
            realm,
            reports,
            roles,
            schedules,
            staff_sessions,
            waitlist_invitations,
        )

        routes = (
            *capacity_pages.ROUTES,
            *email_previews.ROUTES,
            *event_spans.ROUTES,
            *inbox.ROUTES,
            *manual.ROUTES,
            *schedules.ROUTES,
            *realm.ROUTES,
            *reports.ROUTES,
            *roles.ROUTES,
            *staff_sessions.ROUTES,
            *waitlist_invitations.ROUTES,
        )
        return [path(place, self.admin_view(view), name=name) for place, view, name in routes]

    @override
    @method_decorator(require_safe)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send a visitor to Keycloak and staff to where they wanted to go."""
        target = request.GET.get("next", "")
        if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
            target = reverse("admin:index")
        if self.has_permission(request):
            return HttpResponseRedirect(target)
        return redirect_to_login(target, settings.LOGIN_URL)

    @override
    @viewing.allow_while_viewing
    @takes_posts
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Hand the POST on to the one logout, which also ends the Keycloak session."""
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        return HttpResponseRedirect(reverse("logout"), preserve_request=True)

    @override
    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There are no passwords here; Keycloak keeps them."""
        raise Http404

    @override
    def password_change_done(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """See `password_change`."""
        raise Http404

    @override
    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form here completes; the view would search every table that another points at."""
        raise Http404

    @override
    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The command palette; a page number that is none is 404."""
        try:
            found: HttpResponse = super().search(request, extra_context)
        except (ValueError, InvalidPage) as error:
            raise Http404 from error
        return found
