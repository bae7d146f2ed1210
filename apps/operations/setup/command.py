"""`manage.py setup`, which runs before there are settings: ask, write down, and make what is missing at the peers.

Exit code 0: done. 1: something is left to do by hand, and the lines marked "to do" say what. 2: an answer is missing or wrong.
"""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.operations.setup import files
from apps.operations.setup.questions import ASKED, KEYCLOAK, SetupQuestion, find_contradiction, make_up

if TYPE_CHECKING:
    from apps.core.setup_steps import Step

PROJECT = Path(__file__).resolve().parents[3]
WEBHOOK_SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  (a variable's name)
SIGNING_KEY = "MAILGUN_WEBHOOK_SIGNING_KEY"
BESIDE = "127.0.0.1"  # without compose Postgres is most often on the same machine
LEFT, WRONG = 1, 2


class AnswerMissing(Exception):
    """Nobody can be asked, and the answers do not have it, or have something that cannot be."""


def run(words: Sequence[str]) -> int:
    """The whole of it; returns the exit code."""
    options = _options(words)
    known = _known(options.folder) | (files.read_lines(options.answers) if options.answers else {})
    if options.folder != PROJECT:
        known.setdefault("POSTGRES_HOST", BESIDE)
    try:
        values = _answer(known, may_ask=not options.no_input and sys.stdin.isatty())
    except AnswerMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return WRONG
    _keep(options.folder, values)
    steps = []
    for step in _walk(values):
        steps.append(step)
        if step.values:  # at once: Stripe shows a signing secret only this one time
            values |= step.values
            _keep(options.folder, values)
    return _finish(steps, options.folder)


def say(line: str) -> None:
    """At once: what comes next may take a while."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py setup", description=__doc__)
    parser.add_argument("--answers", type=Path, metavar="FILE", help="lines of NAME=value, instead of being asked")
    parser.add_argument(
        "--folder", type=Path, default=PROJECT, help="where .env and secrets/ are written; default: here"
    )
    parser.add_argument("--no-input", action="store_true", help="ask nothing: stop where an answer is missing")
    return parser.parse_args(words)


def _known(folder: Path) -> dict[str, str]:
    """What the folder's files say, but for what is only the example's."""
    examples = files.read_lines(PROJECT / ".env.example")
    asked = {question.name for question in ASKED}
    return {
        name: value for name, value in files.read(folder).items() if name not in asked or value != examples.get(name)
    }


def _answer(known: dict[str, str], *, may_ask: bool) -> dict[str, str]:
    """Every answer, known or asked for, with the secrets made up. AnswerMissing names all that are missing or wrong at once."""
    values, problems = dict(known), []
    for question in (*ASKED, *KEYCLOAK):
        if question in KEYCLOAK and question is not KEYCLOAK[0] and not values.get(KEYCLOAK[0].name):
            continue
        answer = values.get(question.name) or ("" if may_ask else question.default)
        problem = question.check(answer) if answer else ("" if question.may_be_empty else "It is missing.")
        if may_ask and (problem or question.name not in values):
            answer, problem = _ask(question), ""
        if problem:
            problems.append(f"{question.name}: {question.asks}. {problem}")
        values[question.name] = answer.rstrip("/") if question.name.endswith("_URL") else answer
    if not problems and (contradiction := find_contradiction(values)):
        problems.append(contradiction)
    if problems:
        raise AnswerMissing("\n".join(["These answers are missing or wrong:", *problems]))
    return make_up(values) | values


def _ask(question: SetupQuestion) -> str:
    """Until the answer can be."""
    hint = f" [{question.default}]" if question.default else ""
    while True:
        read = getpass.getpass if question.is_secret else input
        answer = read(f"{question.asks}{hint}: ").strip() or question.default
        problem = question.check(answer) if answer else ("" if question.may_be_empty else "It is needed.")
        if not problem:
            return answer
        say(f"  {problem}")


def _keep(folder: Path, values: dict[str, str]) -> None:
    """Write what is to be kept, and say where."""
    passing = {question.name for question in (*ASKED, *KEYCLOAK) if not question.kept}
    written = files.write(
        folder, {name: value for name, value in values.items() if name not in passing}, project=PROJECT
    )
    if written:
        say(f"Written: {', '.join(str(one.relative_to(folder)) for one in written)}")


def _walk(values: dict[str, str]) -> Iterator["Step"]:
    """Each step at the peers, said as it ends. From here on there are settings."""
    _begin_django(values)
    from apps.billing import account_setup
    from apps.core.setup_steps import Outcome, Step
    from apps.identity import realm_setup
    from apps.notifications import webhook_setup

    def keycloak() -> Iterator[Step]:
        if not values["SETUP_KEYCLOAK_USER"]:
            yield Step(
                Outcome.TO_DO,
                "Make the realm as the manual says under Keycloak, or run this again with an administrator of it.",
            )
            return
        user, password = values["SETUP_KEYCLOAK_USER"], values["SETUP_KEYCLOAK_PASSWORD"]
        staff = values["SETUP_STAFF_USER"], values["SETUP_STAFF_EMAIL"]
        yield from realm_setup.set_up(user, password, values=values | _for_the_realm(values), staff=staff)

    steps: tuple[tuple[str, Iterator[Step]], ...] = (
        ("Keycloak", keycloak()),
        ("Stripe", account_setup.set_up(knows_secret=bool(values.get(WEBHOOK_SECRET)))),
        ("Mailgun", webhook_setup.set_up()),
    )
    if not values.get(SIGNING_KEY):
        steps = (
            *steps,
            (
                "Mailgun",
                iter(
                    [
                        Step(
                            Outcome.TO_DO,
                            f"Set {SIGNING_KEY} to the HTTP webhook signing key of Mailgun, API security.",
                        )
                    ]
                ),
            ),
        )
    for peer, found in steps:
        for step in found:
            say(f"{peer}: {step.outcome.value:<7} {step.sentence}")
            yield step


def _for_the_realm(values: dict[str, str]) -> dict[str, str]:
    """The placeholders of the realm file."""
    return {
        "FRONTDESK_NAME": values["BRAND_NAME"], "FRONTDESK_URL": values["BASE_URL"], "FRONTDESK_BACKCHANNEL_URL": values["BASE_URL"],
        "FRONTDESK_WEB_SECRET": values["OIDC_RP_CLIENT_SECRET"], "FRONTDESK_SYNC_SECRET": values["KEYCLOAK_ADMIN_CLIENT_SECRET"],
        "FRONTDESK_DOCTOR_SECRET": values["KEYCLOAK_DOCTOR_CLIENT_SECRET"],
    }  # fmt: skip


def _begin_django(values: dict[str, str]) -> None:
    """Settings from the answers; a webhook secret that nobody has yet is a random one until the end."""
    os.environ |= {name: value for name, value in values.items() if value}
    os.environ.setdefault(WEBHOOK_SECRET, f"whsec_{secrets.token_hex(16)}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()


def _finish(steps: list["Step"], folder: Path) -> int:
    """What is left, and where to go on."""
    from apps.core.setup_steps import Outcome

    left = [step for step in steps if step.outcome in {Outcome.TO_DO, Outcome.FAILED}]
    if left:
        many = f"{len(left)} steps are" if len(left) > 1 else "1 step is"
        say(f"{many} left to do. Run this again afterwards: it makes nothing twice.")
    else:
        say("All is set up.")
    if folder == PROJECT:
        say("Next: docker compose up --build --detach proxy worker")
        say("Then: docker compose exec worker python manage.py doctor")
    else:
        say(
            f"Next: the database and the services, as the manual says under Without containers; their settings are in {folder}."
        )
    return LEFT if left else 0
