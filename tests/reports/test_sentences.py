"""What the page and the heads of figures say in words."""

import math

import pytest

findings = pytest.importorskip("rhosweep_reports.findings")
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
    ((_, lines),) = summary.came_out(decay)
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
