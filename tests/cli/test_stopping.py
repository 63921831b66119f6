"""A signal ends a sweep within two seconds, whatever it is doing, and leaves a whole database."""

import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

import conftest
from conftest import SMALL, assert_one_line, assert_whole, rhosweep, small_with, sweep, table

IN_TIME = 2.0  # seconds from the signal to the end

# Each takes much longer than a test may wait, without a look at what the user wants.
EIGENVALUES = ["--hidden", 4096, "--steps", 10, "--rho", 1, "--seeds", "1:4", "--batch", 1]
PIECE = ["--engine", "reference", "--hidden", 512, "--steps", 40000, "--rho", 1, "--batch", 1,
         "--precision", "f64"]
MANY_CASES = ["--hidden", 64, "--steps", 400, "--batch", 4, "--rho", "0.5:1.5:0.1", "--seeds",
              "1:400", "--profiles", "no", "--threads", 1]


def start(database, options, **popen):
    return subprocess.Popen(
        [conftest.PROGRAM, "sweep", "--quiet", "--output", database, *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen,
    )


def outcomes(database):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [outcome for (outcome,) in connection.execute("SELECT outcome FROM runs")]


def wait_until_it_computes(process, database):
    """Signals count from when the run is on record; a second later its threads are at work."""
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        try:
            if database.exists() and outcomes(database) == ["running"]:
                time.sleep(1)
                return
        except sqlite3.OperationalError:
            pass  # being made
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def stop(process, name):
    """Sends the signal; the seconds until the end, and what stderr had."""
    sent = time.monotonic()
    process.send_signal(name)
    _, err = process.communicate(timeout=conftest.TIMEOUT)
    return time.monotonic() - sent, err


@pytest.fixture
def processes():
    """Processes that are ended with the test, whatever comes of it."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [EIGENVALUES, PIECE], ids=["eigenvalues", "piece"])
def test_a_long_computation_does_not_delay_the_end(options, name, database, processes):
    process = start(database, options)
    processes.append(process)
    wait_until_it_computes(process, database)
    seconds, err = stop(process, name)
    assert process.returncode == 130, err
    assert seconds < IN_TIME
    assert len(err.splitlines()) == 1 and "the same command finishes the rest" in err
    assert_whole(database)
    assert outcomes(database) == ["interrupted"]
    assert table("decay", database) == [], "it was still at its first case"


def test_a_second_signal_ends_it_at_once(database, processes):
    process = start(database, PIECE)
    processes.append(process)
    wait_until_it_computes(process, database)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "the first one leaves it a moment to store what is done"
    seconds, err = stop(process, signal.SIGINT)
    assert (process.returncode, err) == (-signal.SIGINT, "")
    assert seconds < 0.5
    assert_whole(database)


def test_a_database_in_use_does_not_delay_the_end(database, processes):
    """What cannot be stored now is computed again; a run that cannot be marked stays unmarked."""
    process = start(database, MANY_CASES)
    processes.append(process)
    wait_until_it_computes(process, database)
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(0.5)
        seconds, err = stop(process, signal.SIGTERM)
        holder.execute("ROLLBACK")
    assert process.returncode == 130, err
    assert seconds < IN_TIME
    assert len(err.splitlines()) == 1
    assert_whole(database)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGHUP])
def test_what_the_caller_ignores_stays_ignored(name, database, processes):
    """As under nohup, or in the background of a shell script."""
    process = start(database, MANY_CASES, preexec_fn=lambda: signal.signal(name, signal.SIG_IGN))
    processes.append(process)
    wait_until_it_computes(process, database)
    assert process.poll() is None
    _, err = stop(process, name)
    assert (process.returncode, err) == (0, "")
    assert outcomes(database) == ["done"]


def test_what_is_done_when_the_signal_comes_is_kept(database, processes):
    process = start(database, MANY_CASES)
    processes.append(process)
    wait_until_it_computes(process, database)
    seconds, err = stop(process, signal.SIGHUP)
    assert process.returncode == 130, err
    assert seconds < IN_TIME
    assert outcomes(database) == ["interrupted"]
    kept = {row["seeds"] for row in table("decay", database)}
    assert len(kept) == 1 and 0 < int(*kept) < 400
    assert f"{int(*kept)} of 400 cases are stored" in err
    assert list(database.parent.iterdir()) == [database], "no journal is left behind"
    sweep(database, *MANY_CASES)
    assert outcomes(database) == ["interrupted", "done"]


def told(database):
    """How the runs ended, as a reader is told."""
    return [row["outcome"] for row in table("runs", database)]


def test_a_killed_run_is_marked_by_the_next_sweep(database, processes):
    process = start(database, PIECE)
    processes.append(process)
    wait_until_it_computes(process, database)
    sweep(database, *SMALL)
    assert told(database) == ["running", "done"], "a live run stays what it is"
    process.kill()
    process.communicate()
    assert told(database) == ["running", "done"], "reading does not write"
    sweep(database, *SMALL)
    assert told(database) == ["killed", "done", "done"]
    assert table("runs", database)[0]["finished"] == ""


def test_sweeps_at_once_do_not_take_each_other_for_killed(database, processes):
    for seed in ("1", "2"):
        processes.append(start(database, [*PIECE, "--seeds", seed]))
        time.sleep(0.5)
    while len(outcomes(database)) < 2:
        time.sleep(0.05)
    sweep(database, *SMALL)
    assert outcomes(database) == ["running", "running", "done"]
    processes[0].kill()
    processes[0].communicate()
    seconds, err = stop(processes[1], signal.SIGTERM)
    assert seconds < IN_TIME, err
    sweep(database, *SMALL)
    assert sorted(outcomes(database)) == ["done", "done", "interrupted", "killed"]


def test_a_run_that_filled_the_disk_is_marked_by_the_next_sweep(database):
    sweep(database, *SMALL)
    size = database.stat().st_size + 200_000

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    more = small_with("--seeds", "1:200", "--steps", "600", "--rho", "0.5:1.5:0.1")
    done = rhosweep("sweep", "--quiet", "-o", database, *more, preexec_fn=limit)
    assert_one_line(done, 1)
    sweep(database, *SMALL)
    assert outcomes(database) == ["done", "killed", "done"]
