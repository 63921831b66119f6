"""Predictions beside measurements: tanh networks of 512 Gaussian units that noise drives follow
mean-field theory, and stop growing at the coupling that it names."""

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
