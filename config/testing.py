"""`manage.py test [labels]`: the tests, by pytest. A label is a folder of tests/, or whatever pytest takes."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
FORMERLY = {"onboarding": "storefront"}  # the specification's names of apps that are called otherwise here


def run(labels: list[str]) -> None:
    """Become pytest with these labels; does not return."""
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *(_place(label) for label in labels)])  # noqa: S606


def _place(label: str) -> str:
    name = FORMERLY.get(label, label)
    return f"tests/{name}" if name.isidentifier() and (TESTS / name).is_dir() else label
