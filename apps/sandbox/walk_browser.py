"""A person's browser for the walk: cookies, forms with their CSRF token, JSON calls, and Keycloak's login pages."""

import html
import re
from http.cookiejar import Cookie, DefaultCookiePolicy
from typing import Any, override
from urllib.parse import urljoin
from urllib.request import Request

import requests

TOKEN = re.compile(r'name="csrfmiddlewaretoken"\s+value="([^"]+)"')
TITLE = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


class WalkError(Exception):
    """A check failed; the text says what was expected."""


class LocalCookies(DefaultCookiePolicy):
    """A real Keycloak's cookies are for secure connections, which browsers take their own machine for."""

    @override
    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        cookie.secure = False
        return super().set_ok(cookie, request)


class Browser:
    """One person's cookies on one site. Paths are the site's; links may lead anywhere in the sandbox."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.session = requests.Session()
        self.session.cookies.set_policy(LocalCookies())

    def get(self, path: str) -> requests.Response:
        """A page, redirects followed; WalkError when it is an error page."""
        answer = self.session.get(urljoin(self.site, path), timeout=30)
        if answer.status_code >= 400:
            raise WalkError(f"{path} answers, but it says {answer.status_code}")
        return answer

    def text(self, path: str) -> str:
        """A page as words."""
        return words(self.get(path).text)

    def headline(self, path: str) -> str:
        """The page's headline."""
        found = TITLE.search(self.get(path).text)
        return words(found.group(1)) if found else ""

    def is_out(self, path: str) -> bool:
        """Whether a page sends to the login; the first answer after an account was closed is a page that says so."""
        return self.session.get(urljoin(self.site, path), timeout=30, allow_redirects=False).is_redirect

    def submit(self, path: str, form: dict[str, str]) -> requests.Response:
        """Fill in and send the form of a page."""
        answer = self._post(path, {"data": form | {"csrfmiddlewaretoken": self._token(path)}}, referer=path)
        if answer.status_code >= 400:
            raise WalkError(f"{path} takes {sorted(form)}, but it says {answer.status_code}")
        return answer

    def call(self, page: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A JSON call as the page's script makes it; WalkError with the site's sentence when it refuses."""
        headers = {"X-CSRFToken": self._token(page)}
        answer = self._post(path, {"json": body, "headers": headers}, referer=page)
        if answer.status_code >= 400:
            raise WalkError(f"{path} accepts the call, but it says {answer.status_code}: {answer.text[:200]}")
        return dict(answer.json())

    def state(self) -> dict[str, Any]:
        """What the success page asks while the account is being made."""
        return dict(self.get("/onboarding/success/state/").json())

    def log_in(self, path: str, username: str, password: str) -> str:
        """Open a page that wants a login, log in at Keycloak if asked, and return its words."""
        answer = self.get(path)
        form = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', answer.text)
        if form:
            target = urljoin(answer.url, html.unescape(form.group(1)))
            answer = self.session.post(target, data={"username": username, "password": password}, timeout=30)
        if not answer.url.startswith(self.site) or answer.status_code >= 400:
            raise WalkError(f"{username} can log in to {path}, but ended at {answer.url} ({answer.status_code})")
        return words(answer.text)

    def set_password(self, link: str, password: str) -> None:
        """Follow Keycloak's mailed link and set a password."""
        page = self.session.get(link, timeout=30)
        onward = re.search(r'href="([^"]+/login-actions/action-token[^"]+)"', page.text)  # “Click here to proceed”
        if onward:
            page = self.session.get(urljoin(page.url, html.unescape(onward.group(1))), timeout=30)
        form = re.search(r'<form[^>]*id="kc-passwd-update-form"[^>]*action="([^"]+)"', page.text)
        if form is None:
            raise WalkError("the mailed link leads to a form for a new password")
        target = urljoin(page.url, html.unescape(form.group(1)))
        self.session.post(target, data={"password-new": password, "password-confirm": password}, timeout=30)

    def portal_link(self) -> str:
        """Click “Address and tax ID” on the dashboard; the address of Stripe's portal page."""
        token = {"csrfmiddlewaretoken": self._token("/dashboard/")}
        answer = self._post("/dashboard/billing/", {"data": token, "allow_redirects": False}, referer="/dashboard/")
        if answer.status_code not in {302, 303}:
            raise WalkError(f"the dashboard leads to the portal, but it says {answer.status_code}")
        return answer.headers["Location"]

    def _token(self, path: str) -> str:
        found = TOKEN.search(self.get(path).text)
        if found is None:
            raise WalkError(f"{path} has a form to send")
        return found.group(1)

    def _post(self, path: str, options: dict[str, Any], *, referer: str) -> requests.Response:
        headers = {"Referer": urljoin(self.site, referer), "Origin": self.site} | options.pop("headers", {})
        return self.session.post(urljoin(self.site, path), headers=headers, timeout=30, **options)


def words(page: str) -> str:
    """HTML as the words a person reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
