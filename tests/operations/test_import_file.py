"""Files of customers as spreadsheets write them: each encoding and delimiter, and cells that are no data."""

from itertools import product as every

import pytest

from apps.core.errors import BadInput
from apps.operations.import_file import EXAMPLE, read_file

PLACES = {"cloud-1": "nextcloud", "cloud-2": "nextcloud"}
APPS = frozenset({"nextcloud"})
TEXT = "Email;First Name;last-name;seats\n Jürgen@Müller.DE ;Jürgen;Müller;nextcloud=cloud-1\n;;;\n"


def read(content: bytes) -> list[tuple[str, str, str]]:
    return [(one.email, one.first_name, one.problem) for one in read_file(content, PLACES, APPS)]


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [*every(["utf-8", "utf-8-sig", "utf-16", "cp1252"], [";", ",", "\t"])]
)
def test_what_any_spreadsheet_writes_is_read(encoding: str, delimiter: str) -> None:
    content = TEXT.replace(";", delimiter).replace("\n", "\r\n").replace("Jürgen@", "Juergen@").encode(encoding)
    assert read(content) == [("juergen@xn--mller-kva.de", "Jürgen", "")]


def test_the_example_file_has_every_column_and_no_problem() -> None:
    found = read_file(EXAMPLE.encode(), PLACES, APPS)
    assert [one.problem for one in found] == ["", ""]
    assert found[1].access_until is not None
    assert found[1].access_until.date().isoformat() == "2027-02-01"
    assert [dict(one.seats) for one in found] == [{"nextcloud": "cloud-1"}, {"nextcloud": "cloud-2"}]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("=1+1,,,,", "The cell email begins like a formula of a spreadsheet."),
        ("a@b.example,@SUM(A1),,,", "The cell first_name begins like a formula of a spreadsheet."),
        ("a@b.example,+49 30 1234,,,", "The cell first_name begins like a formula of a spreadsheet."),
        ("a@b,,,,", "No email can be delivered to the address."),
        ("a@b.example,,nextcloud=cloud-9,,", "There is no instance cloud-9 of nextcloud."),
        ("a@b.example,,nextcloud=cloud-1 nextcloud=cloud-2,,", "Two seats on nextcloud."),
        ("a@b.example,,,nextcloud,", "A grant needs both: its products and access_until."),
        ("a@b.example,,,nextcloud,soon", "access_until is no day like 2027-01-31."),
        ("a@b.example,,,choir,2027-01-01", "There is no product choir."),
        ("a@b.example,,,,,more", "The row has more cells than the first line names."),
        (f"a@b.example,{'x' * 121},,,", "The cell first_name is longer than 120 characters."),
        (",Nobody,,,", "It names nobody."),
    ],
)
def test_a_row_that_cannot_be_read_says_why_and_stops_no_other(cells: str, problem: str) -> None:
    head = "email,first_name,seats,products,access_until"
    found = read(f"{head}\n{cells}\nok@example.com,,,,\n".encode())
    assert [one[2] for one in found] == [problem, ""]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"name,phone\nAda,1\n", "at least email"),
        (b"email,shoe_size\na@b.example,9\n", "not known: shoe_size"),
        (b"email,email\na,b\n", "there twice"),
        (b"\xff\xfeabc", "cut off"),
        (b"PK\x03\x04\x00\x00", "This is no text"),
        (b"", "at least email"),
    ],
)
def test_a_file_that_is_none_is_refused_with_a_sentence(content: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read(content)
