"""One vocabulary: private words of the past do not come back, in names or in texts for people (templates/manual/glossary.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sorted(
    path
    for folder in ("apps", "config")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in str(path.parent)
)
DOCUMENTS = [ROOT / "config/openapi.json", ROOT / "apps/operations/api/openapi.json"]  # of APIs: others read them
TEMPLATES = sorted([*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")])
# What each stood for: reconcile, wake-up, heartbeat, finish, active or open, facts, safeguard, email template, fix, …
NAMES = {
    "look", "looks", "ring", "rings", "rung", "doorbell", "beat", "beats", "settle", "settled", "settling", "standing",
    "mass", "letter", "letters", "sealing", "mend", "mended", "anew", "catalogue", "house", "ill", "blind",
}  # fmt: skip
PHRASES = re.compile(
    r"\b(houses?|made so|make it so|anew|whoever|that were|the last look|look at this person|doorbell|rings for|mended|mending|"
    r"mail address|user name|log-in|mass guard|mass loss|catalogue|too many tries in a short time|to be mended)\b",
    re.IGNORECASE,
)
RAW_STATES = re.compile(r"\b(past_due|incomplete_expired|on_hold|no_suspend|keep_seat|sync_user_post_checkout)\b")


def names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id


def words_of(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def sentences_in(path: Path) -> Iterator[str]:
    """The string constants that read like text: with a space in them, and no docstrings."""
    tree = ast.parse(path.read_text())
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            text = "" if id(node) in documents or re.search("SELECT|INSERT", node.value) else node.value
            yield text


def visible(template: Path) -> str:
    """What of a template reaches the reader's eye, roughly: no tags, no comments, no attributes but their texts."""
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}|<!--.*?-->", " ", template.read_text(), flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", text)


def test_names_are_those_of_the_glossary() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in PYTHON
        if "sandbox" not in path.parts
        for name in names_in(path)
        if words_of(name) & NAMES
    }
    assert found == set()


def test_modules_are_named_for_what_they_do() -> None:
    assert [str(path) for path in PYTHON if "sandbox" not in path.parts and words_of(path.stem) & NAMES] == []


@pytest.mark.parametrize("pattern", [PHRASES, RAW_STATES])
def test_texts_for_people_are_plain(pattern: re.Pattern[str]) -> None:
    texts = {str(path.relative_to(ROOT)): visible(path) for path in TEMPLATES}
    texts |= {
        str(path.relative_to(ROOT)): "\n".join(sentences_in(path)) for path in PYTHON if "sandbox" not in path.parts
    }
    for page in [ROOT / "README.md", *(ROOT / "templates/manual").glob("*.md")]:
        texts[page.name] = re.sub(r"`[^`]*`", " ", page.read_text())
    for page in DOCUMENTS:
        said = re.findall(r'"(?:title|summary|description)": "([^"]*)"', page.read_text())
        texts[str(page.relative_to(ROOT))] = "\n".join(said)
    found = {name: sorted({match[0].lower() for match in pattern.finditer(text)}) for name, text in texts.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_comments_and_docstrings_keep_to_the_words_too() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*PYTHON, *DOCUMENTS]
        if "sandbox" not in path.parts  # it speaks Keycloak's and Stripe's own words
        for match in PHRASES.finditer(path.read_text())
    }
    assert found == set()
