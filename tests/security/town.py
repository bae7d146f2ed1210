"""A database with a row of everything that has an address, and people who each have a browser with real sessions."""

import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import resolve

from apps.accounts.models import Membership, Signup, UserProfile
from apps.catalog.models import Product
from apps.console.admin.subscriber_tables import TABS
from apps.core import clock, health
from apps.core.models import Heartbeat
from apps.login import sessions
from apps.onboarding import own_address, people, waitlist
from apps.onboarding.models import AddressChange, WaitlistEntry
from apps.operations.models import SeatMove
from tests.console.conftest import fill, log_in_freshly
from tests.console.test_actions import CASES, REASON, Case
from tests.security.addresses import FILLED
from tests.security.addresses import fill as address_of
from tests.security.url_table import PEOPLE, STAFF

TOKEN = "abcdefghijklmnopqrstuvwxyz012345"  # against forged requests: as in the cookie, so in the form
MAILBOX = {"email": "stranger@example.com"}
# What is posted: forms, and bodies of JSON, where there is more to say than nothing.
FORMS: dict[str, dict[str, Any]] = {
    "onboarding/": {"first_name": "Ada"}, "dashboard/billing/": {}, "dashboard/plan/change/": {"offer": "of-nobody"},
    "dashboard/plan/cancel/confirm/": {"subscription": "sub_of_nobody"}, "dashboard/plan/cancel/undo/": {"subscription": "sub_of_nobody"},
    "dashboard/account/name/": {"first_name": "Ada"},
    "dashboard/account/delete/confirm/": {"username": "person-0"},
    "admin/accounts/userprofile/<object_id>/personal-data/": {"format": "json", "reason": REASON},
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {"onboarding/waitlist/submit/": MAILBOX, "recovery/send-code/": MAILBOX}
QUERIES = {"admin/accounts/userprofile/<object_id>/tab/": f"?tab={TABS[0].key}"}
LIST_OF_JOBS = "http://testserver/admin/core/job/"


class Town:
    """The rows, and the people who ask for things."""

    def __init__(self, staff: Callable[[str], Client]) -> None:
        self.world = fill(3)
        now, (owner, other) = clock.now(), self.world.profiles[:2]
        for part in ("worker", "cluster"):
            Heartbeat.objects.create(name=f"{part}@here:1", at=now + dt.timedelta(hours=1))
        health._parts.cache_clear()
        browsers = {role: staff(role) for role in STAFF[1:]}
        browsers |= {name: Client() for name in ("visitor", "owner", "other", "roleless")}
        browsers["roleless"].force_login(User.objects.create(username="roleless-ada", is_staff=True))
        browsers["owner"].force_login(owner.user)
        browsers["other"].force_login(other.user)
        Signup.objects.filter(profile=owner).update(state="paid", checkout_session_id="cs_owner")
        self.cookies = {name: browsers[name].cookies.get(settings.SESSION_COOKIE_NAME) for name in PEOPLE}
        session = browsers["owner"].session
        session["signup"] = str(Signup.objects.get(profile=owner).pk)
        session["recovery"] = {"profile": owner.pk, "until": time.time() + 3600}
        session.save()
        self.browsers = browsers
        for person in ("owner", "admin"):
            user = User.objects.get(pk=browsers[person].session["_auth_user_id"])
            UserSession.objects.create(user=user, session_key=f"elsewhere-{person}", ip="192.0.2.1", user_agent="")
        self.client = Client(enforce_csrf_checks=True)
        self.checked = 0.0
        self.followed: set[tuple[str, ...]] = set()  # links, by route and names of what they ask
        elsewhere = str(UserSession.objects.get(session_key="elsewhere-owner").pk)
        self.ids = {**FILLED, "which": elsewhere}
        self.forms = FORMS | {"dashboard/sessions/end/": {"session": elsewhere}, "dashboard/sessions/end-all/": {}}
        question = SeatMove.objects.get(profile=owner)
        self.forms |= {"dashboard/moves/answer/": {"move": question.pk, "answer": "yes"}}
        self.tokens = dict(zip(("confirm", "leave", "invitation"), self._links(now), strict=True))
        self._share()
        self.tokens["objection"] = self._objection(owner, now)

    def _objection(self, owner: UserProfile, now: dt.datetime) -> str:
        """The token of the email to the owner's former address."""
        row = AddressChange.objects.create(profile=owner, former="before@example.com", changed_at=now)
        return own_address.objection_link(row).rstrip("/").rpartition("/")[2]

    def _links(self, now: dt.datetime) -> Iterator[str]:
        """The tokens of three emails of the waitlist: to confirm, to leave, and an invitation."""
        entries = WaitlistEntry.objects.order_by("email")
        invited = {
            "state": "invited",
            "confirmed_at": now,
            "invited_at": now,
            "invited_until": now + dt.timedelta(days=1),
        }
        entries.filter(email="wait-2@example.com").update(**invited)
        for entry, purpose in ((entries[1], "confirm"), (entries[1], "leave"), (entries[2], "invitation")):
            yield waitlist.entry_link(entry.pk, purpose).rstrip("/").rpartition("/")[2]

    def _share(self) -> None:
        """Every plan is for three, and the owner has invited somebody."""
        Product.objects.update(people=3)
        row = Membership.objects.create(payer=self.world.profiles[0], email="mia@example.com", invited_at=clock.now())
        self.tokens["join"] = people.invitation_link(row).rstrip("/").rpartition("/")[2]
        form = {"first_name": "Mia", "last_name": "Lee", "username": "mia.lee", "terms": "1"}
        self.forms |= {
            "dashboard/people/invite/": {"email": "ida@example.com"},
            "dashboard/people/end/": {"membership": row.pk},
            "dashboard/people/leave/": {},
            "onboarding/join/<token>/": form,
        }

    # --- addresses ---------------------------------------------------------------------------------------------------

    def case(self, route: str) -> Case | None:
        """The action at this address of the console."""
        place = route.removeprefix("admin/").replace("<object_id>/", "").rstrip("/")
        page, _, action = place.rpartition("/")
        return next((one for one in CASES if (one.page, one.action) == (page.replace("/", "_"), action)), None)

    def address(self, route: str) -> str:
        """With the ids of rows that are there. An action's row is put into a state in which it could be done."""
        if case := self.case(route):
            return case.address(self.world)
        ids = self.ids | {"token": self.tokens.get(route.split("/")[-3], "") if "<token>" in route else ""}
        if route.startswith("admin/") and "<object_id>" in route and "<content_type_id>" not in route:
            ids["object_id"] = str(quote(self.row(*route.split("/")[1:3]).pk))
        return address_of(route, ids) + QUERIES.get(route, "")

    def address_of_nothing(self, route: str) -> str:
        """With an id that could be one of a row, but of none that is there."""
        row = self.row(*route.split("/")[1:3]) if "<content_type_id>" not in route else None
        nothing = str(uuid.uuid4()) if isinstance(getattr(row, "pk", None), uuid.UUID) else "987654"
        return address_of(route, self.ids | {"object_id": nothing}) + QUERIES.get(route, "")

    def row(self, app: str, name: str) -> Any:
        """A row that the console shows."""
        page = next(page for model, page in admin.site._registry.items() if model._meta.label_lower == f"{app}.{name}")
        return page.get_queryset(RequestFactory().get("/")).order_by("pk").first()

    def form(self, route: str) -> dict[str, Any]:
        """All that is to be said for a POST there."""
        case = self.case(route)
        return case.filled(self.world) if case else self.forms.get(route, {"reason": REASON, "_form_submitted": "on"})

    # --- requests ----------------------------------------------------------------------------------------------------

    def ask(self, person: str, method: str, address: str, data: Any = None, *, token: bool = True, **more: Any) -> Any:
        """One request with that person's cookies as they were at first."""
        self.client.cookies = SimpleCookie({settings.CSRF_COOKIE_NAME: TOKEN})
        if cookie := self.cookies[person]:
            self.client.cookies[settings.SESSION_COOKIE_NAME] = cookie.value
        headers = {"HX-Request": "true", "HX-Current-URL": LIST_OF_JOBS} | ({"X-CSRFToken": TOKEN} if token else {})
        if method == "POST":
            return self.client.post(address, data, headers=headers, **more)
        answer: Any = self.client.generic(method, address, headers=headers)
        if answer.streaming:  # a static file, which would stay open
            b"".join(answer)
        return answer

    def post(self, person: str, route: str, address: str, *, token: bool = True) -> Any:
        """The form of that route, or its JSON."""
        if route in self.forms or route.startswith("admin/"):
            return self.ask(person, "POST", address, self.form(route), token=token)
        body = BODIES.get(route, {})
        return self.ask(person, "POST", address, body, token=token, content_type="application/json")

    def undone(self) -> AbstractContextManager[None]:
        """For one address: whatever happens to the database inside, is taken back. Everyone's login is of the last half minute."""
        if time.time() > self.checked + 30:
            self.checked = time.time()
            for person in PEOPLE[1:]:
                log_in_freshly(self.browsers[person])
                session = self.browsers[person].session
                session[sessions.STARTED] = session[sessions.SEEN] = int(time.time())
                session.save()
        return undone()

    def rest(self, person: str, *, minutes: int, checked: bool = True) -> None:
        """Let the login of a member of staff be so old, and the check of the account too unless it is `checked`."""
        log_in_freshly(self.browsers[person], minutes=minutes)
        if checked:
            session = self.browsers[person].session
            session[sessions.CHECKED] = time.time()
            session.save()


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """A savepoint that is rolled back. To the application it is no transaction, as a test's own is none."""
    savepoint = transaction.atomic()
    savepoint._from_testcase = True  # type: ignore[attr-defined]  # Django's own mark
    with savepoint:
        yield
        transaction.set_rollback(True)


def outcome(answer: HttpResponse, address: str) -> str:
    """The answer in the words of the table."""
    if answer.status_code not in {301, 302, 303, 307, 308}:
        return str(answer.status_code)
    target = urlsplit(answer["Location"])
    if answer["Location"].startswith(settings.KEYCLOAK_ISSUER):
        return ">keycloak"
    assert not target.netloc, answer["Location"]
    if target.path == urlsplit(address).path:
        return ">itself"
    if target.path == settings.LOGIN_URL:
        return ">login"
    name = resolve(target.path).view_name
    return ">change" if name.endswith("_change") else f">{name}"
