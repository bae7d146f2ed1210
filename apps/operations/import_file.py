"""A CSV file of customers as rows: whatever spreadsheet wrote it. Pure; the instances and products are given.

Promises: no row stops the others, since what is wrong with one is said in it; a cell that a spreadsheet would run is refused; the
same file gives the same rows.
"""

import csv
import datetime as dt
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core import languages
from apps.core.addresses import ascii_domain, can_be_mailed
from apps.core.errors import BadInput

COLUMNS: dict[str, str] = {
    "email": "The address. Required, unless keycloak_id or stripe_customer_id is there.",
    "first_name": "As Keycloak and emails show it.",
    "last_name": "As Keycloak and emails show it.",
    "username": "Required by nobody: without one it is taken from the account, or from the address.",
    "language": "en or de. Empty: the language of this installation.",
    "keycloak_id": "The id of an account that is there already.",
    "stripe_customer_id": "cus_…, whose subscriptions decide about access.",
    "products": "What is granted without payment until access_until: slugs, separated by spaces.",
    "access_until": "The last day of access without payment, as 2027-01-31.",
    "seats": "Where they are: product=instance, separated by spaces. They count even above a cap.",
}
EXAMPLE = (
    "email,first_name,last_name,username,language,keycloak_id,stripe_customer_id,products,access_until,seats\n"
    "ada@example.com,Ada,Lovelace,ada,en,7f0c6d0e-6f0b-4f0e-9a59-0d9a5d6c1b11,cus_Q2mXpL0a,,,nextcloud=cloud-1\n"
    "grace@example.com,Grace,Hopper,grace,de,,,nextcloud,2027-01-31,nextcloud=cloud-2\n"
)
MOST_ROWS = 100_000
DELIMITERS = ",;\t|"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that starts with one
SHOWN = ("email", "first_name", "last_name", "username")  # also of a row that cannot be read
LENGTHS = {
    "email": 254,
    "username": 150,
    "first_name": 120,
    "last_name": 120,
    "keycloak_id": 36,
    "stripe_customer_id": 255,
}


@dataclass(frozen=True)
class FileRow:
    """One line of the file. `problem`: why it cannot be imported, as a sentence; empty: it can be read."""

    number: int
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language: str = ""
    keycloak_id: str = ""
    customer_id: str = ""
    products: tuple[str, ...] = ()
    access_until: dt.datetime | None = None
    seats: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class RowProblem(Exception):
    """What is wrong with a line, as a sentence for staff."""


def read_file(content: bytes, instances: Mapping[str, str], products: frozenset[str]) -> list[FileRow]:
    """The lines of a file. `instances`: each one's product, by slug. BadInput when the file as a whole cannot be read."""
    text = _decode(content)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        names = _columns(next(reader, []))
        return list(_read_rows(reader, names, instances, products))
    except csv.Error as error:
        raise BadInput(f"The file is no CSV at line {reader.line_num}.", field="file") from error


def _decode(content: bytes) -> str:
    """The text in whatever encoding spreadsheets write: UTF-8 and UTF-16 with their marks, UTF-8, else Windows'."""
    marks = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
    marked = next((name for mark, name in marks if content.startswith(mark)), "")
    try:
        text = content.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        if marked:
            raise BadInput("The file is cut off, or not in the encoding that it begins with.", field="file") from error
        text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise BadInput("This is no text. Save the sheet as CSV, in UTF-8.", field="file")
    return text


def _delimiter(text: str) -> str:
    """The one that the first line has most of."""
    head = text.lstrip("\r\n").partition("\n")[0]
    return max(DELIMITERS, key=head.count)


def _columns(head: list[str]) -> list[str]:
    names = [one.strip().lower().replace(" ", "_").replace("-", "_") for one in head]
    if not {"email", "keycloak_id", "stripe_customer_id"} & {*names}:
        raise BadInput("The first line has to name the columns, at least email. See the example file.", field="file")
    if unknown := [one for one in names if one and one not in COLUMNS]:
        raise BadInput(f"These columns are not known: {', '.join(unknown)[:200]}.", field="file")
    if len({*names}) < len(names):
        raise BadInput("A column is there twice.", field="file")
    return names


def _read_rows(
    reader: Iterator[list[str]], names: list[str], instances: Mapping[str, str], products: frozenset[str]
) -> Iterator[FileRow]:
    count = 0
    for number, cells in enumerate(reader, 2):
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > MOST_ROWS:
            raise BadInput(f"At most {MOST_ROWS:,} rows at once. Split the file.", field="file")
        values = dict.fromkeys(COLUMNS, "") | dict(zip(names, (_clean(one) for one in cells), strict=False))
        try:
            yield _read_row(number, values, len(cells) - len(names), instances, products)
        except RowProblem as problem:
            shown: dict[str, Any] = {name: values[name][: LENGTHS[name]] for name in SHOWN}
            yield FileRow(number, problem=str(problem)[:300], **shown)


def _clean(cell: str) -> str:
    visible = "".join(one for one in cell if unicodedata.category(one) not in {"Cf", "Cc"} or one in FORMULA)
    return unicodedata.normalize("NFC", visible.strip(" \n\u00a0"))


def _read_row(
    number: int, values: dict[str, str], excess: int, instances: Mapping[str, str], products: frozenset[str]
) -> FileRow:
    if excess > 0:
        raise RowProblem("The row has more cells than the first line names.")
    for name, value in values.items():
        if value.startswith(FORMULA):
            raise RowProblem(f"The cell {name} begins like a formula of a spreadsheet.")
        if len(value.lower()) > LENGTHS.get(name, 2000):  # lower case may be longer
            raise RowProblem(f"The cell {name} is longer than {LENGTHS.get(name, 2000)} characters.")
    if values["language"] and values["language"].lower() not in languages.NAMES:
        raise RowProblem(f"There are no emails in the language {values['language'][:20]}.")
    granted = tuple(values["products"].replace(",", " ").split())
    if unknown := sorted({*granted} - products):
        raise RowProblem(f"There is no product {unknown[0][:40]}.")
    until = _last_day(values["access_until"])
    if bool(granted) is not (until is not None):
        raise RowProblem("A grant needs both: its products and access_until.")
    return FileRow(
        number=number,
        email=normalized(values["email"]) if values["email"] else "",
        first_name=values["first_name"],
        last_name=values["last_name"],
        username=values["username"].lower(),
        language=values["language"].lower(),
        keycloak_id=values["keycloak_id"],
        customer_id=values["stripe_customer_id"],
        products=granted,
        access_until=until,
        seats=_seats(values["seats"], instances),
        problem="" if values["email"] or values["keycloak_id"] or values["stripe_customer_id"] else "It names nobody.",
    )


def normalized(email: str) -> str:
    """The address as it is stored and compared: in lower case, its domain in ASCII. RowProblem when no mail can reach it."""
    local, _, domain = email.rpartition("@")
    address = f"{local}@{ascii_domain(domain)}".lower()
    if not can_be_mailed(address):
        raise RowProblem("No email can be delivered to the address.")
    return address


def _last_day(text: str) -> dt.datetime | None:
    """The moment at which that day ends (UTC)."""
    if not text:
        return None
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text) + dt.timedelta(days=1), dt.time(), dt.UTC)
    except (ValueError, OverflowError) as error:
        raise RowProblem("access_until is no day like 2027-01-31.") from error


def _seats(text: str, instances: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in text.replace(",", " ").split():
        product, _, instance = one.partition("=")
        if not instance or instances.get(instance) != product:
            raise RowProblem(f"There is no instance {instance[:40]} of {product[:40]}.")
        if product in found:
            raise RowProblem(f"Two seats on {product[:40]}.")
        found[product] = instance
    return found
