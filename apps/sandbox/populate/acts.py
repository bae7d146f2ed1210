"""What happens to the people of a populated demo: at Frontdesk, at Stripe, and by staff. Each act is made by a function with its details."""

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.sandbox.simulate import acts_stripe
from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.world import SimulatedWorld

ADA, SAM = "staff:ada", "staff:sam"


def username_of(name: str) -> str:
    return name.lower().replace(" ", ".")


@dataclass
class Resident:
    """One person. `basket`: product to quantity; `life`: what the acts at Stripe need to know."""

    name: str
    basket: dict[str, int]
    interval: str
    life: Life
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311  (a demo)

    @property
    def username(self) -> str:
        return username_of(self.name)

    @property
    def email(self) -> str:
        return f"{self.username}@example.org"


type Act = Callable[[SimulatedWorld, Resident], object]


def moment(seconds: float) -> dt.datetime:
    """Unix seconds as a moment in UTC."""
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)


def _in_days(world: SimulatedWorld, days: float) -> dt.datetime:
    return moment(world.now() + int(days * acts_stripe.DAY))


# --- at Frontdesk -------------------------------------------------------------------------------------------------------


def open_checkout(world: SimulatedWorld, who: Resident) -> str:
    """The wizard filled in and Stripe's page opened; its address."""
    from apps.accounts.models import Signup
    from apps.onboarding import signup_checkout

    now = moment(world.now())
    first, _, last = who.name.partition(" ")
    signup = Signup.objects.create(
        username=who.username, email=who.email, first_name=first, last_name=last, interval=who.interval, basket=who.basket,
        email_proven_at=now, terms_version="1", terms_accepted_at=now, created_at=now,
    )  # fmt: skip
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    signup.refresh_from_db()
    assert signup.profile_id is not None  # noqa: S101  (made by open_checkout)
    profile = world.profile_by_id(signup.profile_id)
    who.life.profile, who.life.customer = profile.pk, profile.stripe_customer_id or ""
    return f"{world.stack.sandbox}/stripe/checkout/embedded/{opened.client_secret}"


def sign_up(world: SimulatedWorld, who: Resident) -> None:
    """The wizard, and the payment by card."""
    world.pay_page(open_checkout(world, who), name=who.name)


def join_waitlist(_world: SimulatedWorld, who: Resident) -> None:
    """The form, and the click on the linked page."""
    from apps.onboarding import waitlist
    from apps.onboarding.models import WaitlistEntry

    waitlist.join(email=who.email, slug=next(iter(who.basket)), client="192.0.2.7")
    waitlist.confirm(WaitlistEntry.objects.get(email=who.email))


def invite(email: str) -> Act:
    """Somebody is asked to share the subscription, and has not answered."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.onboarding import people

        people.invite(world.profile(who.life), email=email)

    return act


def accept_invitation_of(payer: str) -> Act:
    """Invited by somebody whose plan is for several, and joined on the linked page with an account of their own."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.accounts.models import Signup, UserProfile
        from apps.onboarding import people

        paying = UserProfile.objects.get(user__username=username_of(payer))
        row, now = people.invite(paying, email=who.email), moment(world.now())
        first, _, last = who.name.partition(" ")
        typed = Signup(
            username=who.username, email=who.email, first_name=first, last_name=last, email_proven_at=now, terms_version="1",
            terms_accepted_at=now, created_at=now,
        )  # fmt: skip
        who.life.profile = people.join_as_new(row, typed).pk

    return act


def leave_shared(_world: SimulatedWorld, who: Resident) -> None:
    """A member goes, as on the dashboard."""
    from apps.access import memberships
    from apps.accounts.models import Membership
    from apps.core import audit

    row = Membership.objects.get(member=who.life.profile, ended_at=None)
    memberships.end(row, Membership.End.LEFT, actor=audit.CUSTOMER, reason="on the dashboard")


def recover(world: SimulatedWorld, who: Resident) -> None:
    """A recovery code was confirmed."""
    from apps.onboarding import recovery

    recovery.open_window(world.profile(who.life), actor=SAM, reason="She could not find the email with the code")


# --- at Stripe ----------------------------------------------------------------------------------------------------------


def _at_stripe(act: Callable[[SimulatedWorld, Life, random.Random], str]) -> Act:
    return lambda world, who: act(world, who.life, who.dice)


fail_payments, mend_payments = _at_stripe(acts_stripe.fail_payments), _at_stripe(acts_stripe.mend_payments)
leave, leave_now = _at_stripe(acts_stripe.leave), _at_stripe(acts_stripe.leave_now)
refund, dispute, use_debit = (
    _at_stripe(acts_stripe.refund), _at_stripe(acts_stripe.dispute), _at_stripe(acts_stripe.use_debit),
)  # fmt: skip
upgrade, downgrade = _at_stripe(acts_stripe.upgrade), _at_stripe(acts_stripe.downgrade)
second_subscription = _at_stripe(acts_stripe.second_subscription)


def trial(days: int) -> Act:
    """The subscription is on trial for so long."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        end = int(_in_days(world, days).timestamp())
        wish = {"trial_end": end, "proration_behavior": "none"}
        world.stripe.post(f"subscriptions/{world.running(who.life)['id']}", **wish)

    return act


def pause(days: int) -> Act:
    """Stripe collects no payments for so long."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        until = int(_in_days(world, days).timestamp())
        wish = {"pause_collection[behavior]": "void", "pause_collection[resumes_at]": until}
        world.stripe.post(f"subscriptions/{world.running(who.life)['id']}", **wish)

    return act


def refund_part(amount: int) -> Act:
    """So many cents of the last payment go back."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        world.stripe.control("refund", charge=_last_charge(world, who), amount=amount)

    return act


def lose_dispute(world: SimulatedWorld, who: Resident) -> None:
    """The bank decides for its customer."""
    world.stripe.control("close_dispute", dispute=who.life.dispute, status="lost")


def add(product: str) -> Act:
    """A further line, as in Stripe's portal."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        price = world.prices[f"{product}:{who.interval}"]
        wish = {"items[0][price]": price, "items[0][quantity]": 1, "proration_behavior": "create_prorations"}
        world.stripe.post(f"subscriptions/{world.running(who.life)['id']}", **wish)

    return act


def use_coupon(coupon: str) -> Act:
    """Something is taken off what they pay."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        world.stripe.post(f"subscriptions/{world.running(who.life)['id']}", **{"discounts[0][coupon]": coupon})

    return act


def _last_charge(world: SimulatedWorld, who: Resident) -> str:
    return str(world.stripe.get("charges", customer=who.life.customer)["data"][0]["id"])


# --- by staff -----------------------------------------------------------------------------------------------------------


def hold(reason: str, *, days: int = 0) -> Act:
    """No access, for so long or until staff end it."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.access import overrides

        until = _in_days(world, days) if days else None
        overrides.hold(profile=world.profile(who.life), actor=ADA, reason=reason, until=until)

    return act


def grant(product: str, reason: str, *, days: int) -> Act:
    """Access without payment."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.access import overrides
        from apps.catalog.models import Product

        products = list(Product.objects.filter(slug=product))
        until = _in_days(world, days)
        overrides.grant(profile=world.profile(who.life), products=products, until=until, actor=ADA, reason=reason)

    return act


def extend_grace(days: int, reason: str) -> Act:
    """More time to pay."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.access import overrides

        overrides.extend_grace(profile=world.profile(who.life), days=days, actor=SAM, reason=reason)

    return act


def note(text: str) -> Act:
    """For the colleague who answers next."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.accounts import notes

        notes.write_note(world.profile(who.life), text=text, actor=SAM)

    return act


def keep_seat(reason: str, *, days: int) -> Act:
    """The seat is kept beyond the final expiry."""

    def act(world: SimulatedWorld, who: Resident) -> None:
        from apps.access import overrides

        until = _in_days(world, days)
        overrides.keep_seat(profile=world.profile(who.life), until=until, actor=ADA, reason=reason)

    return act
