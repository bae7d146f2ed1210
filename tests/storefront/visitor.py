"""A person with a browser of their own, who goes through the wizard by its addresses."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import Signup
from apps.core import encryption
from apps.notifications.models import Notification

HOME = "/onboarding/"
PAGES = {name: f"{HOME}{name}/" for name in ("plan", "addons", "checkout", "success", "cancel")}
SEND, VERIFY, VALIDATE, SESSION = (
    f"{HOME}checkout/{name}/" for name in ("send-code", "verify-code", "validate", "session")
)
RESEND = f"{HOME}success/resend-password/"
STATE = f"{HOME}success/state/"
WAITLIST = f"{HOME}waitlist/submit/"
OF_EACH_ANSWER = {"Set-Cookie", "X-Request-ID"}  # headers that are never the same twice
ACCOUNT = {"username": "dana", "last_name": "Example", "terms": settings.TERMS_VERSION}


class Visitor:
    """One browser session."""

    def __init__(self) -> None:
        self.client = Client()

    def api(self, url: str, **body: Any) -> HttpResponse:
        answer: HttpResponse = self.client.post(url, body, content_type="application/json")
        return answer

    def get(self, url: str) -> HttpResponse:
        answer: HttpResponse = self.client.get(url)
        return answer

    def post(self, url: str, **form: Any) -> HttpResponse:
        answer: HttpResponse = self.client.post(url, form)
        return answer

    # --- the steps ---------------------------------------------------------------------------------------------------

    def welcome(self, first_name: str = "Dana") -> HttpResponse:
        return self.post(HOME, first_name=first_name)

    def plan(self, plan: str = "personal", interval: str = "month", *addons: str) -> HttpResponse:
        return self.post(PAGES["plan"], plan=plan, interval=interval, addons=addons)

    def addons(self, **quantities: Any) -> HttpResponse:
        return self.post(PAGES["addons"], **quantities)

    def at_checkout(self) -> "Visitor":
        assert self.welcome().status_code == 302
        assert self.plan().status_code == 302
        assert self.addons().status_code == 302
        return self

    def proven(self, email: str = "dana@example.com") -> "Visitor":
        """At the checkout, with the mailbox proven by the code that was mailed."""
        self.at_checkout()
        assert self.api(SEND, email=email).status_code == 200
        answer = self.api(VERIFY, email=email, code=code_mailed())
        assert answer.json() == {"proven": True, "email": email}
        return self

    @property
    def signup(self) -> Signup:
        return Signup.objects.get(pk=self.client.session["signup"])


def code_mailed(template: str = "signup_code") -> str:
    """The code in the newest mail."""
    newest = Notification.objects.filter(template=template).latest("pk")
    return encryption.decrypt(newest.encrypted)["code"]


def wrong(code: str) -> str:
    """Another code."""
    return f"{code[:-1]}{(int(code[-1], 36) + 1) % 10}"
