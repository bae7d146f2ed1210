"""Whether staff may act now: their account was checked, and for what is dangerous they have just typed their password.

Promises: what is refused changes nothing but a line in the audit log; who has to log in again comes back to the same page with
the dialog open and filled in as it was. The moment of the login is Keycloak's word (`auth_time`, login/reauthentication.py).
"""

import time
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.html import format_html

from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.identity.session_checks import Rights, check_actor
from apps.login import reauthentication
from apps.login.reauthentication import KEPT

KEPT_SECONDS, KEPT_LENGTH = 900, 20_000
UNCERTAIN = (
    "Keycloak does not answer, so it is not certain that you still have the right to do this. Try again in a minute."
)
UNDATED = "Keycloak does not say when you logged in, so this cannot be done: the client of Frontdesk needs the scope “basic” there."


def done(request: HttpRequest, url: str) -> HttpResponse:
    """Load `url` again: by htmx's header, or as a plain redirect where scripts are off."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, headers={"HX-Redirect": url})


def refuse_unchecked(request: HttpRequest) -> HttpResponse | None:
    """Before anything that changes something: out with those whose account no longer allows it."""
    rights = check_actor(request)
    request.__dict__["console_rights"] = rights
    if rights == Rights.ENDED:
        record_refusal(request, "no rights at Keycloak anymore")
        logout(request)
        return done(request, reverse("admin:index"))
    return _tell(request, UNCERTAIN) if rights == Rights.UNCERTAIN else None


def refuse_stale(request: HttpRequest, *, title: str = "", back: str = "") -> HttpResponse | None:
    """Before what is dangerous: to Keycloak's login with those whose last one is too old.

    `title`: of the dialog; `back`: the page of a button without one.
    """
    if request.__dict__.get("console_rights") == Rights.UNCHECKED:
        return _tell(request, UNCERTAIN)
    if reauthentication.is_fresh(request):
        request.session.pop(KEPT, None)
        return None
    if reauthentication.is_undated(request):
        return _tell(request, UNDATED)
    record_refusal(request, "no fresh login")
    if back:
        messages.info(request, "Nothing has been done yet. Now that you have logged in again, choose once more.")
        return done(request, reauthentication.login_url(back))
    page = _page_below(request) if title else request.get_full_path()
    _keep(request)
    if title:
        url = request.get_full_path()
        link = 'Nothing has been done yet. Continue: <a class="fd-link" href="{}" aria-haspopup="dialog" hx-get="{}" hx-target="#modal-content" hx-select="#dialog"'
        link += ' hx-trigger="load, click" x-on:htmx:after-on-load="openModal = true">{}</a>'
        messages.info(request, format_html(link, url, url, title))
    else:
        messages.info(request, "Nothing has been saved yet. What you typed is kept: save it again.")
    return done(request, reauthentication.login_url(page))


def record_refusal(request: HttpRequest, why: str) -> None:
    user: Any = request.user
    audit.record_hourly(
        subject=("user", user.pk), action=AuditAction.ACTION_REFUSED, actor=f"staff:{user.get_username()}", reason=why,
        after={"address": request.path[:200]},
    )  # fmt: skip


def _tell(request: HttpRequest, sentence: str) -> HttpResponse:
    """Refused: the page again, with the reason."""
    record_refusal(request, sentence)
    messages.error(request, sentence)
    return done(request, _page_below(request))


def _page_below(request: HttpRequest) -> str:
    """The page of the console over which a dialog was opened."""
    parts = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    page, console = f"{parts.path}?{parts.query}" if parts.query else parts.path, reverse("admin:index")
    return page if page.startswith(console) and parts.netloc == request.get_host() else console


# --- what was typed ---------------------------------------------------------------------------------------------------


def _keep(request: HttpRequest) -> None:
    """In the session, for one address; a single one is kept."""
    typed = request.POST.copy()
    typed.pop("csrfmiddlewaretoken", None)
    text = typed.urlencode()
    if len(text) <= KEPT_LENGTH:
        request.session[KEPT] = {"for": request.get_full_path(), "typed": text, "until": time.time() + KEPT_SECONDS}


def fill_in(form: Any, request: HttpRequest) -> None:
    """Give a form that is shown at the same address what was typed there."""
    kept = request.session.get(KEPT) or {}
    if form.is_bound or kept.get("for") != request.get_full_path() or time.time() > kept["until"]:
        return
    typed = QueryDict(kept["typed"])
    for name, field in form.fields.items():
        if name != "_form_submitted" and not field.widget.value_omitted_from_data(typed, {}, form.add_prefix(name)):
            form.initial[name] = field.widget.value_from_datadict(typed, {}, form.add_prefix(name))
