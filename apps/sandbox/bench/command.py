"""`manage.py bench [--path P] [--rows N] [--keycloak real] [--json] [--check]`: what Frontdesk costs, beside limits. See measure.py for how."""

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterable

from apps.sandbox.bench import earlier
from apps.sandbox.bench.goals import BORDER, Figure, goal_of
from apps.sandbox.bench.server import throwaway
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.postgres_programs import PostgresError

# Imported when Django is set up. Laws first, while the clock is right; then growth: every customer of the stand-in lives its year.
PATHS = {
    "laws": "apps.sandbox.bench.path_laws",
    "growth": "apps.sandbox.bench.path_growth",
    "webhook": "apps.sandbox.bench.path_webhook",
    "queue": "apps.sandbox.bench.path_queue",
    "signup": "apps.sandbox.bench.path_signup",
    "seats": "apps.sandbox.bench.path_seats",
    "pages": "apps.sandbox.bench.path_pages",
    "dashboard": "apps.sandbox.bench.path_dashboard",
    "paid": "apps.sandbox.bench.path_paid",
    "earlier": "apps.sandbox.bench.path_earlier",
}


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="manage.py bench", description=__doc__)
    parser.add_argument("--path", choices=PATHS, action="append", help="only this one; may be given again")
    parser.add_argument("--rows", type=int, default=100_000, help="subscribers for laws and pages (100,000)")
    parser.add_argument(
        "--keycloak", choices=["sandbox", "real"], default="sandbox", help="the stand-in, or a real one"
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a goal is missed or cannot be judged")
    options = parser.parse_args(arguments)
    figures: list[Figure] = []
    try:
        paths = choose(options.path)
        with throwaway(real_keycloak=options.keycloak == "real"):
            for path in paths:
                print(f"Measuring {path} …", file=sys.stderr, flush=True)
                figures += importlib.import_module(PATHS[path]).measure(rows=options.rows)
    except (PostgresError, KeycloakServerError) as error:
        print(error, file=sys.stderr)
        return 1
    print(as_json(figures) if options.json else as_table(figures))
    return check(figures) if options.check else 0


def choose(asked: list[str] | None) -> list[str]:
    """The paths to measure, in their order; all but the earlier stack, with a note, where that is not installed."""
    sentence = earlier.missing()
    if sentence and "earlier" in (asked or ()):
        raise PostgresError(sentence)
    if sentence and not asked:
        print(f"Not measured: {sentence}", file=sys.stderr)
    return [path for path in PATHS if (path in asked if asked else path != "earlier" or not sentence)]


def check(figures: Iterable[Figure]) -> int:
    """Name each goal that is not met; 1 unless each is met, or on the border: its bound lies between the quartiles."""
    failed = 0
    for figure in figures:
        goal = goal_of(figure)
        if goal and (verdict := goal.verdict(figure.value)) != "met":
            sentence = f"{figure.path}, {figure.name}: {verdict}, {figure.value.median:.3g} and should be {goal.text}"
            print(f"{sentence} ({goal.reason}).", file=sys.stderr)
            failed |= verdict != BORDER
    return failed


def as_table(figures: Iterable[Figure]) -> str:
    """A table as Markdown has it, readable as it is."""
    rows = [("path", "figure", "median", "quartiles", "goal", "verdict")]
    for figure in figures:
        value, goal = figure.value, goal_of(figure)
        shown = "too noisy" if value.noisy else f"{_number(value.median)} {figure.unit}".strip()
        quartiles = "" if value.low == value.high else f"{_number(value.low)} to {_number(value.high)}"
        rows.append(
            (figure.path, figure.name, shown, quartiles, *((goal.text, goal.verdict(value)) if goal else ("", "")))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:.2f}"


def as_json(figures: Iterable[Figure]) -> str:
    """One object for each figure, with its goal and the verdict."""
    found = []
    for figure in figures:
        goal = goal_of(figure)
        judged = {"goal": goal.text, "reason": goal.reason, "verdict": goal.verdict(figure.value)} if goal else {}
        found.append(dataclasses.asdict(figure) | judged)
    return json.dumps(found, indent=2)
