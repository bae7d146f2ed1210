"""The one clock: the system's, plus whatever a file says, as soon as it says so."""

import datetime as dt
import os

import pytest
from django.utils import timezone

from apps.core import clock


@pytest.fixture
def file(settings, tmp_path):
    path = tmp_path / "clock"
    settings.CLOCK_OFFSET_FILE = str(path)
    return path


def write(path, text, *, at):
    """Write the file with a time of change of its own, as the file system may be too coarse for a test."""
    path.write_text(text)
    os.utime(path, ns=(at, at))


def near(moment, other):
    return abs(moment - other) < dt.timedelta(minutes=1)


def test_without_a_file_it_is_the_systems_time(settings):
    settings.CLOCK_OFFSET_FILE = ""
    assert clock.offset_seconds() == 0
    assert near(clock.now(), timezone.now())
    assert clock.now().tzinfo is dt.UTC


def test_a_file_that_is_missing_counts_nothing(file):
    assert clock.offset_seconds() == 0


@pytest.mark.parametrize("text", ["", "soon", "1.5", "12 34", "\x00", "0x10", "9" * 5000])
def test_a_file_with_garbage_counts_nothing(file, text):
    write(file, text, at=1)
    assert clock.offset_seconds() == 0
    assert near(clock.now(), timezone.now())


def test_bytes_that_are_no_text_count_nothing(file):
    file.write_bytes(b"\xff\xfe\x00")
    assert clock.offset_seconds() == 0


def test_a_number_too_large_for_any_date_counts_nothing(file):
    write(file, "9" * 30, at=1)
    assert near(clock.now(), timezone.now())


def test_a_folder_in_its_place_counts_nothing(file):
    file.mkdir()
    assert clock.offset_seconds() == 0


def test_it_moves_and_moves_again(file):
    write(file, "3600\n", at=1_000)
    assert near(clock.now(), timezone.now() + dt.timedelta(hours=1))
    write(file, " 86400 ", at=2_000)
    assert near(clock.now(), timezone.now() + dt.timedelta(days=1))
    assert clock.timestamp() == int(clock.now().timestamp())
    file.unlink()
    assert clock.offset_seconds() == 0
