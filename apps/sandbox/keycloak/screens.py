"""How the pages of the realm are shown: one frame, errors as pages, nothing cached."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.sandbox.keycloak import realm, words

Row = dict[str, Any]

LINK = re.compile(r'<a href="(https?://[^"]+)">([^<]*)</a>')
OTHER_TAGS = re.compile(r"<[^>]*>")


class PageError(Exception):
    """A page (status 400) that says what is wrong."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def message(request: HttpRequest, name: str) -> str:
    """One of Keycloak's messages in the language of the page, in the realm's own words if it has any. It is shown as it is: no HTML."""
    return words.texts(words.of_request(request))[name]


def _title(text: str) -> SafeString:
    """What stands above every page: the realm's name, and what its text adds; of HTML that may hold links (and more at Keycloak)."""
    name, *links = LINK.split(text.replace("{0}", realm.settings_of_realm()["displayName"]))
    texts = [OTHER_TAGS.sub(" ", one) for one in (name, *links)]
    parts = (texts[at : at + 3] for at in range(1, len(texts), 3))  # an address, its words and the text behind it
    return format_html("{}{}", texts[0], format_html_join("", '<a href="{}" rel="nofollow">{}</a>{}', parts))


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
    language = words.of_request(request)
    texts = words.texts(language)
    values = {"realm_title": _title(texts["loginTitleHtml"]), "page_language": language, "words": texts, **values}
    return render(request, f"sandbox/keycloak/{name}.html", values, status=status)
