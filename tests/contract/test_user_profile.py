"""The rules that the form applies before the payment are those of the realm: each value is tried on the server itself."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from apps.identity import user_profile
from apps.identity.protocol import Identity
from tests.contract.servers import Server

FIRST_NAMES = [
    "Anna", "O'Brien-Łukasz", "St.Clair", "J.R.R.", "D’Arcy", "王小明", "محمد", "Nguyễn Văn", "Smith, Jr.", "X Æ A-12",
    "Zoë 😀", "𠮷野", "a\u200cb", "Anna\u00a0Maria", "¡Hola", "a€b", "Ann+Bob", "Ibn :Ali", "O`Neil", "1. Müller", "a" * 255,
    "😀" * 127, "Bob & Sally", "Anna (Ann)", "SMITH/DUPONT", "a§b", "100%", "why?", "wow!", "a;b", "a*b", "a~b", "a|b", "a^b",
    "a=b", "a#b", "$b", "[a]", "{a}", "a\\b", '"Bob" Lee', "a\u2028b", "a\x85b", "a\tb", "a\x7fb", "a" * 256, "😀" * 128, " ",
]  # fmt: skip
ADDRESSES = [
    "anna@xn--mller-kva.de", "anna@xn--fa-hia.de", "anna@xn--r8jz45g.jp", "a+tag@example.com", "o'brien@example.com",
    "a/b=c@example.com", "a_b@example.co.uk", "anna@sub.sub.example.com", f"{'a' * 64}@example.com", f"{'a' * 65}@example.com",
    "änna@example.com", f"{'a' * 60}@{'.'.join(['a' * 60] * 3)}.com",
]  # fmt: skip
USERNAMES = [
    "anna", "anna.b", "a-b_c", "élodie", "x+y", "a@b", "аnna", "日本語", "an na", "o'neil", "a,b", "a:b", "a|b", "ab", "a" * 256,
]  # fmt: skip
# A profile as an operator might write it: the attribute, what is declared, and values that it takes or refuses.
CHANGED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("lastName", {"required": {}}, ["", "Lee"]),
    ("lastName", {"required": {"roles": ["admin", "user"]}}, ["", "Lee"]),
    ("lastName", {"required": {"roles": ["user"]}}, ["", "Lee"]),
    ("lastName", {"required": {"scopes": ["email"]}}, [""]),
    ("firstName", {"validations": {}}, ["Bob & Sally", "(A)"]),
    ("firstName", {"validations": {"length": {"min": 2, "max": 5}}}, ["A", "Al", "Alice", "Alicia", "😀"]),
    ("firstName", {"validations": {"length": {"min": "2", "trim-disabled": "true"}}}, ["A", "A ", " A"]),
    ("firstName", {"validations": {"pattern": {"pattern": r"^[\p{L}\p{M} '-]+$"}}}, ["Zoë", "Anna 2", "محمد", "J.R."]),
    ("firstName", {"validations": {"pattern": {"pattern": r"[\w -]+", "error-message": "x"}}}, ["Zoe", "Zoë"]),
    ("firstName", {"validations": {"pattern": {"pattern": r"\p{Alpha}[a-z&&[^q]]*"}}}, ["Anna", "Éa", "aqa"]),
    ("firstName", {"validations": {"pattern": {"pattern": r"\p{IsLatin}+"}}}, ["Zoë", "Анна"]),
    ("firstName", {"validations": {"options": {"options": ["Anna"]}}}, ["Anna", "Bob"]),
    ("email", {"validations": {"email": {"max-local-length": "5"}}}, ["alice@example.com", "alicia@example.com"]),
    ("email", {"validations": {"pattern": {"pattern": r".*@example\.com"}}}, ["ct-y@example.com", "ct-y@example.org"]),
    ("username", {"validations": {"pattern": {"pattern": "[a-z]+"}}}, ["ctanna", "ctanna2"]),
]  # fmt: skip


def is_taken(server: Server, attribute: str, value: str) -> bool:
    """Whether the server makes an account with that value; the account is deleted again."""
    answer = server.call("POST", "/users", json={"username": server.name()} | {attribute: value})
    assert answer.status_code in {201, 400}, answer.text
    if answer.status_code == 201:
        server.call("DELETE", f"/users/{answer.headers['Location'].rsplit('/', 1)[-1]}")
    return bool(answer.status_code == 201)


def compare(server: Server, attribute: str, values: list[str]) -> None:
    """Ours and the server's verdicts are the same for each value."""
    rules = user_profile.current_rules()
    ours = {value: user_profile.find_violation(attribute, value, rules) is None for value in values}
    theirs = {value: is_taken(server, attribute, value) for value in values}
    assert ours == theirs


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("firstName", FIRST_NAMES), ("lastName", FIRST_NAMES[-30:]), ("email", ADDRESSES), ("username", USERNAMES)],
)
def test_our_rules_say_what_the_server_says(
    identity: Identity, server: Server, db: None, attribute: str, values: list[str]
) -> None:
    """keycloak/keycloak#37059: names of couples are refused once the account is made; the form has to know it before."""
    compare(server, attribute, values)


@pytest.fixture
def profile(server: Server) -> Iterator[dict[str, Any]]:
    """The realm's profile, put back afterwards."""
    found = server.call("GET", "/users/profile").json()
    yield copy.deepcopy(found)
    server.call("PUT", "/users/profile", json=found, headers=server.root())


@pytest.mark.parametrize(
    ("attribute", "declared", "values"), CHANGED, ids=[f"{name}-{rule}"[:60] for name, rule, _ in CHANGED]
)
def test_a_changed_profile_is_read_and_followed(
    identity: Identity,
    server: Server,
    profile: dict[str, Any],
    db: None,
    attribute: str,
    declared: dict[str, Any],
    values: list[str],
) -> None:
    next(row for row in profile["attributes"] if row["name"] == attribute).update(declared)
    answer = server.call("PUT", "/users/profile", json=profile, headers=server.root())
    assert answer.status_code == 200, answer.text
    user_profile.read_user_profile("periodic")
    compare(server, attribute, values)


def test_the_rules_we_ship_are_those_of_the_realm_file(server: Server) -> None:
    declared = {row["name"]: row for row in server.call("GET", "/users/profile").json()["attributes"]}
    for name, rules in user_profile.SHIPPED.items():
        assert declared[name]["validations"] == rules["validations"]
