"""A browser without JavaScript: it follows the links and sends the forms that a page has, with all that is hidden in them."""

from html.parser import HTMLParser
from typing import Any, override
from urllib.parse import urlencode, urljoin, urlsplit

from django.http import HttpResponse
from django.test import Client

SITE = "http://testserver"
REDIRECTS = range(300, 400)
SWITCHES = {"radio", "checkbox"}


class Form:
    """A form as it would be sent: what is filled in, all names that it has, and its buttons by their words."""

    def __init__(self, attributes: dict[str, str | None]) -> None:
        self.action, self.method = attributes.get("action") or "", (attributes.get("method") or "get").lower()
        self.filled: dict[str, list[str]] = {}
        self.names: set[str] = set()
        self.buttons: list[tuple[str, str, str]] = []

    def fill(self, name: str, value: str) -> None:
        self.filled.setdefault(name, []).append(value)


class Reader(HTMLParser):
    """The forms, links and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._select = ""
        self._inside: tuple[str, dict[str, str | None], int] | None = (
            None  # a link or button, and where its words begin
        )
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._form = Form(given)
            self.forms.append(self._form)
        elif tag in {"a", "button"}:
            self._inside = tag, given, len(self.words)
        elif self._form is not None and "disabled" not in given:
            self._read_field(self._form, tag, given)

    def _read_field(self, form: Form, tag: str, given: dict[str, str | None]) -> None:
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "option" and self._select:
            if "selected" in given or self._select not in form.filled:
                form.filled[self._select] = [value]
            return
        if tag not in {"input", "select", "textarea"} or not name:
            return
        form.names.add(name)
        if tag == "select":
            self._select = name
        elif given.get("type") not in SWITCHES or "checked" in given:
            form.fill(name, value)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif self._inside and tag == self._inside[0]:
            _, given, start = self._inside
            self._inside = None
            text = " ".join(self.words[start:])
            if tag == "a":
                self.links.append((text, given.get("href") or ""))
            elif self._form is not None and given.get("type", "submit") == "submit":
                self._form.buttons.append((text, given.get("name") or "", given.get("value") or ""))

    @override
    def handle_data(self, data: str) -> None:
        self.words += data.split()


class PlainBrowser:
    """One person's browser. `left_to`: the address at another site that it was sent to last."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Client()
        self.client.handler.enforce_csrf_checks = True
        self.address, self.left_to = "", ""
        self.page = Reader("")

    @property
    def text(self) -> str:
        return " ".join(self.page.words)

    def open(self, address: str) -> None:
        """Type an address, or reload one."""
        self._show(address, self._ask("get", address))

    def follow(self, words: str) -> None:
        """Follow the link that begins with these words."""
        found = [href for text, href in self.page.links if text.startswith(words)]
        assert found, (words, self.page.links)
        self.open(urljoin(self.address, found[0]))

    def press(self, words: str, **typed: str) -> None:
        """Fill in what is typed and press the button that begins with these words: one that a form sends."""
        found = [(form, one) for form in self.page.forms for one in form.buttons if one[0].startswith(words)]
        assert found, (words, [form.buttons for form in self.page.forms])
        form, (_, name, value) = found[0]
        assert set(typed) <= form.names, (typed, form.names)
        sent = form.filled | {field: [text] for field, text in typed.items()} | ({name: [value]} if name else {})
        address = urljoin(self.address, form.action)
        if form.method == "get":
            self.open(f"{address.partition('?')[0]}?{urlencode(sent, doseq=True)}")
        else:
            self._show(address, self._ask("post", address, sent))

    def _ask(self, method: str, address: str, sent: dict[str, list[str]] | None = None) -> HttpResponse:
        headers: Any = {"Accept": "text/html,*/*;q=0.8"}
        answer: HttpResponse = getattr(self.client, method)(address, sent, headers=headers)
        return answer

    def _show(self, address: str, answer: HttpResponse) -> None:
        while answer.status_code in REDIRECTS:
            target = urljoin(urljoin(SITE, address), answer["Location"])
            if not target.startswith(f"{SITE}/"):
                self.left_to = target
                return
            parts = urlsplit(target)
            address = f"{parts.path}?{parts.query}" if parts.query else parts.path
            answer = self._ask("get", address)
        assert answer.status_code == 200, (address, answer.status_code)
        self.address, self.page = address, Reader(answer.content.decode())
