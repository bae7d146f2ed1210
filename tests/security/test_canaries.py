"""One life with values that occur nowhere else, then a search: no secret anywhere, personal data only where the list says."""

import base64
import html
import io
import json
import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import logs
from apps.notifications.mail import notify
from apps.operations import privacy
from tests.console.conftest import staff
from tests.login.conftest import Person, fresh_keys, log_in_at
from tests.security import canaries
from tests.security.canaries import PERSON, Answered, Canaries, record_answers, shape
from tests.security.url_table import AT_STRIPE
from tests.storefront.visitor import SEND, SESSION, VERIFY, WAITLIST, Visitor, code_mailed
from tests.world import SECRET, World

__all__ = ["fresh_keys", "staff"]

ROLES = {"viewer", "support", "operator", "admin"}
NAMES, ACCOUNT = "first name, last name", "email, username"
# The record of processing: each column that says who somebody is, what it says, and why it is there. All else is by number.
RECORDS = {
    "accounts_signup.first_name": "first name: for the account that the payment opens",
    "accounts_signup.last_name": "last name: the same",
    "accounts_signup.username": "username: the same; reserved while the payment is open",
    "accounts_signup.email": "email: the same; confirmed by a code",
    "accounts_userprofile.email": "email: where emails about the subscription go",
    "auth_user.username": "username: shown to the person and to staff",
    "auth_user.first_name": "first name: how emails greet",
    "auth_user.last_name": "last name: for Keycloak and Stripe",
    "auth_user.email": "email: the same as the profile's, which Django's own columns mirror",
    "billing_inboundevent.body": "card, email, first name, last name, name on the card: Stripe's event as it came, for 14 days",
    "djstripe_charge.stripe_data": "card, name on the card: Stripe's charge, for staff who answer about a payment",
    "djstripe_customer.email": "email: Stripe's customer, found again by it",
    "djstripe_customer.stripe_data": "email, first name, last name: Stripe's customer",
    "djstripe_invoice.stripe_data": "email, first name, last name: Stripe's invoice, which names who owes it",
    "djstripe_paymentmethod.stripe_data": "card, name on the card: which card pays, as the dashboard and staff see it",
    "notifications_notification.to": "email: where an email goes",
    "notifications_notification.context": "email, first name, username: what an email was filled in with, for 30 days",
    "onboarding_waitlistentry.email": "email: who waits",
    "socialaccount_socialaccount.extra_data": "email, first name, last name, username: what Keycloak said at the last login",
    "usersessions_usersession.ip": "network address: so that somebody knows their own sessions; as long as they live",
    "usersessions_usersession.user_agent": "browser: the same",
}  # fmt: skip
SECRETS_ON_PAGES = {"/onboarding/checkout/session/": {"checkout secret"}}  # Stripe's form needs it, in this browser
SECRETS_IN_EMAILS = {
    "Your code for": "sign-up code",
    "Your Frontdesk recovery": "recovery code",
    "Confirm your place": "waitlist link",
}
# What a person sees of oneself.
OWN_PAGES = {
    "/onboarding/waitlist/submit/": "email", "/onboarding/waitlist/confirm/…/": "email", "/onboarding/checkout/": "email, first name",
    "/onboarding/checkout/verify-code/": "email", "/onboarding/success/": f"{ACCOUNT}, first name",
    "/onboarding/success/state/": ACCOUNT, "/dashboard/": f"{ACCOUNT}, first name", "/dashboard/sessions/": "network address, username",
    "/dashboard/reset-password/": "email",
}  # fmt: skip
# What staff see of a person, viewers nothing; each view of a person's own page is in the audit trail.
STAFF_PAGES = {
    "/admin/": "username", "/admin/core/auditentry/": "username", "/admin/core/attentionitem/…/change/": "username",
    "/admin/inbox/": "username", "/admin/core/attentionitem/retry_group/": "username", "/admin/core/job/": "username", "/admin/core/job/…/change/": "username",
    "/admin/accounts/userprofile/": f"{ACCOUNT}, {NAMES}", "/admin/accounts/userprofile/…/change/": f"{ACCOUNT}, {NAMES}",
    "/admin/accounts/userprofile/…/tab/": f"{ACCOUNT}, card", "/admin/accounts/userprofile/…/timeline/": "username",
    **dict.fromkeys((f"/admin/accounts/userprofile/…/{one}/" for one in
                     ("hold", "grant", "no_suspend", "keep_seat", "close_window", "send_code", "password_mail", "erase", "personal-data")), ACCOUNT),
    **dict.fromkeys((f"/admin/accounts/userprofile/…/{one}/" for one in (*AT_STRIPE, "payment-preview")), f"{ACCOUNT}, card"),
    "/admin/accounts/signup/": ACCOUNT, "/admin/accounts/signup/…/change/": f"{ACCOUNT}, {NAMES}",
    "/admin/instances/seat/": "username", "/admin/instances/seat/…/change/": "username", "/admin/instances/seat/…/move/": "username",
    "/admin/instances/seat/…/release/": "username", "/admin/billing/inboundevent/": "username", "/admin/billing/inboundevent/…/change/": "username",
    **dict.fromkeys((f"/admin/djstripe/{one}/" for one in ("invoice", "charge", "subscription", "paymentmethod")), "username"),
    "/admin/djstripe/customer/": ACCOUNT, "/admin/djstripe/customer/…/change/": f"{ACCOUNT}, {NAMES}",
    "/admin/djstripe/invoice/…/change/": f"{ACCOUNT}, {NAMES}", "/admin/djstripe/subscription/…/change/": "username",
    **dict.fromkeys((f"/admin/djstripe/{one}/…/change/" for one in ("charge", "paymentmethod")), "username, card, name on the card"),
    "/admin/notifications/notification/": ACCOUNT, "/admin/notifications/notification/…/change/": ACCOUNT,
    "/admin/notifications/notification/…/send_one_again/": "email, first name",
    "/admin/onboarding/waitlistentry/": "email", "/admin/onboarding/waitlistentry/…/change/": "email",
    "/admin/onboarding/waitlistentry/…/invite/": "email", "/admin/onboarding/waitlistentry/…/withdraw_invitation/": "email", "/admin/waitlist/plan/": "email",
    "/admin/operations/drift/": ACCOUNT,
}  # fmt: skip
SKIPPED = re.compile(r"logout|[?&]o=|&|__id__exact|_changelist_filters|_popup|/history/")  # the same page again
EVENT = "/admin/billing/inboundevent/…/change/"  # its body is for operators and admins


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """What production logs, web and worker alike, at its most talkative level."""
    stream = io.StringIO()
    wished = logs.logging_settings("INFO")
    wished["handlers"]["stderr"]["stream"] = stream
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    logging.config.dictConfig(wished)
    yield stream
    root.handlers = before
    root.setLevel(level)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Canaries:
    """The secrets of the settings, each a value of its own, and those that come up on the way."""
    made = Canaries()
    for name in ("MAILGUN_API_KEY", "PROMETHEUS_METRICS_API_KEY"):
        setattr(settings, name, f"canary-{name.lower()}-0123456789abcdef")
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_KEY": settings.MAILGUN_API_KEY}
    settings.STRIPE_SECRET_KEY = "sk_test_CanaryOfStripe0123456789"
    names = ("SECRET_KEY", "MAILGUN_API_KEY", "PROMETHEUS_METRICS_API_KEY", "STRIPE_SECRET_KEY")
    for name in names:
        made.add(name, getattr(settings, name))
    for name, value in (
        ("webhook secret", SECRET),
        ("sync secret", "dev-only-sync-secret"),
        ("web secret", "dev-only-web-secret"),
    ):
        made.add(name, value)
    made.listen_to_tokens(monkeypatch)
    return made


class Life:
    """One person's way through Frontdesk, with everything that goes wrong on it."""

    def __init__(self, world: World, found: Canaries) -> None:
        self.world, self.found = world, found
        self.everything = " ".join([*PERSON.values(), *found.secrets.values()])

    def browser(self, who: str) -> Visitor:
        made = Visitor()
        self.dress(made.client, who)
        return made

    def dress(self, client: Client, who: str) -> Client:
        """Give the browser a name, and the customer's also what one would be known by."""
        client.who = who  # type: ignore[attr-defined]
        client.raise_request_exception = False
        if who == "customer":
            client.defaults |= {"REMOTE_ADDR": PERSON["network address"], "HTTP_USER_AGENT": f"{PERSON['browser']}/7.7"}
        return client

    def note_session(self, client: Client) -> None:
        self.found.add("session id", client.cookies["frontdesk-sid"].value)

    # --- the way -----------------------------------------------------------------------------------------------------

    def join_the_waitlist(self) -> None:
        """The first email is refused, in words that repeat it all; the link of the second is opened, and misused."""
        visitor = self.browser("customer")
        self.world.fault("mailgun", "refuse", says=self.everything)
        visitor.api(WAITLIST, email=PERSON["email"])
        self.world.work()
        self.world.fault("mailgun", "ok")
        visitor.api(WAITLIST, email=PERSON["email"], product="plus")
        self.world.work()
        (link,) = re.findall(
            r"/onboarding/waitlist/confirm/[^/\s]+/", self.world.standin.inbox(PERSON["email"])[0]["text"]
        )
        self.found.add("waitlist link", link.split("/")[-2])
        visitor.get(link)
        visitor.client.delete(link)
        visitor.post(link)
        self.world.work()

    def sign_up(self) -> UserProfile:
        visitor = self.browser("customer")
        visitor.welcome(PERSON["first name"])
        visitor.plan("plus")
        visitor.addons()
        visitor.api(SEND, email=PERSON["email"])
        code = code_mailed()
        self.found.add("sign-up code", code)
        self.world.work()
        visitor.api(VERIFY, email=PERSON["email"], code="000000")
        assert visitor.api(VERIFY, email=PERSON["email"], code=code).status_code == 200
        visitor.get("/onboarding/checkout/")
        account = {"username": PERSON["username"], "last_name": PERSON["last name"], "terms": "1"}
        secret = visitor.api(SESSION, **account).json()["client_secret"]  # type: ignore[attr-defined]
        self.found.add("checkout secret", secret)
        self.note_session(visitor.client)
        page = f"{self.world.url}/stripe/checkout/embedded/{secret}"
        self.world.shop.post(page, card="5555555555554444", exp="12/34", cvc="123", name=PERSON["name on the card"])
        self.world.fault("keycloak", "http_500", path="/users", says=self.everything, times=1)
        self.world.deliver()
        self.world.retry()
        self.world.deliver()
        visitor.get("/onboarding/success/")
        visitor.get("/onboarding/success/state/")
        return UserProfile.objects.get(email=PERSON["email"])

    def log_in(self, name: str, who: str) -> Client:
        person = Person(self.world.standin)
        self.dress(person.here, who)
        assert person.log_in(name).status_code == 302
        self.note_session(person.here)
        return person.here

    def use_the_dashboard(self, monkeypatch: pytest.MonkeyPatch) -> Client:
        """Also while our own code and Keycloak fail over it."""
        customer = self.log_in(PERSON["username"], "customer")
        assert customer.get("/dashboard/").status_code == 200
        customer.get("/dashboard/sessions/")
        self.world.fault("keycloak", "http_400", method="PUT", says=f"refused: {PERSON['email']}", times=1)
        customer.post("/dashboard/reset-password/")
        self.world.work()
        with monkeypatch.context() as broken:
            broken.setattr("apps.dashboard.overview.of", _insert_again)
            assert customer.get("/dashboard/").status_code == 500
            broken.setattr("apps.notifications.email_templates.render_email", lambda *_: _insert_again(profile))
            profile = UserProfile.objects.get(email=PERSON["email"])
            notify(key="canary", template="expired", to=profile.email, profile=profile)
            self.world.work()
        notify(
            key="waits",
            template="expired",
            to=profile.email,
            profile=profile,
            context={"first_name": PERSON["first name"]},
        )
        return customer

    def send_odd_events(self) -> None:
        """To the webhook: what nobody signed, and what cannot be read, both full of what must not be kept."""
        for body, header in ((f'{{"id": "{self.everything}"}}', "t=1,v1=00"), (f"{self.everything} is no JSON", None)):
            assert self.world.post(body.encode(), header=header).status_code == 400

    def leave_and_recover(self, profile: UserProfile) -> None:
        profile.refresh_from_db()
        self.world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
        self.world.deliver()
        visitor = self.browser("customer")
        visitor.api("/recovery/send-code/", email=PERSON["email"])
        code = code_mailed("recovery_code")
        self.found.add("recovery code", code)
        self.world.work()
        assert visitor.api("/recovery/verify-code/", email=PERSON["email"], code=code).status_code == 200
        self.note_session(visitor.client)
        self.world.work()
        visitor.get("/recovery/")
        self.world.fault("stripe", "http_400", method="POST", says=self.everything, times=1)
        assert visitor.api("/recovery/checkout-session/").status_code == 409
        assert visitor.api("/recovery/checkout-session/").status_code == 200
        visitor.get("/recovery/")


@pytest.fixture
def life(world: World, found: Canaries, settings: Any) -> Life:
    log_in_at(world.standin, settings)
    return Life(world, found)


def _insert_again(profile: UserProfile) -> None:
    """What Postgres says about a row that is there already, with all its values."""
    with transaction.atomic():
        User.objects.create(username=profile.user.username)


def walk_the_console(client: Client, *, but: str = "nothing") -> None:
    """One page of each kind that a link leads to, of events each; not those with `but` in their address."""
    seen, waiting = set[str](), ["/admin/"]
    while waiting:
        path = waiting.pop(0)
        kind = path if shape(path) == EVENT else shape(path)
        if kind in seen or but in path or SKIPPED.search(path):
            continue
        seen.add(kind)
        answer = client.get(path)
        if answer.status_code == 200 and not answer.streaming:
            links = re.findall(r'href="(/admin/[^"#]*)', answer.content.decode())
            waiting += [html.unescape(link) for link in links]


def judge_log(found: Canaries, log: str) -> list[str]:
    """Lines that hold a canary, and those that the law of the log would name."""
    wrong = [
        line for line in log.splitlines() if found.secrets_in(line) or found.person_in(line) or logs.find_leaks(line)
    ]
    return [line[:300] for line in wrong]


def judge_answers(found: Canaries, answers: list[Answered]) -> list[str]:
    """Every page, header and address that says what it must not."""
    wrong = []
    for one in answers:
        secrets = found.secrets_in(one.text) - SECRETS_ON_PAGES.get(shape(one.path), set())
        person = found.person_in(one.text)
        beside = "\n".join([one.headers, *one.addresses])
        said = found.person_in(beside) | found.secrets_in(beside) - {"waitlist link"}
        if secrets or said or (person and not may_see(one, person)):
            wrong.append(f"{one.who} {shape(one.path)}: {secrets}, {person}, in headers and addresses {said}")
    return wrong


def judge_emails(found: Canaries, inbox: list[dict[str, Any]]) -> list[str]:
    """A code only in the email it is for; of a person nothing to others but the address that waits."""
    wrong = []
    for mail in inbox:
        text, kind = json.dumps(mail, ensure_ascii=False), " ".join(mail["subject"].split()[:3])
        secrets = found.secrets_in(text) - {SECRETS_IN_EMAILS.get(kind, "")}
        person = set() if PERSON["email"] in mail["to"] else found.person_in(text) - {"email"}
        if secrets or person:
            wrong.append(f"“{mail['subject']}” to {mail['to']}: {secrets}, {person}")
    return wrong


def may_see(one: Answered, person: set[str]) -> bool:
    if one.who in {"operator", "admin"} and shape(one.path) == EVENT:
        return True
    pages = STAFF_PAGES if one.who in ROLES - {"viewer"} else OWN_PAGES if one.who == "customer" else {}
    return person <= set(pages.get(shape(one.path), "").split(", "))


def judge_tables(found: Canaries) -> list[str]:
    """What tables hold beyond the list, and what the list names in vain."""
    secrets, person = canaries.columns_with(found.secrets_in), canaries.columns_with(found.person_in)
    kept = {column: set(reason.split(": ")[0].split(", ")) for column, reason in RECORDS.items()}
    return [
        *(f"{column} holds {kinds}" for column, kinds in secrets.items() if kinds),
        *(f"{column} holds {names}" for column, names in person.items() if names - kept.get(column, set())),
        *(f"{column} is said to hold {names}" for column, names in kept.items() if names - person.get(column, set())),
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    "roles", [["admin"], pytest.param(["viewer", "support", "operator"], marks=pytest.mark.nightly)]
)
def test_a_whole_life_leaves_no_secret_and_says_who_it_was_where_it_must_only(
    life: Life, roles: list[str], staff: Callable[..., Client], log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, found, answers = life.world, life.found, record_answers(monkeypatch)
    life.join_the_waitlist()
    profile = life.sign_up()
    world.standin.set_password(profile.keycloak_id or "")
    customer = life.use_the_dashboard(monkeypatch)
    life.send_odd_events()
    assert judge_tables(found) == []
    life.leave_and_recover(profile)
    Client().get("/metrics", headers={"Authorization": f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"})
    people = [life.log_in("admin.ada", "admin") if role == "admin" else life.dress(staff(role), role) for role in roles]
    for one in people:
        walk_the_console(
            one, but="nothing" if len(roles) > 1 else "/realm/"
        )  # the doctor takes long, and reads no person
    assert {one.answer.status_code for one in answers} >= {200, 302, 400, 405, 409, 500}
    assert {"refused", "exception", "view"} <= {
        name for line in log_lines.getvalue().splitlines() for name in json.loads(line)
    }
    assert judge_log(found, log_lines.getvalue()) == []
    assert judge_answers(found, answers) == []
    assert judge_emails(found, world.standin.inbox()) == []

    world.pass_time(seconds=7200)
    world.deliver()
    customer.post("/logout/")
    privacy.erase(UserProfile.objects.get(pk=profile.pk), actor="system", reason="The retention is over.")
    world.deliver()
    world.pass_time(days=2)
    world.deliver()
    assert canaries.columns_with(found.person_in) == {}
    answers.clear()
    for one in people:
        one.get(f"/admin/accounts/userprofile/{profile.pk}/change/")
        if len(roles) > 1:
            walk_the_console(one)
    assert {(shape(one.path), *found.person_in(one.text)) for one in answers if found.person_in(one.text)} == set()
    assert judge_log(found, log_lines.getvalue()) == []


def test_the_search_sees_what_is_hidden_in_a_text(found: Canaries, db: None) -> None:
    """Encoded for an address, in base64 inside a token, in a column of any table; and not a part of something else."""
    token = base64.urlsafe_b64encode(json.dumps({"email": PERSON["email"]}).encode()).decode().rstrip("=")
    for text in (f"?q={quote(PERSON['email'])}", f"eyJh.{token}.c2ln", f"hello {PERSON['first name'].upper()}!"):
        assert found.person_in(text), text
    assert found.secrets_in(f"key={settings.STRIPE_SECRET_KEY}.") == {"STRIPE_SECRET_KEY"}
    assert not found.person_in("44445 x4444 Quillabethian 198.51.100.770")
    found.add("sign-up code", "123456")
    assert not found.secrets_in("2027-01-01 10:00:00.123456+00 and 1234567")
    assert found.secrets_in("code 123456.") == {"sign-up code"}
    User.objects.create(username="x", last_name=PERSON["last name"])
    assert canaries.columns_with(found.person_in) == {"auth_user.last_name": {"last name"}}
