"""Switches a row off: the policy decides as if its table did not have it. The last one, which nobody can miss, lets everybody in."""

import os
from dataclasses import replace

from django.apps import AppConfig

ROWS = {
    1: "_held",
    2: "_paid",
    3: "_granted",
    4: "_in_grace",
    5: "_recovering",
    6: "_suspended",
    7: "_canceled",
    8: "_expired",
}


class MutantsConfig(AppConfig):
    """Django's handle on the app."""

    name = "tests.faults.mutants"

    def ready(self):
        from apps.access import policy

        row = int(os.environ["MUTANT_ROW"])
        if row in ROWS:
            policy.ROWS = tuple(each for each in policy.ROWS if each.__name__ != ROWS[row])
        else:
            policy.ROWS = (*policy.ROWS[:-1], let_in)


def let_in(view):
    from apps.access import policy

    return replace(policy._never_paid(view), state=policy.AccessState.ACTIVE, account=policy.Account.ENABLED)
