"""Account Recovery: its flow, its page and its three JSON APIs, as a customer whose subscription has ended meets them."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import encryption
from apps.instances.models import Seat
from apps.notifications.models import Notification
from tests.specification.people import body
from tests.storefront.visitor import Visitor
from tests.world import World

PAGE, SEND, VERIFY, SESSION = (f"/recovery/{name}" for name in ("", "send-code/", "verify-code/", "checkout-session/"))
MAIL = "dana@example.com"


@pytest.fixture
def canceled(world: World) -> UserProfile:
    """A customer whose subscription was canceled a moment ago."""
    profile = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    assert (world.state(profile).access, world.state(profile).account) == ("canceled", False)
    return profile


def code_asked_for(visitor: Visitor) -> str:
    """Ask for a code; the one in the mail that is about to leave."""
    body(visitor.api(SEND, email=MAIL))
    newest = Notification.objects.filter(template="recovery_code").latest("pk")
    return str(encryption.decrypt(newest.encrypted)["code"])


def verified(world: World) -> Visitor:
    """A browser that has proven the mailbox, with what follows done."""
    visitor = Visitor()
    body(visitor.api(VERIFY, email=MAIL, code=code_asked_for(visitor)))
    world.work()
    return visitor


def test_flow_account_recovery(world: World, canceled: UserProfile) -> None:
    before = (canceled.keycloak_id, canceled.stripe_customer_id, canceled.user.username)
    seat = Seat.objects.exclude(state="released").get(profile=canceled)
    visitor = verified(world)
    opened: dict[str, Any] = body(visitor.api(SESSION))
    world.shop.pay({"url": opened.get("url", ""), "client_secret": opened.get("client_secret", "")})
    world.deliver()
    state = world.state(canceled)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    assert state.attributes == {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "storage_gb": "100"}
    assert (canceled.keycloak_id, canceled.stripe_customer_id, canceled.user.username) == before
    seat.refresh_from_db()
    assert (seat.state, seat.instance.slug) == ("assigned", "nextcloud-1")
    assert world.stripe_state(canceled)["status"] == "active"


def test_page_recovery(shop: Any) -> None:
    answer = Visitor().get(PAGE)
    assert answer.status_code == 200
    assert 'name="email"' in answer.content.decode()


def test_api_post_recovery_send_code(world: World, canceled: UserProfile) -> None:
    before = len(world.mails(MAIL))
    known = Visitor().api(SEND, email=MAIL)
    world.work()
    assert len(world.mails(MAIL)) == before + 1
    assert Visitor().api(SEND, email="nobody@example.com").content == known.content  # tells nobody who has an account
    assert Visitor().api(SEND, email="no address").content == known.content  # nor by how it refuses what is none
    assert body(Visitor().api(SEND), 400)["error"]["message"]


def test_api_post_recovery_verify_code(world: World, canceled: UserProfile) -> None:
    visitor = Visitor()
    code = code_asked_for(visitor)
    wrong = ("0" if code[0] != "0" else "1") + code[1:]
    assert body(visitor.api(VERIFY, email=MAIL, code=wrong), 400)["error"]["message"]
    assert Visitor().api(VERIFY, email=MAIL, code=code).status_code == 400  # another browser
    world.work()
    assert world.state(canceled).account is False
    body(visitor.api(VERIFY, email=MAIL, code=code))
    world.work()
    state = world.state(canceled)
    assert (state.access, state.account) == ("recovering", True)  # re-enabled, with everything withheld
    assert (state.attributes, state.groups, state.seats) == ({}, (), (("nextcloud", "retained"),))


def test_api_post_recovery_checkout_session(world: World, canceled: UserProfile) -> None:
    assert 400 <= Visitor().api(SESSION).status_code < 500  # only for who has proven the mailbox
    opened = body(verified(world).api(SESSION))
    assert opened.get("client_secret") or opened.get("url")
    newest = world.shop.v1.checkout.sessions.list({"customer": canceled.stripe_customer_id or ""}).data[0]
    assert (newest.status, newest.mode, newest.amount_total) == ("open", "subscription", 500)
    assert world.state(canceled).attributes == {}  # nothing before the money is in
