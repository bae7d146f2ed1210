"""The frame of the laws: each is checked by itself, can write nothing, and is never "ok" when it could not be checked."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group

from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, LawState, Scope, Unknown

pytestmark = pytest.mark.django_db


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Scope], Checked]], None]:
    """Registers a law of ours, among no others."""
    monkeypatch.setattr(laws, "_laws", {})
    return lambda number, check: laws.register(Law(number, "Title", "It holds.", LawSeverity.URGENT, check))


def _many(_scope: Scope) -> Checked:
    return laws.judge(Group.objects.all(), Group.objects.order_by("pk"), kind="group", words=lambda row: row.name)


def _many_by_sql(scope: Scope) -> Checked:
    rows = "SELECT id, NULL::bigint, name FROM auth_group WHERE id > %(least)s"
    return laws.judge_sql(Group.objects.all(), rows, {"least": scope.subscriber_id or 0}, kind="group", words=str)


def test_a_law_whose_check_fails_is_unknown_and_stops_no_other(add) -> None:
    def fail(_scope: Scope) -> Checked:
        raise ZeroDivisionError

    def refuse(_scope: Scope) -> Checked:
        raise Unknown("Keycloak is down.")

    add("L10", lambda _scope: Checked(3))
    add("L2", fail)
    add("L3", refuse)
    failed, unknown, fine = laws.run()
    assert [one.law.number for one in (failed, unknown, fine)] == ["L2", "L3", "L10"]
    assert (failed.state, failed.failed) == (LawState.UNKNOWN, True)
    assert "ZeroDivisionError" in failed.reason
    assert (unknown.state, unknown.reason, unknown.failed) == (LawState.UNKNOWN, "Keycloak is down.", False)
    assert (fine.state, fine.checked.looked_at) == (LawState.OK, 3)


def test_a_check_can_write_nothing(add) -> None:
    def write(_scope: Scope) -> Checked:
        Group.objects.create(name="written by a check")
        return Checked(1)

    add("L1", write)
    assert laws.run()[0].failed
    assert not Group.objects.filter(name="written by a check").exists()
    Group.objects.create(name="written after it")


@pytest.mark.parametrize("check", [_many, _many_by_sql])
def test_all_violations_are_counted_and_the_first_hundred_named(add, check) -> None:
    Group.objects.bulk_create(Group(name=f"group {n:03}") for n in range(130))
    add("L1", check)
    (found,) = laws.run(["L1"])
    assert found.state == LawState.VIOLATED
    assert (found.checked.looked_at, found.checked.total) == (Group.objects.count(), Group.objects.count())
    assert len(found.checked.violations) == laws.MOST
    assert found.checked.violations[0].words == Group.objects.order_by("pk")[0].name


def test_a_number_is_one_law(add) -> None:
    add("L1", _many)
    with pytest.raises(ValueError, match="twice"):
        add("L1", _many_by_sql)
