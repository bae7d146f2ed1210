"""The house style, held by numbers that only ever go down, and promises that no linter knows."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path
    for folder in ("apps", "config")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in str(path.parent)
)
LONGEST_FILE, LONGEST_FUNCTION = 350, 50
BANNED_NAMES = {"services", "utils", "helpers", "common", "managers"}


def functions(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_stay_short():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_rows_are_changed_before_their_audit_line():
    """A line locks its subject's chain; whoever then waits for the row may hold it up for ever. tests/access/test_lock_order.py."""
    late = []
    for path in FILES:
        for function in functions(path):
            calls = sorted((n.lineno, ast.unparse(n.func)) for n in ast.walk(function) if isinstance(n, ast.Call))
            lines = [line for line, name in calls if name in {"audit.record", "audit.record_many"}]
            late += [
                f"{path.relative_to(ROOT)}:{line} {name}"
                for line, name in calls
                if name.startswith("reconcile.enqueue") and lines and line > lines[0]
            ]
    assert late == []


def test_functions_stay_short():
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in functions(path)
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert long == {}


def test_every_module_opens_with_what_it_promises():
    silent = [
        str(path) for path in FILES if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_public_functions_say_what_comes_in_and_out():
    silent = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in FILES
        if "management" not in path.parts and "sandbox" not in path.parts and "console" not in path.parts
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing():
    assert [str(path) for path in FILES if path.stem in BANNED_NAMES] == []


def test_no_two_public_classes_share_a_name():
    places = {}
    for path in FILES:
        if "sandbox" not in path.parts and "management" not in path.parts:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_packages_of_the_pure_modules_are_empty():
    assert (ROOT / "apps/access/__init__.py").read_text() == ""
    assert (ROOT / "apps/catalog/__init__.py").read_text() == ""


def test_admin_classes_live_in_the_console_only():
    found = [str(path) for path in FILES if "ModelAdmin" in path.read_text() and "console" not in path.parts]
    assert found == []


def test_no_page_carries_inline_script_or_style():
    inline = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=\"|\son[a-z]+=\"", re.IGNORECASE)
    pages = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "apps").rglob("*.html")]
    found = {
        str(page.relative_to(ROOT)): inline.findall(page.read_text()) for page in pages if "mail" not in page.parts
    }
    assert {page: what for page, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "path", [*settings.AUTHENTICATION_BACKENDS, settings.ACCOUNT_ADAPTER, settings.SOCIALACCOUNT_ADAPTER]
)
def test_dotted_paths_of_the_settings_lead_somewhere(path):
    assert import_string(path)


def test_middleware_leads_somewhere():
    for path in settings.MIDDLEWARE:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name)


# Who may read whose tables: those of the layers below, as import-linter has it for modules.
LAYERS = (
    ("core",),
    ("accounts", "catalog"),
    ("login",),
    ("billing", "identity", "instances", "notifications"),
    ("access",),
    ("onboarding", "operations"),
    ("storefront", "dashboard", "console"),
)
RANKS = {app: rank for rank, apps in enumerate(LAYERS) for app in apps}
TABLE = re.compile(rf"\b(?:FROM|JOIN|UPDATE|INTO)\s+({'|'.join(RANKS)})_[a-z]+\b")


def statements(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"\b(FROM|UPDATE|INTO)\b", node.value)
        ):
            yield node.value


def test_no_statement_reaches_over_a_wall():
    """SQL reads the app's own tables and those of the layers below, never a neighbour's or those above."""
    over = {
        f"{path.relative_to(ROOT)}: {table[0]}"
        for path in FILES
        if path.relative_to(ROOT).parts[:2] != ("apps", "sandbox") and path.relative_to(ROOT).parts[0] == "apps"
        for statement in statements(path)
        for table in TABLE.finditer(statement)
        if table[1] != path.relative_to(ROOT).parts[1] and RANKS[table[1]] >= RANKS[path.relative_to(ROOT).parts[1]]
    }
    assert over == set()


def test_no_model_is_reached_by_its_label():
    """`apps.get_model("app.Model")` would get round the import contracts. Migrations need it; nothing else does."""
    assert [str(path) for path in FILES if "get_model(" in path.read_text()] == []


def test_no_test_has_an_endless_name(request):
    """The name of the running test is in the environment of all that it starts: beyond 128 KiB, Linux starts nothing."""
    assert [item.nodeid[:200] for item in request.session.items if len(item.nodeid) > 1_000] == []
