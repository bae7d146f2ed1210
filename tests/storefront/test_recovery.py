"""Coming back: a code, the window, the payment, and the same name, seat and instance as before."""

import datetime as dt
import html
import math
import random
import re
import statistics
import time
from typing import Any

import pytest
import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import overrides
from apps.accounts.models import Signup, UserProfile
from apps.core import clock, encryption, jobs
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.onboarding import recovery
from apps.sandbox.walk import GOOD_CARD
from tests.field.test_money import paused_trial
from tests.storefront.visitor import OF_EACH_ANSWER, Visitor, wrong
from tests.world import World

ROUNDS = 30  # of the rank test
PAGE = "/recovery/"
SEND, VERIFY, PAY, STATE, PASSWORD, ANEW = (
    f"{PAGE}{name}/" for name in ("send-code", "verify-code", "checkout-session", "state", "password", "sign-up-again")
)


def canceled(world: World, name: str = "dana", **basket: int) -> UserProfile:
    """Somebody whose subscription has been canceled at once."""
    profile = world.subscriber(name, **basket)
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    assert world.state(profile).access == "canceled"
    return profile


def late(world: World) -> UserProfile:
    """Somebody whose renewal has failed; Stripe keeps trying."""
    world.shop.control("settings", end="past_due")
    profile = world.subscriber("dana")
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    assert world.state(profile).access == "suspended"
    return profile


def code() -> str:
    newest = Notification.objects.filter(template="recovery_code").latest("pk")
    return encryption.decrypt(newest.encrypted)["code"]


def prove(visitor: Visitor, profile: UserProfile) -> dict[str, Any]:
    """Ask for a code and give it back."""
    assert visitor.api(SEND, email=profile.email).status_code == 200
    answer = visitor.api(VERIFY, email=profile.email, code=code())
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def pay(world: World, url: str) -> None:
    assert world.shop.pay({"url": url, "client_secret": ""}).headers["X-Sandbox-Outcome"] == "paid"


def upcoming(page: str) -> list[str]:
    """The sentences under "What happens next"."""
    _, _, rest = page.partition('<ol class="upcoming">')
    return [html.unescape(one) for one in re.findall(r"<span>([^<]+)</span>", rest.partition("</ol>")[0])]


def said_of_order(page: str) -> str:
    """The order in words, up to what is due today."""
    _, _, rest = page.partition('<ul class="summary">')
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", rest.partition("Then, from")[0])).split())


def test_what_is_no_longer_sold_is_said_before_anybody_pays(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    product = dana.items.get().product
    assert product is not None
    product.prices.update(is_active=False)
    prove(visitor, dana)
    page = visitor.get(PAGE).content.decode()
    assert "Part of your old plan is no longer sold." in page
    assert 'id="pay"' not in page


def test_an_open_invoice_is_named_with_its_amount_and_since_when(world: World, visitor: Visitor) -> None:
    """A13: one reads what is owed, not only that something is."""
    prove(visitor, late(world))
    page = visitor.get(PAGE).content.decode()
    (invoice,) = (one for one in world.shop.v1.invoices.list({"limit": 5}).data if one.status == "open")
    since = dt.datetime.fromtimestamp(invoice.status_transitions.finalized_at or 0, dt.UTC)
    assert f"Open since {day(since)}" in page
    assert "Pay €5 now" in page


def test_who_canceled_comes_back_to_the_same_seat(world: World, visitor: Visitor) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=3)
    before = world.state(dana)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    customer, account = dana.stripe_customer_id, dana.keycloak_id
    said = prove(visitor, dana)
    assert (said["state"], said["next_step"]) == ("recovering", "renew")
    world.work()
    window = world.state(dana)
    assert (window.access, window.account, window.attributes, window.groups) == ("recovering", True, {}, ())
    page = visitor.get(PAGE).content.decode()
    assert (
        said_of_order(page) == "Personal €5 a month 100 GB more × 3 €4.50 a month Total €9.50 a month Due today €9.50"
    )
    assert upcoming(page) == [
        "If you haven't paid by then, your account closes again. Your data is safe.",
        "If you haven't come back by then, we remove your space and settings for good.",
    ]
    assert dana.email not in page
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    after = world.state(dana)
    assert (after.access, after.seats, after.attributes, after.groups) == (
        before.access, before.seats, before.attributes, before.groups
    )  # fmt: skip
    assert set(after.items) == set(before.items)
    assert (dana.stripe_customer_id, dana.keycloak_id) == (customer, account)
    assert visitor.get(STATE).json()["open"] is True
    assert Signup.objects.filter(state="paid", profile=dana).count() == 2
    assert "recovery_opened" in world.notifications(dana)


def test_only_who_comes_from_their_own_payment_is_thanked(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    former = Signup.objects.get(profile=dana).checkout_session_id
    for named in ("anything", "", "%00", former):
        Signup.objects.filter(checkout_session_id=former).update(created_at=clock.now() - dt.timedelta(days=30))
        visitor.api(PAY)
        assert "Thank you" not in visitor.get(f"{PAGE}?session_id={named}").content.decode(), named
    opened = Signup.objects.get(profile=dana, state="checkout").checkout_session_id
    assert "Thank you" in visitor.get(f"{PAGE}?session_id={opened}").content.decode()


def test_the_payment_is_for_the_present_prices(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    product = dana.items.get().product
    assert product is not None
    product.prices.update(is_active=False)
    world.sell(product, interval="month", amount=777)
    prove(visitor, dana)
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    line = dana.items.exclude(subscription__status="canceled").get()
    assert (line.unit_amount, line.product) == (777, product)


def test_asking_to_pay_twice_leads_to_one_session(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    first, second = (visitor.api(PAY).json()["url"] for _ in range(2))
    assert first == second
    pay(world, first)
    assert error(visitor.api(PAY)) == (409, "paid")  # no event has come yet
    world.deliver()
    assert error(visitor.api(PAY)) == (409, "next_step_log_in")
    living = world.shop.v1.subscriptions.list({"customer": dana.stripe_customer_id or ""}).data
    assert len(living) == 1


def test_a_living_subscription_we_have_not_heard_of_is_not_doubled(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    price = world.price("personal")
    world.shop.v1.subscriptions.create(
        {"customer": dana.stripe_customer_id or "", "items": [{"price": price}], "trial_period_days": 7}
    )
    assert error(visitor.api(PAY)) == (409, "paid")
    world.work()
    assert world.state(dana).access == "active"


def test_who_owes_is_led_to_the_open_invoice(world: World, visitor: Visitor) -> None:
    dana = late(world)
    assert prove(visitor, dana)["next_step"] == "pay"
    assert "If you haven't paid by then, your account closes again. Your data is safe." in upcoming(
        visitor.get(PAGE).content.decode()
    )
    url = visitor.api(PAY).json()["url"]
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data
    assert url == invoice.hosted_invoice_url
    assert not Signup.objects.filter(state="checkout").exists()


def test_a_code_opens_the_page_for_a_card_and_never_the_portal(world: World, visitor: Visitor) -> None:
    dana = paused_trial(world)
    assert prove(visitor, dana)["next_step"] == "portal"
    url = visitor.api(PAY).json()["url"]
    for page in (url, f"{url}?said=card"):
        text = requests.get(page, timeout=20).text
        assert "Save the new card" in text
        assert "Invoices" not in text
        assert "Current plan" not in text
    refused = requests.post(url, data={"action": "cancel", "subscription": dana.stripe_subscription_id}, timeout=20)
    assert refused.headers["X-Sandbox-Outcome"] == "declined"
    done = requests.post(url, data={"action": "card", **GOOD_CARD}, allow_redirects=False, timeout=20)
    assert done.headers["Location"].endswith(PAGE)
    world.deliver()
    assert world.state(dana).access == "active"


def test_the_code_goes_to_the_stored_address_and_is_not_in_the_subject(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    assert visitor.api(SEND, email=dana.email.upper()).status_code == 200
    typed, right = Visitor().at_checkout(), code()
    assert typed.api("/onboarding/checkout/send-code/", email=dana.email.upper()).status_code == 200
    assert not Notification.objects.exclude(to=dana.email).exists()
    world.work()
    inbox = world.standin.inbox(dana.email)
    assert sum(right in mail["text"] for mail in inbox) == 1
    assert not any(right in mail["subject"] for mail in inbox)
    assert visitor.api(VERIFY, email=dana.email.upper(), code=right.lower()).status_code == 200


def test_the_window_closes_by_itself(world: World, visitor: Visitor, settings: Any) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    world.work()
    assert world.state(dana).account is True
    world.pass_time(seconds=settings.RECOVERY_WINDOW_HOURS * 3600 + 1)
    world.work()
    found = world.state(dana)
    assert (found.access, found.account) == ("canceled", False)


def test_a_hold_is_not_lifted_by_a_code(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    overrides.hold(profile=dana, actor="staff:sam", reason="abuse of the service")
    world.work()
    assert prove(visitor, dana)["next_step"] == "contact"
    world.work()
    found = world.state(dana)
    assert (found.access, found.account) == ("on_hold", False)
    assert error(visitor.api(PAY)) == (409, "next_step_contact")
    assert AuditEntry.objects.filter(action="recovery_code_verified").count() == 1


def test_after_the_final_date_an_expired_subscriber_signs_up_again(world: World, visitor: Visitor) -> None:
    """The place is gone; the person, the name and the mailbox are the same."""
    dana = canceled(world)
    world.pass_time(days=31)
    world.work()
    gone = world.state(dana)
    assert (gone.access, gone.seats, gone.attributes, gone.account) == ("expired", (), {}, False)
    assert prove(visitor, dana)["next_step"] == "sign_up_again"
    assert dana.recovering_until is None
    assert error(visitor.api(PAY)) == (409, "next_step_sign_up_again")
    assert "Your account has expired" in visitor.get(PAGE).content.decode()
    assert visitor.post(ANEW).headers["Location"] == "/onboarding/plan/"
    visitor.plan("plus")
    visitor.addons()
    answer = visitor.api("/onboarding/checkout/session/", username="somebody", last_name="Example", terms="1")
    assert answer.status_code == 200, answer.content
    world.shop.pay({"url": "", "client_secret": answer.json()["client_secret"]})  # type: ignore[attr-defined]
    world.deliver()
    found = world.state(dana)
    assert (found.access, found.account, dana.user.username) == ("active", True, "dana")
    assert dict(found.seats) == {"nextcloud": "assigned", "vaultwarden": "assigned"}
    assert UserProfile.objects.count() == 1


def test_nothing_is_given_up_while_it_is_being_paid_for(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    world.pass_time(seconds=30 * 86_400 - 300)
    world.work()
    prove(visitor, dana)
    url = visitor.api(PAY).json()["url"]
    world.pass_time(seconds=600)
    world.sweep()
    assert world.state(dana).seats == (("nextcloud", "retained"),)
    assert error(Visitor().api(PAY)) == (403, "no_recovery")
    pay(world, url)
    world.deliver()
    assert world.state(dana).seats == (("nextcloud", "assigned"),)


def test_a_payment_that_was_not_made_delays_the_end_by_no_more_than_its_session(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    world.pass_time(seconds=30 * 86_400 - 300)
    world.work()
    prove(visitor, dana)
    visitor.api(PAY)
    world.pass_time(seconds=3600)
    world.sweep()
    world.sweep()
    found = world.state(dana)
    assert (found.access, found.seats) == ("expired", ())


def test_mails_two_weeks_a_week_and_a_day_before_and_one_at_the_end(world: World) -> None:
    dana = canceled(world)
    for _ in range(31):
        world.pass_time(days=1)
        world.sweep()
    sent = [name for name in world.notifications(dana) if name.startswith("expir")]
    assert sent == ["expiry_reminder"] * 3 + ["expired"]


def test_who_is_back_gets_no_reminder(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    for _ in range(5):
        world.pass_time(days=6)
        world.sweep()
    assert not [name for name in world.notifications(dana) if name.startswith("expir")]


def test_staff_keep_a_place_for_longer(world: World) -> None:
    dana = canceled(world)
    until = clock.now() + dt.timedelta(days=60)
    overrides.keep_seat(profile=dana, until=until, actor="staff:sam", reason="is in hospital until then")
    world.work()
    assert (dana.refresh_from_db(), dana.final_expiry_at)[1] == until
    world.pass_time(days=45)
    world.sweep()
    assert world.state(dana).seats == (("nextcloud", "retained"),)
    world.pass_time(days=16)
    world.sweep()
    assert world.state(dana).access == "expired"


def test_a_code_that_staff_had_sent_works_in_any_browser(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    jobs.defer("send_recovery_code", dana.pk)
    world.work()
    (mail,) = [mail for mail in world.standin.inbox(dana.email) if "code" in mail["subject"].lower()][:1]
    digits = next(word for word in mail["text"].split() if word.isupper() and len(word) == 9 and "-" in word)
    assert visitor.api(VERIFY, email=dana.email, code=digits).status_code == 200
    assert error(Visitor().api(VERIFY, email=dana.email, code=digits)) == (400, "wrong_code")  # one use


def test_a_code_of_another_browser_proves_nothing(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    visitor.api(SEND, email=dana.email)
    assert error(Visitor().api(VERIFY, email=dana.email, code=code())) == (400, "wrong_code")
    assert world.state(dana).access == "canceled"


def test_five_wrong_guesses_end_the_code(world: World, visitor: Visitor) -> None:
    """F65."""
    dana = canceled(world)
    visitor.api(SEND, email=dana.email)
    right = code()
    answers = [visitor.api(VERIFY, email=dana.email, code=wrong(right)).status_code for _ in range(5)]
    assert answers == [400] * 5
    assert visitor.api(VERIFY, email=dana.email, code=right).status_code in {400, 429}
    assert world.state(dana).access == "canceled"


def test_a_recovery_is_no_login_and_lasts_fifteen_minutes(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    assert visitor.get("/dashboard/").status_code == 302
    later = clock.now().timestamp() + 16 * 60
    monkeypatch.setattr("apps.storefront.recovery_session.time.time", lambda: later)
    assert error(visitor.api(PAY)) == (403, "no_recovery")
    assert visitor.get(STATE).status_code == 404
    assert "Email me a code" in visitor.get(PAGE).content.decode()


def test_the_session_gets_a_new_name_when_the_code_is_right(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    visitor.api(SEND, email=dana.email)
    before = visitor.client.session.session_key
    visitor.api(VERIFY, email=dana.email, code=code())
    assert visitor.client.session.session_key != before


def test_the_password_mail_is_keycloaks_and_waits_for_the_open_account(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    assert error(visitor.api(PASSWORD)) == (409, "closed")
    world.work()
    assert visitor.api(PASSWORD).status_code == 200
    world.work()
    assert world.notifications(dana).count("keycloak_set_password") == 2


def test_while_stripe_is_away_the_page_says_so_and_nothing_is_lost(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    prove(visitor, dana)
    world.fault("stripe", "http_503")
    assert error(visitor.api(PAY)) == (503, "payment_away")
    world.fault("stripe", "ok")
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    assert world.state(dana).access == "active"


def test_a_product_that_is_no_longer_sold_is_said(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    product = dana.items.get().product
    assert product is not None
    product.prices.update(is_active=False)
    prove(visitor, dana)
    assert error(visitor.api(PAY)) == (409, "gone")


@pytest.mark.parametrize("state", ["active", "on_hold", "expired", "none"])
def test_the_window_opens_for_nobody_else(world: World, state: str) -> None:
    profile = canceled(world)
    if state == "active":
        profile = world.subscriber("ann")
    elif state == "on_hold":
        overrides.hold(profile=profile, actor="staff:sam", reason="abuse of the service")
    elif state == "expired":
        world.pass_time(days=31)
    else:
        profile.items.all().delete()
        from apps.billing.models import Subscription

        Subscription.objects.all().delete()
    with pytest.raises(BadInput):
        recovery.open_window(profile, actor="staff:sam", reason="asked on the phone")
    assert UserProfile.objects.get(pk=profile.pk).recovering_until is None


def test_no_window_is_open_beyond_the_final_expiry(world: World, settings: Any) -> None:
    dana = canceled(world)
    ends = dana.final_expiry_at
    assert ends is not None
    world.pass_time(seconds=int((ends - clock.now()).total_seconds()) - 3600)
    assert recovery.open_window(dana, actor="staff:sam", reason="asked on the phone") == ends
    world.pass_time(seconds=3601)
    world.work()
    dana.refresh_from_db()
    assert (dana.access_state, dana.recovering_until) == ("expired", ends)


def test_staff_open_and_close_the_window(world: World) -> None:
    dana = canceled(world)
    recovery.open_window(dana, actor="staff:sam", reason="asked on the phone")
    world.work()
    assert world.state(dana).access == "recovering"
    recovery.close_window(dana, actor="staff:sam", reason="was a mistake, sorry")
    world.work()
    assert world.state(dana).access == "canceled"
    with pytest.raises(BadInput):
        recovery.close_window(dana, actor="staff:sam", reason="was a mistake, sorry")


def asked(email: str) -> dict[str, Any]:
    """Everything that can be seen of asking for a code."""
    visitor, before = Visitor(), Notification.objects.count()
    mails, open_jobs = before, Job.objects.count()
    with CaptureQueriesContext(connection) as queries:
        answer = visitor.api(SEND, email=email)
    return {
        "status": answer.status_code,
        "body": answer.content,
        "headers": {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER},
        "cookies": sorted(answer.cookies),
        "queries": len(queries),
        "mails": Notification.objects.count() - mails,
        "jobs": Job.objects.count() - open_jobs,
    }


MALFORMED = ["dana@", "nobody at all", "dana@exa mple.com", "@", "<>{}", "dänä@example.com"]


def everybody(world: World) -> dict[str, UserProfile]:
    """One subscriber in every state: canceled, expired, paying, on hold."""
    people = {name: canceled(world, name) for name in ("ann", "bob")}
    world.pass_time(days=31)
    world.work()
    people |= {"cid": canceled(world, "cid"), "dee": world.subscriber("dee"), "eva": canceled(world, "eva")}
    overrides.hold(profile=people["eva"], actor="staff:sam", reason="abuse of the service")
    world.work()
    assert {one.access_state for one in UserProfile.objects.all()} == {"expired", "canceled", "active", "on_hold"}
    return people


def test_an_answer_tells_nothing_about_anybody(world: World) -> None:
    """Known, unknown, expired, held, paying and malformed addresses: same bytes, queries, mails."""
    addresses = [one.email for one in everybody(world).values()] + MALFORMED
    nobody = asked("nobody@example.com")
    assert [asked(one) for one in addresses] == [nobody] * len(addresses)
    assert (nobody["status"], nobody["mails"]) == (200, 1)
    world.work()
    sent = set(Notification.objects.filter(state="sent").values_list("to", flat=True))
    assert {
        one for one in sent if one.endswith(".invalid")
    } == set()  # a mail to nobody goes nowhere, and asks for nobody
    assert not Job.objects.filter(state="dead").exists()


@pytest.mark.nightly
@pytest.mark.usefixtures("no_limits")
def test_no_answer_takes_longer_than_another(world: World) -> None:
    """Every state against an unknown address, asked in turn: a rank test (Mann and Whitney) sees no difference."""
    people = everybody(world)
    kinds = {"known": people["cid"], "paying": people["dee"], "expired": people["ann"], "on_hold": people["eva"]}
    addresses = {name: one.email for name, one in kinds.items()} | {
        "malformed": MALFORMED[0],
        "unknown": "x@example.com",
    }
    visitor = Visitor()
    times: dict[str, list[float]] = {name: [] for name in addresses}
    for _ in range(ROUNDS):
        for name in random.sample(sorted(addresses), len(addresses)):
            began = time.perf_counter()
            assert visitor.api(SEND, email=addresses[name]).status_code == 200
            times[name].append(time.perf_counter() - began)
    apart = {name: deviations(times[name], times["unknown"]) for name in kinds | {"malformed": None}}
    assert max(apart.values()) < 4, apart  # by chance once in some thousand runs
    slower = [one + statistics.median(times["unknown"]) for one in times["unknown"]]
    assert deviations(slower, times["unknown"]) > 4  # twice the time would be seen


def deviations(ones: list[float], others: list[float]) -> float:
    """How far the rank sum lies from its mean, in standard deviations (normal approximation of Mann and Whitney's U)."""
    wins = sum((one > other) + 0.5 * (one == other) for one in ones for other in others)
    mean = len(ones) * len(others) / 2
    return abs(wins - mean) / math.sqrt(mean * (len(ones) + len(others) + 1) / 6)
