"""The audit trail against somebody who owns the database: what chains alone do not show, the anchors of earlier days do."""

import datetime as dt
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.core import audit, audit_anchor, audit_heads, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import AttentionItem, AuditAnchor, AuditEntry, Job

CUT = "ALTER TABLE core_auditentry DISABLE TRIGGER ALL; {}; ALTER TABLE core_auditentry ENABLE TRIGGER ALL"


@pytest.fixture
def anchors(db: None, settings: Any, tmp_path: Path) -> Path:
    """A file with the anchor of six lines about two people, who have one line more each since."""
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    record(3, at=clock.now() - dt.timedelta(hours=1))
    jobs.KINDS[audit_anchor.KIND].handler("")
    record(1, at=clock.now())
    return tmp_path / "anchors"


def record(lines: int, *, at: dt.datetime) -> None:
    before = AuditEntry.objects.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: at)
        for number in range(lines):
            audit.record_many(
                kind="profile", ids=[7, 8], action=AuditAction.SIGNED_UP, actor="system", after={"n": before + number}
            )


FEW_BLOCKS = "ALTER SEQUENCE core_auditentry_id_seq RESTART"  # the tests before have left thousands of empty ones


def as_owner(statement: str) -> None:
    """What the database's owner can do: the trigger does not stop him."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(CUT.format(statement))


def forget_own_anchors() -> None:
    """Who can write the tables takes the anchors in the database along."""
    AuditAnchor.objects.all().delete()


def verify(file: Path | None) -> tuple[int, str]:
    err = StringIO()
    try:
        call_command("verify_audit", *(["--anchor", str(file)] if file else []), stdout=StringIO(), stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0), err.getvalue()
    return 0, err.getvalue()


def test_a_whole_trail_passes_also_after_it_has_grown(anchors: Path) -> None:
    assert anchors.read_text().split(" ")[2] == "6"
    assert verify(anchors) == (0, "")
    audit_anchor.export()
    assert len(anchors.read_text().splitlines()) == 2  # added, never written over
    assert verify(anchors) == (0, "")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM core_auditentry WHERE id > (SELECT max(id) - 4 FROM core_auditentry)", "counts 6 entries"),
        ("DELETE FROM core_auditentry WHERE subject_id = '8'", "3 are there"),
        ("DELETE FROM core_auditentry", "0 are there"),
        (
            "UPDATE core_auditentry SET hash = md5(hash) WHERE id = (SELECT max(id) - 2 FROM core_auditentry)",
            "are not those",
        ),
    ],
    ids=["last lines", "a whole chain", "everything", "another hash"],
)
def test_what_is_cut_off_or_written_again_shows(anchors: Path, statement: str, said: str) -> None:
    as_owner(statement)
    code, told = verify(anchors)
    assert code == 1
    assert said in told


def test_lines_cut_off_show_by_the_anchor_alone(anchors: Path) -> None:
    """The review's M5: red before anchors."""
    forget_own_anchors()
    as_owner("DELETE FROM core_auditentry WHERE id > (SELECT min(id) + 3 FROM core_auditentry)")
    assert verify(None) == (0, "")
    assert verify(anchors)[0] == 1


def test_a_trail_made_anew_with_right_hashes_shows(anchors: Path) -> None:
    first = AuditEntry.objects.order_by("id").values_list("id", flat=True)[0]
    forget_own_anchors()
    as_owner(f"DELETE FROM core_auditentry; ALTER TABLE core_auditentry ALTER COLUMN id RESTART WITH {first}")
    record(4, at=clock.now() - dt.timedelta(hours=2))
    assert verify(None)[0] == 0
    assert "are not those" in verify(anchors)[1]


def test_an_anchor_of_somebody_else_is_refused(anchors: Path, settings: Any) -> None:
    kept = anchors.read_text()
    anchors.write_text(kept.replace(" 6 ", " 5 "))
    assert "not signed by our key" in verify(anchors)[1]
    anchors.write_text(kept)
    settings.AUDIT_ANCHOR_KEY = "another" * 8
    assert "not signed by our key" in verify(anchors)[1]
    settings.AUDIT_ANCHOR_KEY = ""
    assert verify(anchors)[0] == 0


def test_lines_of_the_log_are_read_too_and_a_file_without_any_is_no_proof(anchors: Path, tmp_path: Path) -> None:
    logged = tmp_path / "log"
    logged.write_text(json.dumps({"event": "audit_anchored", "anchor": anchors.read_text().strip()}) + "\n")
    assert verify(logged) == (0, "")
    logged.write_text('{"event": "pruned"}\n')
    assert verify(logged) == (1, "There is no anchor in it.\n")
    with pytest.raises(CommandError, match="cannot be read"):
        verify(tmp_path / "none")


def test_the_log_keeps_the_anchor_whole(anchors: Path) -> None:
    from apps.core.logs import scrub

    line = anchors.read_text().strip()
    assert scrub(None, "", {"anchor": line})["anchor"] == line


# --- the daily job -----------------------------------------------------------------------------------------------------

BLOCK = 10


@pytest.fixture
def long_trail(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty lines about two people in blocks of ten, all signed; the job reads two old blocks a day."""
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    as_owner(FEW_BLOCKS)
    monkeypatch.setattr(audit_heads, "BLOCK", BLOCK)
    monkeypatch.setattr(audit_anchor, "OLD_BLOCKS", 2)
    record(30, at=clock.now() - dt.timedelta(hours=1))
    run_day()
    assert items() == []
    return tmp_path / "anchors"


def run_day() -> None:
    """The job and the slices that it asks for."""
    jobs.KINDS[audit_anchor.KIND].handler("")
    jobs.drain()


def items() -> list[str]:
    return list(
        AttentionItem.objects.filter(cause="audit", resolved_at=None).order_by("key").values_list("sentence", flat=True)
    )


def whole_rotation() -> None:
    """As many days as it takes until every old block had its turn."""
    for _ in range(AuditAnchor.objects.count() // 2 + 1):
        run_day()


TAIL = "id > (SELECT max(id) - 4 FROM core_auditentry)"
HEAD = "id < (SELECT min(id) + 3 FROM core_auditentry)"
MIDDLE = "id = (SELECT min(id) + 25 FROM core_auditentry)"


@pytest.mark.parametrize(
    ("statement", "next_day"),
    [
        (f"DELETE FROM core_auditentry WHERE {TAIL}", True),
        (f"UPDATE core_auditentry SET reason = 'another' WHERE {TAIL}", True),
        (f"DELETE FROM core_auditentry WHERE {HEAD}", False),
        (f"UPDATE core_auditentry SET reason = 'another' WHERE {MIDDLE}", False),
        (f"UPDATE core_auditentry SET hash = md5(hash) || md5(id::text) WHERE {MIDDLE}", False),
        ("DELETE FROM core_auditentry WHERE subject_id = '8'", True),
    ],
    ids=["a cut tail", "a changed tail", "a cut head", "a changed line", "another hash", "a whole chain"],
)
def test_the_job_finds_what_was_done_to_the_trail(long_trail: Path, statement: str, next_day: bool) -> None:
    """The end at once, an older block when its turn comes; the command finds each at once."""
    as_owner(statement)
    assert verify(long_trail)[0] == 1
    run_day()
    assert bool(items()) or not next_day
    whole_rotation()
    assert items()
    assert all("backup of before has the right entries" in one for one in items())


def test_a_tail_cut_off_with_the_anchors_in_the_database_shows_by_the_file(long_trail: Path) -> None:
    as_owner(f"DELETE FROM core_auditentry WHERE {TAIL}")
    last = AuditEntry.objects.order_by("-id").values_list("pk", flat=True)[0]
    AuditAnchor.objects.filter(last__gt=last).delete()
    run_day()
    said = items()[0]  # where the cut is at the end of a block, the anchor before it is missing
    assert "entries up to" in said or "is gone" in said


def test_anchors_forged_or_taken_out_of_the_database_show(long_trail: Path) -> None:
    row = AuditAnchor.objects.order_by("last")[2]
    AuditAnchor.objects.filter(pk=row.pk).update(line=row.line.replace(" 2", " 3", 1))
    whole_rotation()
    assert "not signed by our key" in items()[0]


def test_a_whole_trail_stays_quiet_while_it_grows(long_trail: Path) -> None:
    for _ in range(6):
        record(4, at=clock.now() - dt.timedelta(hours=1))
        run_day()
    record(4, at=clock.now())  # too young to be signed
    run_day()
    assert items() == []
    assert verify(long_trail) == (0, "")


def test_a_trail_that_was_never_signed_is_followed_in_slices(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    as_owner(FEW_BLOCKS)
    monkeypatch.setattr(audit_heads, "BLOCK", BLOCK)
    monkeypatch.setattr(audit_anchor, "NEW_BLOCKS", 2)
    record(30, at=clock.now() - dt.timedelta(hours=1))
    run_day()
    assert Job.objects.filter(kind=audit_anchor.KIND, state="done").count() >= 2
    assert len((tmp_path / "anchors").read_text().splitlines()) == 1
    assert verify(tmp_path / "anchors") == (0, "")


def test_an_anchor_of_before_blocks_is_still_verified_by_the_command(long_trail: Path) -> None:
    last = AuditEntry.objects.order_by("-id").values_list("pk", flat=True)[0]
    head = audit_heads.find_whole_digests({last})[last]
    old = audit_heads._signer().sign(f"audit-anchor 2026-11-01T00:00:00+00:00 {head.count} {last} {head.digest}")
    long_trail.write_text(f"{old}\n")
    assert verify(long_trail) == (0, "")
    run_day()
    assert items() == []
    forget_own_anchors()
    as_owner(f"DELETE FROM core_auditentry WHERE {HEAD}")
    assert "57 are there" in verify(long_trail)[1]


def rows_read(action: Callable[[], None]) -> int:
    """How many rows of the trail the database hands over."""
    read = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        nonlocal read
        answer = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "core_auditentry" in sql:
            read += max(0, context["cursor"].rowcount)
        return answer

    with connection.execute_wrapper(count):
        action()
    return read


def test_the_job_reads_as_much_of_a_long_trail_as_of_a_short_one(long_trail: Path) -> None:
    """It read the whole trail each day, and a job has a minute."""
    record(5, at=clock.now() - dt.timedelta(hours=1))
    short = rows_read(audit_anchor.export)
    record(200, at=clock.now() - dt.timedelta(hours=1))
    run_day()
    run_day()
    record(5, at=clock.now() - dt.timedelta(hours=1))
    long = rows_read(audit_anchor.export)
    assert AuditEntry.objects.count() == 480
    assert max(short, long) <= 10 + (2 + 2 + 2) * BLOCK  # what is new, the last block twice, two old blocks
    assert abs(long - short) <= 2 * BLOCK  # where in its block the trail ends
