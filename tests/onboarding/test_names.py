"""What people may be called: property tests over names, usernames and addresses."""

import string
import unicodedata

import pytest
from anymail.utils import parse_single_address
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import BadInput
from apps.onboarding import names, reserved_usernames


@pytest.mark.parametrize(
    "name",
    [
        "Dana",
        "Anne-Marie",
        "O'Neill",
        "María José",
        "Łukasz",
        "Nguyễn Văn A",
        "J. R. R.",
        "李",
        "د",
        "St. John",
        "Dr. No",
    ],
)
def test_real_names_are_taken_as_they_are(name: str) -> None:
    assert names.person_name(name, field="first_name") == unicodedata.normalize("NFC", name)


HONEST = [
    "Mr. Lee",
    "J.de Vries",
    "Louis 14",
    "Martin Luther King Jr.",
    "Gal·la",
    "Ana 1990",
    "الأمير د",
    "李 小龙",
    "Zoë",
    "Jean d.A.",
]
TO_A_READER_A_LINK = [
    "evil．com", "evil。com", "evil․com", "evil｡com", "evil﹒com", "evil۔com", "evil\u200c.com", "ｅｖｉｌ．ｃｏｍ", "see x.com",
    "EVIL.COM", "evil.zip", "WWW.evil", "http:evil", "xn--evl-jma", "t.me", "win at evil dot com", "a＠b", "mailto:anna", "яндекс.рф",
]  # fmt: skip
PHONES = [
    "Call +49 900 123456 to get money back",
    "Phone 0900-1234",
    "Tel ٠٩٠٠١٢٣",
    "Tel ０９００１２",
    "Dial 1 1 8 3 3",
    "①②③④⑤ Anna",
]


@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_links_and_phone_numbers_are_no_names_however_written_and_real_names_stay(field: str) -> None:
    assert [name for name in HONEST if names.person_name(name, field=field) != name] == []
    for name in TO_A_READER_A_LINK + PHONES:
        with pytest.raises(BadInput) as refused:
            names.person_name(name, field=field)
        assert refused.value.field == field, name
    assert names.person_name("Ｄana ﬁnn", field=field) == "Dana finn"


UNREACHABLE = [
    "a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1", "a@localhost", "a@com", "a@b.c", "a@b.123", "a@b..com", "a@.com", "a@b.com.", "a@-b.com",
    "a@b_c.com", "a@xn--.com", "a@xn--zzzzzzzz99999.com", ".a@b.com", "a.@b.com", "a..b@b.com", '"a b"@b.com', "=?utf-8?q?a?=@b.com",
    "a" * 65 + "@b.com", "a@" + "b" * 64 + ".com", "a@" + "b." * 130 + "com", "a@b.com, c@d.com", "a@b.com\r\nBcc: c@d.com", "<a@b.com>", "a b@c.com",
]  # fmt: skip
REACHABLE = [
    "dana@example.com", "d.a-n_a+tag@mail.example.co.uk", "o'neill@example.org", "a@b.co", "1@1.de", "a@3com.net", "a@xn--mller-kva.de",
    "a" * 64 + "@example.com", "a@" + "b" * 63 + ".photography", "user@example.xn--p1ai", "a{b}%c@example.com",
]  # fmt: skip


def test_an_address_is_one_that_mail_can_be_written_to() -> None:
    assert [address for address in REACHABLE if names.email(address) != address] == []
    assert [parse_single_address(names.email(address)).addr_spec for address in REACHABLE] == REACHABLE
    assert names.email("Anna@MÜLLER。de") == "Anna@xn--mller-kva.de"
    for address in UNREACHABLE:
        with pytest.raises(BadInput):
            names.normalize_email(address)


@settings(max_examples=600)
@given(st.text(max_size=100))
def test_a_name_that_is_taken_can_stand_in_a_mail_and_a_spreadsheet(text: str) -> None:
    try:
        name = names.person_name(text, field="first_name")
    except BadInput as refusal:
        refused = refusal
    else:
        refused = None
    if refused is not None:
        assert refused.message
        assert refused.field == "first_name"
        return
    assert 1 <= len(name) <= 120
    assert not set(name) & set("<>{}\\@\r\n\t\x00")
    assert "://" not in name
    assert name[0] not in "=+-@"
    assert names.person_name(name, field="first_name") == name


@settings(max_examples=600)
@given(st.text(max_size=40) | st.text(alphabet=string.ascii_letters + string.digits + "._-", max_size=34))
def test_a_user_name_that_is_taken_is_plain_and_stays_itself(text: str) -> None:
    try:
        name = names.username(text)
    except BadInput:
        return
    assert names.USERNAME.fullmatch(name)
    assert name.isascii()
    assert name == name.lower()
    assert names.username(name) == name
    assert not reserved_usernames.is_reserved(name)


@settings(max_examples=600)
@given(st.text(max_size=60) | st.emails())
def test_an_address_that_is_taken_holds_one_line_of_plain_characters(text: str) -> None:
    try:
        address = names.email(text)
    except BadInput:
        return
    assert address.isascii()
    assert len(address) <= 254
    assert not set(address) & set("\r\n\x00<> ")
    assert parse_single_address(address).addr_spec == address


def test_at_least_200_names_are_reserved_and_each_is_refused() -> None:
    assert len(reserved_usernames.RESERVED) >= 200
    for name in reserved_usernames.RESERVED:
        with pytest.raises(BadInput):
            names.username(name)


@pytest.mark.parametrize(
    "name",
    [
        "adm1n",
        "r00t",
        "supp0rt",
        "s-u-p-p-o-r-t",
        "bi11ing",
        "admin2",
        "root-1",
        "vvebmaster",
        "Ａdmin",
        "h3lp",
    ],
)
def test_lookalikes_of_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(BadInput):
        names.username(name)


@pytest.mark.parametrize(
    "name", ["dana", "anna.b", "max-muster", "lena_1990", "jo3", "tim.cook", "adamina", "helpmann"]
)
def test_ordinary_names_are_free(name: str) -> None:
    assert names.username(name) == name
