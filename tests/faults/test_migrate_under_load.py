"""F55: an update under load. The previous release serves while the next one migrates, and both serve side by side for a time."""

import copy
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from apps.sandbox.run.demo import ROOT
from tests.faults.outage import Load, Stack, running, wait_for
from tests.faults.releases import (
    NoHistoryError,
    Signups,
    beside,
    migrate,
    next_release,
    previous_release,
    reading,
    sign_up,
)
from tests.faults.test_database_outage import all_handled, lost, objects, somebody_who_pays
from tests.sandbox.stripe_fixture import Shop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("outage"), pytest.mark.timeout(600)]
ENOUGH, LONGEST_SECONDS = 30, 5
IN_USE = "A table is in use"
BODY = "    body = models.TextField()"
PROBE = '    probe = models.CharField(max_length=9, blank=True, default="", db_default="")'
FILLED = f'migrations.AddField("inboundevent", "probe", {PROBE.partition(" = ")[2]})'
FEW = 'models.CheckConstraint(condition=models.Q(attempts__lt=999), name="few_attempts")'
NEXT = (
    ("billing", FILLED),
    ("billing", 'AddIndexConcurrently("inboundevent", models.Index(fields=["handled_at"], name="event_probe"))'),
    ("accounts", 'migrations.AddField("userprofile", "probe", models.DateTimeField(null=True))'),
    ("core", f'AddConstraintNotValid("job", {FEW})'),
    ("core", 'ValidateConstraint("job", "few_attempts")'),
)
UNFILLED = (("billing", 'migrations.AddField("inboundevent", "probe", models.CharField(max_length=9, default=""))'),)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a checkout can be kept for as long as the test runs."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-release-", dir="/var/tmp") as name:
        yield Path(name)


def load_on(stack: Stack, customer: str) -> Load:
    return Load(stack, objects(stack, customer), clients=2, pause=0.2)


def wait_for_more(load: Load) -> None:
    """Until some more events were answered."""
    enough = len(load.answers) + ENOUGH
    wait_for(lambda: len(load.answers) >= enough, what="events answered")


def update(stack: Stack, new: Path, customer: str) -> tuple[list[Load], Signups, list[str]]:
    """Migrate behind somebody who reads for long, all the while serving; then both releases serve."""
    said: list[str] = []
    codes: list[int] = []
    with ExitStack() as running_load:
        load = running_load.enter_context(load_on(stack, customer))
        signups = running_load.enter_context(Signups(stack))
        wait_for_more(load)
        with reading(stack, "billing_inboundevent"):
            work = threading.Thread(target=lambda: codes.append(migrate(stack, new, said=said)))
            work.start()
            wait_for(lambda: not work.is_alive() or IN_USE in "".join(said), what="migrate waits or has ended")
        work.join()
        assert codes == [0], said
        wait_for_more(load)
        before = signups.done
        wait_for(lambda: signups.errors or signups.done >= before + 2, what="a sign-up on the new tables", seconds=180)
        with beside(stack, new) as site:
            both = copy.copy(stack)
            both.site = site
            other = running_load.enter_context(load_on(both, customer))
            wait_for_more(load)
            wait_for_more(other)
            sign_up(site, stack.sandbox)
            running_load.close()
        return [load, other], signups, said


def check(stack: Stack, customer: str, loads: list[Load], signups: Signups) -> float:
    """Nobody was refused, nothing is lost, all is done; the seconds of the slowest answer."""
    given = [one for load in loads for one in load.answers.values()]
    assert {one.status_code if one is not None else None for one in given} == {200}
    assert [lost(stack, load) for load in loads] == [set(), set()]
    assert signups.errors == []
    wait_for(lambda: all_handled(stack), what="every event handled", seconds=120)
    assert stack.ask("SELECT kind, last_error FROM core_job WHERE state IN ('dead', 'blocked')") == []
    reads = "SELECT access_state FROM accounts_userprofile WHERE stripe_customer_id = %s"
    wait_for(lambda: stack.ask(reads, customer) == [("active",)], what="access of who has paid")
    return max(one.elapsed.total_seconds() for one in given if one is not None)


def somebody(stack: Stack) -> str:
    """A subscriber of whom Stripe has told nothing; of all others it will."""
    customer = somebody_who_pays(stack)
    Shop(stack.sandbox).webhooks("deliver")
    return customer


@pytest.mark.fault("F55")
def test_the_next_release_migrates_and_starts_while_this_one_serves(
    folder: Path, figure: Callable[[str], None]
) -> None:
    new = next_release(folder, *NEXT, model=("apps/billing/models.py", BODY, PROBE))
    with running() as stack:
        customer = somebody(stack)
        loads, signups, said = update(stack, new, customer)
        slowest = check(stack, customer, loads, signups)
        assert IN_USE in "".join(said)
        assert slowest <= LONGEST_SECONDS
        assert stack.ask("SELECT count(*) FROM billing_inboundevent WHERE probe = ''")[0][0] >= ENOUGH
    figure(
        f"{sum(len(one.answers) for one in loads):,} events and {signups.done + 1} sign-ups during an update of five migrations:"
        f" none refused, none lost, the slowest answer after {slowest:.1f} s"
    )


@pytest.mark.fault("F55")
def test_this_release_migrates_and_starts_while_the_previous_one_serves(
    folder: Path, figure: Callable[[str], None]
) -> None:
    try:
        old = previous_release(folder)
    except NoHistoryError as error:
        pytest.skip(f"The previous release is in the history, which is not here: git fetch --unshallow. {error}")
    with running(old) as stack:
        customer = somebody(stack)
        loads, signups, said = update(stack, ROOT, customer)
        check(stack, customer, loads, signups)
        assert "Applying" in "".join(said)
    figure(
        f"{sum(len(one.answers) for one in loads):,} events while the newest migrations of this release ran: none refused or lost"
    )


@pytest.mark.nightly
@pytest.mark.mutant
@pytest.mark.fault("F55")
def test_mutant_a_column_that_the_previous_release_does_not_fill_would_refuse_events(folder: Path) -> None:
    with running() as stack:
        customer = somebody(stack)
        with load_on(stack, customer) as load:
            wait_for_more(load)
            assert migrate(stack, next_release(folder, *UNFILLED), said=[]) == 0
            wait_for_more(load)
    assert {one.status_code for one in load.answers.values() if one is not None} > {200}


@pytest.mark.nightly
@pytest.mark.mutant
@pytest.mark.fault("F55")
def test_mutant_a_migration_without_a_limit_would_stop_the_webhook(folder: Path) -> None:
    new = next_release(folder, ("billing", FILLED))
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%%inboundevent%%'"
    with running() as stack, load_on(stack, somebody(stack)) as load:
        wait_for_more(load)
        with reading(stack, "billing_inboundevent"):
            work = threading.Thread(target=lambda: migrate(stack, new, said=[], patience="0"))
            work.start()
            wait_for(lambda: stack.ask(waits), what="the migration waits for the table")
            held = threading.Event()
            held.wait(LONGEST_SECONDS + 1)  # what is measured is how long the others wait meanwhile
        work.join()
        wait_for_more(load)
    assert max(one.elapsed.total_seconds() for one in load.answers.values() if one is not None) > LONGEST_SECONDS
