"""The audit trail against somebody who owns the database: what chains alone do not show, the anchors of earlier days do."""

import datetime as dt
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.core import audit, audit_anchor, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry

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


def as_owner(statement: str) -> None:
    """What the database's owner can do: the trigger does not stop him."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(CUT.format(statement))


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
    as_owner("DELETE FROM core_auditentry WHERE id > (SELECT min(id) + 3 FROM core_auditentry)")
    assert verify(None) == (0, "")
    assert verify(anchors)[0] == 1


def test_a_trail_made_anew_with_right_hashes_shows(anchors: Path) -> None:
    first = AuditEntry.objects.order_by("id").values_list("id", flat=True)[0]
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
