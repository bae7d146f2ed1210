"""The laws are checked on schedule, what was found is kept, and staff are told until a law holds again."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from apps.core import attention, clock, jobs, law_checks, laws, metrics
from apps.core.laws import Checked, Law, LawSeverity, LawViolation, NotSetUp, Scope, Unknown
from apps.core.models import AttentionItem, Job, LawCheck

pytestmark = pytest.mark.django_db
PERIOD = dt.timedelta(seconds=laws.FIVE_MINUTES)


@dataclass
class TwoLaws:
    """L1 counts groups named "bad"; L2 answers what it is told to."""

    answer: Callable[[Scope], Checked] = lambda _scope: Checked(1)
    scopes: list[Scope] = field(default_factory=list)
    ahead: dt.timedelta = dt.timedelta()

    def check_groups(self, scope: Scope) -> Checked:
        self.scopes.append(scope)
        bad = Group.objects.filter(name__startswith="bad").order_by("pk")
        return laws.judge(Group.objects.all(), bad, kind="group", words=lambda one: f"Group {one.pk} is bad.")

    def check_other(self, scope: Scope) -> Checked:
        return self.answer(scope)

    def check(self, *, later: dt.timedelta = PERIOD) -> None:
        """The periodic job, so much later than the one before."""
        self.ahead += later
        law_checks.check_due("periodic")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> TwoLaws:
    made, real = TwoLaws(), clock.now
    monkeypatch.setattr(laws, "_laws", {})
    monkeypatch.setattr(clock, "now", lambda: real() + made.ahead)
    laws.register(
        Law("L2", "Second", "It holds.", LawSeverity.NOTICE, made.check_other),
        Law("L1", "No bad group", "No group is bad.", LawSeverity.URGENT, made.check_groups),
    )
    return made


def rows(number: str = "L1") -> list[tuple[str, int]]:
    return list(LawCheck.objects.filter(law=number).order_by("pk").values_list("state", "total"))


def items() -> dict[str, str]:
    return dict(
        AttentionItem.objects.filter(cause=attention.Cause.LAW, resolved_at=None).values_list("key", "sentence")
    )


def test_a_violation_that_ended_stays_to_be_seen(two: TwoLaws) -> None:
    two.check()
    bad = Group.objects.create(name="bad")
    two.check()
    two.check()
    assert rows() == [("ok", 0), ("violated", 1)], "what is found again is one row"
    assert LawCheck.objects.get(state="violated").violations == [
        ["group", str(bad.pk), None, f"Group {bad.pk} is bad."]
    ]
    assert items() == {"L1": f"L1, No bad group: 1 violation: Group {bad.pk} is bad. See all of them under Laws."}
    bad.delete()
    two.check()
    assert rows() == [("ok", 0), ("violated", 1), ("ok", 0)]
    assert items() == {}


def test_a_law_that_cannot_be_checked_is_told_after_three_periods_and_ends_no_violation(two: TwoLaws) -> None:
    def refuse(_scope: Scope) -> Checked:
        raise Unknown("Stripe is down.")

    two.check()
    two.answer = refuse
    for _ in range(3):
        two.check()
    assert rows("L2") == [("ok", 0), ("unknown", 0)]
    assert items() == {}
    two.check()
    assert items() == {"L2": "L2, Second, cannot be checked. Stripe is down."}
    two.answer = lambda _scope: Checked(1, [LawViolation("group", "1", None, "One.")], 1)
    two.check()
    two.answer = refuse
    two.check()
    assert items() == {"L2": "L2, Second: 1 violation: One. See all of them under Laws."}


def test_what_an_installation_lacks_by_choice_is_shown_and_told_to_nobody(two: TwoLaws) -> None:
    def not_set_up(_scope: Scope) -> Checked:
        raise NotSetUp("No log file is named.")

    two.answer = not_set_up
    for _ in range(6):
        two.check()
    row = LawCheck.objects.get(law="L2")
    assert (row.state, row.reason) == ("unknown", "No log file is named.")
    assert not AttentionItem.objects.exists()
    call_command("check_laws", stdout=StringIO())  # no exit code of its own


def test_a_check_that_fails_is_told_at_once(two: TwoLaws) -> None:
    two.answer = lambda _scope: 1 // 0  # type: ignore[assignment,return-value]
    two.check()
    assert "ZeroDivisionError" in items()["L2"]
    two.answer = lambda _scope: Checked(1)
    two.check()
    assert items() == {}


def test_each_law_has_its_period_and_a_job_that_was_cut_off_goes_on(
    two: TwoLaws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(law_checks, "SECONDS", -1.0)
    two.check()
    assert not LawCheck.objects.exists()
    assert Job.objects.filter(kind=law_checks.KIND, key="periodic", state="queued").count() == 1
    monkeypatch.undo()


def test_what_was_checked_is_not_due_before_its_period_is_over(two: TwoLaws) -> None:
    two.check()
    two.check(later=PERIOD / 2)
    assert len(two.scopes) == 1
    two.check(later=PERIOD / 2)
    assert len(two.scopes) == 2


def test_staff_can_have_all_checked_now_and_see_how_far_it_is(two: TwoLaws) -> None:
    two.check()
    assert law_checks.open_check() is None
    law_checks.check_now(actor="staff:ada", reason="a test")
    law_checks.check_now(actor="staff:bob", reason="a test")
    assert Job.objects.filter(kind=law_checks.KIND).count() == 1
    assert law_checks.open_check() == (0, 2)
    jobs.drain()
    assert law_checks.open_check() is None
    assert len(two.scopes) == 2


def test_the_numbers_are_in_the_metrics(two: TwoLaws) -> None:
    def refuse(_scope: Scope) -> Checked:
        raise Unknown("Stripe is down.")

    two.answer = refuse
    Group.objects.create(name="bad")
    two.check()
    read = {name: source() for name, _help, _labels, source in metrics.GAUGES if callable(source) and "law" in name}
    assert read["frontdesk_law_violations"] == [("L1", 1)]
    assert read["frontdesk_law_unknown"] == [("L1", 0), ("L2", 1)]
    assert [row[0] for row in read["frontdesk_law_check_age_seconds"]] == ["L1", "L2"]


def run_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("check_laws", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_what_breaks_a_law_and_keeps_nothing(two: TwoLaws) -> None:
    def refuse(_scope: Scope) -> Checked:
        raise Unknown("Stripe is down.")

    assert run_command()[0] == 0
    two.answer = refuse
    assert run_command()[0] == 2
    assert run_command("--law", "l1", "--subscriber", "7")[0] == 0
    assert two.scopes[-1].subscriber_id == 7
    bad = Group.objects.create(name="bad")
    code, told = run_command("--law", "L1")
    assert code == 1
    assert f"group {bad.pk}: Group {bad.pk} is bad." in told
    code, told = run_command("--json")
    assert code == 1
    assert [(one["law"], one["state"], one["total"]) for one in json.loads(told)] == [
        ("L1", "violated", 1), ("L2", "unknown", 0),
    ]  # fmt: skip
    with pytest.raises(CommandError, match="no law L99"):
        run_command("--law", "L99")
    assert not LawCheck.objects.exists()
