"""No sentence for people in Python is left unmarked: refusals, messages, labels, subjects.

A sentence is a text that begins with a capital letter and goes on in words. What staff alone read (jobs, laws, attention items, the
errors of work) is English and needs no mark; where such sentences stand among those for people, they are listed here.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APPS = Path(__file__).resolve().parents[1] / "apps"
PARTS = ("storefront", "dashboard", "login", "onboarding")  # what visitors and subscribers meet
MARKS = {
    "_", "gettext", "ngettext", "pgettext", "npgettext", "gettext_noop", "gettext_lazy", "ngettext_lazy", "pgettext_lazy",
}  # fmt: skip
FOR_STAFF_CALLS = {"register", "report", "resolve", "NeedsOperator", "DependencyDown", "RetryLater", "TokenError"}
TOLD = "told"  # what an error for staff says to the customer
FOR_STAFF = {
    "login/laws.py", "login/login_records.py", "login/models.py", "onboarding/account_correction.py", "onboarding/invitations.py",
    "onboarding/laws.py", "onboarding/models.py",
}  # fmt: skip
NOT_WORDS = {"login/browsers.py", "storefront/search_engines.py"}  # names of programs, and what search engines read
FOR_STAFF_SENTENCES = {
    "onboarding/contracts.py": ("A customer ", "What could be refunded"),
    "onboarding/forgetting.py": ("Stripe has an invoice",),
    "onboarding/order_summary.py": ("Order", "Zahlungspflichtig"),  # the law's own words, in both languages
    "onboarding/own_address.py": ("The former mailbox", "The former address"),
    "onboarding/own_account.py": ("Somebody who has proven",),
    "onboarding/recovery.py": ("The account ", "This account has never", "No recovery is open."),
    "onboarding/unpaid_seats.py": ("Many unpaid payments",),
    "onboarding/waitlist.py": ("This address isn't confirmed", "This entry is no longer waiting"),
}
SENTENCE = re.compile(r"[A-Z“][^.]*[a-z]{2}.* .*|[A-Z][a-z]+[.!?…]", re.DOTALL)


def test_no_sentence_for_people_is_left_unmarked() -> None:
    files = [path for part in PARTS for path in sorted((APPS / part).rglob("*.py")) if "migrations" not in path.parts]
    found = {_name(path): said for path in files if _name(path) not in FOR_STAFF | NOT_WORDS and (said := _left(path))}
    assert found == {}


def test_what_is_listed_is_there() -> None:
    for name in FOR_STAFF | NOT_WORDS:
        assert (APPS / name).exists(), name
    for name, beginnings in FOR_STAFF_SENTENCES.items():
        said = list(unmarked((APPS / name).read_text()))
        assert [one for one in beginnings if not any(text.startswith(one) for text in said)] == [], name


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('raise BadInput("Choose a plan first.")', ["Choose a plan first."]),
        ('raise BadInput(_("Choose a plan first."))', []),
        ('raise BadInput(f"Choose {plan} first.")', ["Choose {} first."]),
        ('raise BadInput(f"“{name}” is not known.")', ["“{}” is not known."]),
        ('messages.success(request, "Saved.")', ["Saved."]),
        ('LABELS = {"name": "Your name"}', ["Your name"]),
        ('TOLD = gettext_noop("Choose a plan first.")', []),
        ('raise NeedsOperator("Look at Stripe.", told="We look into it.")', ["We look into it."]),
        ('def f(a: "Offer | None") -> None:\n    """A note for readers."""', []),
        ('log.info("signed_up", kind="first one")', []),
    ],
)
def test_what_counts_as_unmarked(source: str, left: list[str]) -> None:
    assert list(unmarked(source)) == left


def unmarked(source: str) -> Iterator[str]:
    """The sentences of a module that are for people and not marked for translation; with {} for each value of an f-string."""
    tree = ast.parse(source)
    skipped = {id(one) for part in _skipped(tree) for one in ast.walk(part)}
    for one in ast.walk(tree):
        if isinstance(one, ast.JoinedStr) and id(one) not in skipped:
            skipped |= {id(part) for part in ast.walk(one)}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in one.values)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in skipped:
            text = one.value
        else:
            continue
        if SENTENCE.fullmatch(text):
            yield text


def _skipped(tree: ast.AST) -> Iterator[ast.AST]:
    """What is marked, what staff read, and what nobody reads: docstrings and annotations."""
    for one in ast.walk(tree):
        if isinstance(one, ast.Module | ast.ClassDef | ast.FunctionDef) and one.body and ast.get_docstring(one):
            yield one.body[0]
        if isinstance(one, ast.arg | ast.AnnAssign) and one.annotation:
            yield one.annotation
        if isinstance(one, ast.FunctionDef) and one.returns:
            yield one.returns
        if isinstance(one, ast.Call):
            name = one.func.attr if isinstance(one.func, ast.Attribute) else getattr(one.func, "id", "")
            if name in MARKS:
                yield one
            elif name in FOR_STAFF_CALLS:
                yield from one.args
                yield from (keyword.value for keyword in one.keywords if keyword.arg != TOLD)


def _left(path: Path) -> list[str]:
    listed = FOR_STAFF_SENTENCES.get(_name(path), ())
    return [one for one in unmarked(path.read_text()) if not one.startswith(listed or ("\0",))]


def _name(path: Path) -> str:
    return path.relative_to(APPS).as_posix()
