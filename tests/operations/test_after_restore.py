"""The drill: a copy of the database is kept, an hour goes on, and the copy is put back, in a real Postgres."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.access import overrides, reconcile
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import attention, clock, dependencies, restore_marker, restores
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, RestoreCheck
from apps.instances import allocation
from apps.instances.models import Instance, Seat
from apps.operations import after_restore, privacy, stripe_comparison, sweeps
from tests.world import World

HOUR = 3600
LOST = ("cancels", "refunded", "upgrades", "held", "granted", "moved", "erased")  # in the lost hour
ASKED: dict[str, Any] = {"actor": "staff:ada", "reason": "asked by the customer"}


@pytest.fixture
def marker(settings: Any, tmp_path: Path) -> Path:
    """A marker file, as on a volume of its own."""
    settings.RESTORE_MARKER_FILE = str(tmp_path / "marker")
    restores._paused.forget()
    return tmp_path / "marker"


def copy_database(source: str, target: str) -> None:
    """No session of either is left, as threads of other tests may hold some."""
    connection.close()
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [source])
        cursor.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {target} TEMPLATE {source}")


@pytest.fixture
def backup() -> Iterator[Callable[[], None]]:
    """Call it to keep a copy of the database; call what it returns to put the copy back."""
    name = str(connection.settings_dict["NAME"])
    backup = f"{name}_backup"  # each process of the tests has its own

    def keep() -> Callable[[], None]:
        copy_database(name, backup)
        return lambda: copy_database(backup, name)

    yield keep  # type: ignore[misc]
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {backup} WITH (FORCE)")


def minute() -> None:
    restore_marker.advance()


def find_out(world: World, rounds: int = 10) -> RestoreCheck:
    """What the worker does after the restore, until the check is ready."""
    restore_marker.check()
    for _ in range(rounds):
        world.work()
        after_restore.check_after_restore()
        check = restores.open_check()
        assert check is not None
        if check.step == RestoreCheck.Step.READY:
            return check
    raise AssertionError(after_restore.describe(check))


def listed() -> dict[str, str]:
    rows = AttentionItem.objects.filter(cause="restored", resolved_at=None).exclude(key=restores.DATABASE)
    return dict(rows.values_list("key", "sentence"))


def subscription(world: World, profile: UserProfile) -> str:
    return str(world.stripe_state(profile)["id"])


def live_an_hour(world: World, who: dict[str, UserProfile]) -> None:
    """Seven of the eight kinds of change; the eighth is a new customer."""
    shop = world.shop.v1
    shop.subscriptions.cancel(subscription(world, who["cancels"]))
    shop.refunds.create({"charge": world.charge(who["refunded"])})
    item = world.stripe_state(who["upgrades"])["items"]["data"][0]["id"]
    new_plan: Any = {"items": [{"id": item, "price": world.price("plus")}], "proration_behavior": "none"}
    shop.subscriptions.update(subscription(world, who["upgrades"]), new_plan)
    world.deliver()
    overrides.hold(profile=who["held"], **ASKED)
    later = clock.now() + dt.timedelta(days=30)
    shop.subscriptions.cancel(subscription(world, who["granted"]))
    world.deliver()
    overrides.grant(
        profile=who["granted"], products=[Product.objects.get(slug="plus")], until=later, **ASKED
    )  # of whom billing alone would take everything
    seat = Seat.objects.get(profile=who["moved"], product__slug="nextcloud")
    allocation.move(seat=seat, instance=other_instance(seat), **ASKED)
    reconcile.enqueue(who["moved"], reason="moved")
    shop.subscriptions.cancel(subscription(world, who["erased"]))
    world.deliver()
    privacy.erase(who["erased"], **ASKED)
    world.work()


def give_again(who: dict[str, UserProfile]) -> None:
    """What the list asks of staff."""
    overrides.hold(profile=who["held"], **ASKED)
    until = clock.now() + dt.timedelta(days=30)
    overrides.grant(profile=who["granted"], products=[Product.objects.get(slug="plus")], until=until, **ASKED)


def other_instance(seat: Seat) -> Instance:
    return Instance.objects.filter(product=seat.product).exclude(pk=seat.instance_id).get()


def seats_of(profile: UserProfile) -> dict[str, str]:
    live = Seat.objects.filter(profile=profile).exclude(state="released")
    return dict(live.values_list("product__slug", "instance__slug"))


@pytest.mark.fault("F61")
@pytest.mark.django_db(transaction=True)
def test_after_a_restore_eight_kinds_of_change_are_right_or_on_the_list(
    world: World, marker: Path, backup: Any, figure: Callable[[str], None]
) -> None:
    who = {name: world.subscriber(name) for name in LOST}
    minute()
    kept, put_back = AuditEntry.objects.count(), backup()
    newcomer = world.subscriber("newcomer", plus=1)
    live_an_hour(world, who)
    world.pass_time(seconds=HOUR)
    world.deliver()
    minute()
    minute()
    lost = AuditEntry.objects.count() - kept
    before = {name: world.state(profile) for name, profile in who.items() if name != "erased"}
    seats = {name: seats_of(who[name]) for name in ("upgrades", "moved")} | {"new": seats_of(newcomer)}
    customers = {name: who[name].stripe_customer_id for name in LOST}
    mails = world.mails()
    put_back()

    check = find_out(world)
    assert check.lost_entries == lost > 50
    # While it is open, nobody's access was changed in Keycloak, and nobody got a mail.
    assert {name: world.state(who[name]).account for name in before} == {
        name: state.account for name, state in before.items()
    }
    assert world.mails() == mails
    found = listed()
    assert f"subscriber:{who['held'].pk}" in found
    assert f"subscriber:{who['granted'].pk}" in found
    assert len(found) == 2, found
    with pytest.raises(BadInput, match="2 items"):
        restores.finish(actor="staff:ada", reason="checked")

    # Staff do what the list says, then finish.
    give_again(who)
    for item in AttentionItem.objects.filter(resolved_at=None).exclude(key=restores.DATABASE):
        attention.close(item, actor="staff:ada", reason="added again")
    restores.finish(actor="staff:ada", reason="checked")
    world.deliver()
    world.pass_time(seconds=HOUR)
    world.deliver()

    after = {name: world.state(who[name]) for name in before}
    assert after == before
    newcomer = UserProfile.objects.get(user__username="newcomer")
    assert world.state(newcomer).access == "active"
    assert {"upgrades": seats_of(who["upgrades"]), "moved": seats_of(who["moved"]), "new": seats_of(newcomer)} == seats
    erased = UserProfile.objects.select_related("user").get(pk=who["erased"].pk)
    assert (erased.keycloak_id, erased.stripe_customer_id, erased.user.first_name) == (None, None, "")
    assert not world.users("erased@example.com")
    assert customers["erased"]
    assert world.mails() == mails
    assert world.jobs() == []
    assert not dependencies.is_paused(dependencies.RESTORED)
    figure("8 of 8 changes right or on the list, 0 emails twice")


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_command_drives_it_and_can_be_killed_at_every_slice(
    world: World, marker: Path, backup: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dana, old = world.subscriber("dana"), world.subscriber("old")
    minute()
    put_back = backup()
    world.subscriber("newcomer")
    overrides.hold(profile=dana, **ASKED)
    world.work()
    minute()
    put_back()

    call_command("after_restore", status=True)
    assert "Reading Stripe's customers" in capsys.readouterr().out
    with pytest.raises(CommandError, match="not done yet"):
        call_command("after_restore", finish=True, actor="staff:ada", reason="too early")
    monkeypatch.setattr(after_restore, "SLICE", 1)
    saved = after_restore._save

    deaths = 0

    def save_and_die(check: RestoreCheck) -> None:
        """Killed before a slice is saved, and after it the next time."""
        nonlocal deaths
        deaths += 1
        if deaths % 2 == 0:
            saved(check)
        raise KeyboardInterrupt

    with mock.patch.object(after_restore, "_save", save_and_die):
        while restores.open_check().step != "ready":  # type: ignore[union-attr]
            with contextlib.suppress(KeyboardInterrupt):
                after_restore.check_after_restore()
                world.work()
    assert deaths >= 14  # five steps and the slices of three people, twice
    assert listed().keys() == {f"subscriber:{dana.pk}"}
    call_command("after_restore")
    said = capsys.readouterr().out
    assert f"Subscriber {dana.pk}: Keycloak has the account disabled" in said
    with pytest.raises(CommandError, match="1 items"):
        call_command("after_restore", finish=True, actor="staff:ada", reason="checked")
    call_command("after_restore", finish=True, actor="staff:ada", reason="checked", accept=1)
    world.deliver()
    assert UserProfile.objects.filter(user__username="newcomer", access_state="active").count() == 1
    assert world.state(old).access == "active"
    assert AuditEntry.objects.filter(action="restore_finished", actor="staff:ada").count() == 1
    call_command("after_restore", status=True)
    assert "No restored database" in capsys.readouterr().out


def test_a_check_is_started_by_hand_where_nothing_noticed(db: None, marker: Path, settings: Any) -> None:
    with pytest.raises(CommandError, match="Say who"):
        call_command("after_restore", start=True)
    settings.RESTORE_MARKER_FILE = ""
    with pytest.raises(CommandError, match="RESTORE_MARKER_FILE"):
        call_command("after_restore", start=True, **ASKED)
    settings.RESTORE_MARKER_FILE = str(marker)
    restores.begin(ASKED["reason"], actor=ASKED["actor"])
    entry = AuditEntry.objects.get(action="restore_noticed")
    assert (entry.actor, entry.reason) == (ASKED["actor"], ASKED["reason"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_without_a_marker_nobody_notices_and_most_of_it_stays_wrong(world: World, backup: Any) -> None:
    """The same hour as above: what the hourly and nightly work alone puts right."""
    who = {name: world.subscriber(name) for name in LOST}
    put_back = backup()
    world.subscriber("newcomer", plus=1)
    live_an_hour(world, who)
    world.pass_time(seconds=HOUR)
    before = {name: world.state(profile) for name, profile in who.items() if name != "erased"}
    moved = seats_of(who["moved"])
    put_back()
    restore_marker.advance()
    world.sweep()
    world.pass_time(days=1)
    stripe_comparison.compare_subscriptions("periodic")
    sweeps.reconcile_all("periodic")
    world.sweep()
    right = {name for name in before if world.state(who[name]) == before[name]}
    right -= set() if seats_of(who["moved"]) == moved else {"moved"}
    erased = UserProfile.objects.select_related("user").get(pk=who["erased"].pk)
    right |= set() if erased.user.first_name else {"erased"}
    right |= {"new"} if UserProfile.objects.filter(user__username="newcomer").exists() else set()
    assert right == {"cancels", "refunded", "upgrades"}
    assert restores.open_check() is None


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_put_right_is_listed_with_what_to_do(world: World, marker: Path, backup: Any) -> None:
    gone = world.subscriber("gone")
    minute()
    put_back = backup()
    paid, left = world.subscriber("paid"), world.subscriber("left")
    world.shop.v1.subscriptions.cancel(subscription(world, left))
    world.deliver()
    for one in (gone, paid):
        assert world.admin("DELETE", f"/users/{one.keycloak_id}").status_code == 204
    minute()
    marks = {str(one.pk): one.onboarding_id for one in (paid, left)}
    put_back()
    find_out(world)
    found = listed()
    assert found.keys() == {f"gone:{gone.pk}", f"paid:{paid.stripe_customer_id}", f"account:{left.keycloak_id}"}
    assert f"erase_person {gone.pk}" in found[f"gone:{gone.pk}"]
    assert str(marks[str(paid.pk)]) in found[f"paid:{paid.stripe_customer_id}"]
    assert not UserProfile.objects.filter(onboarding_id__in=marks.values()).exists()


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_failed_in_the_lost_time_is_told_once(world: World, marker: Path, backup: Any) -> None:
    dana = world.subscriber("dana")
    minute()
    put_back = backup()
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    assert world.state(dana).access == "suspended"
    assert "payment_failed" in world.notifications(dana)
    minute()
    minute()
    mails = world.mails()
    put_back()
    find_out(world)
    assert listed() == {}
    restores.finish(actor="staff:ada", reason="nothing is listed")
    world.deliver()
    assert world.state(dana).access == "suspended"
    assert world.mails() == mails
