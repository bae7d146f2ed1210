"""What people do at Frontdesk, and what its staff do in the console: through the functions that these pages call."""

import datetime as dt
import random

from apps.sandbox.simulate.expected import Offer, StaffAct
from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.world import Impossible, SimulatedWorld

DAY = 86_400
STAFF = "staff:ada"
WHY = "simulated"


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)


def open_checkout(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """The wizard filled in and Stripe's page opened; its address. A request that failed is made again, as people do."""
    from apps.accounts.models import Signup
    from apps.onboarding import signup_checkout

    now = _moment(world.now())
    wizard = {"username": life.name, "email": f"{life.name}@example.com", "first_name": "Sim", "last_name": "Example"}
    signup = Signup.objects.filter(username=life.name).order_by("-pk").first()
    if signup is None or signup.state not in Signup.UNFINISHED:
        interval, basket = _choose_basket(dice)
        signup = Signup.objects.create(
            **wizard, interval=interval, basket=basket, email_proven_at=now, terms_version="1", terms_accepted_at=now,
            created_at=now,
        )  # fmt: skip
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    signup.refresh_from_db()
    if signup.profile_id is None:
        raise Impossible
    profile = world.profile_by_id(signup.profile_id)
    life.profile, life.customer = profile.pk, profile.stripe_customer_id or ""
    return f"{world.stack.sandbox}/stripe/checkout/embedded/{opened.client_secret}"


def _choose_basket(dice: random.Random) -> tuple[str, dict[str, int]]:
    """The interval, and a plan with what goes with it."""
    plan, interval = dice.choice(["personal", "personal", "plus"]), dice.choice(["month"] * 5 + ["year"])
    basket = {plan: 1}
    if dice.random() < 0.3:
        basket["storage_100"] = dice.randint(1, 3)
    if plan == "personal" and dice.random() < 0.3:
        basket["vaultwarden"] = 1
    return interval, basket


def sign_up(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    """The wizard, and the payment by card or, by some, by bank debit, which takes the bank days."""
    url = open_checkout(world, life, dice)
    by_bank = {"bank": "1"} if dice.random() < 0.1 else {}
    world.pay_page(url, **by_bank)
    from apps.accounts.models import Signup

    signup = Signup.objects.filter(profile=life.profile).latest("pk")
    bought = ", ".join(f"{count} × {name}" for name, count in sorted(signup.basket.items()))
    return f"signs up for {bought}, by the {signup.interval}{', by bank debit' if by_bank else ''}"


def open_recovery(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    """A code was confirmed: the account opens for three days, to pay."""
    from apps.core.errors import BadInput
    from apps.onboarding import recovery

    try:
        until = recovery.open_window(world.profile(life), actor=STAFF, reason=WHY)
    except BadInput:
        raise Impossible from None
    life.end("window", world.now())
    life.staff.append(StaffAct("window", world.now(), int(until.timestamp())))
    return "confirms a recovery code"


def pay_to_return(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    """The recovery page leads to the payment."""
    from apps.core.errors import BadInput
    from apps.onboarding import recovery

    if not life.in_force("window", world.now()) or life.deleted:
        raise Impossible
    world.stripe.control("payments", customer=life.customer, mode="ok")
    try:
        url = recovery.payment_url(world.profile(life))
    except BadInput:
        raise Impossible from None
    if "/checkout/" not in url:
        raise Impossible
    world.pay_page(url)
    return "pays on the recovery page, and is back"


def hold(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    from apps.access import overrides

    now = world.now()
    if life.in_force("hold", now):
        raise Impossible
    days = dice.choice([0, 3, 12, 25])
    until = now + days * DAY if days else None
    overrides.hold(profile=world.profile(life), actor=STAFF, reason=WHY, until=_moment(until) if until else None)
    life.staff.append(StaffAct("hold", now, until))
    return f"is put on hold {f'for {days} days' if days else 'without an end'}"


def lift_hold(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    from apps.access import overrides
    from apps.access.models import AccessOverride

    if not life.in_force("hold", world.now()):
        raise Impossible
    for one in AccessOverride.objects.filter(profile=life.profile, kind="hold", lifted_at=None):
        overrides.lift(override=one, actor=STAFF, reason=WHY)
    life.end("hold", world.now())
    return "has the hold lifted"


def grant(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    from apps.access import overrides
    from apps.catalog.models import Product

    now, days, slug = world.now(), dice.randint(4, 40), dice.choice(["personal", "plus", "vaultwarden"])
    if life.in_force("grant", now):
        raise Impossible
    products = list(Product.objects.filter(slug=slug))
    until = now + days * DAY
    overrides.grant(profile=world.profile(life), products=products, until=_moment(until), actor=STAFF, reason=WHY)
    life.staff.append(StaffAct("grant", now, until, (slug,)))
    return f"is granted {slug} for {days} days"


def no_suspend(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    from apps.access import overrides

    world.running(life, "past_due")
    now, days = world.now(), dice.randint(5, 15)
    until = now + days * DAY
    overrides.no_suspend(profile=world.profile(life), until=_moment(until), actor=STAFF, reason=WHY)
    life.staff.append(StaffAct("no_suspend", now, until))
    return f"is not to be suspended for {days} days"


def keep_seat(world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    from apps.access import overrides

    world.running(life, "canceled")
    now, days = world.now(), dice.randint(20, 50)
    until = now + days * DAY
    overrides.keep_seat(profile=world.profile(life), until=_moment(until), actor=STAFF, reason=WHY)
    life.staff.append(StaffAct("keep_seat", now, until))
    return f"keeps the seat for {days} days"


def waive_dispute(world: SimulatedWorld, life: Life, _dice: random.Random) -> str:
    from apps.access import overrides

    profile, now = world.profile(life), world.now()
    if not any("dispute" in what for _, what in life.story):
        raise Impossible
    overrides.waive_dispute(profile=profile, actor=STAFF, reason=WHY)
    life.staff.append(StaffAct("waive_dispute", now))
    return "is forgiven the disputes so far"


def move_seat(_world: SimulatedWorld, life: Life, dice: random.Random) -> str:
    from apps.access import reconcile
    from apps.core.errors import BadInput
    from apps.instances import allocation
    from apps.instances.models import Instance, Seat

    seats = list(Seat.objects.filter(profile=life.profile, state__in=["assigned", "retained"]).order_by("pk"))
    if not seats:
        raise Impossible
    seat = dice.choice(seats)
    others = list(Instance.objects.filter(product=seat.product_id).exclude(pk=seat.instance_id).order_by("pk"))
    if not others:
        raise Impossible
    target = dice.choice(others)
    try:
        allocation.move(seat=seat, instance=target, actor=STAFF, reason=WHY)
    except BadInput:
        raise Impossible from None
    reconcile.enqueue(seat.profile, reason="seat moved")
    life.places[seat.product.slug] = target.slug
    return f"is moved to {target.slug}"


def change_catalog(world: SimulatedWorld, dice: random.Random) -> str:
    """One of the plans gives more or less from now on, to everybody who has it."""
    from django.db import transaction

    from apps.catalog.models import Product
    from apps.catalog.product_entitlements import entitlements_by_product
    from apps.operations import impact

    slug = dice.choice(["personal", "plus", "storage_100"])
    amount = dice.choice([50, 100, 120, 250, 500, 700])
    with transaction.atomic():
        before = entitlements_by_product()
        product = Product.objects.get(slug=slug)
        product.grants = {"storage_gb": amount}
        product.save()
        found = impact.measure_impact(impact.CatalogChange(before, entitlements_by_product()))
        impact.reconcile_holders(found.holders, reason=f"{product} changed")
    world.offers[slug] = Offer(world.offers[slug].apps, {"storage_gb": amount})
    return f"{slug} gives {amount} GB from now on"


def confirm_safeguard() -> int:
    """A sweep that would take access from many waits for staff, who check and confirm it; how many they confirmed."""
    from apps.operations import safeguard

    waiting = [one for one in safeguard.list_reviews() if one.state == safeguard.State.PENDING]
    for one in waiting:
        safeguard.approve(one, expected=len(one.profile_ids), actor=STAFF, reason=WHY)
    return len(waiting)


def count_failed_jobs() -> dict[str, int]:
    """The jobs that only staff can bring to an end, by kind and state."""
    from django.db.models import Count

    from apps.core.models import Job

    failed = Job.objects.filter(state__in=Job.GIVEN_UP).values_list("kind", "state")
    return {f"{kind} {state}": count for kind, state, count in failed.annotate(count=Count("pk")).order_by("kind")}
