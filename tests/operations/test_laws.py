"""Each law is broken by hand, in every way that it watches: exactly that law names exactly that row, until it is as before."""

import re

import pytest
from django.db import transaction

from apps.core import laws
from apps.core.laws import Scope
from tests.laws import violated
from tests.operations import sabotage
from tests.operations.sabotage import Named, Sabotage, Town
from tests.world import World


@pytest.fixture
def town(world: World) -> Town:
    made = Town(world, world.subscriber("dana"), world.subscriber("otto"))
    assert violated() == {}
    return made


def ids(named: Named) -> list[str]:
    return [one for _, one in named]


BROKEN: dict[str, dict[str, Sabotage]] = {
    "L1": {
        "access that nothing pays for": sabotage.unpaid,
        "access on hold": sabotage.held,
        "more in Keycloak than is due": sabotage.excess,
        "a grant without an author": sabotage.grant_without_author,
    },
    "L2": {
        "paid and closed": sabotage.closed,
        "paid and never synced": sabotage.waiting,
        "paid, and no account": lambda town: sabotage.drift(town, "deleted"),
        "paid, and the account disabled": lambda town: sabotage.drift(town, "disabled"),
    },
    "L3": {
        "a sync that no job does": sabotage.stuck,
        "a sync that got lost": lambda town: sabotage.profile(town, "observed_generation = desired_generation - 1"),
        "other attributes in Keycloak": lambda town: sabotage.drift(town, "access"),
    },
    "L7": {
        "one account of two people": sabotage.same_account,
        "one customer of two people": sabotage.same_customer,
        "no account": lambda town: sabotage.profile(town, "keycloak_id = NULL"),
        "no login": sabotage.no_login,
    },
    "L8": {
        "a counter that is too high": lambda town: sabotage.counter(town, "allocated_seats = allocated_seats + 1"),
        "a seat counted in the wrong state": lambda town: sabotage.counter(town, "assigned = assigned - 1, retained = retained + 1"),
        "more seats than the hard cap": sabotage.over_cap,
    },
    "L9": {
        "two seats of one app": sabotage.second_seat,
        "a seat of nobody": sabotage.seat_of_nobody,
        "a seat without access": sabotage.seat_without_access,
        "a retained seat of somebody with access": sabotage.retained,
        "no seat": sabotage.no_seat,
    },
    "L10": {
        "sent, and never accepted": sabotage.email("provider_id = ''"),
        "one key twice": sabotage.same_key,
        "one acceptance twice": sabotage.email("provider_id = '<1@mg>'"),
    },
    "L11": {"a seat": sabotage.seat_unrecorded, "an override": sabotage.override_unrecorded},
    "L12": {"an altered line": sabotage.altered, "a removed line": sabotage.removed, "a guard switched off": sabotage.unguarded},
    "L18": {"grace that does not end": sabotage.late_grace, "suspended before grace ends": sabotage.early_end},
    "L19": {
        "canceled after the final expiry": lambda town: sabotage.expired(town, "canceled"),
        "an open recovery": lambda town: sabotage.expired(town, "expired", until="now() + interval '1 day'"),
        "a running subscription": lambda town: sabotage.expired(town, "expired", status="past_due"),
        "a seat": sabotage.expired_with_seat,
        "personal data": lambda town: sabotage.expired(town, "expired", final="now() - interval '500 days'"),
    },
}  # fmt: skip


@pytest.mark.parametrize("number", BROKEN)
def test_a_law_names_exactly_what_breaks_it(number: str, town: Town) -> None:
    for what, break_it in BROKEN[number].items():
        with transaction.atomic():
            answer = break_it(town)
            named, others = answer if isinstance(answer, tuple) else (answer, {})
            assert violated() == {law: ids(found) for law, found in ({number: named} | others).items()}, what
            (whole,) = laws.run([number])
            (elsewhere,) = laws.run([number], Scope(subscriber_id=town.otto.pk))
            assert elsewhere.checked.looked_at <= whole.checked.looked_at
            assert {one.subscriber_id for one in elsewhere.checked.violations} <= {town.otto.pk, None}
            assert [(one.subject_kind, one.subject_id) for one in whole.checked.violations] == named
            for one in whole.checked.violations:
                assert not re.search(r"\b(dana|otto|eve)\b|@", one.words), "what is kept names nobody"
            transaction.set_rollback(True)
        assert violated() == {}, f"after {what}"
