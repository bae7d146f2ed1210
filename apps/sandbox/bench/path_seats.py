"""Seats given to 16 clients at once: our statement, the earlier way, and two limits; by pgbench, so that no Python counts.

`writes`: the same two rows written by one statement, on an instance taken at random; nothing is chosen and no cap is respected.
`bare`: one row into a table without indexes and keys.
"""

import re
import subprocess
from pathlib import Path

from django.db import connection

from apps.instances import statements
from apps.instances.models import Instance
from apps.sandbox.bench import databases
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, TOLERANCE, spread
from apps.sandbox.bench.rows import execute, insert
from apps.sandbox.run.postgres_programs import PostgresError, program

CLIENTS, EACH, ROUNDS, PEOPLE = 16, 60, 5, 1000
INSTANCES = {50: "50 instances", 4: "4 instances", 1: "1 instance"}
COLUMNS = "profile_id, product_id, instance_id, state, created_at, changed_at"
# Nobody waits for a seat here; each way takes the person's number from a sequence.
VALUES = {
    "profile": ":person",
    "state": "'assigned'",
    "until": "NULL::timestamptz",
    "now": "now()",
    "waits": "'{none}'::text[]",
}
EARLIER = f"""BEGIN;
SELECT id AS instance FROM instances_instance WHERE product_id = :product AND is_active AND allocated_seats < allocation_cap
ORDER BY allocated_seats LIMIT 1 FOR UPDATE \\gset
INSERT INTO instances_seat ({COLUMNS}) VALUES (nextval('bench_person'), :product, :instance, 'assigned', now(), now());
UPDATE instances_instance SET allocated_seats = allocated_seats + 1 WHERE id = :instance;
COMMIT;
"""  # noqa: S608
WRITES = f"""\\set number random(1, :instances)
WITH up AS (UPDATE instances_instance SET allocated_seats = allocated_seats + 1, assigned = assigned + 1
    WHERE id = :first + :number RETURNING id)
INSERT INTO instances_seat ({COLUMNS}) SELECT nextval('bench_person'), :product, id, 'assigned', now(), now() FROM up;
"""  # noqa: S608
BARE = "INSERT INTO bench_seat VALUES (nextval('bench_person'), :product, 1, 'assigned', now(), now());\n"


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (a thousand people are enough)
    """Ratios of the throughput, for products of 50, 4 and 1 instances."""
    figures = []
    databases.use(databases.make(PEOPLE))
    try:
        product, people = _prepare()
        for count, name in INSTANCES.items():
            speeds = _run_rounds(product, people, count)
            noisy = abs(spread(speeds[CONTROL]).median / spread(speeds["bare"]).median - 1) > TOLERANCE
            for one, other, title in (
                ("ours", "earlier", "ours / earlier way"),
                ("ours", "writes", "ours / the same writes alone"),
                ("ours", "bare", "ours / bare inserts"),
            ):
                ratios = [mine / its for mine, its in zip(speeds[one], speeds[other], strict=True)]
                figures.append(Figure("seats", f"throughput, {title}, {name}", spread(ratios, noisy=noisy)))
    finally:
        databases.use(databases.first())
    return figures


def _prepare() -> tuple[int, int]:
    """A table for bare inserts and a line of people; the product, and the first person's number."""
    product, person = execute(
        "SELECT (SELECT id FROM catalog_product WHERE slug = 'nextcloud'), min(id) FROM accounts_userprofile"
    )[0]
    columns = "profile_id bigint, product_id bigint, instance_id bigint, state text, created_at timestamptz, changed_at timestamptz"
    execute(f"CREATE TABLE IF NOT EXISTS bench_seat ({columns})")
    execute(f"CREATE SEQUENCE IF NOT EXISTS bench_person MINVALUE 0 START {int(person)}")
    return int(product), int(person)


def _run_rounds(product: int, people: int, instances: int) -> dict[str, list[float]]:
    scripts = {"bare": BARE, CONTROL: BARE, "writes": WRITES, "earlier": EARLIER, "ours": _our_statement(product)}
    speeds: dict[str, list[float]] = {name: [] for name in scripts}
    for number in range(ROUNDS):
        for name in list(scripts) if number % 2 == 0 else reversed(list(scripts)):
            _reset(product, people, instances)
            speeds[name].append(_run_clients(scripts[name], product, instances))
    return speeds


def _our_statement(product: int) -> str:
    """As allocation.py runs it: each pick only where the one before has found nothing."""
    values = VALUES | {"product": str(product)}
    script = "SELECT nextval('bench_person') AS person \\gset\n\\set taken 0\n"
    for pick in (statements.PICK_UNLOCKED, statements.PICK_NEXT, statements.PICK_WAITING):
        take = re.sub(r"\s+", " ", statements.TAKE.format(pick=pick) % values)
        taken = take.replace("INSERT INTO", ", made AS (INSERT INTO") + ") SELECT count(*) AS taken FROM made"  # noqa: S608
        script += f"\\if :taken = 0\n{taken} \\gset\n\\endif\n"
    return script


def _reset(product: int, people: int, instances: int) -> None:
    execute("TRUNCATE bench_seat")
    execute("TRUNCATE instances_seat CASCADE")
    execute("DELETE FROM instances_instance")
    execute("DELETE FROM auth_group WHERE name LIKE 'bench%'")
    execute("INSERT INTO auth_group (name) SELECT 'bench' || i FROM generate_series(1, %s) i", [instances])
    insert(
        Instance, rows="auth_group WHERE starts_with(name, 'bench')", slug="name", name="name", product_id=str(product), url="''",
        soft_cap="3000", allocation_cap="4000", hard_cap="5000", group_id="id",
    )  # fmt: skip
    execute("SELECT setval('bench_person', %s, false)", [people])
    execute("VACUUM (ANALYZE) instances_instance, instances_seat")


def _run_clients(script: str, product: int, instances: int) -> float:
    """Transactions a second."""
    first = int(execute("SELECT min(id) FROM instances_instance")[0][0]) - 1
    host = str(connection.settings_dict["HOST"])
    pgbench = program("pgbench", Path(host).parent)
    command = [
        pgbench,
        "-n",
        "-h",
        host,
        "-U",
        connection.settings_dict["USER"],
        "-c",
        str(CLIENTS),
        "-j",
        "2",
        "-t",
        str(EACH),
    ]
    command += [
        "-D",
        f"product={product}",
        "-D",
        f"instances={instances}",
        "-D",
        f"first={first}",
        "-f",
        "-",
        connection.settings_dict["NAME"],
    ]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or not found:
        raise PostgresError(f"pgbench failed: {done.stderr[-500:]}")
    return float(found[1])
