"""One row for each comparison: it is there before the first slice works, counts each slice once, and shows when it dies."""

import datetime as dt
from typing import Any

import pytest

from apps.core import attention, clock, comparison_runs, jobs
from apps.core.comparison_runs import Tally
from apps.core.models import ComparisonRun

pytestmark = pytest.mark.django_db
KIND = "compare_subscriptions"
FOUND = Tally(10, 2, 1, (("profile", 1, "stripe"), ("profile", 2, "stripe")))


def only() -> ComparisonRun:
    return ComparisonRun.objects.get()


def test_slices_add_up_and_the_last_one_ends_the_run() -> None:
    first = comparison_runs.begin(KIND)
    assert (only().state, only().slices) == ("running", 0)
    comparison_runs.add(first, FOUND)
    assert comparison_runs.resume(KIND) == first
    comparison_runs.add(first, FOUND, ended=True)
    run = only()
    assert (run.state, run.slices, run.looked_at, run.found, run.fixed, run.failed) == ("done", 2, 20, 4, 2, 0)
    assert run.items == [["profile", 1, "stripe"], ["profile", 2, "stripe"]]
    assert run.ended_at is not None
    assert run.actor == "system"


def test_a_first_slice_that_died_goes_on_as_the_same_run() -> None:
    assert comparison_runs.begin(KIND) == comparison_runs.begin(KIND)
    assert ComparisonRun.objects.count() == 1


def test_a_run_that_died_half_way_says_so_when_the_next_one_begins() -> None:
    died = comparison_runs.begin(KIND)
    comparison_runs.add(died, FOUND)
    following = comparison_runs.begin(KIND)
    comparison_runs.add(died, FOUND, ended=True)  # of a slice that lived on
    states = dict(ComparisonRun.objects.values_list("pk", "state"))
    assert states == {died: "stopped", following: "running"}
    assert ComparisonRun.objects.get(pk=died).looked_at == 10


def test_what_is_left_to_staff_counts_as_failed() -> None:
    run = comparison_runs.begin(KIND)
    comparison_runs.add(run, FOUND)
    comparison_runs.add(run, FOUND, ended=True, left_to_staff=True)
    assert (only().found, only().fixed, only().failed) == (4, 2, 2)


def test_a_run_that_does_not_end_is_an_attention_item_until_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    run = comparison_runs.begin(KIND)
    comparison_runs.add(run, FOUND)
    check = jobs.KINDS[comparison_runs.CHECK].handler

    def items() -> list[Any]:
        check("periodic")
        return list(attention.open_items().filter(cause=attention.Cause.COMPARISON))

    assert items() == []
    then = clock.now() + comparison_runs.LATE + dt.timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: then)
    (item,) = items()
    assert "“Compare with Stripe”" in item.sentence
    assert "stopped after 1 slice, having looked at 10" in item.sentence
    comparison_runs.add(comparison_runs.begin(KIND), Tally(), ended=True)
    assert items() == []


def test_a_row_names_the_first_of_very_many() -> None:
    many = tuple(("profile", number, "stripe") for number in range(comparison_runs.ITEMS + 5))
    comparison_runs.add(comparison_runs.begin(KIND), Tally(items=many, found=len(many)))
    assert len(only().items) == comparison_runs.ITEMS
    assert only().found == len(many)
