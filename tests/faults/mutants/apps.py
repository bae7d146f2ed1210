"""Switches a row off: the policy decides as if its table did not have it. The last one, which nobody can miss, lets everybody in."""

import os
from dataclasses import replace

from django.apps import AppConfig

NAMES = {
    1: "_held", 2: "_paid", 3: "_granted", 4: "_in_grace", 5: "_recovering", 6: "_suspended", 7: "_canceled", 8: "_expired",
}  # fmt: skip


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
