"""One-time codes: six digits, ten minutes, five tries counted before the compare, one use, one session."""

import re
from collections.abc import Callable

import pytest

from apps.core import clock, limits
from apps.core.errors import BadInput
from apps.onboarding import codes
from apps.onboarding.models import OneTimeCode
from tests.instances.house import at_once
from tests.storefront.visitor import wrong

HERE = {"purpose": "signup", "address": "dana@example.com", "session": "session-one"}
# The statement without its counter: what a forgetful hand would have written.
UNCOUNTED = codes.COUNT_TRY_STATEMENT.replace("tries + %(step)s", "tries").replace("AND tries < %(tries)s", "")


def burn(code: str, guesses: int) -> bool:
    """Whether the right code still works after so many wrong ones."""
    for _ in range(guesses):
        assert not codes.consume_code(**HERE, code=wrong(code))
    return codes.consume_code(**HERE, code=code)


def test_a_code_works_once(db: None) -> None:
    code = codes.issue_code(**HERE)
    assert re.fullmatch(r"\d{6}", code)
    assert codes.consume_code(**HERE, code=code)
    assert not codes.consume_code(**HERE, code=code)


def test_a_recovery_code_has_40_bits_and_is_taken_as_people_type_it(db: None) -> None:
    binding = HERE | {"purpose": "recovery"}
    issued = [codes.issue_code(**binding) for _ in range(8)]
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", code) for code in issued)
    assert len(set(issued)) == len(issued)
    assert 2 ** (codes.CODE_LENGTH * 5) == len(codes.ALPHABET) ** codes.CODE_LENGTH >= 2**40
    typed = [
        "O1IL-abcd",
        "o1il abcd",
        " 0111 ABCD\n",
        "0111–abcd",
        "oiliABCD",
        "０１１１ＡＢＣＤ",
        "0 1 1 1 - A B C D",
        "\u200b0111ABCD",
    ]
    assert {codes.fold_code(one) for one in typed} == {"0111ABCD"}
    assert {codes.fold_code(one) for one in ("123456", "123 456", " 123-456 ")} == {"123456"}
    code = issued[-1]
    assert not any(codes.consume_code(**binding, code=guess) for guess in ("", "-", code[:-1], code + "0"))
    assert codes.consume_code(**binding, code=code.lower().replace("-", " ").replace("0", "o").replace("1", "l"))


def test_neither_the_code_nor_the_address_is_in_the_database(db: None) -> None:
    code = codes.issue_code(**HERE)
    row = OneTimeCode.objects.values().get()
    assert row["code_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert code not in str(row)
    assert "dana" not in str(row)


@pytest.mark.parametrize(
    "change",
    [{"purpose": "recovery"}, {"address": "dora@example.com"}, {"session": "session-two"}],
    ids=str,
)
def test_a_code_is_bound_to_purpose_address_and_session(db: None, change: dict[str, str]) -> None:
    code = codes.issue_code(**HERE)
    assert not codes.consume_code(**(HERE | change), code=code)
    assert codes.consume_code(**HERE, code=code)


def test_the_fifth_try_counts_and_the_sixth_does_not(db: None) -> None:
    assert burn(codes.issue_code(**HERE), 4)
    assert not burn(codes.issue_code(**HERE), 5)
    assert OneTimeCode.objects.get(used_at=None).tries == 5


@pytest.mark.mutant
@pytest.mark.fault("F65")
def test_without_the_counter_guessing_would_go_on(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "COUNT_TRY_STATEMENT", UNCOUNTED)
    assert burn(codes.issue_code(**HERE), 9)


def test_a_code_ends_after_ten_minutes(db: None) -> None:
    code = codes.issue_code(**HERE)
    OneTimeCode.objects.update(expires_at=clock.now())
    assert not codes.consume_code(**HERE, code=code)


def test_a_new_code_ends_the_one_before_and_starts_its_tries_anew(db: None) -> None:
    first = codes.issue_code(**HERE)
    codes.consume_code(**HERE, code=wrong(first))
    second = codes.issue_code(**HERE)
    assert OneTimeCode.objects.get().tries == 0
    assert first == second or not codes.consume_code(**HERE, code=first)
    assert codes.consume_code(**HERE, code=second)


@pytest.mark.parametrize("guess", ["", " ", "0", "000000\x00", "None", "١٢٣٤٥٦"])
def test_a_code_nobody_may_use_matches_nothing(db: None, guess: str) -> None:
    code = codes.issue_code(**HERE, usable=False)
    assert not codes.consume_code(**HERE, code=code)
    assert not codes.consume_code(**HERE, code=guess)


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F64")
@pytest.mark.times(100)
def test_of_32_right_codes_at_once_exactly_one_counts(transactional_db: None) -> None:
    code = codes.issue_code(**HERE)
    answers = at_once([lambda: codes.consume_code(**HERE, code=code)] * 32, clients=32)
    assert [answer for answer in answers if answer is not False] == [True]
    assert OneTimeCode.objects.get().tries <= codes.MAX_TRIES


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F65")
@pytest.mark.times(313)
def test_of_32_wrong_codes_at_once_no_more_than_five_are_looked_at(transactional_db: None) -> None:
    code = codes.issue_code(**HERE)
    at_once([lambda: codes.consume_code(**HERE, code=wrong(code))] * 32, clients=32)
    assert OneTimeCode.objects.get().tries == codes.MAX_TRIES
    assert not codes.consume_code(**HERE, code=code)


def refused_after(call: Callable[[], None]) -> int:
    """How many calls pass before one is refused."""
    for number in range(100):
        try:
            call()
        except BadInput:
            return number
    return 100


def test_sending_and_trying_are_limited_per_mailbox_session_and_visitor(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits.time, "time", lambda: 3600 * 500_000 + 1.0)

    def send(address: str = "dana@example.com", client: str = "192.0.2.1") -> None:
        codes.check_sending_limits(purpose="signup", address=address, client=client)

    assert refused_after(send) == 1
    assert refused_after(lambda: send("DANA+spam@EXAMPLE.com", "192.0.2.9")) == 0  # of the same network
    assert refused_after(lambda: send(client="198.51.100.9")) == 1
    numbers = iter(range(100))
    assert refused_after(lambda: send(f"person{next(numbers)}@example.com", "192.0.2.2")) == 20

    def guess(session: str, client: str) -> None:
        codes.check_try_limits(session=session, client=client)

    assert refused_after(lambda: guess("one", "192.0.2.3")) == 5
    assert refused_after(lambda: guess(f"s{next(numbers)}", "192.0.2.4")) == 10


def test_a_mailbox_gets_so_many_mails_from_everywhere_and_they_come_back_evenly(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(250))

    def send_from_anywhere() -> None:
        codes.check_sending_limits(purpose="signup", address="dana@example.com", client=f"192.0.{next(numbers)}.1")

    monkeypatch.setattr(limits.time, "time", lambda: 86400.0 * 20_000)
    assert refused_after(send_from_anywhere) == 15
    monkeypatch.setattr(limits.time, "time", lambda: 86400.0 * 20_000 + 3600)
    assert refused_after(send_from_anywhere) == 15
    monkeypatch.setattr(limits.time, "time", lambda: 86400.0 * 20_000 + 7200)
    assert refused_after(send_from_anywhere) == 2  # 30 a day: one each 48 minutes
