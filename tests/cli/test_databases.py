"""Databases of earlier versions, and what a sweep keeps."""

import math
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import SMALL, assert_whole, small_with, succeed, sweep, table, table_text

DATA = Path(__file__).resolve().parents[1] / "data"
TABLES = ("decay", "profile", "clip", "throughput", "runs", "failures")
# Two of the sweeps that made the files: data/make_version.py
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


def copy_of(old_version, tmp_path):
    return shutil.copy(DATA / f"version{old_version}.db", tmp_path / "old.db")


@pytest.fixture(params=[1, 2, 3, 4, 5])
def old(request, tmp_path):
    return copy_of(request.param, tmp_path)


def test_tables_of_an_old_version_stay_through_an_upgrade(old):
    before, was = {name: table_text(name, old) for name in TABLES}, version(old)
    assert version(old) == was < 6, "reading changes nothing"
    for options in (STORED, RAW):
        sweep(old, *options)
    assert version(old) == 6
    assert_whole(old)
    for name in ("decay", "profile", "clip", "throughput", "failures"):
        assert table_text(name, old) == before[name], name
    runs = table("runs", old)
    assert table_text("runs", old).startswith(before["runs"].rstrip("\n"))
    stored = ["4", "4", "1"] if was < 4 else ["4", "4", "1", "1"]
    assert [row["points"] for row in runs] == [*stored, "0", "0"], "nothing is repeated"


def test_one_device_computed_before_version_5(old):
    for upgrade in (False, True):
        if upgrade:
            sweep(old, *STORED)
        assert {row["workers"] for row in table("runs", old)} == {"1"}
        assert {row["devices"] for row in table("runs", old) if row["points"] != "0"} == {"box:0:0"}
        for row in table("throughput", old):
            assert (row["host"], row["rank"], row["device_index"]) == ("box", "0", "0")


def test_curves_of_version_1_are_its_rows(tmp_path):
    old = copy_of(1, tmp_path)
    names = ("log10_norm_mean", "log10_norm_min", "log10_norm_max")
    connection = sqlite3.connect(old)
    stored = connection.execute(f"SELECT step, {', '.join(names)} FROM profile").fetchall()
    connection.close()

    def numbers(cells):
        return tuple(float(cell) if cell not in (None, "") else None for cell in cells)

    printed = [numbers([row["step"], *(row[name] for name in names)]) for row in table("profile", old)]
    assert sorted(map(repr, printed)) == sorted(repr(numbers(row)) for row in stored)
    assert any(low < mean < high for _, mean, low, high in stored if None not in (low, mean, high))


def test_an_old_version_goes_on_with_more(old):
    options = [*STORED]
    options[options.index("--rho") + 1] = "0.5,1,1.5"
    sweep(old, *options)
    assert [row["points"] for row in table("runs", old)][-1] == "2"
    assert_whole(old)


def test_an_old_version_goes_on_with_gradients(old):
    before = {name: table_text(name, old) for name in ("decay", "profile")}
    assert table_text("clip", old).count("\n") == (5 if version(old) >= 3 else 1)
    sweep(old, *STORED, "--clip", "0.5")
    rows = table("clip", old)
    assert [(row["rho_asked"], row["seed"]) for row in rows] == \
        [("0.5", "1"), ("0.5", "2"), ("1.5", "1"), ("1.5", "2")]
    assert {name: table_text(name, old) for name in before} == before
    assert_whole(old)


# --- gradients ------------------------------------------------------------------------------------


def norms_of(row):
    return [float(row[name]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def test_clip_is_what_pytorch_computes(database):
    rows = table("clip", sweep(database, *SMALL, "--clip", "0.25", "--engine", "reference"))
    assert len(rows) == 9
    for row in rows:
        total = math.hypot(*norms_of(row))
        coefficient = min(1.0, 0.25 / (total + 1e-6))
        assert min(norms_of(row)) > 0 and row["loss"] == "last-mean"
        assert float(row["total"]) == pytest.approx(total, rel=1e-13)
        assert float(row["clip_coef"]) == pytest.approx(coefficient, rel=1e-13)
        assert float(row["total_clipped"]) == pytest.approx(total * coefficient, rel=1e-13)
        assert float(row["max_norm"]) == 0.25


def test_another_norm_to_clip_to_computes_nothing(database, tmp_path):
    spec = tmp_path / "x.ini"
    spec.write_text("[sweep]\nclip = 0.25\n")
    succeed("sweep", spec, "--quiet", "-o", database, *SMALL)
    assert "clip = 0.25" in table("runs", database)[0]["spec"]
    for clip in ("2", "0.25", "1e-3"):
        sweep(database, *SMALL, "--clip", clip)
    assert [row["points"] for row in table("runs", database)] == ["9", "0", "0", "0"]
    rows = table("clip", database)
    assert [row["max_norm"] for row in rows] == 9 * ["0.001", "0.25", "2"]
    assert len({(row["seed"], row["rho_asked"], *norms_of(row)) for row in rows}) == 9
    assert_whole(database)


def test_a_norm_is_asked_for_cases_of_the_sweep_alone(database):
    sweep(database, *small_with("--seeds", "1:4"), "--clip", "1")
    sweep(database, *small_with("--seeds", "1,3"), "--clip", "5")
    asked = {(row["seed"], row["max_norm"]) for row in table("clip", database)}
    assert asked == {(seed, "1") for seed in "1234"} | {("1", "5"), ("3", "5")}


def test_gradients_and_curves_come_in_any_order(database):
    whole = sweep(database, *SMALL, "--clip", "1")
    tables = ("decay", "profile", "clip")
    for name, first, then in (("gradients last", [], ["--clip", "1"]),
                              ("curves last", ["--clip", "1", "--profiles", "no"], []),
                              ("gradients alone last", [], ["--clip", "1", "--profiles", "no"])):
        other = sweep(database.with_name(f"{name}.db"), *SMALL, *first)
        assert table_text("clip" if "--clip" not in first else "profile", other).count("\n") == 1
        sweep(other, *SMALL, *then)
        for printed in tables:
            assert table_text(printed, other) == table_text(printed, whole), (name, printed)
        sweep(other, *SMALL, "--clip", "1")
        assert [run["points"] for run in table("runs", other)] == ["9", "9", "0"]
        assert_whole(other)


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


# --- gated and leaky cells ------------------------------------------------------------------------

GATED = ("--cell", "lstm,gru,tanh", *small_with("--gate-bias", "drawn,1", "--leak", "0.5,1"))


def test_both_states_of_a_pair(database):
    rows = table("profile", sweep(database, *GATED))
    states = {row["cell"]: {other["state"] for other in rows if other["cell"] == row["cell"]}
              for row in rows}
    assert states == {"lstm": {"h", "c", "both"}, "gru": {"h"}, "tanh": {"h"}}
    of_pair = [row for row in rows if row["cell"] == "lstm"]
    assert len(of_pair) == 2 * 3 * 3 * 3 * 40
    norms = {(row["gate_bias"], row["seed"], row["rho_asked"], row["step"], row["state"]):
             float(row["log10_norm_max"]) for row in of_pair}
    for (*point, step, state), norm in norms.items():
        both = norms[(*point, step, "both")]
        assert norm <= both and both <= math.log10(math.sqrt(2)) + 1e-9 + \
            max(norms[(*point, step, one)] for one in "hc")
        assert (norm == -math.inf) == (state == "c" and step == "40"), "L depends on h alone"
    # fp16 gradients become 0 where the smallest norm, spread over h and c, rounds to 0
    tiny = math.log10(2**-25) + 0.5 * math.log10(2 * 12)
    lost = {}
    for row in of_pair:
        key, back = (row["gate_bias"], row["rho_asked"]), 40 - int(row["step"])
        if row["state"] == "both" and float(row["log10_norm_min"]) < tiny:
            lost[key] = min(back, lost.get(key, back))
    found = {(row["gate_bias"], row["rho_asked"]): int(row["fp16_underflow"])
             for row in table("decay", database) if row["cell"] == "lstm" and row["fp16_underflow"]}
    assert found == lost != {}
    assert {(row["cell"], row["gate_bias"], row["gate_scale"], row["leak"]) for row in rows} == \
        {("lstm", "drawn", "same", ""), ("lstm", "1", "same", ""), ("gru", "drawn", "same", ""),
         ("gru", "1", "same", ""), ("tanh", "", "", "0.5"), ("tanh", "", "", "1")}


def test_gates_leaks_and_curves_come_in_any_order(database):
    whole = sweep(database, *GATED)
    other = database.with_name("other.db")
    sweep(other, *small_with("--cell", "lstm,tanh", "--gate-bias", "1", "--leak", "1"))
    sweep(other, *small_with("--cell", "lstm,gru", "--profiles", "no"))
    sweep(other, *GATED, "--memory", "16M", "--threads", "1")
    sweep(other, *GATED)
    for name in ("decay", "critical", "seeds", "profile"):
        assert table_text(name, other) == table_text(name, whole), name
    # of 54 points 18 are there, and 18 others lack their curves
    assert [run["points"] for run in table("runs", other)] == ["18", "18", "36", "0"]
    assert_whole(other)


def test_an_old_version_goes_on_with_gates(old):
    before = table_text("decay", old).splitlines()
    sweep(old, *small_with("--cell", "lstm", "--seeds", "1"))
    assert set(before) < set(table_text("decay", old).splitlines())
    assert {row["state"] for row in table("profile", old)} == {"h", "c", "both"}
    sweep(old, *STORED)
    assert table("runs", old)[-1]["points"] == "0"
    assert_whole(old)


def test_a_line_for_every_gate_bias_and_leak(database):
    words = succeed("sweep", "-o", database, *GATED)
    for kind in ("lstm, gaussian, gate bias drawn:", "lstm, gaussian, gate bias 1:",
                 "gru, gaussian, gate bias 1:", "tanh, gaussian, leak 0.5:"):
        assert words.count(kind) == 1, words
    words = succeed("sweep", "-o", database, "--cell", "lstm", *small_with("--gate-bias", "1"))
    assert "lstm, gaussian:" in words
