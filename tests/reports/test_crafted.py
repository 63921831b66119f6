"""Crafted databases (tests/corpus), and those that change while they are read: a report is made, or
ends in one line."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from report_tools import PROGRAM, rhosweep

import rhosweep_reports
from rhosweep_reports import cli, connection
from rhosweep_reports.errors import InputError, ReportError

pytest.importorskip("matplotlib")

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "databases"
NAMES = sorted(path.stem for path in CORPUS.glob("*.db"))
SECONDS = 10
FOREIGN = ("view_without_end", "trigger", "unknown_table", "unknown_index", "virtual_cases",
           "computed_column")


@pytest.fixture
def in_time():
    def end(*_arguments):
        raise AssertionError("takes too long")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_a_crafted_database(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RHOSWEEP", str(PROGRAM))
    database = shutil.copy(CORPUS / f"{name}.db", tmp_path / "x.db")
    code = cli.main([str(database), "-o", str(tmp_path / "out"), "--figure", "rate", "--format",
                     "svg"])
    err = capfd.readouterr().err
    assert code in (0, 1, 2), err
    if code:
        assert len(err.splitlines()) == 1, err
        assert err.startswith("rhosweep: ")


@pytest.mark.parametrize("name", FOREIGN)
def test_both_readers_refuse_it_with_the_same_words(name, tmp_path):
    database = shutil.copy(CORPUS / f"{name}.db", tmp_path / "x.db")
    with pytest.raises(InputError) as refused:
        rhosweep_reports.read(database)
    done = rhosweep("report", database, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == f"rhosweep: {refused.value}\n"


@pytest.fixture
def bystander(fixed_database, tmp_path, monkeypatch):
    """A database that its reader may not write to."""
    path = Path(shutil.copy(fixed_database, tmp_path / "x.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    return path


def write(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("UPDATE runs SET version = version || 'x'")


def count_runs(found):
    return found.execute("SELECT count(*) FROM runs").fetchone()[0]


@pytest.mark.parametrize("ending", [count_runs, lambda found: found.execute("no SQL")])
def test_what_changes_while_it_is_read_is_read_again(ending, bystander):
    readings = []

    def read(found):
        readings.append(count_runs(found))
        if len(readings) == 1:
            write(bystander)
            ending(found)
        return readings

    assert connection.with_connection(bystander, read) == [1, 1]


def test_what_changes_all_the_time_is_told(bystander):
    def read(found):
        count_runs(found)
        write(bystander)

    with pytest.raises(ReportError, match="written to it meanwhile"):
        connection.with_connection(bystander, read)


def test_a_bystander_sees_the_log_and_leaves_nothing(bystander):
    with closing(sqlite3.connect(bystander, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM runs")
        before = sorted(bystander.parent.iterdir())
        assert len(before) == 3
        assert connection.with_connection(bystander, count_runs) == 0
        assert sorted(bystander.parent.iterdir()) == before
