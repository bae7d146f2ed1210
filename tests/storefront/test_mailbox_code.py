"""The proof of a mailbox by plain forms: reload, closed tab, another device, pasted text, limits; the same at every page that asks."""

import html
import re
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import encryption
from apps.core.models import Job, RateLimit
from apps.notifications.models import Notification
from apps.onboarding import codes
from apps.onboarding.models import OneTimeCode
from tests.storefront.test_apis import customer
from tests.storefront.visitor import HOME, PAGES, SESSION, Visitor, code_mailed, wrong

CHECKOUT, CONFIRM, RECOVERY = PAGES["checkout"], f"{HOME}confirm/", "/recovery/"
DANA = "dana@example.com"


def link_mailed(template: str) -> str:
    """The path of the link in the newest email."""
    newest = Notification.objects.filter(template=template).latest("pk")
    return str(encryption.decrypt(newest.encrypted)["code_url"]).removeprefix("http://localhost:8000")


def field(answer: HttpResponse, name: str) -> str | None:
    """The value of an input on the page; None when it is not there."""
    for tag in re.findall(r"<input[^>]*>", answer.content.decode()):
        if f'name="{name}"' in tag and "autocomplete" in tag:
            found = re.search(r'value="([^"]*)"', tag)
            return html.unescape(found[1]) if found else ""
    return None


def error_beside(answer: HttpResponse, name: str) -> str:
    found = re.search(rf'id="{name}-error" role="alert">([^<]*)<', answer.content.decode())
    return html.unescape(found[1]) if found else ""


def ask(visitor: Visitor, page: str, address: str = DANA) -> HttpResponse:
    return visitor.post(page, mailbox="send", email=address)


@pytest.fixture(params=[CHECKOUT, RECOVERY])
def asking(request: pytest.FixtureRequest, shop: dict[str, Product], visitor: Visitor) -> tuple[Visitor, str, str]:
    """A visitor at a page that asks for the mailbox, the page, and its email's template."""
    if request.param == CHECKOUT:
        return visitor.at_checkout(), CHECKOUT, "signup_code"
    customer("dana", DANA)
    return visitor, RECOVERY, "recovery_code"


def has_proven(visitor: Visitor, page: str) -> bool:
    if page == RECOVERY:
        return "recovery" in visitor.client.session
    return visitor.signup.email_proven_at is not None and visitor.signup.email == DANA


def test_the_forms_work_alone_and_the_session_gets_a_new_id(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    assert ask(visitor, page).headers["Location"] == page
    before = visitor.client.session.session_key
    assert not has_proven(visitor, page)
    answer = visitor.post(page, mailbox="code", code=code_mailed(template))
    assert (answer.status_code, answer.headers["Location"]) == (302, page)
    assert has_proven(visitor, page)
    assert visitor.client.session.session_key != before
    assert field(visitor.get(page), "code") is None


def test_a_reload_and_a_new_tab_show_the_field_for_the_code(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    assert field(visitor.get(page), "code") is None
    ask(visitor, page)
    for _ in range(2):
        shown = visitor.get(page)
        assert field(shown, "code") == ""
        assert DANA in shown.content.decode()
    assert visitor.post(page, mailbox="code", code=code_mailed(template)).status_code == 302
    assert has_proven(visitor, page)


def test_within_a_minute_the_field_stays_and_no_second_email_is_sent(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    sent = Notification.objects.count()
    for form in ({"mailbox": "again"}, {"mailbox": "send", "email": DANA}):
        answer = visitor.post(page, **form)
        assert answer.status_code == 200
        assert "already sent you a code" in html.unescape(answer.content.decode())
        assert field(answer, "code") == ""
    assert Notification.objects.count() == sent
    visitor.post(page, mailbox="code", code=code_mailed(template))
    assert has_proven(visitor, page)


def test_beyond_the_limit_of_an_hour_a_good_code_keeps_its_field(
    asking: tuple[Visitor, str, str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, page, template = asking
    settings.LIMITS = settings.LIMITS | {"codes_pair": ((1, 1),), "mails_pair": ((1, 3600),)}
    ask(visitor, page)
    monkeypatch.setattr("apps.onboarding.mailbox_code.MailboxProof._wait", lambda *_: 0)
    answer = visitor.post(page, mailbox="again")
    assert (answer.status_code, field(answer, "code")) == (200, "")
    visitor.post(page, mailbox="code", code=code_mailed(template))
    assert has_proven(visitor, page)


def test_a_wrong_code_is_told_beside_its_field(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    answer = visitor.post(page, mailbox="code", code=wrong(code_mailed(template)))
    assert answer.status_code == 400
    assert "isn't right" in error_beside(answer, "code")
    assert field(answer, "code") == ""
    assert not has_proven(visitor, page)


@pytest.mark.parametrize("text", ["    {}", "Your code: {}.", "{}\n\nEnter it", "\u200b{}\u00a0", "<{}>", "“{}”"])
def test_whatever_is_pasted_with_the_code_is_taken(asking: tuple[Visitor, str, str], text: str) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    visitor.post(page, mailbox="code", code=text.format(code_mailed(template)))
    assert has_proven(visitor, page)


@pytest.mark.parametrize(
    "text", ["820794", " 820 794 ", "820-794", "code 820 794 works", "８２０７９４", "8 2 0 7 9 4"]
)
def test_six_digits_are_found(text: str) -> None:
    assert codes.find_code("signup", text) == "820794"


@pytest.mark.parametrize(
    "text", ["abcd-1234", "ABCD 1234", "Your code is abcd-1234, and", "ａｂｃｄ-1234", "abcd1234", "abcd–1234"]
)
def test_eight_signs_are_found(text: str) -> None:
    assert codes.find_code("recovery", text) == "ABCD1234"


def test_the_link_fills_in_the_code_and_changes_nothing(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    link = link_mailed(template)
    rows = [model.objects.count() for model in (Signup, OneTimeCode, Job, RateLimit, Notification)]
    shown = visitor.get(link)
    assert field(shown, "code") == code_mailed(template)
    assert rows == [model.objects.count() for model in (Signup, OneTimeCode, Job, RateLimit, Notification)]
    assert not has_proven(visitor, page)
    confirm(visitor, link)
    assert has_proven(visitor, page)


def confirm(visitor: Visitor, link: str) -> HttpResponse:
    """Open the link and press Confirm, as the form on the page says."""
    text = visitor.get(link).content.decode()
    token = re.search(r'name="link" value="([^"]*)"', text)
    action = re.search(r'id="code-form" method="post" action="([^"]*)"', text)
    code = field(visitor.get(link), "code")
    assert token, "the page has no form for the link"
    assert action, "the form has no action"
    return visitor.post(action[1], mailbox="code", link=html.unescape(token[1]), code=code)


def test_another_device_confirms_by_the_link_and_only_there(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    link, phone = link_mailed(template), Visitor()
    answer = confirm(phone, link)
    assert (answer.status_code, answer.headers["Location"]) == (302, page)
    assert has_proven(phone, page)
    assert not (has_proven(visitor, page)), "who typed the address elsewhere gets nothing by another's click"
    assert phone.get(page).status_code == 200
    thief = Visitor()
    assert confirm(thief, link).status_code == 400, "one use"


def test_a_phone_goes_on_with_the_plan_and_nothing_of_the_account(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    Signup.objects.update(username="squatted", last_name="Elsewhere")
    ask(visitor, CHECKOUT)
    phone = Visitor()
    confirm(phone, link_mailed("signup_code"))
    found = phone.signup
    assert found.pk != visitor.signup.pk
    assert (found.basket, found.interval, found.first_name) == ({"personal": 1}, "month", "Dana")
    assert (found.username, found.last_name, found.profile, found.terms_accepted_at) == ("", "", None, None)
    assert field(phone.get(CHECKOUT), "username") == ""


@pytest.mark.parametrize("spoiled", ["", "nonsense", "fernet:nonsense"])
def test_a_link_that_is_over_leads_to_a_sentence(asking: tuple[Visitor, str, str], spoiled: str) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    link = link_mailed(template)
    address = link.partition("?")[0]
    if spoiled:
        answer = Client().get(f"{address}?code={quote(spoiled)}", follow=True)
    else:
        with pytest.MonkeyPatch.context() as later:
            now = codes.clock.now().timestamp() + 601
            later.setattr("apps.onboarding.mailbox_code.time.time", lambda: now)
            answer = Client().get(link, follow=True)
    assert "link no longer works" in answer.content.decode()
    assert answer.status_code == 200


def test_a_link_of_one_purpose_is_none_of_another(shop: dict[str, Product], visitor: Visitor) -> None:
    customer("carla")
    visitor.at_checkout()
    ask(visitor, CHECKOUT)
    token = link_mailed("signup_code").partition("=")[2]
    assert "link no longer works" in visitor.get(f"{RECOVERY}?code={token}").content.decode()


def test_the_email_says_the_code_and_the_link_and_the_token_names_nobody(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, template = asking
    ask(visitor, page)
    link = link_mailed(template)
    assert "dana" not in link.lower()
    assert code_mailed(template) not in link


def observe(page: str, address: str) -> dict[str, Any]:
    """Everything an outsider could measure of asking by the form, and of the page after it."""
    RateLimit.objects.all().delete()
    visitor = Visitor()
    if page == CHECKOUT:
        visitor.at_checkout()
    else:
        visitor.get(page)
    counted = [model.objects.count() for model in (Notification, Job, OneTimeCode, RateLimit)]
    with CaptureQueriesContext(connection) as queries:
        answer = ask(visitor, page, address)
    after = [model.objects.count() for model in (Notification, Job, OneTimeCode, RateLimit)]
    shown = re.sub(r'(csrfmiddlewaretoken" value|data-wait|data-draft)="[^"]*"', "", visitor.get(page).content.decode())
    return {
        "status": answer.status_code,
        "to": answer.headers["Location"],
        "cookies": sorted(answer.cookies),
        "page": shown.replace(address, ""),
        "queries": [re.sub(r"'[^']*'|\d+|SAVEPOINT.*", "", query["sql"])[:60] for query in queries],
        "rows": [new - old for new, old in zip(after, counted, strict=True)],
    }


@pytest.mark.parametrize("page", [CHECKOUT, RECOVERY])
def test_the_forms_tell_nobody_whether_an_address_has_an_account(shop: dict[str, Product], page: str) -> None:
    customer()
    assert (
        observe(page, "nobody@example.com") == observe(page, "carla@example.com") == observe(page, "CARLA@example.com")
    )
    assert UserProfile.objects.count() == 1


def test_another_address_may_be_taken_and_the_former_one_kept(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    visitor.post(CHECKOUT, mailbox="other")
    assert field(visitor.get(CHECKOUT), "email") == ""
    assert "Keep dana@example.com" in visitor.get(CHECKOUT).content.decode()
    visitor.post(CHECKOUT, mailbox="keep")
    assert "Confirmed" in visitor.get(CHECKOUT).content.decode()
    visitor.post(CHECKOUT, mailbox="other")
    ask(visitor, CHECKOUT, "other@example.com")
    visitor.post(CHECKOUT, mailbox="code", code=code_mailed())
    assert visitor.signup.email == "other@example.com"


def test_a_malformed_address_is_told_beside_its_field(asking: tuple[Visitor, str, str]) -> None:
    visitor, page, _ = asking
    answer = ask(visitor, page, "nope")
    assert answer.status_code == 400
    assert error_beside(answer, "email")
    assert field(answer, "email") == "nope"
    assert not OneTimeCode.objects.exists()


def test_a_form_of_a_session_that_is_over_leads_back_with_a_sentence(shop: dict[str, Product]) -> None:
    """The browser lost its session, an hour later, with the page still open."""
    for page, form in ((RECOVERY, {"mailbox": "code", "code": "ABCD-1234"}), (RECOVERY, {"mailbox": "again"})):
        answer = Client().post(page, form)
        assert "been away for a while" in html.unescape(answer.content.decode())
        assert field(answer, "email") == ""
    for page in (CHECKOUT, PAGES["addons"], CONFIRM):  # the plans are open to everybody
        answer = Client().post(page, {"mailbox": "code", "code": "123456"}, follow=True)
        assert answer.redirect_chain[-1][0] == HOME
        assert "start again" in html.unescape(answer.content.decode()), page
    assert Visitor().api(SESSION).status_code == 409
