"""Limits hit the attacker, not the owner: attacks with their figures, and beside each what the honest person still can do."""

import pytest

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import encryption, limits
from apps.core.models import AttentionItem, RateLimit
from apps.notifications.models import Notification
from apps.onboarding import codes, mailbox_code
from apps.storefront import recovery_session
from tests.storefront.conftest import shop
from tests.storefront.test_apis import customer
from tests.storefront.visitor import HOME, PAGES, SEND, VERIFY, WAITLIST, Visitor, code_mailed, wrong

__all__ = ["shop"]
RECOVERY_SEND, RECOVERY_VERIFY = "/recovery/send-code/", "/recovery/verify-code/"
NOON = 1_800_000_000.0
OWNER = "carla@example.com"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that limits see, in a list to change."""
    now = [NOON]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    return now


def at(address: str) -> Visitor:
    """A visitor with this IP address."""
    visitor = Visitor()
    visitor.client.defaults["REMOTE_ADDR"] = address
    return visitor


def statuses(*answers: object) -> list[int]:
    return [answer.status_code for answer in answers]  # type: ignore[attr-defined]


def mails(template: str) -> int:
    return Notification.objects.filter(template=template).count()


def recovery_code() -> str:
    return encryption.decrypt(Notification.objects.filter(template="recovery_code").latest("pk").encrypted)["code"]


def test_ten_requests_of_a_stranger_do_not_keep_the_owner_out(db: None, clock: list[float]) -> None:
    customer("carla")
    stranger = at("203.0.113.9")
    assert statuses(*(stranger.api(RECOVERY_SEND, email=OWNER) for _ in range(10))) == [200] + [429] * 9
    owner = at("198.51.100.4")
    assert statuses(owner.api(RECOVERY_SEND, email=OWNER)) == [200]
    assert owner.api(RECOVERY_VERIFY, email=OWNER, code=recovery_code()).status_code == 200


@pytest.mark.nightly
def test_nor_do_a_whole_day_of_them_from_all_addresses_of_a_network(db: None, clock: list[float]) -> None:
    """An IPv4 /24, an IPv6 /48 and IPv4 inside IPv6, with every spelling of the mailbox, at every door."""
    customer("carla")
    for minute in range(0, 24 * 60, 20):
        clock[0] = NOON + minute * 60
        for number, spelling in enumerate((OWNER, "CARLA+x@example.com", "carla+y@Example.com")):
            here = f"{minute:x}{number}"
            for address in (
                f"203.0.113.{number + minute % 200}",
                f"2001:db8:7:{here}::1",
                f"::ffff:203.0.113.{number}",
            ):
                at(address).api(RECOVERY_SEND, email=spelling)
    sent = mails("recovery_code") + mails("recovery_no_account")
    assert sent <= 2 * 2 * 10  # two networks, ten each, which come back once
    owner = at("198.51.100.4")
    assert owner.api(RECOVERY_SEND, email=OWNER).status_code == 200
    assert owner.api(RECOVERY_VERIFY, email=OWNER, code=recovery_code()).status_code == 200


def test_ten_clicks_of_the_owner_cost_her_a_minute(db: None, clock: list[float]) -> None:
    customer("carla")
    owner = at("198.51.100.4")
    assert statuses(*(owner.api(RECOVERY_SEND, email=OWNER) for _ in range(10))) == [200] + [429] * 9
    clock[0] += 60
    assert owner.api(RECOVERY_SEND, email=OWNER).status_code == 200
    for _ in range(10):  # impatient all the time
        clock[0] += 30
        owner.api(RECOVERY_SEND, email=OWNER)
    clock[0] += 12 * 60  # five an hour: each comes back after twelve minutes
    assert owner.api(RECOVERY_SEND, email=OWNER).status_code == 200


def test_all_kinds_of_mail_to_a_mailbox_have_one_bound(shop: dict[str, Product], clock: list[float]) -> None:
    products = list(Product.objects.filter(placement__in=["plan", "general", "storage"]).values_list("slug", flat=True))
    box = ("anna.x@gmail.com", "a.n.n.a.x@gmail.com", "annax+shop@googlemail.com", "ANNAX@gmail.com")
    for number in range(40):
        visitor = at(f"203.0.{number}.9")
        address = box[number % 4]
        visitor.api(RECOVERY_SEND, email=address)
        visitor.api(WAITLIST, email=address, product=products[number % len(products)])
        visitor.welcome()
        visitor.api(SEND, email=address)
    assert Notification.objects.count() == 15  # in an hour, from everywhere
    assert RateLimit.objects.get(name="mails_all").busy_until - clock[0] <= 15 * 3.6, "what was refused was not counted"
    clock[0] += 20 * 60
    honest = at("198.51.100.4").at_checkout()
    assert honest.api(SEND, email="annax@gmail.com").status_code == 200


def test_a_waitlist_entry_that_gets_no_mail_costs_none(shop: dict[str, Product], clock: list[float]) -> None:
    visitor = at("198.51.100.4")
    assert (
        statuses(*(visitor.api(WAITLIST, email="anna@example.com", product="personal") for _ in range(9))) == [200] * 9
    )
    assert mails("waitlist_confirm") == 1
    clock[0] += 60
    assert visitor.at_checkout().api(SEND, email="anna@example.com").status_code == 200


def test_five_guesses_of_a_stranger_do_not_burn_a_code_that_staff_sent(db: None, clock: list[float]) -> None:
    profile = customer("carla")
    recovery_session.send_code_for_staff(str(profile.pk))
    code = recovery_code()
    for address in ("203.0.113.9", "203.0.113.10", "2001:db8::1"):
        stranger = at(address)
        for _ in range(6):
            assert stranger.api(RECOVERY_VERIFY, email=OWNER, code=wrong(code)).status_code in {400, 429}
    assert (
        at("203.0.113.11").api(RECOVERY_VERIFY, email=OWNER, code=code).status_code == 400
    )  # its network has had five
    assert at("198.51.100.4").api(RECOVERY_VERIFY, email=OWNER, code=code).status_code == 200


@pytest.mark.long
@pytest.mark.fault("F65")
def test_a_code_that_staff_sent_bears_fifty_guesses_from_everywhere(db: None, clock: list[float]) -> None:
    profile = customer("carla")
    recovery_session.send_code_for_staff(str(profile.pk))
    code = recovery_code()
    compared = []
    real = codes.consume_code

    def consume(**asked: object) -> bool:
        compared.append(asked["session"] == mailbox_code.ANY_BROWSER)
        return bool(real(**asked))  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "consume_code", consume)
        for number in range(60):
            at(f"203.0.{number}.9").api(RECOVERY_VERIFY, email=OWNER, code=wrong(code))
    assert sum(compared) == 50
    clock[0] += 12
    assert at("198.51.100.4").api(RECOVERY_VERIFY, email=OWNER, code=code).status_code == 200


def test_two_hundred_signups_of_strangers_make_signup_dearer_and_stop_nobody(
    shop: dict[str, Product], clock: list[float]
) -> None:
    before = at("198.51.100.3")
    assert before.welcome().status_code == 302
    started = [at(f"203.0.{number % 14}.{number % 9}").welcome().status_code for number in range(280)]
    assert started.count(302) == 280
    assert AttentionItem.objects.get(cause="limit_reached", key="signups_all").times == 1
    honest = at("198.51.100.4")
    assert honest.welcome().headers["Location"] == PAGES["plan"]
    assert honest.get(PAGES["plan"]).headers["Location"] == HOME
    assert honest.plan().headers["Location"] == HOME
    assert "confirm your email first" in honest.get(HOME).content.decode()
    assert honest.api(SEND, email="dana@example.com").status_code == 200
    assert honest.api(VERIFY, email="dana@example.com", code=code_mailed()).status_code == 200
    assert honest.get(HOME).headers["Location"] == PAGES["plan"]
    assert (honest.plan().status_code, honest.addons().headers["Location"]) == (302, PAGES["checkout"])
    assert honest.get(HOME).status_code == 200  # every step can be opened again
    assert before.plan().headers["Location"] != HOME  # who had begun goes on as before
    assert Signup.objects.filter(basket={}).count() == 280


def test_the_full_hour_brings_no_new_two_hundred(shop: dict[str, Product], clock: list[float]) -> None:
    clock[0] = NOON // 3600 * 3600 + 3599
    for number in range(200):
        assert limits.allow_together("signups_all"), number
    clock[0] += 1
    assert not limits.allow_together("signups_all")


def test_one_network_is_refused_and_its_neighbour_is_not(shop: dict[str, Product], clock: list[float]) -> None:
    answers = [at(f"2001:db8:7:{number:x}::1").welcome().status_code for number in range(210)]
    assert answers == [302] * 200 + [429] * 10
    assert at("2001:db8:8::1").welcome().status_code == 302
