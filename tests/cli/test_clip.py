"""Norms of the weights' gradients, and what clipping does to them: sweep --clip and table clip."""

import math
import random
import signal
import subprocess
import time

import pytest

import conftest
from conftest import SMALL, assert_one_line, assert_whole, rhosweep, small_with, sweep, table, table_text

CONTRACT = ("cell", "ensemble", "hidden", "rho", "seed", "loss", "weight_ih", "weight_hh", "bias_ih",
            "bias_hh", "total", "clip_coef", "total_clipped")
GRADIENTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
POINTS = 9  # of the small sweep
CELLS = "tanh,relu,linear,lstm,gru"


def points_of_runs(database):
    """Points that each run computed."""
    return [int(row["points"]) for row in table("runs", database)]


def test_columns_and_rows(database):
    sweep(database, *SMALL, "--clip", "0.5")
    rows = table("clip", database)
    assert list(rows[0])[: len(CONTRACT)] == list(CONTRACT)
    assert len(rows) == POINTS
    assert {row["max_norm"] for row in rows} == {"0.5"}
    assert [float(row["rho"]) for row in rows] == pytest.approx([0.5] * 3 + [1.0] * 3 + [1.5] * 3)


def expect_clipped(row, max_norm):
    """As torch.nn.utils.clip_grad_norm_ does; both biases count."""
    total = math.hypot(*(float(row[kind]) for kind in GRADIENTS))
    assert float(row["total"]) == pytest.approx(total, rel=1e-14)
    coefficient = min(1.0, max_norm / (total + 1e-6))
    assert float(row["clip_coef"]) == pytest.approx(coefficient, rel=1e-14)
    assert float(row["total_clipped"]) == pytest.approx(total * coefficient, rel=1e-14)
    assert (row["bias_ih"] == row["bias_hh"]) == (row["cell"] != "gru"), "r stands between them"
    return coefficient < 1


@pytest.mark.parametrize("loss", ["last-mean", "all-mean", "random"])
def test_total_and_coefficient(loss, database):
    """Nothing at 1000, everything at 1e-9, and at 0.5 some of both."""
    sweep(database, *small_with("--cell", CELLS, "--loss", loss, "--rho", "0.3,1,2"))
    hits = {}
    for max_norm in (1000.0, 0.5, 1e-9):
        sweep(database, *small_with("--cell", CELLS, "--loss", loss, "--rho", "0.3,1,2", "--clip",
                                    str(max_norm)))
        rows = [row for row in table("clip", database) if float(row["max_norm"]) == max_norm]
        assert len(rows) == 5 * 9
        assert all(row["loss"] == loss for row in rows)
        hits[max_norm] = {expect_clipped(row, max_norm) for row in rows if row["cell"] == "tanh"}
    assert hits[1e-9] == {True}
    assert hits[1000.0] == {False}


@pytest.mark.parametrize("drive", ["zero", "noise:0.5", "pytorch"])
def test_only_a_weighted_input_has_weight_ih(drive, database):
    sweep(database, *SMALL, "--input", drive, "--h0", "normal:1", "--clip", "1")
    for row in table("clip", database):
        assert (float(row["weight_ih"]) > 0) == (drive == "pytorch")
        assert float(row["weight_hh"]) > 0
        assert float(row["bias_ih"]) > 0


def test_nothing_else_changes(tmp_path):
    """Rates and curves are the same bits beside gradients of the weights and without them."""
    options = ["--cell", CELLS, "--leak", "0.5,1", "--gate-bias", "1"]
    plain = sweep(tmp_path / "plain.db", *SMALL, *options)
    clipped = sweep(tmp_path / "clipped.db", *SMALL, *options, "--clip", "1")
    for name in "decay", "profile", "seeds":
        assert table_text(name, plain) == table_text(name, clipped)
    assert table("clip", plain) == []
    assert len(table("clip", clipped)) == (3 * 2 + 2) * POINTS


def test_a_batch_is_not_cut(database):
    """Gradients are sums over the whole batch of a radius, which must fit."""
    shape = ["--hidden", "32", "--steps", "100", "--batch", "512", "--seeds", "1", "--rho", "1",
             "--memory", "2M"]
    sweep(database, *shape)
    done = rhosweep("sweep", *shape, "--clip", "1", "--output", database)
    assert "one radius" in assert_one_line(done, 2)
    sweep(database, *shape[:-2], "--clip", "1")
    assert len(table("clip", database)) == 1


# One linear unit without input: q_t = 3^(T-t) and h_t = 3^t h_0.
ONE_UNIT = ["--cell", "linear", "--ensemble", "identity", "--hidden", "1", "--rho", "3", "--steps", "200",
            "--batch", "1", "--seeds", "1", "--input", "zero", "--loss", "last-mean", "--clip", "1"]


def test_beyond_the_range_of_a_float(database):
    """Of biases that is, (3^200 - 1) / 2: states have no exponent beside them."""
    sweep(database, *ONE_UNIT)
    (row,) = table("clip", database)
    bias = (3**200 - 1) / 2
    total = bias * math.sqrt(2)
    want = {"weight_ih": 0, "weight_hh": 0, "bias_ih": bias, "bias_hh": bias, "total": total,
            "clip_coef": 1 / total, "total_clipped": 1}
    for column, value in want.items():
        assert float(row[column]) == pytest.approx(value, rel=1e-5), column


@pytest.mark.parametrize(("h0", "weight_hh"), [("zero", math.nan), ("normal:1e-30", math.inf)])
def test_raw_shows_what_training_would_see(h0, weight_hh, database):
    """clip_grad_norm_ makes NaN of inf: it multiplies it by 1 / inf."""
    sweep(database, *ONE_UNIT, "--raw", "--h0", h0)
    (row,) = table("clip", database)
    assert float(row["weight_ih"]) == 0
    assert float(row["weight_hh"]) == pytest.approx(weight_hh, nan_ok=True)
    assert float(row["bias_ih"]) == float(row["bias_hh"]) == math.inf
    assert float(row["total"]) == pytest.approx(weight_hh, nan_ok=True)
    assert float(row["clip_coef"]) == pytest.approx(0 if h0 != "zero" else math.nan, nan_ok=True)
    assert math.isnan(float(row["total_clipped"]))


SHAPE = ["--cell", "tanh,relu,lstm,gru", "--hidden", "37", "--steps", "60", "--batch", "5", "--seeds", "1:3",
         "--rho", "0.3:2.1:0.2", "--clip", "0.1"]


@pytest.fixture(scope="module", params=["f32", "f64"])
def whole(request, tmp_path_factory):
    """Options, and the clip table of a plain run."""
    options = [*SHAPE, "--precision", request.param]
    database = sweep(tmp_path_factory.mktemp("plain") / "plain.db", "--threads", 1, *options)
    return options, table_text("clip", database)


@pytest.mark.parametrize("cut", [["--threads", "3"], ["--memory", "6M"], ["--memory", "20M"],
                                 ["--profiles", "no"]], ids=" ".join)
def test_no_bit_depends_on_how_the_work_is_cut(cut, whole, database):
    options, expected = whole
    sweep(database, *options, *cut)
    assert table_text("clip", database) == expected


def test_radii_added_later(whole, database):
    options, expected = whole
    first = list(options)
    first[first.index("--rho") + 1] = "0.3,1.1,1.9"
    sweep(database, *first)
    sweep(database, *options)
    assert table_text("clip", database) == expected


@pytest.mark.parametrize("old", [[], ["--profiles", "no"]], ids=["with profiles", "without"])
def test_a_database_made_without_clip_is_completed(old, tmp_path, database):
    """By computing again what has no gradients, which changes nothing that was there."""
    sweep(database, *SMALL, *old)
    assert table("clip", database) == []
    before = table_text("decay", database)
    sweep(database, *SMALL, "--clip", "1")
    assert points_of_runs(database) == [POINTS, POINTS]
    assert table_text("decay", database) == before
    fresh = sweep(tmp_path / "fresh.db", *SMALL, "--clip", "1")
    for name in "clip", "decay", "profile":
        assert table_text(name, database) == table_text(name, fresh)
    assert_whole(database)


def test_another_norm_computes_nothing(database):
    sweep(database, *SMALL, "--clip", "1")
    first = table("clip", database)
    sweep(database, *SMALL, "--clip", "0.01")
    sweep(database, *SMALL, "--clip", "1")
    sweep(database, *SMALL)
    assert points_of_runs(database) == [POINTS, 0, 0, 0]
    rows = table("clip", database)
    assert [row for row in rows if row["max_norm"] == "1"] == first
    other = [row for row in rows if row["max_norm"] == "0.01"]
    assert len(rows) == 2 * POINTS
    for row, same in zip(other, first, strict=True):
        assert [row[kind] for kind in GRADIENTS] == [same[kind] for kind in GRADIENTS]
        assert float(row["total_clipped"]) <= 0.01


def test_some_radii_with_gradients_and_some_without(database):
    """What is missing is computed, and no more."""
    sweep(database, *small_with("--rho", "0.5,1"))
    sweep(database, *small_with("--rho", "1,1.5", "--clip", "1"))
    assert len(table("clip", database)) == 6
    sweep(database, *SMALL, "--clip", "1")
    assert len(table("clip", database)) == POINTS
    assert points_of_runs(database) == [6, 6, 3]


def test_a_spec_file_asks_for_it(tmp_path, database):
    spec = tmp_path / "clip.ini"
    spec.write_text("[sweep]\nhidden = 8\nsteps = 20\nseeds = 1\nrho = 1\nclip = 0.25\n")
    sweep(database, spec)
    assert [row["max_norm"] for row in table("clip", database)] == ["0.25"]
    again = tmp_path / "again.ini"
    again.write_text(table("runs", database)[0]["spec"])
    sweep(database, again)
    assert points_of_runs(database) == [1, 0]
    sweep(database, spec, "--clip", "4")
    assert [row["max_norm"] for row in table("clip", database)] == ["0.25", "4"]


@pytest.mark.parametrize("output_format", ["md", "json"])
def test_formats(output_format, database):
    sweep(database, *SMALL, "--clip", "1")
    text = table_text("clip", database, output_format)
    assert "total" in text and "coef" in text
    assert text.count("gaussian") == POINTS


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "1e999", "", "x", "1,2", "1:2:1",
                                   "0x", "1 2", "1e-999"])
@pytest.mark.parametrize("where", ["option", "spec"])
def test_a_bad_norm_is_refused(value, where, tmp_path):
    options = ["--clip", value]
    if where == "spec":
        (tmp_path / "bad.ini").write_text(f"[sweep]\nclip = {value}\n")
        options = ["bad.ini"]
    done = rhosweep("sweep", *options, *SMALL, "--output", "results.db", cwd=tmp_path)
    assert "clip" in assert_one_line(done, 2)
    assert not (tmp_path / "results.db").exists()


LONG = ["--hidden", "96", "--steps", "300", "--batch", "16", "--seeds", "1:16", "--cell", "tanh,relu",
        "--rho", "0.5:2.25:0.25", "--input", "noise:0.5", "--clip", "1"]


def tables(database):
    return [table_text(name, database) for name in ("clip", "decay", "profile")]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Tables of the sweep done in one go, and the seconds it took."""
    database = tmp_path_factory.mktemp("whole") / "whole.db"
    start = time.monotonic()
    sweep(database, *LONG)
    return tables(database), time.monotonic() - start


def stop_after(seconds, name, database):
    process = subprocess.Popen(
        [conftest.PROGRAM, "sweep", "--quiet", "--output", database, *LONG],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    time.sleep(seconds)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=conftest.TIMEOUT)
    return process.returncode


@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGINT", 130)])
def test_interrupted_and_resumed(name, code, uninterrupted, database):
    expected, seconds = uninterrupted
    moments = random.Random(7)
    ends = [stop_after(moments.uniform(0.1, 0.4) * seconds, name, database) for _ in range(3)]
    assert ends[0] == code
    assert set(ends) <= {0, code}
    assert_whole(database)
    sweep(database, *LONG)
    assert tables(database) == expected


def test_interrupted_while_it_adds_gradients(uninterrupted, database):
    """Points keep what they had until they have both."""
    expected, seconds = uninterrupted
    without = LONG[: LONG.index("--clip")]
    sweep(database, *without)
    assert stop_after(0.4 * seconds, "SIGKILL", database) in (0, -signal.SIGKILL)
    assert_whole(database)
    assert [table_text(name, database) for name in ("decay", "profile")] == expected[1:]
    sweep(database, *LONG)
    assert tables(database) == expected
