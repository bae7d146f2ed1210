"""Inviting the next n: the plan, who is skipped and why; withdrawing; and what became of the invitations."""

from typing import Any

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.onboarding import invitations, waitlist
from apps.onboarding.models import WaitlistEntry
from tests.onboarding.test_waitlist import BY, invited, text
from tests.storefront.visitor import Visitor
from tests.world import World


def waits(name: str, product: str = "personal", *, confirmed: bool = True) -> WaitlistEntry:
    now = clock.now()
    return WaitlistEntry.objects.create(
        email=f"{name}@example.com", product=Product.objects.filter(slug=product).first(), created_at=now,
        confirmed_at=now if confirmed else None,
    )  # fmt: skip


def plan(count: int, product: str = "personal") -> tuple[list[str], dict[str, str], str]:
    """The names of those who are invited, why others are skipped, and the product that is full."""
    made = invitations.plan_invitations(Product.objects.filter(slug=product).first(), count)
    why = {one.entry.email.split("@")[0]: one.why for one in made.skipped}
    return [entry.email.split("@")[0] for entry in made.invited], why, made.full


def test_the_longest_waiting_come_first_and_only_as_many_as_there_is_room_for(world: World) -> None:
    for name in ("ada", "bob", "cid", "dan"):
        waits(name)
    waits("eve", "vaultwarden")
    waits("fay", confirmed=False)
    assert plan(2) == (["ada", "bob"], {}, "")
    world.only_room_for(3)
    assert plan(9) == (["ada", "bob", "cid"], {}, "Nextcloud")
    assert plan(9, "") == ([], {}, "")
    waits("gus", "")
    assert plan(9, "") == (["gus"], {}, "")
    assert not Seat.objects.exists()


def test_who_cannot_use_an_invitation_is_skipped_with_the_reason_and_costs_no_seat(world: World) -> None:
    dana = world.subscriber("dana")
    for name in ("dana", "bounces", "pays", "free"):
        waits(name)
    UserProfile.objects.create(
        user=type(dana.user).objects.create(username="b"), email="Bounces@example.com", email_problem="bounced", email_problem_at=clock.now(),
        created_at=clock.now(),
    )  # fmt: skip
    pays = UserProfile.objects.create(
        user=type(dana.user).objects.create(username="p"), email="pays@example.com", created_at=clock.now()
    )
    Signup.objects.create(
        profile=pays,
        email=pays.email,
        state="checkout",
        created_at=clock.now(),
        email_proven_at=clock.now(),
        username="pays",
    )
    world.only_room_for(2)  # dana has one of them
    assert plan(5) == (
        ["free"],
        {
            "dana": "has a seat already",
            "bounces": "emails to this address do not arrive",
            "pays": "is paying at this moment",
        },
        "",
    )


def test_the_planned_are_invited_each_by_itself_and_the_others_are_named(world: World) -> None:
    entries = [waits(name) for name in ("ada", "bob", "cid")]
    waitlist.leave(entries[1].pk)
    world.only_room_for(1)
    count, refusals = invitations.invite_all([entry.pk for entry in entries], **BY)
    assert (count, refusals) == (1, ["This entry is no longer waiting.", "Nextcloud has no room. Make room first."])
    assert Seat.objects.filter(state="reserved").count() == 1
    assert Notification.objects.filter(template="waitlist_invited").count() == 1
    assert list(WaitlistEntry.objects.order_by("created_at").values_list("state", flat=True)) == [
        "invited",
        "left",
        "waiting",
    ]


def test_a_withdrawn_invitation_gives_the_seat_back_and_its_address_the_position_it_had(world: World) -> None:
    world.only_room_for(1)
    first, second = waits("ada"), waits("bob")
    url = invited(world, first)
    invitations.withdraw(first.pk, **BY)
    assert Seat.objects.get().state == "released"
    first.refresh_from_db()
    assert (first.state, waitlist.position(first), waitlist.position(second)) == ("waiting", 1, 2)
    page = Visitor().get(url)
    assert page.status_code == 410
    assert "This invitation was withdrawn" in text(page)
    assert Visitor().post(url).status_code == 410
    assert not Signup.objects.exists()
    line = AuditEntry.objects.get(action="waitlist_withdrawn")
    assert (line.subject_id, line.actor, line.reason) == (str(first.pk), "staff:sam", "a seat was freed")
    with pytest.raises(BadInput, match="has no invitation"):
        invitations.withdraw(first.pk, **BY)
    waitlist.invite(second.pk, **BY)  # the seat is free for the next
    waitlist.leave(second.pk)
    waitlist.invite(first.pk, **BY)


def test_nobody_loses_the_seat_of_another_invitation_or_of_a_payment(world: World) -> None:
    personal, vault = waits("ada"), waits("ada", "vaultwarden")
    for entry in (personal, vault):
        waitlist.invite(entry.pk, **BY)
    invitations.withdraw(personal.pk, **BY)
    assert set(Seat.objects.filter(state="reserved").values_list("product__slug", flat=True)) == {"vaultwarden"}
    vault.refresh_from_db()
    Signup.objects.create(
        profile=vault.profile,
        email=vault.email,
        state="checkout",
        created_at=clock.now(),
        email_proven_at=clock.now(),
        username="ada",
    )
    with pytest.raises(BadInput, match="paying at this moment"):
        invitations.withdraw(vault.pk, **BY)
    waitlist.leave(vault.pk)
    assert Seat.objects.filter(state="reserved").count() == 1


def test_each_invitation_is_counted_once_by_what_became_of_it(world: World, settings: Any) -> None:
    Instance.objects.update(hard_cap=900, allocation_cap=800, soft_cap=700)
    names = ("signs", "leaves", "late", "again", "old")
    entries = {name: waits(name) for name in names}
    waitlist.invite(entries["old"].pk, **BY)
    world.pass_time(days=40)
    for name in names[:-1]:
        waitlist.invite(entries[name].pk, **BY)
    entries["signs"].refresh_from_db()
    profile = entries["signs"].profile
    assert profile is not None
    waitlist.mark_signed_up(profile)
    waitlist.mark_signed_up(profile)
    waitlist.leave(entries["leaves"].pk)
    invitations.withdraw(entries["again"].pk, **BY)
    waitlist.invite(entries["again"].pk, **BY)
    month, quarter = invitations.count_conversions(30, 90)
    assert (month.invited, month.signed_up, month.left, month.withdrawn, month.open, month.expired) == (
        5,
        1,
        1,
        1,
        2,
        0,
    )
    world.pass_time(days=settings.WAITLIST_INVITATION_DAYS, seconds=61)
    month, quarter = invitations.count_conversions(30, 90)
    assert (month.open, month.expired, month.percent) == (0, 2, 20)
    assert (quarter.invited, quarter.expired) == (6, 3)
