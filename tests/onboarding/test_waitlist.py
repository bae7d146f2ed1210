"""The waitlist: a proven mailbox, a place that is kept, an invitation that holds a seat."""

from typing import Any

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.core import encryption, retention
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.instances.models import Seat
from apps.notifications.models import Notification
from apps.onboarding import waitlist
from apps.onboarding.models import WaitlistEntry
from tests.storefront.visitor import ACCOUNT, PAGES, SESSION, WAITLIST, Visitor
from tests.world import World

BY = {"actor": "staff:sam", "reason": "a seat was freed"}


def join(name: str = "dana", product: str = "personal") -> WaitlistEntry:
    answer = Visitor().api(WAITLIST, email=f"{name}@example.com", product=product)
    assert answer.status_code == 200, answer.content
    return WaitlistEntry.objects.get(email=f"{name}@example.com")


def path_of(url: str) -> str:
    return (
        url.removeprefix("http://localhost:8000")
        if url.startswith("http://localhost:8000")
        else "/" + url.split("/", 3)[3]
    )


def mailed(template: str, to: str) -> dict[str, Any]:
    found = Notification.objects.filter(template=template, to=to).latest("pk")
    return found.context | (encryption.decrypt(found.encrypted) if found.encrypted else {})


def confirmed(name: str = "dana", product: str = "personal") -> WaitlistEntry:
    entry = join(name, product)
    url = path_of(mailed("waitlist_confirm", entry.email)["confirm_url"])
    assert Visitor().post(url).status_code == 302
    entry.refresh_from_db()
    assert entry.confirmed_at is not None
    return entry


def text(answer: Any) -> str:
    return str(answer.content.decode())


# --- joining -----------------------------------------------------------------------------------------------------------


def test_the_place_is_taken_by_a_click_on_the_page_of_the_mail(world: World) -> None:
    entry = join()
    url = path_of(mailed("waitlist_confirm", entry.email)["confirm_url"])
    page = Visitor().get(url)
    assert "Put <strong" in text(page)
    assert page.headers["Referrer-Policy"] == "strict-origin"  # the address is a key; none at all would break the form
    entry.refresh_from_db()
    assert entry.confirmed_at is None  # mail scanners follow links
    visitor = Visitor()
    visitor.post(url)
    entry.refresh_from_db()
    first = entry.confirmed_at
    assert first is not None
    assert "You're next for Personal" in text(visitor.get(url))
    world.pass_time(seconds=60)
    visitor.post(url)
    entry.refresh_from_db()
    assert entry.confirmed_at == first
    world.work()
    assert world.mails(entry.email) == ["Confirm your place on the Frontdesk waitlist"]
    assert mailed("waitlist_confirm", entry.email) == {"product": "Personal"}  # the link is not kept


def test_a_link_ends_after_some_days_and_with_its_round(world: World, settings: Any) -> None:
    entry = join()
    url = path_of(mailed("waitlist_confirm", entry.email)["confirm_url"])
    leave = path_of(waitlist.entry_link(entry.pk, "leave"))
    world.pass_time(seconds=settings.WAITLIST_CONFIRM_DAYS * 86400 + 1)
    late = Visitor().post(url)
    assert late.status_code == 410
    assert "This link has expired" in text(late)
    assert "/onboarding/waitlist/?product=personal" in text(late)
    join()
    second = path_of(mailed("waitlist_confirm", entry.email)["confirm_url"])
    assert Visitor().post(second).status_code == 302
    Visitor().post(leave)
    world.pass_time(seconds=86400)
    join()
    assert Visitor().post(second).status_code == 410  # of the round before
    entry.refresh_from_db()
    assert (entry.state, entry.confirmed_at) == ("waiting", None)
    assert Visitor().post(path_of(mailed("waitlist_confirm", entry.email)["confirm_url"])).status_code == 302


def test_the_place_is_that_of_joining_however_late_it_was_confirmed(world: World) -> None:
    ann = join("ann")
    world.pass_time(seconds=60)
    confirmed("bob")
    world.pass_time(seconds=60)
    confirmed("cid")
    confirmed("dee", "plus")
    url = path_of(mailed("waitlist_confirm", ann.email)["confirm_url"])
    Visitor().post(url)
    assert [waitlist.position(one) for one in WaitlistEntry.objects.order_by("created_at")] == [1, 2, 3, 1]


def test_joining_twice_is_one_row_and_one_mail_a_day(world: World) -> None:
    entry = join()
    answers = {Visitor().api(WAITLIST, email="Dana@example.com", product="personal").content for _ in range(2)}
    assert len(answers) == 1
    assert Notification.objects.filter(template="waitlist_confirm").count() == 1
    world.pass_time(days=1)
    join()
    assert Notification.objects.filter(template="waitlist_confirm").count() == 2
    assert WaitlistEntry.objects.get().created_at == entry.created_at


def test_whoever_asks_gets_the_same_bytes(world: World) -> None:
    confirmed("dana")
    known, new = (Visitor().api(WAITLIST, email=f"{name}@example.com").content for name in ("dana", "nora"))
    assert known.replace(b"dana", b"nora") == new


def test_who_confirmed_gets_no_second_mail(world: World) -> None:
    confirmed()
    world.pass_time(days=2)
    join()
    assert Notification.objects.filter(template="waitlist_confirm").count() == 1


def test_unconfirmed_addresses_are_forgotten_after_a_fortnight(world: World) -> None:
    join("ann")
    confirmed("bob")
    world.pass_time(days=13)
    retention.prune_all()
    assert WaitlistEntry.objects.count() == 2
    world.pass_time(days=2)
    retention.prune_all()
    assert [one.email for one in WaitlistEntry.objects.all()] == ["bob@example.com"]


def test_whoever_runs_the_list_gets_one_note_for_each_new_entry(world: World, settings: Any) -> None:
    settings.MAILGUN_WAITLIST_ADDRESS = "list@example.org"
    entry = confirmed()
    note = Notification.objects.get(template="waitlist_note")
    assert (note.to, note.context) == (
        "list@example.org",
        {"email": entry.email, "product": "Personal", "waiting": "1"},
    )
    settings.MAILGUN_WAITLIST_ADDRESS = ""
    confirmed("erik")
    assert Notification.objects.filter(template="waitlist_note").count() == 1


# --- leaving -----------------------------------------------------------------------------------------------------------


def test_who_leaves_and_comes_back_begins_at_the_end(world: World) -> None:
    ann = confirmed("ann")
    world.pass_time(seconds=60)
    bob = confirmed("bob")
    url = path_of(waitlist.entry_link(ann.pk, "leave"))
    assert "Leave the waitlist?" in text(Visitor().get(url))
    assert waitlist.position(bob) == 2
    visitor = Visitor()
    visitor.post(url)
    assert "no longer on the waitlist" in text(visitor.get(url))
    assert waitlist.position(bob) == 1
    world.pass_time(days=1)
    ann = confirmed("ann")
    assert (ann.state, waitlist.position(ann)) == ("waiting", 2)


@pytest.mark.parametrize("purpose", ["confirm", "leave", "invitation"])
def test_a_link_that_is_none_gets_a_page(world: World, purpose: str) -> None:
    entry = confirmed()
    other = {"confirm": "leave", "leave": "invitation", "invitation": "confirm"}[purpose]
    borrowed = path_of(waitlist.entry_link(entry.pk, other)).replace(f"/{other}/", f"/{purpose}/")
    gone = path_of(waitlist.entry_link(entry.pk, purpose))
    for url in (
        borrowed,
        f"/onboarding/waitlist/{purpose}/x/",
        borrowed[:-9] + "/",
        f"/onboarding/waitlist/{purpose}/%00/",
    ):
        for answer in (Visitor().get(url), Visitor().post(url)):
            assert answer.status_code == 404, url
            assert "This link doesn't work" in text(answer)
    before = WaitlistEntry.objects.values().get()
    assert before["state"] == "waiting"
    entry.delete()
    page = Visitor().get(gone)
    assert page.status_code == 410
    assert "/onboarding/waitlist/" in text(page)


# --- the invitation ----------------------------------------------------------------------------------------------------


def invited(world: World, entry: WaitlistEntry) -> str:
    waitlist.invite(entry.pk, **BY)
    entry.refresh_from_db()
    return path_of(mailed("waitlist_invited", entry.email)["invite_url"])


def test_the_invited_get_the_seat_that_is_held_for_them(world: World) -> None:
    """Full for everybody else, and not for them."""
    world.only_room_for(1)
    entry = confirmed()
    url = invited(world, entry)
    assert (entry.state, Seat.objects.get().state) == ("invited", "reserved")
    assert "is full right now" in text(Visitor().get("/onboarding/waitlist/?product=personal"))
    other = Visitor()
    other.welcome("Erik")
    assert other.plan().status_code == 400

    dana = Visitor()
    assert "There's room for you" in text(dana.get(url))
    assert dana.post(url).headers["Location"] == "/onboarding/"
    assert dana.welcome().status_code == 302
    assert "Full right now" not in text(dana.get(PAGES["plan"])).split("Plus")[0]
    assert dana.plan().status_code == 302
    assert dana.addons().status_code == 302
    answer = dana.api(SESSION, **ACCOUNT)
    assert answer.status_code == 200, answer.content
    world.shop.pay({"url": "", "client_secret": answer.json()["client_secret"]})  # type: ignore[attr-defined]
    world.deliver()
    profile = UserProfile.objects.get(email=entry.email)
    assert world.state(profile).access == "active"
    assert profile.user.username == "dana"
    assert Seat.objects.get().state == "assigned"
    entry.refresh_from_db()
    assert entry.state == "served"
    used = Visitor().get(url)
    assert used.status_code == 410
    assert "used this invitation" in text(used)
    assert 'href="/dashboard/"' in text(used)


def test_an_invitation_continues_the_signup_that_was_begun_with_it(world: World) -> None:
    """In another browser too, and whatever happened in between; a second one would fight over the same seat."""
    entry = confirmed()
    url = invited(world, entry)
    phone, laptop = Visitor(), Visitor()
    phone.post(url)
    phone.welcome("Dana")
    phone.plan("personal", "year")
    laptop.post(url)
    assert (laptop.signup.pk, laptop.signup.first_name, laptop.signup.interval) == (phone.signup.pk, "Dana", "year")
    laptop.addons()
    assert laptop.api(SESSION, **ACCOUNT).status_code == 200
    phone.post(url)
    assert (phone.signup.pk, phone.signup.state) == (laptop.signup.pk, "checkout")
    assert Signup.objects.filter(profile__email=entry.email).count() == 1
    stranger = Visitor().at_checkout()
    assert stranger.signup.pk != phone.signup.pk


def test_an_older_invitation_says_that_there_is_a_newer_one(world: World, settings: Any) -> None:
    entry = confirmed()
    first = invited(world, entry)
    world.pass_time(days=settings.WAITLIST_INVITATION_DAYS, seconds=61)
    waitlist.invite(entry.pk, **BY)
    for answer in (Visitor().get(first), Visitor().post(first)):
        assert answer.status_code == 410
        assert "a newer one" in text(answer)
    assert not Signup.objects.exists()


def test_an_invitation_that_is_not_used_gives_the_seat_back(world: World, settings: Any) -> None:
    world.only_room_for(1)
    entry = confirmed()
    url = invited(world, entry)
    world.pass_time(days=settings.WAITLIST_INVITATION_DAYS, seconds=61)
    world.sweep()
    assert Seat.objects.get().state == "released"
    answer = Visitor().get(url)
    assert answer.status_code == 410
    assert "This invitation has expired" in text(answer)
    assert Visitor().post(url).status_code == 410
    waitlist.invite(entry.pk, **BY)  # staff may ask once more
    assert Seat.objects.filter(state="reserved").count() == 1


def test_a_payment_that_was_not_made_does_not_cost_the_invitation(world: World) -> None:
    world.only_room_for(1)
    entry = confirmed()
    dana = Visitor()
    dana.post(invited(world, entry))
    dana.welcome()
    dana.plan()
    dana.addons()
    assert dana.api(SESSION, **ACCOUNT).status_code == 200
    world.pass_time(seconds=3 * 3600)
    world.sweep()
    assert dana.signup.state == "expired"
    assert Seat.objects.get().state == "reserved"
    again = Visitor()
    again.post(path_of(waitlist.entry_link(entry.pk, "invitation")))
    again.welcome()
    assert again.plan().status_code == 302


def test_who_is_invited_and_leaves_gives_the_seat_back_at_once(world: World) -> None:
    world.only_room_for(1)
    entry = confirmed()
    invited(world, entry)
    Visitor().post(path_of(mailed("waitlist_invited", entry.email)["leave_url"]))
    assert Seat.objects.get().state == "released"
    entry.refresh_from_db()
    assert entry.state == "left"


def test_a_subscriber_who_waited_for_another_product_is_led_to_the_dashboard(world: World) -> None:
    dana = world.subscriber("dana")
    entry = confirmed("dana", "vaultwarden")
    url = invited(world, entry)
    assert Seat.objects.filter(profile=dana, state="reserved").count() == 1
    page = Visitor().get(url)
    assert "You already have an account" in text(page)
    world.deliver()
    assert world.state(dana).access == "active"  # what is held changes nothing yet


def test_the_general_list_holds_nothing(world: World) -> None:
    entry = confirmed("dana", "")
    url = invited(world, entry)
    assert not Seat.objects.exists()
    assert "Places are first come, first served" in text(Visitor().get(url))
    assert Visitor().post(url).status_code == 302


def test_nobody_is_invited_without_a_proven_mailbox_a_place_or_room(world: World) -> None:
    entry = join()
    with pytest.raises(BadInput, match="isn't confirmed"):
        waitlist.invite(entry.pk, **BY)
    entry = confirmed()
    waitlist.invite(entry.pk, **BY)
    with pytest.raises(BadInput, match="no longer waiting"):
        waitlist.invite(entry.pk, **BY)
    world.only_room_for(1)
    cid = confirmed("cid")
    with pytest.raises(BadInput, match="Nextcloud has no room"):
        waitlist.invite(cid.pk, **BY)
    cid.refresh_from_db()
    assert (cid.state, cid.invited_at, cid.profile) == ("waiting", None, None)
    assert not UserProfile.objects.filter(email=cid.email).exists()
    assert not Notification.objects.filter(template="waitlist_invited", to=cid.email).exists()
    assert AuditEntry.objects.filter(subject_kind="waitlist", action="waitlist_invited").count() == 1
