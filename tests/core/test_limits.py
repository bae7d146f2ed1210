"""Rate limits: exact over many connections at once, kept, and without anybody's address in clear."""

import datetime as dt
import threading
import time

import pytest
from django.db import connection, connections

from apps.core import attention, clock, limits, networks
from apps.core.models import AttentionItem, RateLimit


@pytest.fixture
def at(monkeypatch):
    """Set the machine's time."""

    def set_time(seconds):
        monkeypatch.setattr(limits.time, "time", lambda: seconds)

    return set_time


@pytest.fixture(autouse=True)
def rates(settings):
    settings.LIMITS = {
        "code": ((3, 60),), "login": ((1, 60),), "pair": ((1, 60), (3, 3600)), "many": ((25, 3600),), "desk_visitor": ((2, 60),),
    }  # fmt: skip
    settings.LIMIT_NETWORK_FACTOR = 3


def spend(subject="ada@example.com", *, name="code"):
    return limits.allow(**{name: subject})


def granted(count, **subjects):
    return [limits.allow(**subjects) for _ in range(count)].count(True)


def test_the_limit_is_the_last_that_is_allowed(db, at):
    at(1000)
    assert [spend() for _ in range(5)] == [True, True, True, False, False]


def test_subjects_and_names_are_counted_apart_and_what_was_spent_comes_back_evenly(db, at):
    at(1020)
    assert granted(9, code="ada@example.com") == 3
    assert spend("bob@example.com")
    assert spend(name="login")
    assert not spend(name="login")
    at(1039)
    assert not spend()
    at(1040)  # a third of the minute, a third of the limit
    assert granted(9, code="ada@example.com") == 1
    at(1079)
    assert not spend(name="login")
    at(1080)
    assert spend(name="login")


def test_what_is_refused_spends_nothing_of_any_other_limit(db, at):
    at(1000)
    assert granted(50, pair="ada", many="everybody") == 1
    at(1060)
    assert granted(50, pair="ada", many="everybody") == 1
    at(1120)
    assert granted(50, pair="ada", many="everybody") == 1
    at(1180)
    assert granted(50, pair="ada", many="everybody") == 0  # three an hour
    assert granted(50, many="everybody") == 23
    at(2400)
    assert granted(50, pair="ada") == 1


def test_to_ask_without_counting_spends_nothing(db, at):
    at(1000)
    assert all(limits.would_allow(code="ada") for _ in range(9))
    assert granted(9, code="ada") == 3
    assert not limits.would_allow(code="ada")


@pytest.mark.parametrize(
    "network", ["198.51.100.{}", "::ffff:198.51.100.{}", "2001:db8:1:{}::7", "64:ff9b::198.51.100.{}"]
)
def test_a_network_has_a_higher_number_of_its_own(db, at, network):
    at(1000)
    visitors = [networks.visitor_of(network.format(number)) for number in range(1, 20)]
    assert sum(granted(2, desk_visitor=visitor) for visitor in visitors) == 6  # 3 times 2
    assert granted(9, desk_visitor="203.0.113.1") == 2


def test_who_has_to_wait_for_their_network_is_told_its_time(db, at):
    at(1000)
    for number in range(1, 4):
        assert granted(2, desk_visitor=f"198.51.100.{number}") == 2
    assert not limits.would_allow(desk_visitor="198.51.100.9")
    assert limits.find_room("desk_visitor", "198.51.100.9") == limits.LimitRoom(limit=6, per=60, left=0, wait=10)
    at(1010)
    assert limits.find_room("desk_visitor", "198.51.100.9").wait == 0
    assert limits.find_room("desk_visitor", "203.0.113.1") == limits.LimitRoom(limit=2, per=60, left=2, wait=0)


def test_addresses_are_visitors_and_networks():
    for address, visitor, network in [
        ("192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("64:ff9b::c000:207", "192.0.2.7", "192.0.2.0/24"),
        ("2002:c000:207::1", "192.0.2.7", "192.0.2.0/24"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("nonsense", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ]:
        assert (networks.visitor_of(address), networks.network_of(networks.visitor_of(address))) == (visitor, network)


def test_a_limit_of_everybody_tells_staff_once_counts_each_and_ends(db, at, settings):
    settings.LIMITS |= {"mails_all": ((2, 60),), "alarms": ((1, 300),)}
    at(1000)
    before = limits.REFUSALS.labels(limit="mails_all")._value.get()
    assert [limits.allow_together("mails_all") for _ in range(5)] == [True, True, False, False, False]
    assert limits.REFUSALS.labels(limit="mails_all")._value.get() == before + 3
    item = AttentionItem.objects.get(cause="limit_reached", key="mails_all")
    assert item.times == 1
    limits.end_alarms()
    assert attention.open_items().count() == 1
    AttentionItem.objects.update(last_at=clock.now() - limits.QUIET - dt.timedelta(seconds=1))
    limits.end_alarms()
    assert attention.open_items().count() == 0


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
        ("A.d.A+x@gmail.com", "ada@gmail.com"),
        ("a.da@googlemail.com", "ada@gmail.com"),
        ("a.da@example.com", "a.da@example.com"),
    ],
)
def test_a_mailbox_is_one_whatever_its_tags(address, mailbox):
    assert limits.mailbox(address) == mailbox


@pytest.mark.django_db(transaction=True)
def test_what_was_counted_outlives_the_connection_and_lives_nowhere_else(at):
    at(1000)
    assert spend(name="login")
    connection.close()
    assert not spend(name="login")
    RateLimit.objects.all().delete()
    assert spend(name="login")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_exactly_what_is_allowed(at):
    at(1000)
    results, gate = [], threading.Barrier(8)

    def visitor():
        try:
            gate.wait(10)
            results.extend([spend(name="many") for _ in range(10)])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=visitor) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(results), results.count(True)) == (80, 25)


def test_what_has_come_back_is_pruned_and_the_rest_stays(db):
    now = time.time()
    for days in (0, 1, 3, 30):
        RateLimit.objects.create(name="code", subject=str(days), per=60, busy_until=now - days * 86400)
    assert limits.prune(before=clock.now() - dt.timedelta(days=2)) == 2
    assert RateLimit.objects.count() == 2
