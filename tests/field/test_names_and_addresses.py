"""The identity server's rules, before the money: names that real people have, and addresses at domains with umlauts."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.core.cache import cache
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.core import clock, encryption, jobs
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.core.models import RateLimit
from apps.identity import user_profile
from apps.notifications.models import Notification
from apps.onboarding import names
from apps.onboarding.models import OneTimeCode, WaitlistEntry
from tests.storefront.visitor import ACCOUNT, HOME, SEND, SESSION, VALIDATE, VERIFY, WAITLIST, Visitor, code_mailed
from tests.world import World

TYPED, STORED = "anna@müller.de", "anna@xn--mller-kva.de"
REAL_NAMES = [
    "St.Clair", "st.clair", "Ma.Teresa", "J.R.R. Tolkien", "Ph.D. Lee", "O'Brien-Łukasz", "D’Arcy", "Nguyễn Văn A", "王小明", "𠮷野",
    "محمد", "می‌خواهم", "Smith, Jr.", "X Æ A-12", "'t Hooft", "Ann+Bob", "de la Cruz y García", "Ng", "Ó", "Müller",
    "Pablo Diego José Francisco de Paula Juan Nepomuceno María de los Remedios Cipriano",
]  # fmt: skip
REFUSED_NAMES = {
    "Bob & Sally": "Please remove these characters: &. To name two people, write “and”.",
    "SMITH/DUPONT": "Please remove these characters: /. To name two people, write “and”.",
    "Anna (Ann)": "Please remove these characters: ( ).",
    "Anna [Ann]": "Please remove these characters: [ ].",
    'Anna "Ann" Lee': 'Please remove these characters: ".',
    "Anna; Ann": "Please remove these characters: ;.",
    "A*na": "Please remove these characters: *.",
    "Anna #1?": "Please remove these characters: # ?.",
    "see evil.com": "Please enter just a name, with a space after each dot and without an email or web address.",
}


@pytest.fixture
def operators_rules(world: World) -> Iterator[Any]:
    """Declares rules of the operator's own in Keycloak, and lets the periodic job read them."""

    def declare(attribute: str, **rules: Any) -> None:
        profile = world.admin("GET", "/users/profile").json()
        next(row for row in profile["attributes"] if row["name"] == attribute).update(rules)
        answer = world.standin.call("PUT", "/users/profile", json=profile, headers=root(world))
        assert answer.status_code == 200, answer.text
        user_profile.read_user_profile("periodic")

    yield declare
    cache.clear()


def root(world: World) -> dict[str, str]:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
    url = f"{world.url}/keycloak/realms/master/protocol/openid-connect/token"
    answer = requests.post(url, data=form, timeout=20)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def errors(answer: Any) -> tuple[int, str, str]:
    found = answer.json()["error"]
    return answer.status_code, found["field"], found["message"]


def pay(world: World, visitor: Visitor, **account: Any) -> UserProfile:
    """Fill in the account, open the payment, pay it, and let all events and jobs run."""
    answer = visitor.api(SESSION, **ACCOUNT | account)
    assert answer.status_code == 200, answer.content
    opened = {"url": "", "client_secret": answer.json()["client_secret"]}
    assert world.shop.pay(opened).headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    return UserProfile.objects.select_related("user").get(user__username=account.get("username", "dana"))


@pytest.mark.parametrize("name", REAL_NAMES)
def test_a_name_that_people_have_is_taken_as_it_is(name: str) -> None:
    """keycloak/keycloak#37059, and St.Clair, which was refused as an address."""
    assert names.person_name(name, field="last_name") == unicodedata.normalize("NFC", name)


def test_marks_that_nobody_sees_come_along_when_a_name_is_pasted_and_are_dropped() -> None:
    assert names.person_name("\u200fמשה\u200e \u202aCohen\u202c\ufeff", field="first_name") == "משה Cohen"


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_a_name_the_realm_refuses_is_refused_by_the_form_with_what_to_change(world: World, name: str) -> None:
    """keycloak/keycloak#37059: "Bob & Sally" and "SMITH/DUPONT" paid and got no account."""
    visitor = Visitor()
    page = visitor.post(HOME, first_name=name)
    assert page.status_code == 400
    assert REFUSED_NAMES[name] in page.content.decode().replace("&amp;", "&").replace("&quot;", '"')
    visitor.proven()
    assert errors(visitor.api(SESSION, **ACCOUNT | {"last_name": name})) == (400, "last_name", REFUSED_NAMES[name])
    assert not UserProfile.objects.exists()


def test_a_first_name_from_before_the_rules_is_refused_before_the_payment(world: World) -> None:
    visitor = Visitor().proven()
    Signup.objects.update(first_name="Bob & Sally")
    status, field, message = errors(visitor.api(SESSION, **ACCOUNT))
    assert (status, field) == (409, "first_name")
    assert message == f"Your first name can't be used for an account. {REFUSED_NAMES['Bob & Sally']}"
    assert not UserProfile.objects.exists()


def test_who_has_an_unusual_name_gets_the_account(world: World) -> None:
    visitor = Visitor().proven()
    visitor.welcome("Anne-Łucja D’Arcy")
    profile = pay(world, visitor, last_name="St.Clair-O'Brien, Jr.")
    account = world.account(profile)
    assert (account["firstName"], account["lastName"]) == ("Anne-Łucja D’Arcy", "St.Clair-O'Brien, Jr.")
    assert (world.state(profile).access, world.jobs()) == ("active", [])


def test_the_operators_own_rules_are_read_and_apply(world: World, operators_rules: Any) -> None:
    """The realm may be stricter than ours, or laxer: what it takes, the form takes."""
    operators_rules("firstName", validations={})
    operators_rules("lastName", required={"roles": ["admin", "user"]}, validations={"length": {"min": 2}})
    operators_rules("username", validations={"pattern": {"pattern": r"\p{L}+"}})
    visitor = Visitor().proven()
    assert visitor.welcome("Bob & Sally (both)").status_code == 302
    assert errors(visitor.api(SESSION, **ACCOUNT | {"last_name": ""})) == (
        400,
        "last_name",
        "Please enter your last name.",
    )
    short = "Please use at least 2 characters."
    assert errors(visitor.api(SESSION, **ACCOUNT | {"last_name": "O"})) == (400, "last_name", short)
    digits = "We can't make an account with this username. Please write it differently."
    assert errors(visitor.api(SESSION, **ACCOUNT | {"username": "dana2"})) == (400, "username", digits)
    assert visitor.api(VALIDATE, username="dana2").json()["username"] == {"available": False, "message": digits}
    profile = pay(world, visitor)
    assert world.account(profile)["firstName"] == "Bob & Sally (both)"
    assert (world.state(profile).access, world.jobs()) == ("active", [])


def test_while_keycloak_is_away_the_form_keeps_the_rules_it_read_last(world: World, operators_rules: Any) -> None:
    operators_rules("firstName", validations={"length": {"max": 3}})
    world.fault("keycloak", "down")
    assert Visitor().welcome("Anna").status_code == 400
    assert Visitor().welcome("Ann").status_code == 302
    world.fault("keycloak", "ok")


def test_the_rules_are_read_by_the_worker_and_never_by_a_page(world: World) -> None:
    world.fault("keycloak", "down")
    assert Visitor().welcome("Anna").status_code == 302
    world.fault("keycloak", "ok")
    assert user_profile.current_rules() is user_profile.SHIPPED
    jobs.defer(user_profile.KIND, "periodic")
    world.work()
    assert user_profile.current_rules()["firstName"]["displayName"]
    cache.clear()


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (TYPED, STORED),
        ("Anna@MÜLLER.de", "Anna@xn--mller-kva.de"),
        ("anna@mu\u0308ller.de", STORED),
        ("anna@XN--MLLER-KVA.de", STORED),
        ("anna@müller。de", STORED),
        ("anna@faß.de", "anna@xn--fa-hia.de"),
        ("anna@post.例え.jp", "anna@post.xn--r8jz45g.jp"),
        ("anna@пример.рф", "anna@xn--e1afmkfd.xn--p1ai"),
        ("o'brien+x@example.co.uk", "o'brien+x@example.co.uk"),
    ],
)
def test_a_domain_with_letters_of_any_language_is_stored_as_punycode(typed: str, stored: str) -> None:
    """swiftmailer/swiftmailer#541, hallelujah/valid_email#94, sympa-community/sympa#1942."""
    assert names.email(typed) == stored
    assert names.email(shown_email(stored)) == stored


@pytest.mark.parametrize(
    "typed",
    ["anna@", "@müller.de", "anna@-müller.de", "anna@mül ler.de", "anna@müller..de", "anna@" + "ü" * 64 + ".de", "a" * 65 + "@example.com",
     '"a b"@example.com', "anna@☃.de", "anna", "anna@müller", "ann\x00a@müller.de", "änna@example.com"],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused(typed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        names.email(typed)
    assert refusal.value.field == "email"


def test_who_has_an_address_at_a_domain_with_an_umlaut_signs_up_and_recovers_by_either_spelling(world: World) -> None:
    """swiftmailer/swiftmailer#541: refused with "like anna@example.com"."""
    visitor = Visitor().at_checkout()
    assert visitor.api(VALIDATE, email=TYPED).json() == {"email": {"well_formed": True}}
    assert visitor.api(SEND, email=TYPED).status_code == 200
    assert visitor.api(VERIFY, email=STORED, code=code_mailed()).json() == {"proven": True, "email": TYPED}
    assert TYPED in visitor.get(f"{HOME}checkout/").content.decode()
    profile = pay(world, visitor)
    assert (profile.email, profile.user.email, world.account(profile)["email"]) == (STORED, STORED, STORED)
    customer = world.shop.v1.customers.retrieve(profile.stripe_customer_id or "")
    assert customer.email == STORED
    assert len(world.mails(STORED)) >= 2
    assert world.jobs() == []
    for spelling in (TYPED, "anna@MÜLLER.DE", STORED):
        OneTimeCode.objects.all().delete()
        RateLimit.objects.all().delete()
        again = Visitor()
        assert again.api("/recovery/send-code/", email=spelling).status_code == 200
        newest = Notification.objects.filter(template="recovery_code").latest("pk")
        code = encryption.decrypt(newest.encrypted)["code"]
        assert again.api("/recovery/verify-code/", email=TYPED, code=code).json()["proven"]


def test_one_mailbox_in_two_spellings_is_one_person_and_one_place_in_line(world: World) -> None:
    world.pay(signup_with(world, STORED))
    world.deliver()
    visitor = Visitor().at_checkout()
    visitor.api(SEND, email=TYPED)
    world.work()
    assert "You already have an account" in " ".join(world.mails(STORED))
    for spelling in (TYPED, STORED):
        assert Visitor().api(WAITLIST, email=spelling, product="").status_code == 200
    assert WaitlistEntry.objects.get().email == STORED


def signup_with(world: World, email: str) -> Signup:
    signup = world.signup("anna")
    signup.email = email
    signup.save()
    return signup


def test_the_page_says_when_the_realm_wants_a_last_name(world: World, operators_rules: Any) -> None:
    assert "(optional)" in Visitor().at_checkout().get(f"{HOME}checkout/").content.decode()
    operators_rules("lastName", required={})
    assert "(optional)" not in Visitor().at_checkout().get(f"{HOME}checkout/").content.decode()


def test_who_comes_back_keeps_a_username_that_the_rules_no_longer_take(world: World, operators_rules: Any) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=31)
    world.deliver()
    assert world.state(dana).access == "expired"
    operators_rules("username", validations={"length": {"min": 8}})
    visitor = Visitor().proven("other@example.com")
    Signup.objects.filter(pk=visitor.signup.pk).update(profile=dana, username="dana", email=dana.email)
    assert visitor.api(VALIDATE, username="dana").json()["username"]["available"]
    pay(world, visitor)
    assert world.state(dana).access == "active"


def test_our_own_account_reads_the_rules_where_the_doctors_may_not(world: World, settings: Any) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID, settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "frontdesk-doctor", "wrong"
    user_profile.read_user_profile("periodic")
    assert user_profile.current_rules()["firstName"]["displayName"]
    cache.clear()


# --- a username that only Keycloak knows -------------------------------------------------------------------------------


def test_a_username_that_only_keycloak_knows_is_taken_before_the_person_goes_on(world: World) -> None:
    world.standin.new_user("felix")
    visitor = Visitor().proven()
    taken = {"available": False, "message": "This username is taken. Please choose another."}
    assert visitor.api(VALIDATE, username="Felix").json()["username"] == taken
    assert errors(visitor.api(SESSION, **ACCOUNT | {"username": "felix"}))[:2] == (409, "username")
    assert visitor.api(VALIDATE, username="felicia").json()["username"]["available"]


@pytest.mark.parametrize("mode", ["down", pytest.param("slow", marks=pytest.mark.long)])
def test_while_keycloak_is_away_the_person_goes_on(world: World, mode: str) -> None:
    visitor = Visitor().proven()
    world.fault("keycloak", mode)
    assert visitor.api(VALIDATE, username="felix").json()["username"]["available"]
    world.fault("keycloak", "ok")


def test_staff_read_an_address_as_its_owner_writes_it(world: World, staff: Any) -> None:
    """Stored as punycode, shown as typed: on lists, on pages and in dialogs."""
    jo = world.subscriber("jo")
    Signup.objects.update(email="jo@xn--mller-kva.de")
    UserProfile.objects.filter(pk=jo.pk).update(email="jo@xn--mller-kva.de")
    Notification.objects.create(
        key="k", template="expired", to="jo@xn--mller-kva.de", state="queued", created_at=clock.now()
    )
    WaitlistEntry.objects.create(email="jo@xn--mller-kva.de", created_at=clock.now(), confirmed_at=clock.now())
    for url in (
        reverse("admin:accounts_signup_changelist"), reverse("admin:accounts_userprofile_changelist"),
        reverse("admin:accounts_userprofile_change", args=[jo.pk]), reverse("admin:notifications_notification_changelist"),
        reverse("admin:onboarding_waitlistentry_changelist"),
    ):  # fmt: skip
        shown = staff("admin").get(url).content.decode()
        assert "@müller.de" in shown, url
