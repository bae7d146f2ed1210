"""The realm doctor's page: what is wrong with the Keycloak realm, why it matters, and how to mend it. About no model.

The page itself asks nothing of Keycloak: the findings are a fragment that is loaded by itself. Operators and administrators
only: what is wrong with a realm is of use to whoever wants to get in.
"""

from collections.abc import Callable
from typing import Any, override

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.console import realm
from apps.console.dialogs import ReasonDialog, carried_out, shown
from apps.identity import doctor

View = Callable[..., HttpResponse]
MAIL: dict[str, Any] = {
    "title": "Send a test mail",
    "description": "Keycloak mails one account of the realm, now, by the mail server its settings name.",
    "form_submit_text": "Send a test mail",
}


class MailDialog(ReasonDialog):
    """To whom: best to oneself."""

    to = forms.CharField(
        label="To",
        max_length=150,
        help_text="Your username or address in Keycloak, or that of a test account. The mail is titled “Update Your Account”; "
        "nothing happens when its link is left alone.",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    @override
    def prepare(self) -> None:
        self.fields["to"].initial = self.request.user.email or self.request.user.get_username()


def guarded(view: View) -> View:
    """For those who may look; 403 for other staff."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not realm.may_look(request):
            raise PermissionDenied
        return view(request)

    return answer


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The frame, at once."""
    about = {"realm": settings.KEYCLOAK_REALM, "server": settings.KEYCLOAK_SERVER_URL}
    context = admin.site.each_context(request) | {"title": "Realm doctor", "about": about}
    request.current_app = admin.site.name
    return render(request, "console/realm.html", context)


@require_safe
def findings(request: HttpRequest) -> HttpResponse:
    """What the doctor says now: a fragment of the page, or a page of its own without scripts."""
    return render(request, "console/realm_findings.html", {"look": realm.look()})


@require_http_methods(["GET", "HEAD", "OPTIONS", "POST"])
def mail(request: HttpRequest) -> HttpResponse:
    """The dialog; a POST asks for the mail, which a job has Keycloak send."""
    form = MailDialog(request, data=request.POST or None)
    if not form.is_valid():
        return shown(form, MAIL)
    return carried_out(form, MAIL, lambda: _asked(form), lambda: reverse("admin:realm"))


def _asked(form: MailDialog) -> str:
    to = str(form.cleaned_data["to"]).strip()
    doctor.request_mail(to, actor=form.actor, reason=form.cleaned_data["reason"])
    return f"Keycloak is asked to mail {to}. Look again in a moment; what came of it is among the findings."


ROUTES: tuple[tuple[str, View, str], ...] = (
    ("realm/", guarded(page), "realm"),
    ("realm/findings/", guarded(findings), "realm_findings"),
    ("realm/mail/", guarded(mail), "realm_mail"),
)
