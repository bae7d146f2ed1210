"""How the pages of the realm are shown: one frame, errors as pages, nothing cached."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.sandbox.keycloak import realm

Row = dict[str, Any]


class PageError(Exception):
    """A page (status 400) that says what is wrong."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def _no_realm(request: HttpRequest) -> HttpResponse:
    shown = {"title": "We are sorry...", "message": "Realm does not exist"}
    return show(request, "message", shown, status=404)


def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view of a realm's page: 404 for another realm, errors as pages, nothing cached."""

    def served(request: HttpRequest, realm_name: str) -> HttpResponse:
        try:
            response = view(request) if realm_name == realm.name() else _no_realm(request)
        except PageError as error:
            shown = {"title": "We are sorry...", "message": error.words}
            response = show(request, "message", shown, status=400)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response

    return served


def show(request: HttpRequest, name: str, values: Row, *, status: int = 200) -> HttpResponse:
    """Render one of the login pages."""
    values = {"realm_title": realm.settings_of_realm()["displayName"], **values}
    return render(request, f"sandbox/keycloak/{name}.html", values, status=status)
