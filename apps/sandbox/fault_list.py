"""`manage.py faults`: everything that is known to go wrong, what must hold, and what the last tests of it have shown.

A test names the faults it proves (`@pytest.mark.fault("F01")`) and says its figure (the fixture `figure`). Each run of pytest writes
what it saw into RESULTS; a test that was not run keeps its last result. The command prints a line for each fault and fails unless
every one is proven.
"""

import argparse
import datetime as dt
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".data" / "faults.json"
WIDTH = 118


@dataclass(frozen=True)
class Fault:
    """One fault: what happens, what must hold whatever happens, and how often that is tried at least."""

    id: str
    happens: str
    must_hold: str
    times: str


FAULTS = (
    # Events
    Fault("F01", "An event comes 50 times, 16 at once", "stored once, one effect, at most one email", "50 of 50 answered 200"),
    Fault("F02", "The seven events of a life come in any order", "the end is what Stripe says", "5,040 orders to the policy, 300 to Keycloak"),
    Fault("F03", "A random life: events lost, doubled, late, shuffled, deaths between", "right after one sweep", "500 lives"),
    Fault("F04", "An older answer of Stripe's is written after a newer one", "the newest state stays", "200"),
    Fault("F05", "Upgrade and cancellation in the same second", "the end is what Stripe says", "100"),
    Fault("F06", "An event of a subscription or person nobody knows", "tried again, then for staff; never forgotten", "1"),
    Fault("F07", "Webhooks are lost for good, some or all", "the backfill finds every one within 15 minutes", "10 % and 100 %"),
    Fault("F08", "A change for which Stripe sends no event", "the comparison finds it within the hour", "each kind of change"),
    Fault("F09", "The endpoint is off for 4 days, or for 31", "backfill or comparison catches up", "both"),
    Fault("F10", "Events that can never be handled", "dead after 4 runs; 200 others are not held up", "5 kinds"),
    Fault("F11", "Ten minutes of events wait before a worker runs", "every accepted event is applied", "all"),
    Fault("F12", "A stamp that is off by up to ten minutes", "beyond 300 seconds refused, nothing stored", "9 of 9 borders"),
    Fault("F13", "Forged, stale, altered events; other account, mode or secret", "refused without a trace", "30 kinds"),
    Fault("F14", "The job fails after the webhook's 200", "tried again until access is right", "all have access"),
    Fault("F15", "A burst of 2,000 events", "all stored, none refused, all handled", "2,000"),
    Fault("F16", "Thin events and types that are new to us", "stored, fetched or left alone; never a 500", "every kind"),
    # Checkout and billing
    Fault("F17", "Two tabs, both paid", "one live subscription; staff are told of the other", "50"),
    Fault("F18", "Sixteen begin a payment at once", "one customer, at most one open session", "100"),
    Fault("F19", "Stripe makes it, and its answer is lost", "the same key finds the same object", "200"),
    Fault("F20", "Stripe answers 429, 500, 503, or nothing", "a page that says so, nothing half done, right afterwards", "each kind"),
    Fault("F21", "A payment that is decided days later", "no access before, access after, tidied when refused", "3 of 3"),
    Fault("F22", "A refund, whole or in part", "a whole one ends access, a part does not", "each"),
    Fault("F23", "A dispute: opened, won, lost", "flagged, access back, access ends", "each"),
    Fault("F24", "Minutes around every border of the policy", "access is as the table says at each", "10,000 minutes"),
    Fault("F25", "A price or product we do not know", "for staff; present access is not touched", "1"),
    Fault("F26", "A bot tries 500 cards", "few payments reach Stripe; others can still pay", "500 tries"),
    Fault("F27", "An address is changed at Stripe or Keycloak", "identity is by id; the copy follows the rule", "4 of 4"),
    Fault("F28", "A customer is deleted at Stripe", "access ends by the policy; records stay", "1"),
    Fault("F29", "A name is taken between check and payment", "the money is never lost; staff choose a name", "100"),
    # Seats
    Fault("F30", "64 ask for more seats than there are", "none over, none twice, never a false “full”", "50 rounds"),
    Fault("F31", "Give, release, change caps, close, all at once", "counters equal rows, no deadlock", "30 seconds"),
    Fault("F32", "One person asks 16 times at once", "one seat", "100"),
    Fault("F33", "A cap below its use", "nobody is put out, nobody gets in, shown", "1"),
    Fault("F34", "Killed between seat and group", "both within a minute", "50"),
    Fault("F35", "One seat is freed, twenty wait", "the longest waiting gets it", "100"),
    # Keycloak
    Fault("F36", "Keycloak is down for six hours while people pay", "nothing lost, all in soon after", "100 payments"),
    Fault("F37", "Keycloak takes 30 seconds", "jobs are cut, pages wait at most their patience, workers stay free", "each"),
    Fault("F38", "An account is made and the answer is lost", "ours is adopted, a stranger's never", "100 and 20"),
    Fault("F39", "Values dropped, doubled, wiped, written over", "read back, tried again, then for staff", "4 of 4"),
    Fault("F40", "Killed after each step", "one account, one email, one seat", "all steps, 20 times"),
    Fault("F41", "A token has expired, a right is gone, a session is over", "one new login; a missing right costs no attempt", "3 of 3"),
    Fault("F42", "Every search answers with an empty list", "not believed: no name is free, nobody is removed", "all"),
    Fault("F43", "Somebody is deleted, disabled or changed by hand", "found, put right or told", "6 of 6"),
    Fault("F44", "Disabled, but the logout fails", "repeated until no session is left", "within 360 s"),
    Fault("F45", "Keycloak's email fails", "the account stays, the email comes later, once", "1 email"),
    Fault("F46", "A sweep would take access from too many", "it stops and asks", "nobody disabled"),
    # Jobs, processes, database, mail
    Fault("F47", "No worker for three days", "each periodic job once, no email twice", "all"),
    Fault("F48", "A busy worker is killed at each named step", "resumed, every effect once", "40 steps, 5 times"),
    Fault("F49", "An idle worker is killed", "replaced; work goes on", "20"),
    Fault("F50", "The cluster's parent is killed", "no orphan, no double effect", "1"),
    Fault("F51", "A job that always kills its worker", "dead after four runs", "4 runs"),
    Fault("F52", "A new secret key while jobs wait", "all run", "100"),
    Fault("F53", "Slow jobs wait in the queue's memory", "none runs twice at once", "50"),
    Fault("F54", "Postgres is cut off under load", "what was acknowledged is there; the web recovers by itself", "10 cuts"),
    Fault("F55", "Migrations under load, old and new code at once", "no error, short waits for locks", "1 release"),
    Fault("F56", "A web process is killed in a burst", "what was acknowledged is there; the server goes on", "each signal"),
    Fault("F57", "No connection left, disk full, read-only database", "503 and when to try again, never 200 without a row", "3 of 3"),
    Fault("F58", "Statement timeout, deadlock, serialization error", "the job is tried again, nobody sees it", "3 of 3"),
    Fault("F59", "Mailgun refuses, fails, loses its answer, has no TLS", "at most one email a key; never in clear", "each kind"),
    Fault("F60", "Two whole stacks at once", "each effect once", "300 jobs"),
    Fault("F61", "A backup of an hour ago is restored", "the truth is found again or listed for staff; no email twice", "8 changes"),
    Fault("F62", "Clock jumps, summer time, leap day, end of month", "dates due are right", "2,000 dates"),
    # Recovery and console
    Fault("F63", "A recovery at the second of the final expiry", "before: allowed; at it or after: refused; never both", "100"),
    Fault("F64", "One code used 32 times at once", "one succeeds", "100"),
    Fault("F65", "Codes are guessed from 1,000 addresses", "five tries a code; none is hit", "10,000 guesses"),
    Fault("F66", "A double click, two of staff, a page an hour old", "one effect; the second is told", "50"),
    Fault("F67", "A sync of many with errors among them", "a result for each; asked again, it finishes", "1,000"),
    Fault("F68", "A role is taken away in mid-session", "the next action is refused", "1"),
)  # fmt: skip


def run(arguments: list[str]) -> int:
    """The command: 0 when every fault that was asked for is proven."""
    parser = argparse.ArgumentParser(
        prog="manage.py faults", description="What is known to go wrong, and what its tests showed last."
    )
    parser.add_argument("ids", nargs="*", metavar="F01", help="only these")
    parser.add_argument("--json", action="store_true", help="for programs")
    wished = parser.parse_args(arguments)
    known = {fault.id for fault in FAULTS}
    if unknown := [one for one in wished.ids if one not in known]:
        parser.error(f"There is no fault {', '.join(unknown)}. They are F01 to {max(known)}.")
    results = read_results()
    lines = [summarize(fault, results) for fault in FAULTS if fault.id in (wished.ids or known)]
    if wished.json:
        json.dump(lines, sys.stdout, indent=1)
    else:
        _print(lines)
    return 0 if all(line["proven"] for line in lines) else 1


def read_results() -> dict[str, Any]:
    """What each test of a fault showed last, by its name: faults, outcome, figures, seconds and moment.

    A test that is no longer there, or that has another name, is left out.
    """
    held: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {name: one for name, one in held.items() if _is_there(name)}


def _is_there(test: str) -> bool:
    path, *_, name = test.partition("[")[0].split("::")
    file = ROOT / path
    return file.exists() and f"def {name}(" in file.read_text()


def add_results(new: dict[str, Any]) -> None:
    """Keep what a run of tests has shown; a test that it did not run keeps its last result."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    held = json.dumps(read_results() | new, indent=1, sort_keys=True)
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(held)
    fresh.replace(RESULTS)


def summarize(fault: Fault, results: dict[str, Any]) -> dict[str, Any]:
    """One fault with its tests: proven when there are some and each passed when it ran last."""
    tests = {name: one for name, one in results.items() if fault.id in one["faults"]}
    passed = sum(one["outcome"] == "passed" for one in tests.values())
    figures = sorted({figure for one in tests.values() for figure in one["figures"]})
    return vars(fault) | {
        "tests": len(tests), "passed": passed, "figures": figures, "proven": bool(tests) and passed == len(tests),
        "failed": sorted(name for name, one in tests.items() if one["outcome"] != "passed"),
        "last_run": max((one["at"] for one in tests.values()), default=""),
    }  # fmt: skip


def _print(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        state = "proven" if line["proven"] else "FAILED" if line["failed"] else "not run"
        print(f"{line['id']}  {state:8} {line['happens']}")
        said = f"must hold: {line['must_hold']} ({line['times']})"
        if line["tests"]:
            day = dt.datetime.fromisoformat(line["last_run"]).strftime("%d %B %Y")
            said += f" · {line['passed']} of {line['tests']} tests passed, last on {day}"
        for text in (said, *line["figures"], *line["failed"]):
            print(textwrap.fill(text, WIDTH, initial_indent=" " * 14, subsequent_indent=" " * 16))
    proven = sum(line["proven"] for line in lines)
    print(f"\n{proven} of {len(lines)} faults proven by the last runs (uv run pytest; uv run pytest -m long).")
