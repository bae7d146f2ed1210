"""A subscriber changes their address: a code to the new mailbox, a way to object for the former one, and nobody learns who has one."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import AttentionItem, AuditEntry
from apps.login import reauthentication
from apps.onboarding.models import AddressChange
from tests.dashboard.conftest import person
from tests.dashboard.test_dashboard import text
from tests.dashboard.test_data import browser_of
from tests.world import World

URL = "/dashboard/account/address/"
NEW = "dana.new@example.com"


def mail_to(world: World, address: str) -> dict[str, Any]:
    """The newest mail to an address, once all jobs are done."""
    world.work()
    found: list[dict[str, Any]] = world.standin.inbox(address)
    return found[0] if found else {"text": "", "subject": ""}


def objection_to(world: World, address: str) -> str:
    """The path of the link by which the former mailbox can object, in whichever mail to it has one."""
    world.work()
    return next(link for one in world.standin.inbox(address) if "objection/" in (link := link_in(one)))


def code_in(mail: dict[str, Any]) -> str:
    return re.search(r"^ +(\d{6})$", mail["text"], re.MULTILINE)[1]  # type: ignore[index]


def link_in(mail: dict[str, Any]) -> str:
    """The path of the link of ours that is alone on its line."""
    found = re.search(r"^https?://\S+(?:code=|objection/)\S+$", mail["text"], re.MULTILINE)
    parts = urlsplit(found[0] if found else "")
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def ask(client: Client, address: str = NEW) -> Any:
    return client.post(URL, {"mailbox": "send", "email": address})


def change(world: World, client: Client, address: str = NEW) -> Any:
    assert ask(client, address)["Location"] == URL
    return client.post(URL, {"mailbox": "code", "code": code_in(mail_to(world, address))})


def addresses(world: World, profile: UserProfile) -> set[str]:
    """What each of the three says, after all jobs."""
    world.work()
    profile.refresh_from_db()
    profile.user.refresh_from_db()
    customer = world.shop.v1.customers.retrieve(profile.stripe_customer_id or "")
    return {profile.email, profile.user.email, world.account(profile)["email"], str(customer["email"])}


@pytest.fixture
def dana(world: World) -> UserProfile:
    profile = world.subscriber("dana")
    type(profile.user).objects.filter(pk=profile.user_id).update(email=profile.email)
    return profile


def test_the_code_from_the_new_mailbox_changes_it_everywhere(world: World, dana: UserProfile) -> None:
    client = browser_of(dana)
    assert "Now it's dana@example.com" in text(client.get(URL))
    assert change(world, client)["Location"] == "/dashboard/account/"
    assert addresses(world, dana) == {NEW}
    assert world.account(dana)["emailVerified"] is True
    assert "no longer belongs" in mail_to(world, "dana@example.com")["text"]
    assert "From now on we write to this one" in mail_to(world, NEW)["text"]
    (line,) = AuditEntry.objects.filter(action="address_changed")
    assert (line.subject_id, line.actor) == (str(dana.pk), "customer")
    assert "example.com" not in f"{line.before}{line.after}{line.reason}"


def test_a_wrong_code_changes_nothing(world: World, dana: UserProfile) -> None:
    client = browser_of(dana)
    ask(client)
    right = code_in(mail_to(world, NEW))
    answer = client.post(URL, {"mailbox": "code", "code": f"{(int(right) + 1) % 1_000_000:06d}"})
    assert answer.status_code == 400
    assert addresses(world, dana) == {"dana@example.com"}


def test_it_takes_a_fresh_login_and_ones_own_account(world: World, dana: UserProfile, client: Client) -> None:
    for one in (client, browser_of(dana, fresh=False)):
        for answer in (one.get(URL), ask(one)):
            assert answer["Location"].startswith("/accounts/oidc/keycloak/login/")
    assert mail_to(world, NEW)["text"] == ""


def test_a_link_that_somebody_else_was_sent_confirms_nothing(world: World, dana: UserProfile) -> None:
    """Else who is led to press Confirm would give their account away."""
    erik = world.subscriber("erik")
    thief = browser_of(erik)
    ask(thief, "thief@example.net")
    mail = mail_to(world, "thief@example.net")
    link, victim = link_in(mail), browser_of(dana)
    answer = victim.get(link, follow=True)
    assert "That link belongs to another account." in text(answer)
    token = link.split("code=")[1]
    from urllib.parse import unquote

    victim.post(URL, {"mailbox": "code", "code": code_in(mail), "link": unquote(token)})
    assert addresses(world, dana) == {"dana@example.com"}


def test_the_link_works_on_another_device_of_the_same_person(world: World, dana: UserProfile) -> None:
    from urllib.parse import unquote

    ask(browser_of(dana))
    link = link_in(mail_to(world, NEW))
    phone = browser_of(dana)
    assert NEW in text(phone.get(link))
    code = code_in(mail_to(world, NEW))
    phone.post(URL, {"mailbox": "code", "code": code, "link": unquote(link.split("code=")[1])})
    assert addresses(world, dana) == {NEW}


def test_who_has_an_address_is_told_to_that_mailbox_alone(world: World, dana: UserProfile) -> None:
    erik = world.subscriber("erik")
    free, taken = browser_of(dana), browser_of(dana)
    answers = [ask(free), ask(taken, erik.email)]
    assert [(one.status_code, one["Location"]) for one in answers] == [(302, URL)] * 2
    pages = [one.get(URL).content.decode() for one in (free, taken)]
    pages = [re.sub(r"value=\"[A-Za-z0-9]{64}\"|data-wait=\"\d+\"", "", page) for page in pages]
    assert pages[0].replace(NEW, "@") == pages[1].replace(erik.email, "@")
    assert "already belongs to another account" in mail_to(world, erik.email)["text"]
    assert addresses(world, erik) <= {erik.email, ""}


def test_an_address_that_another_keycloak_account_has_is_refused(world: World, dana: UserProfile) -> None:
    given = {"username": "stranger", "email": NEW, "enabled": True}
    assert world.admin("POST", "/users", json=given).status_code == 201
    client = browser_of(dana)
    ask(client)
    answer = client.post(URL, {"mailbox": "code", "code": code_in(mail_to(world, NEW))})
    assert answer.status_code == 409
    assert "stranger" not in answer.content.decode()
    assert addresses(world, dana) == {"dana@example.com"}


def test_keycloak_and_stripe_follow_when_they_are_back(world: World, dana: UserProfile) -> None:
    client = browser_of(dana)
    ask(client)
    code = code_in(mail_to(world, NEW))
    for peer in ("keycloak", "stripe"):
        world.fault(peer, "down")
    client.post(URL, {"mailbox": "code", "code": code})
    world.work()
    for peer in ("keycloak", "stripe"):
        world.fault(peer, "ok")
    world.retry()
    assert addresses(world, dana) == {NEW}


def test_the_former_mailbox_undoes_it_and_all_that_came_after(world: World, dana: UserProfile) -> None:
    thief = browser_of(dana)
    change(world, thief, "thief@example.net")
    link = objection_to(world, "dana@example.com")
    change(world, browser_of(dana), "thief2@example.net")
    voided = objection_to(world, "thief@example.net")
    anybody = Client()
    assert "Undo the change of address?" in text(anybody.get(link))
    assert addresses(world, dana) == {"thief2@example.net"}  # a GET, as of a scanner of mails, does nothing
    assert "back at your address" in text(anybody.post(link))
    assert addresses(world, dana) == {"dana@example.com"}
    assert thief.get("/dashboard/").status_code == 302
    for gone in (link, voided):
        assert anybody.post(gone).status_code == 410
    assert addresses(world, dana) == {"dana@example.com"}
    assert AuditEntry.objects.filter(action="address_restored").count() == 1
    (item,) = AttentionItem.objects.filter(cause="address_objected")
    assert (item.profile_ids, item.times) == ([dana.pk], 1)
    assert "is theirs again" in item.sentence


def test_an_address_that_another_account_has_by_now_is_for_staff(world: World, dana: UserProfile) -> None:
    change(world, browser_of(dana))
    link = objection_to(world, "dana@example.com")
    person("other", email="dana@example.com")
    answer = Client().post(link)
    assert "Somebody else has this address by now." in text(answer)
    assert addresses(world, dana) == {NEW}
    (item,) = AttentionItem.objects.filter(cause="address_objected")
    assert "could not be given back" in item.sentence


def test_a_link_to_object_ends_after_seven_days(world: World, dana: UserProfile) -> None:
    change(world, browser_of(dana))
    link = link_in(mail_to(world, "dana@example.com"))
    world.pass_time(days=7.1)
    assert Client().post(link).status_code == 410
    assert Client().get(f"{link[:-3]}x/").status_code == 410
    assert addresses(world, dana) == {NEW}
    assert AddressChange.objects.filter(changed_at__lt=clock.now()).count() == 1


def test_a_session_keeps_nothing_that_works_later(world: World, dana: UserProfile) -> None:
    client = browser_of(dana)
    change(world, client)
    session = client.session
    session[reauthentication.FRESH_UNTIL] = int(time.time()) + 100
    session.save()
    assert f"Now it's {NEW}" in text(client.get(URL))
    assert "New email address" in text(client.get(URL))
