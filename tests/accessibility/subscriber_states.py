"""Every state of a subscriber's pages, and of the pages on which they come back or end a contract without a login."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db.models import F

from apps.access import overrides
from apps.accounts.models import Membership, UserProfile
from apps.billing.models import Subscription
from apps.core import clock
from apps.instances import deployments
from apps.instances.models import Instance, Seat
from apps.login.session_store import row_key
from apps.onboarding import own_address
from apps.onboarding.models import AddressChange
from apps.operations.models import SeatMove, SeatPlan
from tests.access.test_sharing import make_member
from tests.accessibility.house import House, Shown, State
from tests.accessibility.public_states import LONG_ADDRESS
from tests.dashboard.conftest import person
from tests.storefront.test_contracts import CANCEL, WITHDRAW, prove
from tests.storefront.test_recovery import PAGE as RECOVERY
from tests.storefront.test_recovery import prove as prove_recovery
from tests.storefront.visitor import code_mailed, wrong

HOME = "/dashboard/"
PLAN, INVOICES, ACCOUNT, PEOPLE, MOVES = (
    f"{HOME}{name}/" for name in ("plan", "invoices", "account", "people", "moves")
)
ADDRESS, DATA, DELETE = (f"{ACCOUNT}{name}/" for name in ("address", "data", "delete"))
DAY = dt.timedelta(days=1)
WHY = {"actor": "staff:ada", "reason": "the disks are full"}


def own(address: str, prepare: Callable[[House], object] | None = None, form: dict[str, Any] | None = None) -> State:
    """One of the payer's pages, after something has happened."""

    def shown(house: House) -> Shown:
        if prepare:
            prepare(house)
        return Shown(address, house.browser(), form)

    return shown


def is_in(state: str, reason: str = "", **fields: Any) -> Callable[[House], object]:
    """The access state is written into the row."""
    return lambda house: house.becomes(access_state=state, access_reason={"code": reason} if reason else {}, **fields)


def subscription_is(**fields: Any) -> Callable[[House], object]:
    return lambda _house: Subscription.objects.update(**fields)


def others(address: str) -> State:
    """The page of somebody who has bought nothing."""
    return lambda house: Shown(address, house.browser(person("nobody", access_state="none", access_reason={})))


# --- dashboard ---------------------------------------------------------------------------------------------------------


def everything_at_once(house: House) -> None:
    """Emails come back, an app is being worked on, a question is open, something is being fetched."""
    house.becomes(email_problem="bounced", email_problem_at=clock.now(), pending_since=clock.now())
    now = clock.now()
    for instance in Instance.objects.all():
        deployments.set_notice(instance=instance, notice="maintenance", between=(now - DAY, now + DAY), **WHY)
    ask_to_move(house)


def agree_to_move(house: House) -> None:
    house.browser().post(f"{MOVES}answer/", {"move": ask_to_move(house).pk, "answer": "yes"})


def ask_to_move(house: House) -> SeatMove:
    seat = Seat.objects.filter(profile=house.payer, product__slug="nextcloud").get()
    target = Instance.objects.filter(product=seat.product).exclude(pk=seat.instance_id).first()
    plan = SeatPlan.objects.create(kind="rebalance", product=seat.product, created_at=clock.now(), **WHY)
    return SeatMove.objects.create(
        plan=plan,
        seat=seat,
        profile=house.payer,
        source=seat.instance,
        target=target,
        state="asked",
        asked_at=clock.now(),
    )


def paused_apps(house: House) -> None:
    house.becomes(access_state="recovering", access_reason={"code": "recovering"}, access_until=clock.now() + DAY)
    Seat.objects.update(state="retained")


def cancel(_house: House) -> None:
    """At the end of what is paid for; not at Stripe, which forgets nothing."""
    Subscription.objects.update(cancel_at=F("current_period_end"))


def message(house: House) -> Shown:
    client = house.browser()
    client.post(f"{ACCOUNT}name/", {"first_name": "Wilhelmine", "last_name": "Hohenlohe"})
    return Shown(ACCOUNT, client, None)


def share(house: House) -> None:
    """With one who has joined and one who has been invited."""
    make_member(house.payer)
    Membership.objects.create(payer=house.payer, email=LONG_ADDRESS, invited_at=clock.now())


def member(address: str) -> State:
    def shown(house: House) -> Shown:
        mia = make_member(house.payer)
        UserProfile.objects.filter(pk=mia.pk).update(access_state="active")
        return Shown(address, house.browser(UserProfile.objects.get(pk=mia.pk)))

    return shown


def address_code_asked(house: House) -> Shown:
    client = house.browser()
    client.post(ADDRESS, {"mailbox": "send", "email": LONG_ADDRESS})
    return Shown(ADDRESS, client)


def address_code_refused(house: House) -> Shown:
    return Shown(ADDRESS, address_code_asked(house).client, {"mailbox": "code", "code": "000000"})


def objection(**fields: Any) -> State:
    def shown(house: House) -> Shown:
        row = AddressChange.objects.create(
            profile=house.payer, former="before@example.com", **{"changed_at": clock.now()} | fields
        )
        return Shown(own_address.objection_link(row).removeprefix(settings.BASE_URL))

    return shown


def copy_of_data(address: str, *, ready: bool) -> State:
    def shown(house: House) -> Shown:
        client = house.browser()
        client.post(f"{DATA}ask/")
        if ready:
            house.world.work()
        return Shown(address, client)

    return shown


def sessions(house: House) -> None:
    agent = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
    for told in (agent, "something-without-a-single-space-" * 4):
        key = row_key(house.browser().session.session_key or "")
        UserSession.objects.create(user=house.payer.user, session_key=key, ip="192.0.2.1", user_agent=told)


# --- coming back, and contracts ----------------------------------------------------------------------------------------


def way_back(prepare: Callable[[House], object] | None = None) -> State:
    """The page of somebody who has confirmed the mailbox."""

    def shown(house: House) -> Shown:
        if prepare:
            prepare(house)
        visitor = house.visitor()
        prove_recovery(visitor, house.payer)
        return Shown(RECOVERY, visitor.client)

    return shown


def ended(days: int) -> Callable[[House], object]:
    """The subscription ended so many days ago."""
    moment = dt.timedelta(days=days)

    def prepare(house: House) -> None:
        then = clock.now() - moment
        Subscription.objects.update(status="canceled", ended_at=then)
        house.becomes(access_state="canceled")

    return prepare


def hold(house: House) -> None:
    overrides.hold(profile=house.payer, actor="staff:ada", reason="abuse of the service", until=clock.now() + DAY)


def mailbox(address: str, typed: str = "", *, code: bool = False) -> State:
    """The proof of a mailbox: asked for the code, or what was typed is refused."""

    def shown(house: House) -> Shown:
        client = house.visitor().client
        if not code:
            return Shown(address, client, {"mailbox": "send", "email": typed})
        client.post(address, {"mailbox": "send", "email": house.payer.email})
        template = "recovery_code" if address == RECOVERY else "contract_code"
        return Shown(address, client, {"mailbox": "code", "code": wrong(code_mailed(template))} if typed else None)

    return shown


def contract(address: str, *, stated: bool = False) -> State:
    def shown(house: House) -> Shown:
        visitor = house.visitor()
        prove(visitor, house.payer.email, address)
        if stated:
            visitor.post(address, contract=house.payer.stripe_subscription_id)
        return Shown(address, visitor.client)

    return shown


def no_contract(house: House) -> Shown:
    Subscription.objects.update(status="canceled", ended_at=clock.now())
    return Shown(WITHDRAW, house.browser())


STATES: dict[str, State] = {
    "overview": own(HOME),
    "overview, much to say": own(HOME, everything_at_once),
    "overview, nothing bought": others(HOME),
    "overview, apps prepared": own(HOME, lambda _house: Seat.objects.all().delete()),
    "overview, recovering": own(HOME, paused_apps),
    "overview, billing paused": own(HOME, subscription_is(pause="void")),
    "overview, canceled": own(HOME, cancel),
    "overview of a member": member(HOME),
    **{f"closed: {state}": own(HOME, is_in(state, reason)) for state, reason in (
        ("suspended", "unpaid"), ("canceled", "canceled"), ("expired", "expired"), ("on_hold", "on_hold"),
    )},
    "plan": own(PLAN),
    "plan, a smaller one": own(f"{PLAN}preview/?plan=personal&interval=month&storage_100=0"),
    "plan, a year": own(f"{PLAN}preview/?plan=plus&interval=year&storage_100=3"),
    "plan, unchanged": own(f"{PLAN}preview/?plan=plus&interval=month&storage_100=2"),
    "plan, none": others(PLAN),
    "plan, billing paused": own(PLAN, subscription_is(pause="void")),
    "plan, canceled": own(PLAN, cancel),
    "cancel": own(f"{PLAN}cancel/"),
    "cancel, taken back": own(f"{PLAN}cancel/", cancel),
    "cancel, nothing": others(f"{PLAN}cancel/"),
    "invoices": own(INVOICES),
    "invoices, none": others(INVOICES),
    "account": own(ACCOUNT),
    "account, changed": message,
    "account, name refused": own(f"{ACCOUNT}name/", form={"first_name": "", "last_name": "{"}),
    "address": own(ADDRESS),
    "address refused": own(ADDRESS, form={"mailbox": "send", "email": "nobody"}),
    "address, code asked": address_code_asked,
    "address, code refused": address_code_refused,
    "objection": objection(),
    "objection done": objection(objected_at=clock.now() + DAY),
    "objection over": objection(changed_at=clock.now() - 9 * DAY),
    "data": own(DATA),
    "data, asked": copy_of_data(DATA, ready=False),
    "data, ready": copy_of_data(DATA, ready=True),
    "data, read": copy_of_data(f"{DATA}read/", ready=True),
    "delete": own(DELETE),
    "delete refused": own(f"{DELETE}confirm/", form={"username": "wrong"}),
    "moves, none": own(MOVES),
    "moves, asked": own(MOVES, ask_to_move),
    "moves, agreed": own(MOVES, agree_to_move),
    "people": own(PEOPLE),
    "people, full": own(PEOPLE, share),
    "people refused": own(f"{PEOPLE}invite/", form={"email": "nonsense"}),
    "people of a member": member(PEOPLE),
    "people, for one": others(PEOPLE),
    "sessions": own(f"{HOME}sessions/", sessions),
    "recovery": lambda _house: Shown(RECOVERY, is_public=True),
    "recovery, address refused": mailbox(RECOVERY, "nobody"),
    "recovery, code asked": mailbox(RECOVERY, code=True),
    "recovery, code refused": mailbox(RECOVERY, "wrong", code=True),
    "recovery of an open account": way_back(),
    "recovery, subscribe again": way_back(ended(3)),
    "recovery, expired": way_back(ended(60)),
    "recovery, on hold": way_back(hold),
    "recovery, paused": way_back(subscription_is(status="paused")),
    "contract": lambda _house: Shown(CANCEL, is_public=True),
    "contract, address refused": mailbox(CANCEL, "nobody"),
    "contract, code asked": mailbox(CANCEL, code=True),
    "contract, code refused": mailbox(CANCEL, "wrong", code=True),
    "contract to cancel": contract(CANCEL),
    "contract canceled": contract(CANCEL, stated=True),
    "withdrawal": lambda _house: Shown(WITHDRAW, is_public=True),
    "contract to withdraw from": contract(WITHDRAW),
    "contract withdrawn from": contract(WITHDRAW, stated=True),
    "contract, none": no_contract,
}  # fmt: skip


def miss_a_payment(house: House) -> None:
    """A month goes by, and the renewal fails; not to be taken back, at Stripe either."""
    house.world.shop.control("settings", end="past_due")
    house.world.shop.control("payments", customer=house.payer.stripe_customer_id, mode="fail")
    house.world.pass_time(days=32)
    house.world.deliver()
    house.payer.refresh_from_db()


LATE: dict[str, State] = {
    "late: overview": own(HOME),
    "late: plan": own(PLAN),
    "late: cancel": own(f"{PLAN}cancel/"),
    "late: invoices": own(INVOICES),
    "late: delete": own(DELETE),
    "late: recovery": way_back(),
}
