"""Predictions beside measurements: tanh networks of 512 Gaussian units that noise drives follow
mean-field theory, and stop growing at the coupling that it names."""

import math

import numpy as np
import pytest

from conftest import sweep, table

# g is about 3% below rho at 512 units.
RADII = {0.3: "1.2,1.35,1.5,2,3", 0.5: "0.7,1.2,1.5,1.65,2,3", 1.0: "0.5,1,1.5,1.8,2,3"}
CRITICAL_COUPLING = {0.3: 1.396, 0.5: 1.550, 1.0: 1.856}  # where chi = 1
TOLERANCE = 0.008  # at 512 units, with the finite-size correction


@pytest.fixture(scope="module", params=sorted(RADII))
def driven(request, tmp_path_factory):
    """The strength of the noise, and the rows of the decay table."""
    sigma = request.param
    database = sweep(
        tmp_path_factory.mktemp("driven") / "results.db",
        "--hidden", 512, "--rho", RADII[sigma], "--input", f"noise:{sigma}", "--loss", "random",
        "--warmup", 200, "--steps", 250, "--batch", 16, "--seeds", "1:3",
    )
    return sigma, table("decay", database)


def test_rates_are_as_predicted(driven):
    sigma, rows = driven
    assert len(rows) == len(RADII[sigma].split(","))
    for row in rows:
        assert row["prediction"] == "mean field", row
        assert float(row["decay_rate"]) == pytest.approx(float(row["predicted_rate"]), abs=TOLERANCE)
        assert float(row["decay_rate"]) > float(row["decay_rate_bound"])


def crossing(points):
    """Where the line through neighbouring (g, rate) first meets 0."""
    for (g, rate), (next_g, next_rate) in zip(points, points[1:]):
        if rate > 0 >= next_rate:
            return g + (next_g - g) * rate / (rate - next_rate)
    raise AssertionError(f"no rate changes its sign: {points}")


def test_critical_coupling(driven):
    sigma, rows = driven
    points = sorted((float(row["g"]), float(row["decay_rate"])) for row in rows)
    assert crossing(points) == pytest.approx(CRITICAL_COUPLING[sigma], rel=0.02)


def test_other_laws(tmp_path):
    """Closed forms, to the digits that are left."""
    database = sweep(tmp_path / "results.db", "--hidden", 16, "--rho", "0.9,3", "--steps", 60,
                     "--cell", "linear", "--ensemble", "orthogonal,identity",
                     "--precision", "f64", "--seeds", "1:2", "--loss", "random")
    sweep(database, "--hidden", 16, "--rho", "0.9,3", "--steps", 60, "--warmup", 400,
          "--cell", "tanh", "--ensemble", "identity", "--input", "zero", "--h0", "normal:1",
          "--precision", "f64", "--seeds", "1:2", "--loss", "random")
    rows = table("decay", database)
    laws = [(row["cell"], row["prediction"]) for row in rows]
    assert laws == 4 * [("linear", "ln rho")] + 2 * [("tanh", "identity fixed point")]
    for row in rows:
        assert float(row["decay_rate"]) == pytest.approx(float(row["predicted_rate"]), rel=1e-9)


def test_no_prediction_where_none_is_known(tmp_path):
    (row,) = table("decay", sweep(tmp_path / "results.db", "--rho", "1", "--hidden", 16,
                                  "--steps", 30, "--seeds", "1"))
    assert row["input"] == "pytorch"
    assert row["predicted_rate"] == row["prediction"] == ""


# --- gated and leaky cells ------------------------------------------------------------------------

RESTING = ("--input", "zero", "--loss", "random", "--engine", "cpu")


def assert_predicted(rows, law, **tolerance):
    for row in rows:
        assert row["prediction"] == law, row
        rate = pytest.approx(float(row["predicted_rate"]), **tolerance)
        assert float(row["decay_rate"]) == rate, row


def rows_of(rows, **settings):
    found = [row for row in rows if all(row[name] == value for name, value in settings.items())]
    assert found, settings
    return found


def test_gates_at_the_zero_state(tmp_path):
    """To the tolerance that host/fit/theory.h states, and exactly for the identity."""
    options = ("--cell", "lstm,gru", "--steps", 100, "--rho", "0.5,1,1.25,2,2.5",
               "--gate-bias", "drawn,1", *RESTING)
    database = sweep(tmp_path / "results.db", *options, "--hidden", 256, "--seeds", "1:6")
    sweep(database, *options, "--hidden", 64, "--seeds", "1:2", "--ensemble", "orthogonal,identity",
          "--precision", "f64", "--gate-scale", "native")
    rows = table("decay", database)
    assert len(rows) == 3 * 2 * 2 * 5
    laws = {"lstm": ("ln(f + g/4)", "ln(f + rho/4)"),
            "gru": ("ln(z + (1 - z) g/2)", "ln(z + (1 - z) rho/2)")}
    for cell, (of_g, of_rho) in laws.items():
        assert_predicted(rows_of(rows, cell=cell, ensemble="gaussian"), of_g, abs=0.03)
        assert_predicted(rows_of(rows, cell=cell, ensemble="orthogonal"), of_rho, abs=0.015)
        assert_predicted(rows_of(rows, cell=cell, ensemble="identity"), of_rho, abs=1e-12)
    for row in table("critical", database):
        lstm, given = row["cell"] == "lstm", row["gate_bias"] == "1"
        assert float(row["g_predicted"]) == pytest.approx(1.0757657 if lstm and given else 2)
        if row["ensemble"] != "identity":
            assert float(row["g_critical"]) == pytest.approx(float(row["g_predicted"]), rel=0.06)


def test_memory_gates_alone(tmp_path):
    """-ln sigma(b): the rate of an imported network whose weight_hh is 0."""
    biases = ("-1", "0", "1", "2", "5", "30")
    database = tmp_path / "results.db"
    for gates in (4, 3):
        model = tmp_path / f"{gates}.npz"
        np.savez(model, weight_hh_l0=np.zeros((gates * 6, 6)), weight_ih_l0=np.ones((gates * 6, 2)))
        for precision in ("f32", "f64"):
            sweep(database, "--model", model, "--rho", "native", "--gate-bias", ",".join(biases),
                  "--steps", 60, "--seeds", 1, "--precision", precision, *RESTING)
    rows = table("decay", database)
    assert sorted(row["gate_bias"] for row in rows) == sorted(4 * biases)
    for row in rows:
        exact = math.log1p(math.exp(-float(row["gate_bias"])))
        assert float(row["predicted_rate"]) == pytest.approx(exact, rel=1e-12, abs=0)
        tolerance = 1e-6 if row["precision"] == "f32" else 1e-14
        assert float(row["decay_rate"]) == pytest.approx(exact, rel=1e-13, abs=tolerance), row
    assert {(row["cell"], row["prediction"]) for row in rows} == {("lstm", "ln f"), ("gru", "ln z")}


def test_leaky_cells(tmp_path):
    options = ("--rho", "0.5,1,2", "--leak", "0.25,0.75", "--loss", "random", "--engine", "cpu")
    database = sweep(tmp_path / "results.db", "--cell", "linear", "--hidden", 256, "--steps", 100,
                     "--seeds", "1:8", *options)
    sweep(database, "--cell", "linear,tanh", "--hidden", 16, "--steps", 60, "--seeds", "1:2",
          "--ensemble", "identity", "--precision", "f64", "--input", "zero", "--h0", "normal:1",
          "--warmup", 400, *options)
    rows = table("decay", database)
    assert_predicted(rows_of(rows, ensemble="gaussian"), "ln(1 - A + A g)", abs=0.03)
    assert_predicted(rows_of(rows, ensemble="identity", cell="linear"), "ln(1 - A + A rho)",
                     abs=1e-12)
    moving = [row for row in rows_of(rows, cell="tanh") if float(row["rho"]) != 1]
    assert_predicted(moving, "identity fixed point", rel=1e-9)
    for row in rows:
        assert float(row["decay_rate"]) >= float(row["decay_rate_bound"]) - 1e-9
