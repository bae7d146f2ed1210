"""Imports somebody began and never finished: staff are told two weeks before their rows go, as those of every other import do.

Promises: what is neither continued, checked again nor undone is kept as long as an import that is done, and no longer; staff hear of it in time.
"""

import datetime as dt

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from apps.core import attention, clock
from apps.core.attention import Cause
from apps.core.dates import day
from apps.operations import imports
from apps.operations.models import CustomerImport

NOTICE = dt.timedelta(days=14)


def left_behind(before: dt.datetime) -> QuerySet[CustomerImport]:
    """Those somebody has started, that wait, and that nobody has checked since then: none that is at work, as an undo is."""
    waiting = CustomerImport.objects.filter(state__in=imports.WAITING, ended_at=None)
    begun = waiting.exclude(pk__in=imports.unstarted().values("pk"))
    return begun.alias(touched=Coalesce("checked_at", "created_at")).filter(touched__lt=before)


def tell_staff(before: dt.datetime) -> None:
    """Open an item for each whose rows go within NOTICE, and end those of others. `before`: as for `left_behind`."""
    waiting = list(left_behind(before + NOTICE))
    for one in waiting:
        touched = one.checked_at or one.created_at
        goes = day(touched + (clock.now() - before))
        said = f"Import {one.pk} was begun and has waited since {day(touched)}. Its rows are deleted about {goes}: it can then be"
        attention.report(
            Cause.IMPORT_LEFT, str(one.pk), f"{said} neither continued nor undone. Continue or undo it, or leave it."
        )
    keys = [str(one.pk) for one in waiting]
    attention.resolve_all_but(Cause.IMPORT_LEFT, keys, why="It went on, or its rows are deleted.")
