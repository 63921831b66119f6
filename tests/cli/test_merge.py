"""Shards of a sweep, and their databases put together: nothing lost, nothing double, in any order."""

import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

import conftest
from conftest import (assert_one_line, assert_whole, rhosweep, small_with, succeed, sweep, table,
                      table_text)

DATA = Path(__file__).resolve().parents[1] / "data"
# Matrices of 32 rows have their radii kept; an lstm has curves of its states.
SWEEP = small_with("--cell", "tanh,lstm", "--hidden", "6,32", "--seeds", "1:4", "--steps", "20",
                   "--clip", "0.5")
RESULTS = ("decay", "profile", "seeds", "clip", "critical", "failures")
SHARDS = 3


def tables(database, names=RESULTS):
    return {name: table_text(name, database) for name in names}


def merge(out, *databases):
    return succeed("merge", out, *databases)


def refuse(*words):
    return assert_one_line(rhosweep("merge", *words), 2)


def execute(database, *statements):
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return database


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sweep_shards(folder, options, shards=SHARDS):
    return [sweep(folder / f"part{i}.db", *options, "--shard", f"{i}/{shards}")
            for i in range(shards)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One process's database, and those of the shards."""
    folder = tmp_path_factory.mktemp("made")
    return sweep(folder / "whole.db", *SWEEP), sweep_shards(folder, SWEEP)


@pytest.fixture
def whole(made):
    return made[0]


@pytest.fixture
def parts(made, tmp_path):
    """Copies of the shards'."""
    (tmp_path / "in").mkdir()
    return [Path(shutil.copy(part, tmp_path / "in")) for part in made[1]]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "all.db"


# ---- shards --------------------------------------------------------------------------------------


def networks(database):
    return {(row["cell"], row["hidden"], row["seed"], row["rho_asked"], row["decay_rate"])
            for row in table("seeds", database)}


def test_shards_are_disjoint_and_make_the_whole(whole, parts):
    found = [networks(part) for part in parts]
    assert sum(map(len, found)) == len(set.union(*found)) == 2 * 2 * 4 * 3
    assert set.union(*found) == networks(whole)
    # 16 cases
    assert sorted(len(one) // 3 for one in found) == [5, 5, 6]


def test_a_shard_goes_on_where_it_was(parts):
    before = tables(parts[1])
    sweep(parts[1], *SWEEP, "--shard", "1/3")
    assert [run["points"] for run in table("runs", parts[1])][1:] == ["0"]
    assert tables(parts[1]) == before
    assert "shard = 1/3" in table("runs", parts[1])[0]["spec"]


def test_a_shard_counts_its_own_cases(database):
    words = small_with("--seeds", "1:7")
    text = succeed("sweep", "-o", database, *words, "--shard", "2/3")
    assert text.startswith("2 of 2 cases done")
    text = succeed("sweep", "-o", database, *words, "--shard", "0/3")
    assert text.startswith("3 of 3 cases done") and "already" not in text
    text = succeed("sweep", "-o", database, *words)
    assert text.startswith("2 of 7 cases done") and "; 5 were already in the database" in text


def test_shards_of_more_than_there_are_cases(database):
    text = succeed("sweep", "-o", database, *small_with("--seeds", "1:2"), "--shard", "4/5")
    assert text.startswith("0 of 0 cases done")
    other = sweep(database.with_name("other.db"), *small_with("--seeds", "1:2"), "--shard", "0/5")
    merge(database, other)
    assert len(table("seeds", database)) == 3


@pytest.mark.parametrize("shard", ["3/3", "1", "-1/2", "0/0", "a/b", ""])
def test_a_shard_that_is_none(shard, tmp_path):
    line = assert_one_line(rhosweep("sweep", "--shard=" + shard, "-o", tmp_path / "x.db"), 2)
    assert line.startswith("rhosweep: shard: ") and not list(tmp_path.iterdir())


# ---- merging -------------------------------------------------------------------------------------


def test_shards_in_any_order_make_the_whole(whole, parts, out):
    expected = tables(whole)
    seen = set()
    for order in itertools.permutations(parts):
        out.unlink(missing_ok=True)
        merge(out, *order)
        assert tables(out) == expected
        assert_whole(out)
        seen.add(tuple(tables(out, ("runs", "throughput")).values()))
    assert len(seen) == 1, "also the runs and their numbers"
    assert list(out.parent.iterdir()) == [out], "nothing is left beside it"
    assert [run["run"] for run in table("runs", out)] == ["1", "2", "3"]
    assert [run["points"] for run in table("runs", out)] == ["18", "15", "15"]


def test_merging_again_changes_nothing(parts, out):
    merge(out, *parts)
    before = tables(out, (*RESULTS, "runs", "throughput"))
    for order in itertools.permutations(parts):
        merge(out, *order)
        assert tables(out, before) == before
    merge(out, parts[0], parts[0])
    assert tables(out, before) == before
    assert_whole(out)


def test_one_after_the_other(whole, parts, out):
    for part in reversed(parts):
        merge(out, part)
    assert tables(out) == tables(whole)
    other = out.with_name("other.db")
    merge(other, out, whole)
    assert tables(other) == tables(whole)
    assert len(table("runs", other)) == SHARDS + 1
    assert_whole(other)


def test_the_inputs_stay_as_they_are(parts, out):
    before = contents(parts[0].parent)
    for part in parts:
        part.chmod(0o444)
    merge(out, *parts)
    assert contents(parts[0].parent) == before


def test_the_summary(parts, out):
    assert merge(out, parts[0]) == f"6 cases, 18 points from 1 database; {out} has 6 cases, 18 " \
        "points now\n"
    text = merge(out, parts[0], parts[2])
    assert text.startswith("11 cases, 33 points from 2 databases;")
    assert text.endswith(" has 11 cases, 33 points now\n")


def test_a_sweep_goes_on_from_a_merged_database(whole, parts, out):
    merge(out, *parts[:2])
    sweep(out, *SWEEP)
    assert [run["points"] for run in table("runs", out)] == ["18", "15", "15"]
    assert tables(out) == tables(whole)


def test_radii_come_along(whole, parts, out):
    """A matrix is known by its elements, and no eigenvalue of it is found again."""
    def radii(database):
        with closing(sqlite3.connect(database)) as connection:
            return set(connection.execute("SELECT hidden, matrix, radius FROM radii"))

    merge(out, *parts)
    assert radii(out) == radii(whole) and len(radii(out)) > 4


def test_what_a_point_lacks_comes_from_another(out, tmp_path):
    words = small_with("--cell", "lstm", "--seeds", "1:2")
    plain = [sweep(tmp_path / "bare.db", *words, "--profiles", "no"),
             sweep(tmp_path / "curves.db", *words),
             sweep(tmp_path / "gradients.db", *words, "--profiles", "no", "--clip", "1"),
             sweep(tmp_path / "norm.db", *words, "--clip", "0.25")]
    full = sweep(tmp_path / "full.db", *words, "--clip", "1")
    sweep(full, *words, "--clip", "0.25")
    for order in itertools.permutations(plain):
        out.unlink(missing_ok=True)
        merge(out, *order)
        assert tables(out) == tables(full)
    assert_whole(out)


# ---- attempts that failed ------------------------------------------------------------------------


FAIL = ["DELETE FROM timings", "DELETE FROM clips", "DELETE FROM gradients", "DELETE FROM state_curves",
        "DELETE FROM curves", "DELETE FROM points"]


def failed(database, reason):
    return execute(database, *FAIL, f"UPDATE cases SET status = 'failed', reason = '{reason}'")


@pytest.mark.parametrize("year", [2000, 2999])
def test_a_success_comes_before_a_failure(year, whole, parts, out, tmp_path):
    lost = failed(shutil.copy(whole, tmp_path / "lost.db"), "out of memory")
    execute(lost, f"UPDATE runs SET started = '{year}-01-01T00:00:00.000Z'")
    for order in ([lost, *parts], [*parts, lost]):
        out.unlink(missing_ok=True)
        assert "failed" not in merge(out, *order)
        assert tables(out) == tables(whole)
        assert_whole(out)


def test_the_last_failure_tells_why(whole, out, tmp_path):
    first = failed(shutil.copy(whole, tmp_path / "first.db"), "z: out of memory")
    last = failed(shutil.copy(whole, tmp_path / "last.db"), "a: no device")
    execute(last, "UPDATE runs SET started = '2999-01-01T00:00:00.000Z'")
    for order in ([first, last], [last, first]):
        out.unlink(missing_ok=True)
        assert "; 16 failed: see rhosweep table failures " in merge(out, *order)
        assert {row["reason"] for row in table("failures", out)} == {"a: no device"}
        assert {row["run"] for row in table("failures", out)} == {"2"}


# ---- runs ----------------------------------------------------------------------------------------


def test_a_run_that_was_seen_twice_is_one(parts, out, tmp_path):
    """First while it went on."""
    early = execute(shutil.copy(parts[0], tmp_path / "early.db"),
                    "UPDATE runs SET outcome = 'running', finished = NULL, engine_s = NULL,"
                    " wall_s = NULL", "UPDATE timings SET radii = 1, forward_s = 0")
    expected = tables(parts[0], ("runs", "throughput", "decay"))
    for order in ([early, parts[0]], [parts[0], early]):
        out.unlink(missing_ok=True)
        merge(out, *order)
        assert tables(out, expected) == expected
        out.unlink()
        for one in order:
            merge(out, one)
        assert tables(out, expected) == expected


def test_a_run_that_goes_on_elsewhere(parts, out):
    execute(parts[0], "UPDATE runs SET outcome = 'running', finished = NULL")
    for _ in range(2):
        merge(out, *parts)
        assert [run["outcome"] for run in table("runs", out)] == ["killed", "done", "done"]


def test_runs_that_differ_in_a_word_are_two(parts, out, tmp_path):
    for column, value in (("started", "'2025-01-31T12:34:56.789Z'"), ("host", "'elsewhere'"),
                          ("command_line", "NULL"), ("workers", "7"), ("wall_s", "1e9")):
        other = execute(shutil.copy(parts[0], tmp_path / f"{column}.db"),
                        f"UPDATE runs SET {column} = {value}")
        out.unlink(missing_ok=True)
        merge(out, parts[0], other)
        assert len(table("runs", out)) == 2, column


# ---- contradictions ------------------------------------------------------------------------------

OTHERWISE = {
    "result": "UPDATE points SET decay_rate = decay_rate * (1 + 1e-15)",
    "result of a radius": "UPDATE points SET rho = 0.75",
    "result of underflow": "UPDATE points SET fp16_underflow = ifnull(fp16_underflow, 0) + 1",
    "curve": "UPDATE curves SET max = mean",
    "curve of a state": "UPDATE state_curves SET zero = mean WHERE state = 'c'",
    "gradient": "UPDATE gradients SET bias_hh = NULL",
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_contradictions_are_refused(what, parts, out, tmp_path):
    other = execute(shutil.copy(parts[1], tmp_path / "other.db"), OTHERWISE[what])
    for pair in ([parts[1], other], [other, parts[1]]):
        line = refuse(out, parts[0], *pair)
        assert line.startswith(tuple(f"rhosweep: {one}: has another {what.split()[0]}" for one in pair))
        assert " than the others at rho " in line and ", cell " in line and ", seed " in line
        assert not list(out.parent.iterdir())
    merge(out, parts[1])
    before = contents(out.parent)
    refuse(out, parts[0], other)
    assert tables(out) == tables(parts[1])
    assert contents(out.parent) == before
    merge(out, *parts)


def test_a_contradiction_names_case_and_radius(parts, out, tmp_path):
    other = execute(shutil.copy(parts[1], tmp_path / "other.db"),
                    "UPDATE points SET g = 9 WHERE rho_asked = 1.5 AND case_id ="
                    " (SELECT id FROM cases WHERE cell = 'lstm' AND hidden = 32 LIMIT 1)")
    with closing(sqlite3.connect(other)) as connection:
        (seed,) = connection.execute("SELECT seed FROM cases JOIN points ON case_id = cases.id"
                                     " WHERE g = 9").fetchone()
    line = refuse(out, *parts, other)
    for word in ("at rho 1.5", "cell lstm", "hidden 32", f"seed {seed}", "batch 3", "engine cpu"):
        assert f" {word}," in line or f" {word}:" in line, line
    assert line.endswith(": leave one of them out")


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_another_schema_is_refused(version, parts, out):
    old = Path(shutil.copy(DATA / f"version{version}.db", out.parent / "old.db"))
    before = contents(out.parent)
    for words in ([out, parts[0], old], [old, parts[0]]):
        line = refuse(*words)
        assert line.startswith(f"rhosweep: {old}: has schema {version}") and "upgrades it" in line
        assert contents(out.parent) == before
    sweep(old, *small_with("--seeds", "1"))
    merge(old, parts[0])
    assert_whole(old)


def test_what_is_no_database_is_refused(parts, out, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    foreign = execute(tmp_path / "foreign.db", "CREATE TABLE t (x)")
    newer = execute(shutil.copy(parts[0], tmp_path / "newer.db"), "PRAGMA user_version = 7")
    view = execute(shutil.copy(parts[0], tmp_path / "view.db"), "DROP TABLE radii",
                   "CREATE VIEW radii AS SELECT 1 AS run_id, 2 AS hidden, 3 AS matrix, 4 AS radius")
    empty = tmp_path / "empty.db"
    empty.touch()
    for wrong in (tmp_path / "missing.db", folder, text, foreign, newer, view, empty):
        line = refuse(out, parts[0], wrong)
        assert line.startswith(f"rhosweep: {wrong}: ")
        assert not list(out.parent.iterdir())
    for wrong in (folder, text, foreign, newer, view):
        before = wrong.read_bytes() if wrong.is_file() else None
        refuse(wrong, parts[0])
        assert before is None or wrong.read_bytes() == before
    refuse(tmp_path / "no" / "folder.db", parts[0])
    merge(empty, parts[0])
    assert tables(empty) == tables(parts[0])


def test_the_output_is_no_input(parts, out):
    shutil.copy(parts[0], out)
    link, hard = out.with_name("link.db"), out.with_name("hard.db")
    link.symlink_to(out)
    os.link(out, hard)
    before = contents(out.parent)
    for same in (out, link, hard, out.parent / "." / "all.db"):
        line = refuse(out, parts[1], same)
        assert line.startswith(f"rhosweep: {out}: is both output and input")
    assert contents(out.parent) == before


@pytest.mark.parametrize("words", [[], ["all.db"], ["--force", "all.db", "x.db"]])
def test_a_command_line_that_is_not_understood(words, tmp_path):
    assert "see rhosweep merge --help" in assert_one_line(rhosweep("merge", *words, cwd=tmp_path), 2)
    assert not list(tmp_path.iterdir())


DAMAGE = {
    "a curve too short": ["UPDATE curves SET mean = zeroblob(8)"],
    "no bytes at the end": ["UPDATE curves SET min = substr(min, 1, 159)"],
    "points of no run": ["PRAGMA foreign_keys = OFF", "UPDATE points SET run_id = 77"],
    "text for numbers": ["CREATE TABLE loose AS SELECT * FROM points", "DROP TABLE points",
                         "ALTER TABLE loose RENAME TO points", "UPDATE points SET rho = 'large'"],
    "no start": ["CREATE TABLE loose AS SELECT * FROM runs", "DROP TABLE runs",
                 "ALTER TABLE loose RENAME TO runs", "UPDATE runs SET started = NULL"],
    "no radii": ["DROP TABLE radii"],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_not_taken_over(damage, parts, out):
    execute(parts[1], "PRAGMA legacy_alter_table = ON", *DAMAGE[damage])
    line = refuse(out, *parts)
    assert line.startswith(f"rhosweep: {parts[1]}: "), line
    assert not list(out.parent.iterdir())


# ---- interruptions -------------------------------------------------------------------------------

MANY = ["--hidden", "4", "--steps", "300", "--batch", "2", "--seeds", "1:200", "--rho", "0.1:2:0.1",
        "--input", "zero"]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Databases that take a while, the decay rates of all, and the seconds that merging takes."""
    folder = tmp_path_factory.mktemp("many")
    parts, out = sweep_shards(folder, MANY), folder / "all.db"
    start = time.monotonic()
    merge(out, *parts)
    seconds = time.monotonic() - start
    rates = table_text("decay", out)
    out.unlink()
    return parts, rates, seconds


def start_merge(out, parts):
    return subprocess.Popen([conftest.PROGRAM, "merge", out, *parts], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_kill_at_random_moments(many, out):
    parts, rates, seconds = many
    moments = random.Random(1)
    cut = 0
    for _ in range(12):
        process = start_merge(out, parts)
        time.sleep(moments.uniform(0, 1) * seconds)
        process.kill()
        process.communicate(timeout=conftest.TIMEOUT)
        if out.exists() and out.stat().st_size:
            assert_whole(out)
            with closing(sqlite3.connect(out)) as connection:
                points = connection.execute("SELECT count(*) FROM points").fetchone()[0]
            assert points in (0, 200 * 20), "all or nothing"
            cut += points == 0
            if points:
                out.unlink()
    assert cut >= 2, "some hit a merge at work"
    merge(out, *parts)
    assert table_text("decay", out) == rates
    assert_whole(out)
    assert list(out.parent.iterdir()) == [out]


def test_interrupt_merges_nothing(many, out):
    parts, _, seconds = many
    for _ in range(10):
        process = start_merge(out, parts)
        time.sleep(0.4 * seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=conftest.TIMEOUT)
        if process.returncode == 130 and err:
            break
        out.unlink(missing_ok=True)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("rhosweep: interrupted: nothing is merged")
    assert not list(out.parent.iterdir())


def finish_slowly(process):
    """Output and errors of a process that pauses for longer than it takes to show progress."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    return process.communicate(timeout=conftest.TIMEOUT)


def test_progress_of_a_shard(tmp_path):
    process = subprocess.Popen([conftest.PROGRAM, "sweep", *MANY, "--threads", "1", "--warmup",
                                "100000", "--shard", "1/4", "-o", tmp_path / "x.db"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(0.2)
    _, err = finish_slowly(process)
    assert process.returncode == 0 and " of 1000 points, " in err.splitlines()[0], err


def test_progress_of_what_takes_longer(many, out):
    parts, _, seconds = many
    process = start_merge(out, parts)
    time.sleep(0.3 * seconds)
    text, err = finish_slowly(process)
    assert process.returncode == 0 and text.startswith("200 cases, 4000 points from 3 databases")
    assert err.startswith("rhosweep: ") and " of 4000 points, " in err.splitlines()[0]
    assert rhosweep("merge", out, parts[0]).returncode == 0


def test_merging_while_a_shard_is_swept(many, out, tmp_path):
    _, rates, _ = many
    parts = [tmp_path / f"part{i}.db" for i in range(2)]
    sweep(parts[0], *MANY, "--shard", "0/2")
    process = subprocess.Popen([conftest.PROGRAM, "sweep", "--quiet", "-o", parts[1], *MANY,
                                "--shard", "1/2", "--threads", "1"])
    looks = 0
    while process.poll() is None:
        if parts[1].exists():
            done = rhosweep("merge", out, *parts)
            looks += done.returncode == 0
            assert done.returncode in (0, 2), done.stderr  # not yet a database, or no run yet
    assert process.returncode == 0 and looks > 0
    merge(out, *parts)
    assert table_text("decay", out) == rates
    assert [(run["outcome"], run["points"]) for run in table("runs", out)] == 2 * [("done", "2000")]
    assert_whole(out)
