"""Every state of the pages that anyone can open: the first page, sign-up, waitlist, invitation, errors."""

import datetime as dt
import itertools
import time
import uuid
from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import Page

from apps.accounts.models import Membership
from apps.core import clock
from apps.login import newcomers
from apps.onboarding import people, waitlist
from apps.onboarding.models import WaitlistEntry
from tests.access.test_sharing import make_member
from tests.accessibility.house import House, Shown, State
from tests.dashboard.conftest import person
from tests.storefront.test_mailbox_code import link_mailed
from tests.storefront.visitor import ACCOUNT, HOME, PAGES, SESSION, STATE, WAITLIST, Visitor, code_mailed, wrong

CHECKOUT, WAITLIST_PAGE = PAGES["checkout"], "/onboarding/waitlist/"
LONG_ADDRESS = "maximiliane.von.der.heydt-grossenhain@buergermeisteramt-langenargen.example.com"
ACCOUNT_PAGE = "/onboarding/account/"
NUMBERS = itertools.count()  # Keycloak does not forget what the database does
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def opened(address: str) -> State:
    """A page that looks the same to everybody."""
    return lambda _house: Shown(address, is_public=True)


def failing(address: str, form: dict[str, Any] | None = None, *, strict: bool = False) -> State:
    return lambda _house: Shown(
        address, Client(raise_request_exception=False, enforce_csrf_checks=strict, headers=BROWSER), form
    )


# --- sign-up -----------------------------------------------------------------------------------------------------------


def a_first_name_that_is_refused(house: House) -> Shown:
    return Shown(HOME, house.visitor().client, {"first_name": "{"})


def plans_full(house: House) -> Shown:
    house.world.only_room_for(1)
    return Shown(HOME)


def who_has_paid_comes_back(house: House) -> Shown:
    visitor = house.visitor()
    visitor.welcome()
    session = visitor.client.session
    session["signup"] = str(house.payer.signups.latest("created_at").pk)
    session.save()
    return Shown(HOME, visitor.client)


def no_plan_chosen(house: House) -> Shown:
    return Shown(PAGES["plan"], house.visitor().client, {"interval": "month"})


def storage(house: House) -> Shown:
    visitor = house.visitor()
    visitor.welcome()
    visitor.plan("plus", "year")
    return Shown(PAGES["addons"], visitor.client)


def too_much_storage(house: House) -> Shown:
    return Shown(PAGES["addons"], storage(house).client, {"storage_100": "99"})


def checkout(house: House) -> Shown:
    return Shown(CHECKOUT, house.visitor().at_checkout().client)


def an_address_that_is_none(house: House) -> Shown:
    return Shown(CHECKOUT, house.visitor().at_checkout().client, {"mailbox": "send", "email": "nobody"})


def asked(house: House) -> Visitor:
    visitor = house.visitor().at_checkout()
    visitor.post(CHECKOUT, mailbox="send", email=LONG_ADDRESS)
    return visitor


def code_asked(house: House) -> Shown:
    return Shown(CHECKOUT, asked(house).client)


def code_refused(house: House) -> Shown:
    return Shown(CHECKOUT, asked(house).client, {"mailbox": "code", "code": wrong(code_mailed())})


def the_emails_link_elsewhere(house: House) -> Shown:
    asked(house)
    return Shown(link_mailed("signup_code"))


def mailbox_confirmed(house: House) -> Shown:
    return Shown(CHECKOUT, house.visitor().proven(LONG_ADDRESS).client)


def account_refused(house: House) -> Shown:
    form = {"username": house.payer.user.username, "first_name": "", "last_name": "{"}
    return Shown(CHECKOUT, house.visitor().proven().client, form)


def username_taken_while_typing(house: House) -> Shown:
    def type_it(page: Page) -> None:
        page.locator("#username").fill(house.payer.user.username)
        page.wait_for_function("() => document.getElementById('username-error').textContent")

    return Shown(CHECKOUT, house.visitor().proven().client, then=type_it)


def payment_form_opens(house: House) -> Shown:
    def order(page: Page) -> None:
        page.locator("#username").fill("dana")
        page.locator("#first_name").fill("Dana")
        for box in page.locator("#account-form input[type=checkbox]").all():
            box.check()
        page.locator("#account-go").click()
        page.locator("#payment").wait_for()

    return Shown(CHECKOUT, house.visitor().proven().client, then=order)


def payment_left(house: House) -> Shown:
    return Shown(PAGES["cancel"], house.visitor().at_checkout().client)


def paid(house: House) -> Visitor:
    """Paid, and no job has run."""
    name = f"dana-{next(NUMBERS)}"
    visitor = house.visitor().proven(f"{name}@example.com")
    ordered = visitor.api(SESSION, **ACCOUNT | {"username": name}, begin_at_once=True).json()  # type: ignore[attr-defined]
    house.world.shop.pay({"url": "", "client_secret": ordered["client_secret"]})
    return visitor


def account_being_made(house: House) -> Shown:
    return Shown(PAGES["success"], paid(house).client)


def account_delayed(house: House) -> Shown:
    visitor = paid(house)
    house.world.fault("keycloak", "down")
    visitor.get(STATE)
    house.world.work()
    house.world.fault("keycloak", "ok")
    return Shown(PAGES["success"], visitor.client)


def account_made(house: House) -> Shown:
    visitor = paid(house)
    visitor.get(STATE)
    house.world.work()
    return Shown(PAGES["success"], visitor.client)


def payment_failed(house: House) -> Shown:
    visitor = paid(house)
    type(visitor.signup).objects.filter(pk=visitor.signup.pk).update(state="failed")
    return Shown(PAGES["success"], visitor.client)


# --- the waitlist --------------------------------------------------------------------------------------------------------


def full_plan(house: House) -> Shown:
    house.world.only_room_for(1)
    return Shown(WAITLIST_PAGE + "?product=personal", is_public=True)


def joined(house: House) -> Shown:
    visitor = house.visitor()
    visitor.post(WAITLIST, email=LONG_ADDRESS, product="personal")
    return Shown(WAITLIST_PAGE, visitor.client)


def address_refused(house: House) -> Shown:
    return Shown(WAITLIST, house.visitor().client, {"email": "nope", "product": "personal"})


def entry(purpose: str, *, gone: bool = False, **fields: Any) -> State:
    """The page of a link from an email of the waitlist. `gone`: its entry was removed since."""

    def shown(house: House) -> Shown:
        waitlist.join(email=LONG_ADDRESS, slug="personal", client="192.0.2.1")
        row = WaitlistEntry.objects.get(email=LONG_ADDRESS)
        now = clock.now()
        moments = {
            name: now + dt.timedelta(days=days) for name, days in fields.items() if name.endswith(("_at", "_until"))
        }
        WaitlistEntry.objects.filter(pk=row.pk).update(**fields | moments)
        link = waitlist.entry_link(row.pk, purpose).removeprefix(settings.BASE_URL)
        if gone:
            row.delete()
        return Shown(link)

    return shown


# --- an invitation to somebody's subscription ---------------------------------------------------------------------------


def invited(house: House, email: str = LONG_ADDRESS) -> str:
    row = Membership.objects.create(payer=house.payer, email=email, invited_at=clock.now())
    return people.invitation_link(row).removeprefix(settings.BASE_URL)


def invitation(house: House) -> Shown:
    return Shown(invited(house))


def invitation_refused(house: House) -> Shown:
    form = {"first_name": "", "username": house.payer.user.username, "terms": "yes"}
    return Shown(invited(house), house.visitor().client, form)


def invitation_of_somebody_known(house: House) -> Shown:
    return Shown(invited(house, person("mia").email))


def invitation_to_join_now(house: House) -> Shown:
    mia = person("mia")
    return Shown(invited(house, mia.email), house.browser(mia))


def invitation_used(house: House) -> Shown:
    row = Membership.objects.get(member=make_member(house.payer))
    return Shown(people.invitation_link(row).removeprefix(settings.BASE_URL))


# --- an account without a plan ------------------------------------------------------------------------------------------


def account_proven(address: str = "", *, fresh: bool = True, form: dict[str, Any] | None = None) -> State:
    """In the browser of somebody who has logged in with an account that nobody has here."""

    def shown(house: House) -> Shown:
        visitor = house.visitor()
        session = visitor.client.session
        until = time.time() + newcomers.FRESH_SECONDS if fresh else 0
        session[newcomers.KEPT] = {"id": str(uuid.uuid4()), "email": LONG_ADDRESS, "until": until}
        session.save()
        return Shown(address or invited(house), visitor.client, form)

    return shown


STATES: dict[str, State] = {
    "account without a plan": account_proven(ACCOUNT_PAGE),
    "account without a plan, an old login": account_proven(ACCOUNT_PAGE, fresh=False),
    "account without a plan, refused": account_proven(ACCOUNT_PAGE, form={}),
    "invitation, account without a plan": account_proven(),
    "invitation, account without a plan, an old login": account_proven(fresh=False),
    "first page": opened(HOME),
    "first page, a year": opened(f"{HOME}?interval=year"),
    "how billing works": opened("/how-billing-works/"),
    **{f"legal: {name}": opened(f"/legal/{name}/") for name in ("terms", "privacy", "imprint", "withdrawal", "accessibility")},
    "legal: former terms": opened("/legal/terms/1/"),
    "plans": opened(PAGES["plan"]),
    "plans, a year": opened(f"{PAGES['plan']}?plan=plus&interval=year"),
    "after the payment, another browser": opened(PAGES["success"]),
    "waitlist": opened(WAITLIST_PAGE),
    "waitlist, forged link": opened("/onboarding/waitlist/confirm/x/"),
    "invitation, forged link": opened("/onboarding/join/x/"),
    "error 400": failing("/misunderstood"),
    "error 413": failing("/too-large"),
    "error 403": failing("/forbidden"),
    "error 403, form too old": failing(HOME, {"first_name": "A"}, strict=True),
    "error 404": failing("/nothing-here/"),
    "error 405": failing("/onboarding/waitlist/submit/"),
    "error 429": failing("/limited"),
    "error 500": failing("/broken"),
    "error 503": failing("/away"),
    "login failed": failing("/shown/login-failed/"),
    "login cancelled": failing("/shown/login-failed/?cancelled=1"),
    "login away": failing("/shown/login-failed/?away=1"),
    "login too weak": failing("/shown/too-weak/"),
    "login asked first": failing("/shown/ask-first/"),
    "login of nobody we know": failing("/shown/no-account/"),
    "logged out": failing("/shown/logged-out/"),
    "logged out, not at Keycloak": failing("/shown/logged-out/?at_keycloak=/out"),
    "waitlist entry to confirm": entry(waitlist.CONFIRM),
    "waitlist entry confirmed": entry(waitlist.CONFIRM, confirmed_at=0),
    "waitlist entry to leave": entry(waitlist.LEAVE, confirmed_at=0),
    "waitlist entry left": entry(waitlist.LEAVE, state="left"),
    "waitlist invitation": entry(waitlist.INVITATION, state="invited", confirmed_at=-2, invited_at=-1, invited_until=2),
    "waitlist invitation over": entry(waitlist.INVITATION, state="invited", confirmed_at=-9, invited_at=-8, invited_until=-1),
    "waitlist entry, link to confirm expired": entry(waitlist.CONFIRM, created_at=1),
    "waitlist entry, link to leave expired": entry(waitlist.LEAVE, gone=True),
    "waitlist invitation of an earlier round": entry(waitlist.INVITATION, state="invited", confirmed_at=-2, invited_at=1, invited_until=2),
    "waitlist invitation withdrawn": entry(waitlist.INVITATION, confirmed_at=-2),
    "waitlist invitation used": entry(waitlist.INVITATION, state="served", confirmed_at=-2),
    **{
        one.__name__.replace("_", " "): one
        for one in (
            a_first_name_that_is_refused, plans_full, who_has_paid_comes_back, no_plan_chosen, storage, too_much_storage,
            checkout, an_address_that_is_none, code_asked, code_refused, the_emails_link_elsewhere, mailbox_confirmed,
            account_refused, username_taken_while_typing, payment_form_opens, payment_left, account_being_made,
            account_delayed, account_made, payment_failed, full_plan, joined, address_refused, invitation, invitation_refused,
            invitation_of_somebody_known, invitation_to_join_now, invitation_used,
        )
    },
}  # fmt: skip
