"""What people may be called: property tests over names, usernames and addresses."""

import string
import unicodedata

import pytest
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
    assert address.count("@") >= 1


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
