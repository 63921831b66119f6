"""Databases of earlier versions, and what a sweep keeps."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import SMALL, assert_whole, succeed, sweep, table, table_text

VERSION_1 = Path(__file__).resolve().parents[1] / "data" / "version1.db"
TABLES = ("decay", "profile", "throughput", "runs", "failures")
# Two of the sweeps that made the file: data/make_version.py
STORED = ["--hidden", "6", "--steps", "12", "--engine", "cpu", "--rho", "0.5,1.5", "--batch", "2",
          "--seeds", "1,2", "--loss", "random"]
RAW = ["--hidden", "6", "--steps", "12", "--engine", "cpu", "--nonlinearity", "linear,relu",
       "--ensemble", "orthogonal", "--rho", "1e-9,1e9", "--batch", "1", "--seeds",
       "9223372036854775807", "--raw", "--input", "noise:0.5"]


def version(database):
    connection = sqlite3.connect(database)
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture
def old(tmp_path):
    return shutil.copy(VERSION_1, tmp_path / "old.db")


def test_tables_of_version_1_stay_through_an_upgrade(old):
    before = {name: table_text(name, old) for name in TABLES}
    assert version(old) == 1, "reading changes nothing"
    for options in (STORED, RAW):
        sweep(old, *options)
    assert version(old) == 2
    assert_whole(old)
    for name in ("decay", "profile", "throughput", "failures"):
        assert table_text(name, old) == before[name], name
    runs = table("runs", old)
    assert table_text("runs", old).startswith(before["runs"].rstrip("\n"))
    assert [row["points"] for row in runs] == ["4", "4", "1", "0", "0"], "nothing is repeated"


def test_curves_of_version_1_are_its_rows(old):
    names = ("log10_norm_mean", "log10_norm_min", "log10_norm_max")
    connection = sqlite3.connect(old)
    stored = connection.execute(f"SELECT step, {', '.join(names)} FROM profile").fetchall()
    connection.close()

    def numbers(cells):
        return tuple(float(cell) if cell not in (None, "") else None for cell in cells)

    printed = [numbers([row["step"], *(row[name] for name in names)]) for row in table("profile", old)]
    assert sorted(map(repr, printed)) == sorted(repr(numbers(row)) for row in stored)
    assert any(low < mean < high for _, mean, low, high in stored if None not in (low, mean, high))


def test_version_1_goes_on_with_more(old):
    options = [*STORED]
    options[options.index("--rho") + 1] = "0.5,1,1.5"
    sweep(old, *options)
    assert [row["points"] for row in table("runs", old)][-1] == "2"
    assert_whole(old)


def test_a_sweep_without_profiles(database):
    full = sweep(database, *SMALL)
    bare = sweep(database.with_name("bare.db"), *SMALL, "--profiles", "no")
    assert table_text("decay", bare) == table_text("decay", full)
    assert len(table("profile", bare)) == 0
    assert "profiles = no" in table("runs", bare)[0]["spec"]
    assert bare.stat().st_size <= full.stat().st_size
    sweep(bare, *SMALL, "--profiles", "no")
    assert table("runs", bare)[-1]["points"] == "0"

    # curves that are wanted later are computed later
    sweep(bare, *SMALL)
    assert table_text("profile", bare) == table_text("profile", full)
    assert table_text("decay", bare) == table_text("decay", full)
    assert_whole(bare)


def test_profiles_as_a_key_of_the_spec_file(database, tmp_path):
    spec = tmp_path / "x.ini"
    spec.write_text("[sweep]\nhidden = 6\nsteps = 20\nseeds = 1\nprofiles = no\n")
    succeed("sweep", spec, "--quiet", "-o", database)
    assert len(table("profile", database)) == 0


def test_busy_share_of_the_engine(database):
    run = table("runs", sweep(database, *SMALL))[0]
    busy = float(run["engine_busy"])
    assert 0 < busy <= 1
    assert busy == pytest.approx(float(run["engine_s"]) / float(run["wall_s"]), rel=1e-15)
