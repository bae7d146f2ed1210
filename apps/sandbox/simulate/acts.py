"""What can happen to somebody on a day, how often, and how one of it is chosen."""

import contextlib
import random
from collections.abc import Callable

import requests

from apps.core.errors import BadInput, WorkError
from apps.sandbox.simulate import acts_staff, acts_stripe
from apps.sandbox.simulate.lives import Life, chance
from apps.sandbox.simulate.world import Impossible, SimulatedWorld

Act = Callable[[SimulatedWorld, Life, random.Random], str]
# Each with its weight. What mends is as frequent as what breaks, so that nobody stays in one state for long.
ACTS: dict[Act, int] = {
    acts_stripe.upgrade: 4, acts_stripe.fail_payments: 8, acts_staff.hold: 3, acts_stripe.refund: 3,
    acts_stripe.leave: 4, acts_stripe.dispute: 5, acts_staff.grant: 4, acts_stripe.use_debit: 4, acts_stripe.leave_now: 4,
    acts_stripe.pause: 3, acts_stripe.trial: 3, acts_stripe.add_on: 4, acts_stripe.second_subscription: 2,
    acts_stripe.trial_without_card: 2, acts_stripe.refund_a_part: 3, acts_staff.move_seat: 3, acts_stripe.delete_customer: 1,
    acts_stripe.downgrade: 3, acts_stripe.change_quantity: 4, acts_stripe.drop_add_on: 2,
    acts_stripe.mend_payments: 10, acts_stripe.stay: 3, acts_stripe.close_dispute: 10, acts_stripe.resume: 3,
    acts_stripe.resume_paused: 6, acts_staff.lift_hold: 8, acts_staff.open_recovery: 12, acts_staff.pay_to_return: 12,
    acts_staff.no_suspend: 4, acts_staff.keep_seat: 2, acts_staff.waive_dispute: 2,
}  # fmt: skip
# What happens first to one life after the other, so that even few of them see every row of the policy.
SCRIPTS: tuple[tuple[Act, ...], ...] = (
    (acts_stripe.fail_payments,),
    (acts_staff.hold,),
    (acts_stripe.leave_now, acts_staff.grant),
    (acts_stripe.refund, acts_staff.open_recovery),
    (acts_stripe.leave_now,),
    (acts_stripe.dispute, acts_stripe.close_dispute),
    (acts_stripe.leave_now, acts_staff.open_recovery, acts_staff.pay_to_return),
    (acts_stripe.upgrade, acts_stripe.downgrade),
    (acts_stripe.use_debit,),
    (acts_stripe.add_on, acts_stripe.change_quantity, acts_stripe.drop_add_on),
    (acts_stripe.trial_without_card, acts_stripe.resume_paused),
    (acts_stripe.leave, acts_stripe.stay),
    (acts_stripe.second_subscription,),
    (acts_stripe.pause, acts_stripe.resume),
    (acts_stripe.trial, acts_staff.move_seat),
    (acts_stripe.refund_a_part, acts_stripe.delete_customer),
)
HESITATES, HESITATION_DAYS = 6, 12  # each so many-th visitor leaves the payment open at first
PER_DAY = 1 / 9
TRIES = 8
# What a person or a member of staff sees as an error while something is down; they try again another day.
REFUSED = (WorkError, BadInput, requests.RequestException)


def live_some_days(world: SimulatedWorld, life: Life, *, seed: int, since: int, day: int) -> None:
    """What happens to one person from the day `since` to `day`, once at most; it is written into the story, and what failed, too."""
    dice = chance(seed, life.number, day)
    if day <= life.begins or (life.deleted and dice.random() < 0.9):
        return
    if not life.story:
        _begin(world, life, dice, day=day)
        return
    if life.debit and (said := _answer_debits(world, life)):
        life.tell(world.now(), said)
    script = SCRIPTS[life.number % len(SCRIPTS)]
    if life.scripted < len(script):
        if dice.random() < 0.5:
            life.scripted += 1
            _attempt(world, life, [script[life.scripted - 1], *_draw(dice)], dice)
    elif dice.random() < PER_DAY * (day - since):
        _attempt(world, life, _draw(dice), dice)


def _begin(world: SimulatedWorld, life: Life, dice: random.Random, *, day: int) -> None:
    """The signup; some open the payment and come back for it days later."""
    if life.number % HESITATES == HESITATES - 1 and day < life.begins + HESITATION_DAYS:
        if not life.profile:
            with contextlib.suppress(*REFUSED, Impossible):
                acts_staff.open_checkout(world, life, dice)
        return
    _attempt(world, life, [acts_staff.sign_up], dice)


def _draw(dice: random.Random) -> list[Act]:
    return dice.choices(list(ACTS), weights=list(ACTS.values()), k=TRIES)


def _attempt(world: SimulatedWorld, life: Life, acts: list[Act], dice: random.Random) -> None:
    """The first of the acts that is possible."""
    for act in acts:
        moment = world.now()
        try:
            life.tell(moment, act(world, life, dice))
        except Impossible:
            continue
        except REFUSED as error:
            if life.story:
                life.tell(moment, f"tries to {act.__name__.replace('_', ' ')}, and is refused: {type(error).__name__}")
        return


def _answer_debits(world: SimulatedWorld, life: Life) -> str:
    try:
        return acts_stripe.answer_debits(world, life)
    except REFUSED:
        return ""
