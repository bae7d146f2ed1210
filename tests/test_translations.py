"""Texts for people who are no staff: every one is marked for translation, and German says each."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from django.template.base import Lexer, TokenType

from tests import translations

ROOT = Path(__file__).resolve().parents[1]
FOR_STAFF = ("console", "admin", "unfold")
FOR_STAFF_TOO = ("waitlist_note",)  # emails to staff
CLASS_BLOCKS = {"block main_class", "block body_class"}  # names for the stylesheet
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}")
SAID = re.compile(r"""(?:aria-label|alt|placeholder|title)="([^"{]*[A-Za-z]{2}[^"{]*)\"""")
HIDDEN = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->", re.DOTALL)
TAG = re.compile(r"<[^>]*>", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")


def test_german_says_everything() -> None:
    wanted = {_key(one): one for one in translations.extracted() if one.id}
    written = {_key(one): one for one in translations.written() if one.id}
    advice = "Run `uv run python -m tests.translations`, then translate what is new in locale/de."
    assert set(wanted) == set(written), advice
    assert [one.id for one in written.values() if not _all_said(one)] == [], advice


def test_what_is_compiled_is_what_is_written() -> None:
    assert translations.MO.read_bytes() == translations.compiled(translations.written())


def test_german_fills_in_the_same_values() -> None:
    for one in translations.written():
        for said in one.string if isinstance(one.string, tuple) else (one.string,):
            asked = one.id if isinstance(one.id, str) else one.id[-1]
            assert sorted(PLACEHOLDER.findall(said)) == sorted(PLACEHOLDER.findall(asked)), one.id


def test_no_text_of_a_template_is_left_unmarked() -> None:
    assert {path: texts for path in _templates() if (texts := _unmarked(path))} == {}


@pytest.mark.parametrize(
    ("source", "unmarked"),
    [
        ("<p>Hello {{ name }}</p>", ["Hello"]),
        ('<a aria-label="Close">×</a>', ["Close"]),
        ('<p class="lead">{% translate "Hello" %} 12 €</p>', []),
        ("{% blocktranslate trimmed %}Hello <b>you</b>{% endblocktranslate %}", []),
        ("<style>p { color: red }</style>{# a note #}", []),
    ],
)
def test_what_counts_as_unmarked(source: str, unmarked: list[str]) -> None:
    assert list(_texts(source)) == unmarked


def _key(one: Message) -> tuple[object, object]:
    return one.id, one.context


def _all_said(one: Message) -> bool:
    return all(one.string) if isinstance(one.string, tuple) else bool(one.string)


def _templates() -> list[Path]:
    found = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")]
    for_people = (one for one in found if _part(one) not in FOR_STAFF and not one.name.startswith(FOR_STAFF_TOO))
    return sorted(for_people)


def _part(path: Path) -> str:
    return path.relative_to(ROOT / "templates").parts[0]


def _unmarked(path: Path) -> list[str]:
    return list(_texts(path.read_text()))


def _texts(source: str) -> list[str]:
    """What a person reads in a template outside of translation tags."""
    kept, inside = [], False
    for token in Lexer(source).tokenize():
        if token.token_type == TokenType.BLOCK:
            name = token.contents.split()[0]
            skipped = name in {"blocktranslate", "blocktrans", "comment"} or token.contents in CLASS_BLOCKS
            inside = skipped or (inside and not name.startswith("end"))
        elif token.token_type == TokenType.TEXT and not inside:
            kept.append(token.contents)
        elif token.token_type == TokenType.VAR:
            kept.append("{}")
    text = HIDDEN.sub("", "".join(kept))
    said = [*SAID.findall(text), *TAG.sub("\n", text).splitlines()]
    return [one.replace("{}", "").strip() for one in said if WORD.search(one.replace("{}", ""))]
