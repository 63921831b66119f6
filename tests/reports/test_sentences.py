"""What the page and the heads of figures say in words."""

import math

import pytest

findings = pytest.importorskip("rhosweep_reports.findings")
headlines = pytest.importorskip("rhosweep_reports.headlines")
summary = pytest.importorskip("rhosweep_reports.summary")
from rhosweep_reports.table import Table  # noqa: E402

NETWORK = {"cell": "tanh", "ensemble": "gaussian", "hidden": "8", "steps": "40", "batch": "3",
           "input": "zero", "input_size": "0", "h0": "zero", "warmup": "0", "loss": "random",
           "fit_skip": "10", "gate_bias": "", "gate_scale": "", "leak": "1", "precision": "f32", "raw": "0", "engine": "cpu", "model": "",
           "model_digest": "", "rho": "0.5", "rho_asked": "0.5", "g": "0.4", "seeds": "3",
           "decay_rate": "0.7", "regime": "vanishing"}
RUN = {"device": "A CPU", "engine": "cpu", "host": "here", "version": "1.0", "git_commit": "abc",
       "points": "30"}


def table(name, common, *changes):
    rows = [common | change for change in changes]
    return Table.from_rows(name, tuple(common), rows)


def test_points_are_those_of_all_runs():
    (told,) = summary.ran(table("runs", RUN, {}, {"points": "4"}, {"points": "0"}))
    assert told.startswith("34 points ") and " in 3 runs by rhosweep 1.0 (abc) " in told


def test_sizes_come_in_order():
    decay = table("decay", NETWORK, *({"hidden": size} for size in ("1000", "64", "8")))
    ((_, lines),) = summary.came_out(decay, {})
    assert [line.partition(":")[0] for line in lines] == ["H = 8", "H = 64", "H = 1000"]


@pytest.mark.parametrize(("count", "told"), [("1", "1 seed"), ("2", "2 seeds")])
def test_number_of_seeds(count, told):
    assert findings.seeds(table("decay", NETWORK, {"seeds": count})) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [({}, "input zero, loss random, B = 3, f32"),
     ({"h0": "normal:1"}, "input zero, h0 normal:1, loss random, B = 3, f32"),
     ({"raw": "1"}, "input zero, loss random, B = 3, f32, raw")],
)
def test_setting(change, told):
    assert findings.setting(table("decay", NETWORK, change)) == told


def test_limits_are_of_norms_spread_over_all_units():
    low, high = findings.limits_log10(100)["fp16"]
    assert low == pytest.approx(math.log10(2.0**-25) + 1.0)
    assert high == pytest.approx(math.log10(65504.0) + 1.0)


# --- headlines ------------------------------------------------------------------------------------

OF_A_RADIUS = ("rho", "rho_asked", "g", "decay_rate", "regime")
POINT = {column: NETWORK[column] for column in NETWORK if column not in OF_A_RADIUS} | {
    "rho_critical": "1.609", "rho_critical_ci95_low": "1.588", "rho_critical_ci95_high": "1.6364",
    "g_critical": "1.55740", "g_critical_ci95_low": "1.5556", "g_critical_ci95_high": "1.5592",
    "g_predicted": "1.5496739"}


def radii(regimes, **changes):
    """A decay table with a class for each radius, from 0.5 on."""
    rows = [changes | {"rho": str(0.5 * at), "rho_asked": str(0.5 * at), "regime": regime}
            for at, regime in enumerate(regimes, start=1)]
    return table("decay", NETWORK | {"prediction": "mean field"}, *rows)


def told(decay, *points):
    return list(headlines.headlines(decay, headlines.points(table("critical", POINT, *points))))


def test_a_headline_has_uncertainty_and_theory():
    assert told(radii(["vanishing", "mixed", "exploding"]), {}) == [
        "Gaussian tanh networks: gradients turn from vanishing to exploding at g* = 1.5574 [1.5556, 1.5592] "
        "(ρ* = 1.609 [1.588, 1.636]), H = 8; mean field, for H → ∞: g* = 1.5497."]


def test_a_turn_without_explosion_is_none():
    (line,) = told(radii(["vanishing", "slow"]), {})
    assert "gradients begin to grow at g* = 1.5574" in line and "exploding" not in line


@pytest.mark.parametrize(("regimes", "what"), [
    (["vanishing", "slow", "slow"],
     "gradients explode at no radius up to ρ = 1.5; at H = 8 they vanish at ρ = 0.5, "
     "change less than 1000-fold in 40 steps from ρ = 1 to 1.5."),
    (["slow", "exploding"], "gradients vanish at no radius from ρ = 0.5 on; at H = 8 they change"),
    (["exploding", "vanishing"], "no critical radius from ρ = 0.5 to 1; at H = 8 they explode")])
def test_headlines_without_a_critical_radius(regimes, what):
    (line,) = told(radii(regimes), {"rho_critical": ""})
    assert line.startswith("Gaussian tanh networks: " + what)


def test_a_headline_is_of_the_largest_and_names_the_smallest():
    regimes = ["vanishing", "exploding"]
    rows = [row for size in ("64", "1000", "128") for row in radii(regimes, hidden=size).rows()]
    decay = Table.from_rows("decay", tuple(rows[0]), rows)
    points = [{"hidden": size, "g_critical": f"1.6{at}"} for at, size in enumerate(("64", "1000", "128"))]
    (line,) = told(decay, *points)
    assert "H = 1000; mean field" in line and " At H = 64, g* = 1.6000 [" in line


def test_headlines_name_what_differs():
    rows = [row for leak in ("0.5", "1") for row in radii(["vanishing", "slow"], leak=leak).rows()]
    lines = told(Table.from_rows("decay", tuple(rows[0]), rows), {"rho_critical": ""})
    assert [line.partition(":")[0] for line in lines] == [
        "Gaussian tanh networks (leak 0.5)", "Gaussian tanh networks (leak 1)"]


def test_many_inputs_are_one_headline():
    inputs = [f"noise:{level}" for level in ("1.5", "0.05", "0.5", "1")]
    rows = [row for name in inputs for row in radii(["vanishing", "exploding"], input=name).rows()]
    decay = Table.from_rows("decay", tuple(rows[0]), rows)
    (line,) = told(decay, *({"input": name, "g_predicted": ""} for name in inputs))
    assert "with input noise:0.05, and at g* = 1.5574 [1.5556, 1.5592] with input noise:1.5." in line
    assert "other 2 inputs" in line


@pytest.mark.parametrize(("value", "low", "high", "text"), [
    (1.5574, 1.5556, 1.5592, "1.5574 [1.5556, 1.5592]"),
    (1.609, 1.588, 1.6364, "1.609 [1.588, 1.636]"),
    (1.0, 1.0, 1.0, "1"),
    (1.0, math.nan, math.nan, "1"),  # of one seed
    (1.92, 1.7584, math.inf, "1.92 [1.76, beyond the radii swept]"),
    (1.92, 0.0, math.inf, "1.92 [beyond the radii swept, beyond the radii swept]"),
    (1e-9, 0.9e-9, 1.1e-9, "1.00 [0.90, 1.10]e-09"),
    (1234.5, 1200.0, 1270.0, "1234 [1200, 1270]"),
])
def test_values_end_where_their_interval_does(value, low, high, text):
    assert findings.bounded(value, low, high) == text
