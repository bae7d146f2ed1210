"""The catalog of translations: what is in the sources, what locale/de says, and the two brought together.

`uv run python -m tests.translations` writes locale/de/LC_MESSAGES/django.po anew from the sources, keeping what is translated, and
compiles it. It needs no gettext tools: Django makes templates readable as Python, and Babel reads that.
"""

import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[1]
PO = ROOT / "locale/de/LC_MESSAGES/django.po"
MO = PO.with_suffix(".mo")
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
NO_DATE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
NO_NEWS = (
    '"Project-Id', '"Report-Msgid', '"POT-Creation', '"PO-Revision', '"Last-Translator', '"Language-Team', '"Generated-By',
)  # fmt: skip
HEADER = "# German texts of Frontdesk. People are addressed with Sie, as Keycloak and Stripe do.\n"


def sources() -> list[Path]:
    """Every file that may hold a text for people who are no staff."""
    python = [
        one for one in (ROOT / "apps").rglob("*.py") if "sandbox" not in one.parts and "migrations" not in one.parts
    ]
    return sorted([*python, *(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")])


def messages(path: Path) -> Iterator[tuple[int, str | tuple[str, ...], str | None]]:
    """Line, text (or singular and plural) and context of each text in a file that is marked for translation."""
    text = path.read_text()
    if path.suffix != ".py":
        text = templatize(text, origin=str(path))
    for line, found, _comments, context in extract("python", io.BytesIO(text.encode()), keywords=KEYWORDS):
        yield line, found, context


def extracted() -> Catalog:
    """All texts of the sources, without translations."""
    catalog = Catalog(locale="de", project="Frontdesk", charset="utf-8", header_comment=HEADER)
    for path in sources():
        for _line, found, context in messages(path):
            catalog.add(found, locations=[(str(path.relative_to(ROOT)), 0)], context=context)
    return catalog


def written() -> Catalog:
    """The catalog as it lies in the repository."""
    with PO.open("rb") as file:
        return read_po(file, locale="de")


def compiled(catalog: Catalog) -> bytes:
    """What Django reads at the start."""
    catalog.creation_date = catalog.revision_date = NO_DATE  # else each run compiles something else
    found = io.BytesIO()
    write_mo(found, catalog)
    return found.getvalue()


def update() -> None:
    """Bring the catalog in line with the sources, and compile it."""
    catalog = written() if PO.exists() else Catalog(locale="de", charset="utf-8")
    catalog.header_comment = HEADER
    catalog.update(extracted(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.fuzzy = False
    text = io.BytesIO()
    write_po(text, catalog, width=0, sort_output=True, include_lineno=False)
    PO.parent.mkdir(parents=True, exist_ok=True)
    PO.write_text("".join(_kept_lines(text.getvalue().decode())))
    MO.write_bytes(compiled(written()))


def _kept_lines(text: str) -> Iterator[str]:
    """Without the lines of the header that change at each run or say nothing."""
    for line in text.splitlines(keepends=True):
        if not line.startswith(NO_NEWS):
            yield line


if __name__ == "__main__":
    update()
