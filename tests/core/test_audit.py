"""The timeline: one chain of hashes for each subject, that only grows, whoever writes and however many at once."""

import threading

import pytest
import structlog
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from apps.core import audit
from apps.core.models import AuditEntry

ADA, BOB = ("profile", 1), ("profile", 2)


def chain(subject):
    return list(AuditEntry.objects.filter(subject_kind=subject[0], subject_id=str(subject[1])).order_by("id"))


def verify(lines):
    """Whether each line has its own hash and names its predecessor's."""
    previous = ""
    for line in lines:
        if line.prev_hash != previous or audit.digest(line) != line.hash:
            return False
        previous = line.hash
    return True


def test_a_line_says_who_what_why_before_and_after(db):
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        audit.record(
            subject=ADA,
            action="seat_moved",
            actor="staff:sam",
            reason="too full",
            before={"to": 1},
            after={"to": 2},
        )
    line = AuditEntry.objects.get()
    assert (line.subject_kind, line.subject_id, line.action) == ("profile", "1", "seat_moved")
    assert (line.actor, line.reason, line.request_id) == ("staff:sam", "too full", "abc")
    assert (line.before, line.after) == ({"to": 1}, {"to": 2})
    assert str(line) == "profile 1: seat_moved"


def test_a_chain_read_back_from_the_database_verifies(db):
    for number in range(5):
        audit.record(
            subject=ADA,
            action="test",
            before={"b": None, "a": [1, {"z": "ü"}]},
            after={"n": number},
        )
    audit.record(subject=BOB, action="test")
    assert verify(chain(ADA))
    assert len(chain(ADA)) == 5
    assert chain(BOB)[0].prev_hash == ""


def test_an_altered_or_removed_line_shows(db):
    for number in range(3):
        audit.record(subject=ADA, action="test", after={"n": number})
    lines = chain(ADA)
    assert not verify([lines[0], lines[2]])
    for name in ("action", "actor", "reason", "subject_id"):
        altered = chain(ADA)
        setattr(altered[1], name, "something else")
        assert not verify(altered)


def test_texts_that_are_too_long_are_cut_before_they_are_hashed(db):
    audit.record(subject=ADA, action="test", actor="a" * 1000, reason="r" * 1000)
    line = chain(ADA)[0]
    assert (len(line.actor), len(line.reason)) == (150, 500)
    assert verify([line])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_auditentry SET reason = 'another'",
        "DELETE FROM core_auditentry",
        "TRUNCATE core_auditentry",
    ],
)
def test_the_database_refuses_to_change_what_was_written(db, statement):
    audit.record(subject=ADA, action="test")
    with (
        pytest.raises(DatabaseError, match="only grows"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert verify(chain(ADA))


@pytest.mark.parametrize("change", [lambda line: line.save(), lambda line: line.delete()])
def test_the_model_cannot_change_a_line_either(db, change):
    audit.record(subject=ADA, action="test")
    (line,) = chain(ADA)
    line.reason = "another"
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
        change(line)


def test_a_change_that_is_rolled_back_leaves_no_line(db):
    with transaction.atomic():
        audit.record(subject=ADA, action="test")
        transaction.set_rollback(True)
    assert chain(ADA) == []


def test_writers_at_the_same_time_keep_one_chain(transactional_db):
    gate = threading.Barrier(6)

    def write(number):
        try:
            gate.wait(10)
            for round_ in range(5):
                audit.record(subject=ADA, action="test", after={"writer": number, "round": round_})
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines = chain(ADA)
    assert len(lines) == 30
    assert verify(lines)
    assert len({line.prev_hash for line in lines}) == 30


def test_the_command_checks_the_chain_of_one_subscriber(db, capsys):
    for subject in (ADA, BOB):
        audit.record(subject=subject, action="test")
        audit.record(subject=subject, action="test")
    with connection.cursor() as cursor:  # as the owner of the table could
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE core_auditentry SET reason = 'forged' WHERE id = %s", [chain(BOB)[0].pk])
    call_command("verify_audit", subscriber=1)
    assert capsys.readouterr().out == "2 entries in 1 chains, 0 broken.\n"
    with pytest.raises(SystemExit):
        call_command("verify_audit", subscriber=2)
    said = capsys.readouterr()
    assert "profile 2: entry" in said.err
    assert said.err.count("was altered") == 1
    with pytest.raises(CommandError, match="no entry about subscriber 3"):
        call_command("verify_audit", subscriber=3)
