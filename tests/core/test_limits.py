"""Rate limits: exact over many connections at once, kept, and without anybody's address in clear."""

import datetime as dt
import threading
import time

import pytest
from django.db import connection, connections

from apps.core import clock, limits
from apps.core.models import RateLimit


@pytest.fixture
def at(monkeypatch):
    """Set the machine's time."""

    def set_time(seconds):
        monkeypatch.setattr(limits.time, "time", lambda: seconds)

    return set_time


def spend(subject="ada@example.com", *, name="code", limit=3, per=60):
    return limits.spend(name, subject, limit=limit, per=per)


def test_the_limit_is_the_last_that_is_allowed(db, at):
    at(1000)
    assert [spend() for _ in range(5)] == [True, True, True, False, False]
    assert RateLimit.objects.get().used == 5


def test_subjects_names_and_windows_are_counted_apart(db, at):
    at(1020)
    assert spend(limit=1)
    assert spend("bob@example.com", limit=1)
    assert spend(name="login", limit=1)
    assert not spend(limit=1)
    at(1079)
    assert not spend(limit=1)
    at(1080)
    assert spend(limit=1)


def test_spellings_that_mean_the_same_are_one_subject(db, at):
    at(1000)
    spellings = ["ada@example.com", " ADA@Example.COM ", "\uff41da@example.com", "ada@example.com"]
    assert [spend(one) for one in spellings] == [True, True, True, False]


def test_nobodys_address_is_stored(db):
    spend()
    row = RateLimit.objects.get()
    assert len(row.subject) == 64
    assert "ada" not in row.subject


def test_a_subject_that_no_database_would_store_is_counted_too(db):
    for subject in ("\x00", "\ud800", "", "x" * 100_000):
        assert spend(subject)


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("ada+shop@example.com", "ada@example.com"),
        (" ada+a+b@example.com ", "ada@example.com"),
        ("\uff21da@example.com", "ada@example.com"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("nobody", "@nobody"),
    ],
)
def test_a_mailbox_is_one_whatever_its_tags(address, mailbox):
    assert limits.mailbox(address) == mailbox


@pytest.mark.django_db(transaction=True)
def test_what_was_counted_outlives_the_connection_and_lives_nowhere_else(at):
    at(1000)
    assert spend(limit=1)
    connection.close()
    assert not spend(limit=1)
    RateLimit.objects.all().delete()
    assert spend(limit=1)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_exactly_what_is_allowed(at):
    at(1000)
    results, gate = [], threading.Barrier(8)

    def visitor():
        try:
            gate.wait(10)
            results.extend([spend(limit=25) for _ in range(10)])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=visitor) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(results), results.count(True)) == (80, 25)
    assert RateLimit.objects.get().used == 80


def test_old_windows_are_pruned_and_young_ones_stay(db, monkeypatch):
    now = time.time()
    for days in (0, 1, 3, 30):
        monkeypatch.setattr(limits.time, "time", lambda days=days: now - days * 86400)
        spend()
    monkeypatch.setattr(limits.time, "time", lambda: now)
    assert limits.prune(before=clock.now() - dt.timedelta(days=2)) == 2
    assert RateLimit.objects.count() == 2
