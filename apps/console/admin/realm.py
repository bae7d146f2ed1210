"""The doctor's page: what is wrong with the Keycloak realm, with Stripe, Mailgun and Frontdesk itself, why, and how to fix it.

It has no model, and calls nobody itself: it loads the findings as fragments. Operators and administrators only: what is wrong
with a realm helps those who want to break in.
"""

import functools
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.console import realm
from apps.console.dialogs import ReasonDialog, carried_out, shown
from apps.console.site import takes_posts
from apps.identity.realm_test_email import request_test_email

View = Callable[..., HttpResponse]
TEST_EMAIL: dict[str, Any] = {
    "title": "Send a test email",
    "description": "Keycloak emails one account of the realm now, through the mail server in its settings.",
    "form_submit_text": "Send a test email",
}


class TestEmailDialog(ReasonDialog):
    """Who gets the test email: a customer, or an account made for that."""

    to = forms.CharField(
        label="To",
        max_length=150,
        help_text="The username or email address of a customer's account in Keycloak, such as one made for tests; our "
        "account may not email staff. The email is titled “Update Your Account”; ignoring its link changes nothing.",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


def guarded(view: View) -> View:
    """403 for staff who may not see the realm's problems."""

    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not realm.may_view(request):
            raise PermissionDenied
        return view(request)

    return answer


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    about = {"realm": settings.KEYCLOAK_REALM, "server": settings.KEYCLOAK_SERVER_URL}
    context = admin.site.each_context(request) | {"title": "Doctor", "about": about}
    request.current_app = admin.site.name
    return render(request, "console/realm.html", context)


@require_safe
def findings(request: HttpRequest) -> HttpResponse:
    """The findings now: a fragment of the page, or a page of its own without scripts."""
    context = {"examination": realm.examine_realm(), "about": "realm"}
    return render(request, "console/realm_findings.html", context)


@require_safe
def systems(request: HttpRequest) -> HttpResponse:
    """The findings about Stripe, Mailgun and Frontdesk itself, in the same way."""
    context = {"examination": realm.examine_others(), "about": "systems"}
    return render(request, "console/realm_findings.html", context)


@takes_posts
def mail(request: HttpRequest) -> HttpResponse:
    """The dialog; a POST requests the email, which a job has Keycloak send."""
    form = TestEmailDialog(request, data=request.POST or None)
    if not form.is_valid():
        return shown(form, TEST_EMAIL)
    return carried_out(form, TEST_EMAIL, lambda: _request(form), lambda: reverse("admin:realm"))


def _request(form: TestEmailDialog) -> str:
    to = str(form.cleaned_data["to"]).strip()
    request_test_email(to, actor=form.actor, reason=form.cleaned_data["reason"])
    return f"Keycloak will email {to}. Run the checks again in a moment to see the outcome."


ROUTES: tuple[tuple[str, View, str], ...] = (
    ("realm/", guarded(page), "realm"),
    ("realm/findings/", guarded(findings), "realm_findings"),
    ("realm/systems/", guarded(systems), "realm_systems"),
    ("realm/mail/", guarded(mail), "realm_mail"),
)
