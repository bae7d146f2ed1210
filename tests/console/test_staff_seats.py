"""What staff do with seats reaches Keycloak: moved, released, refused; and lists say until when a seat is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.instances import deployments
from apps.instances.models import Instance, Seat
from apps.onboarding import signup_checkout
from tests.console.desk import REASON, cancel, dialog, done, lines, page_of, send
from tests.instances.house import drift
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
DESK = {"actor": "staff:ada", "reason": "set up for the test"}


def seat_of(profile: UserProfile) -> Seat:
    return Seat.objects.select_related("instance").exclude(state="released").get(profile=profile)


def elsewhere(seat: Seat) -> Instance:
    return Instance.objects.filter(product=seat.product).exclude(pk=seat.instance_id).get()


def to(instance: Instance, name: str = "dana") -> dict[str, Any]:
    return {"instance": instance.pk, "confirmation": name}


def places(town: World, profile: UserProfile) -> tuple[list[str], list[str]]:
    """The person's groups and instance attribute at Keycloak."""
    groups = [path.rpartition("/")[2] for path in town.groups(profile)]
    return groups, town.account(profile)["attributes"].get("nextcloud_instance", [])


def test_a_moved_subscriber_leaves_the_old_group_and_joins_the_new_one(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat = seat_of(dana)
    old, new = seat.instance, elsewhere(seat)
    assert places(town, dana) == ([old.slug], [old.slug])
    answer = send(staff("operator"), seat, "move", **to(new))
    assert answer["HX-Redirect"] == reverse("admin:accounts_userprofile_change", args=[dana.pk])
    assert places(town, dana) == ([old.slug], [old.slug])  # the reconciler's work, not the click's
    town.deliver()
    assert places(town, dana) == ([new.slug], [new.slug])
    assert seat_of(dana).instance == new
    assert town.state(dana).local_groups == (new.keycloak_group,)
    assert lines(dana, "seat_moved") == [("staff:operator-ada", REASON)]
    assert (drift(), town.jobs()) == ([], [])


def test_the_same_move_sent_twice_is_done_once(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat = seat_of(dana)
    new, client = elsewhere(seat), staff("operator")
    assert done(send(client, seat, "move", **to(new)))
    again = send(client, seat, "move", **to(new))
    assert not done(again)
    assert f"The seat is on {new} already." in again.content.decode()
    town.deliver()
    assert len(lines(dana, "seat_moved")) == 1
    assert drift() == []


def test_the_dialog_says_what_is_free_and_that_no_data_moves(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat = seat_of(dana)
    new = elsewhere(seat)
    client = staff("operator")
    text = client.get(dialog(seat, "move")).content.decode()
    assert f"{new.name}, 60 of 60 free" in text
    assert "not the data" in text
    assert f"{seat.instance.name}, " not in text
    deployments.set_availability(instance=new, is_active=True, auto_allocate=False, **DESK)
    assert f"{new.name}, 60 of 60 free, closed to new people" in client.get(dialog(seat, "move")).content.decode()
    deployments.set_availability(instance=new, is_active=False, auto_allocate=False, **DESK)
    assert f"{new.name}, not in use" in client.get(dialog(seat, "move")).content.decode()


def test_staff_may_use_the_reserve_and_not_more(town: World, staff: Staff) -> None:
    dana, ben, carl = (town.subscriber(name) for name in ("dana", "ben", "carl"))
    new = Instance.objects.get(slug="nextcloud-2")
    for one in (dana, ben, carl):  # all on the first
        if seat_of(one).instance_id == new.pk:
            done(send(staff("operator"), seat_of(one), "move", **to(elsewhere(seat_of(one)), one.user.username)))
    deployments.change_caps(instance=new, soft_cap=0, allocation_cap=1, hard_cap=2, **DESK)
    client = staff("operator")
    assert done(send(client, seat_of(dana), "move", **to(new)))
    assert (
        f"{new.name}, 1 of 2 free, above its allocation cap"
        in client.get(dialog(seat_of(ben), "move")).content.decode()
    )
    assert done(send(client, seat_of(ben), "move", **to(new, "ben")))
    refused = send(client, seat_of(carl), "move", **to(new, "carl"))
    assert f"{new} is full: 2 of 2 seats." in refused.content.decode()
    town.deliver()
    assert places(town, carl)[0] == ["nextcloud-1"]
    assert drift() == []


def test_an_instance_that_is_not_in_use_is_refused_with_a_sentence(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat = seat_of(dana)
    new = deployments.set_availability(instance=elsewhere(seat), is_active=False, auto_allocate=True, **DESK)
    answer = send(staff("operator"), seat, "move", **to(new))
    assert not done(answer)
    assert f"{new} is not in use" in answer.content.decode()
    assert seat_of(dana).instance == seat.instance


@pytest.mark.parametrize("action", ["move", "release"])
def test_a_viewer_may_not_and_is_offered_nothing(action: str, town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat = seat_of(dana)
    for role in ("viewer", "support"):
        assert send(staff(role), seat, action, **to(elsewhere(seat))).status_code == 403
        assert dialog(seat, action) not in page_of(staff(role), dana)
    assert dialog(seat, action) in page_of(staff("operator"), dana)
    assert seat_of(dana).instance == seat.instance


def test_the_seat_of_who_pays_is_not_released_and_the_sentence_says_why(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    seat, client = seat_of(dana), staff("operator")
    assert "would give a seat back at once" in client.get(dialog(seat, "release")).content.decode()
    answer = send(client, seat, "release", confirmation="dana")
    assert not done(answer)
    assert "dana is entitled to Nextcloud" in answer.content.decode()
    assert seat_of(dana).state == "assigned"


def test_a_retained_seat_is_released_and_who_comes_back_gets_another(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    cancel(town, dana)
    seat, client = seat_of(dana), staff("operator")
    assert seat.state == "retained"
    assert "It is kept until" in client.get(dialog(seat, "release")).content.decode()
    assert not done(send(client, seat, "release", confirmation="ben"))
    assert done(send(client, seat, "release", confirmation="dana"))
    assert "cannot be moved or released again" in send(client, seat, "release", confirmation="dana").content.decode()
    town.deliver()
    state = town.state(dana)
    assert (state.access, state.seats, state.groups) == ("canceled", (), ())
    assert lines(dana, "seat_released") == [("staff:operator-ada", REASON)]
    assert (drift(), town.jobs()) == ([], [])


def test_a_held_seat_is_released_and_the_payment_still_gets_one(town: World, staff: Staff) -> None:
    signup = town.signup("dana")
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    signup.refresh_from_db()
    assert signup.profile is not None
    dana = signup.profile
    seat = seat_of(dana)
    assert seat.state == "reserved"
    assert done(send(staff("operator"), seat, "release", confirmation="dana"))
    town.shop.pay({"url": "", "client_secret": opened.client_secret})
    town.deliver()
    assert town.state(dana).seats == (("nextcloud", "assigned"),)
    assert drift() == []


def test_lists_say_until_when_a_seat_is_kept(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    cancel(town, dana)
    assert dana.final_expiry_at is not None
    assert dana.final_expiry_at > clock.now()
    day = f"{dana.final_expiry_at.day} {dana.final_expiry_at:%b %Y}"
    client = staff("viewer")
    listed = client.get(reverse("admin:instances_seat_changelist"), {"state__exact": "retained"}).content.decode()
    assert day in listed
    assert day in page_of(client, dana)


def test_lowered_caps_say_how_many_are_over_and_what_becomes_of_new_people(town: World, staff: Staff) -> None:
    for name in ("dana", "ben", "carl", "dora", "emil", "finn"):
        town.subscriber(name)
    first, other = Instance.objects.filter(product__slug="nextcloud")
    deployments.set_availability(instance=other, is_active=True, auto_allocate=False, **DESK)
    client = staff("admin")
    assert "free for new subscribers" in client.get(dialog(first, "change_caps")).content.decode()
    answer = send(client, first, "change_caps", soft_cap="0", allocation_cap="1", hard_cap="2")
    assert done(answer)
    said = client.get(answer["HX-Redirect"]).content.decode()
    assert "1 seat is over the hard cap, and nobody was evicted" in said
    assert "No instance of Nextcloud takes new subscribers now: they are offered the waitlist." in said
    assert drift() == []
