"""Switches a row off or makes it wrong. The last one, which nobody can miss, lets everybody in."""

import os
from dataclasses import replace

from django.apps import AppConfig

NAMES = {
    1: "_held", 2: "_paid", 3: "_granted", 4: "_in_grace", 5: "_recovering", 6: "_suspended", 7: "_canceled", 8: "_expired",
}  # fmt: skip


# What each row says when it is wrong, one way for each: the account, what is due, or the seat.
WRONG = {
    1: {"account": "enabled"},
    2: {"entitlements": "nothing"},
    3: {"entitlements": "nothing"},
    4: {"account": "disabled"},
    5: {"account": "disabled"},
    6: {"account": "enabled"},
    7: {"seats": "released"},
    8: {"seats": "retained"},
}


class MutantsConfig(AppConfig):
    """Django's handle on the app."""

    name = "tests.faults.mutants"

    def ready(self):
        from apps.access import policy

        policy.ROWS = without_row(int(os.environ["MUTANT_ROW"]))


def without_row(row):
    """The table of the policy without this row of the design's."""
    from apps.access import policy

    if row in NAMES:
        return tuple(each for each in policy.ROWS if each.__name__ != NAMES[row])
    return (*policy.ROWS[:-1], let_in)


def let_in(view):
    from apps.access import policy

    return replace(policy._never_paid(view), state=policy.AccessState.ACTIVE, account=policy.Account.ENABLED)


def with_wrong_row(row):
    """The table of the policy with another answer in this row of the design's."""
    from apps.access import policy
    from apps.catalog.entitlements import NOTHING

    words = {"account": policy.Account, "seats": policy.SeatDecision, "entitlements": lambda _word: NOTHING}
    wrong = {name: words[name](word) for name, word in WRONG[row].items()}

    def changed(original):
        def answer(view):
            decision = original(view)
            return decision and replace(decision, **wrong)

        return answer

    return tuple(changed(each) if each.__name__ == NAMES[row] else each for each in policy.ROWS)
