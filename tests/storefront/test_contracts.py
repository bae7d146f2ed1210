"""The pages on which a contract is ended without a login."""

import re
from typing import Any

import pytest

from apps.core.models import AuditEntry
from apps.notifications.models import Notification
from tests.storefront.visitor import HOME, Visitor, code_mailed
from tests.world import World

CANCEL, WITHDRAW = "/contracts/cancel/", "/contracts/withdraw/"


def prove(visitor: Visitor, email: str, page: str = CANCEL) -> str:
    """With the mailbox proven by the code that was mailed; what the page shows then."""
    assert visitor.post(page, mailbox="send", email=email).status_code == 302
    assert visitor.post(page, mailbox="code", code=code_mailed("contract_code")).status_code == 302
    return visitor.get(page).content.decode()


def test_a_contract_is_canceled_without_a_login(world: World, visitor: Visitor) -> None:
    dana = world.subscriber("dana")
    page = prove(visitor, dana.email)
    assert "Personal</h2>" in page
    assert "Cancel now" in page
    answer = visitor.post(CANCEL, contract=dana.stripe_subscription_id)
    assert answer.headers["Location"] == CANCEL
    page = visitor.get(CANCEL).content.decode()
    assert "We've received your cancellation" in page
    assert re.search(r"Received on \d+ \w+ \d{4} at \d\d:\d\d UTC\.", page)
    assert "You canceled this contract on " in page
    assert "Cancel now" not in page
    world.work()
    assert world.stripe_state(dana)["cancel_at_period_end"] is True


def test_the_withdrawal_shows_its_receipt_and_then_no_contract(world: World, visitor: Visitor) -> None:
    dana = world.subscriber("dana")
    assert "Confirm withdrawal" in prove(visitor, dana.email, WITHDRAW)
    visitor.post(WITHDRAW, contract=dana.stripe_subscription_id)
    world.work()
    world.deliver()
    page = visitor.get(WITHDRAW).content.decode()
    assert "We've received your withdrawal" in page
    assert "Confirm withdrawal" not in page
    assert world.stripe_state(dana)["status"] == "canceled"


def test_a_subscriber_who_is_logged_in_needs_no_code(world: World, visitor: Visitor) -> None:
    dana = world.subscriber("dana")
    visitor.client.force_login(dana.user)
    assert "Cancel now" in visitor.get(CANCEL).content.decode()


def test_nobody_learns_whether_an_address_has_a_contract(world: World, visitor: Visitor) -> None:
    dana, pages = world.subscriber("dana"), []
    for email in (dana.email, "nobody@example.com"):
        stranger, sent = Visitor(), Notification.objects.count()
        stranger.post(CANCEL, mailbox="send", email=email)
        page = stranger.get(CANCEL).content.decode().replace(email, "…")
        pages.append(re.sub(r'value="\w{64}"|data-wait="\d+"', "", page))
        assert Notification.objects.count() == sent + 1
    assert len(set(pages)) == 1
    assert Notification.objects.filter(template="contract_no_account").count() == 1


@pytest.mark.parametrize("page", [CANCEL, WITHDRAW])
def test_without_the_mailbox_nothing_is_received(world: World, visitor: Visitor, page: str) -> None:
    dana = world.subscriber("dana")
    assert visitor.post(page, contract=dana.stripe_subscription_id).status_code == 403
    emil = world.subscriber("emil")
    prove(visitor, emil.email, page)
    answer = visitor.post(page, contract=dana.stripe_subscription_id)
    assert answer.status_code == 409
    assert "isn&#x27;t yours" in answer.content.decode()
    assert not AuditEntry.objects.filter(action__startswith="contract_").exists()


def test_an_operator_can_switch_both_off(world: World, visitor: Visitor, settings: Any) -> None:
    footer = visitor.get(HOME).content.decode().split("<footer")[1]
    assert f'href="{CANCEL}">Cancel a contract here' in footer
    assert f'href="{WITHDRAW}">Withdraw from contract here' in footer
    settings.CANCEL_WITHOUT_LOGIN, settings.WITHDRAWAL_DAYS = False, 0
    footer = visitor.get(HOME).content.decode().split("<footer")[1]
    assert CANCEL not in footer
    assert WITHDRAW not in footer
    assert visitor.get(CANCEL).status_code == visitor.get(WITHDRAW).status_code == 404
