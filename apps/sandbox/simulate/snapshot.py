"""A simulation kept at a month's end, and continued from there: the database, the sandbox, the people, at one moment.

Promises: a snapshot is whole or not there; a simulation killed at any moment goes on with the month after the last one kept.
The stand-in for Keycloak is part of the sandbox; a real Keycloak keeps its people itself, and is not continued.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from apps.sandbox.run import postgres
from apps.sandbox.run.postgres_programs import program
from apps.sandbox.simulate.calendar import Simulation
from apps.sandbox.simulate.compare import Difference
from apps.sandbox.simulate.expected import Offer
from apps.sandbox.simulate.lives import Life
from apps.sandbox.simulate.observed import Having

KEPT = "snapshot"
FILES = ("sandbox/sandbox.json", "django-secret-key", "restore-marker")


def keep(simulation: Simulation, folder: Path) -> None:
    """Write everything, replacing the snapshot before."""
    stack, draft = simulation.world.stack, folder / f"{KEPT}.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    stack.control("save")
    for name in FILES:
        if (stack.data / name).exists():
            shutil.copy(stack.data / name, draft / Path(name).name)
    command: list[str | Path] = [
        program("pg_dump", folder),
        "--no-owner",
        "-h",
        stack.env["POSTGRES_HOST"],
        "-U",
        postgres.NAME,
        postgres.NAME,
    ]
    with (draft / "dump.sql").open("wb") as dump:
        subprocess.run(command, env={}, check=True, stdout=dump)  # noqa: S603  (Postgres' own program)
    (draft / "simulation.json").write_text(json.dumps(_as_json(simulation)))
    shutil.rmtree(folder / KEPT, ignore_errors=True)
    draft.rename(folder / KEPT)


def find(folder: Path) -> dict[str, Any] | None:
    """What the folder's snapshot says of the simulation; None when there is none."""
    kept = folder / KEPT / "simulation.json"
    return dict(json.loads(kept.read_text())) if kept.exists() else None


def lay_out(folder: Path, data: Path, kept: dict[str, Any]) -> None:
    """Put the files where the processes look for them, before they start; the clock goes on where it stood."""
    for name in FILES:
        source = folder / KEPT / Path(name).name
        if source.exists():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, data / name)
    state = json.loads((data / "sandbox/sandbox.json").read_text())
    state["clock_offset"] = int(kept["now"] - time.time())
    (data / "sandbox/sandbox.json").write_text(json.dumps(state))


def load_dump(folder: Path, host: str) -> None:
    """The tables into the empty database of the server at `host`."""
    command: list[str | Path] = [
        program("psql", folder),
        "-qX",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        host,
        "-U",
        postgres.NAME,
        postgres.NAME,
    ]
    with (folder / KEPT / "dump.sql").open("rb") as dump:
        subprocess.run(command, env={}, check=True, stdin=dump, stdout=subprocess.DEVNULL)  # noqa: S603


def _as_json(simulation: Simulation) -> dict[str, Any]:
    world = simulation.world
    return {
        "now": world.now(), "ports": [world.stack.port, world.stack.sandbox_port], "day": simulation.day, "seed": simulation.seed,
        "months": simulation.months, "faults": simulation.faults, "compare_days": simulation.compare_days,
        "step_days": simulation.step_days, "hurt": dict(simulation.hurt), "compared": simulation.compared, "rows": dict(simulation.rows), "failures": world.failures,
        "lives": [life.as_json() for life in simulation.lives],
        "offers": {slug: [sorted(one.apps), dict(one.numbers)] for slug, one in world.offers.items()},
        "before": {number: _having(one) for number, one in simulation.before.items()},
        "found": [(day, vars(one)) for day, one in simulation.found], "broken": simulation.broken,
    }  # fmt: skip


def _having(one: Having) -> dict[str, Any]:
    return vars(one) | {"groups": sorted(one.groups), "local": sorted(one.local)}


def restore(simulation: Simulation, kept: dict[str, Any]) -> None:
    """Make the simulation what it was when it was kept."""
    simulation.day, simulation.compared = kept["day"], kept["compared"]
    simulation.rows.update({int(row): count for row, count in kept["rows"].items()})
    simulation.hurt.update(kept["hurt"])
    simulation.lives = [Life.from_json(one) for one in kept["lives"]]
    simulation.found = [(day, Difference(**one | {"sentences": tuple(one["sentences"])})) for day, one in kept["found"]]
    simulation.broken = [(day, words) for day, words in kept["broken"]]
    simulation.world.failures = kept["failures"]
    simulation.world.offers = {
        slug: Offer(frozenset(apps), numbers) for slug, (apps, numbers) in kept["offers"].items()
    }
    for number, one in kept["before"].items():
        sets = {"groups": frozenset(one["groups"]), "local": frozenset(one["local"])}
        seats = {app: (state, instance) for app, (state, instance) in one["seats"].items()}
        simulation.before[int(number)] = Having(**one | sets | {"seats": seats})
