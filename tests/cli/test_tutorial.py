"""The spec files in sweeps/ say what they claim to say. Figures of 200 seeds drawn elsewhere, in
float64, are known for the two experiments of the tutorial: decay rates 0.65 +- 0.13 and 1.53 +- 0.22
(mean and standard deviation), and median norms at t = 1 of 5.5e-15 and 2.6e-34."""

import math
from collections import defaultdict
from statistics import mean, median, stdev

import pytest

from conftest import ROOT, sweep, table

SWEEPS = ROOT / "sweeps"


def run_spec(name, folder):
    return sweep(folder / "results.db", SWEEPS / name)


def norms_at(step, database):
    return [float(r["log10_norm_mean"]) for r in table("profile", database) if r["step"] == str(step)]


@pytest.mark.parametrize(
    ("name", "rate", "spread", "norm", "rho"),
    [
        ("tutorial_vanishing.ini", 0.65, 0.13, 5.5e-15, None),
        ("tutorial_exploding.ini", 1.53, 0.22, 2.6e-34, 2.0),
    ],
)
def test_tutorial_experiment(name, rate, spread, norm, rho, tmp_path):
    database = run_spec(name, tmp_path)
    (row,) = table("decay", database)
    assert row["seeds"] == "200"
    # Means of 200 seeds from end to end of the curve; their standard errors are 0.009 and 0.016.
    # The fitted slope leaves out the steps next to the loss, where the gradient decays slower.
    first, last = norms_at(1, database), norms_at(50, database)
    rates = [(b - a) * math.log(10) / 49 for a, b in zip(first, last)]
    assert mean(rates) == pytest.approx(rate, abs=0.05)
    assert stdev(rates) == pytest.approx(spread, abs=0.05)
    assert float(row["decay_rate"]) == pytest.approx(rate, abs=0.1)
    assert row["regime"] == "vanishing"
    assert float(row["growing_fraction"]) == 0
    # Medians of 200: a standard error of about 0.3 and 0.4 decades each.
    assert median(first) == pytest.approx(math.log10(norm), abs=1.2)
    assert last == pytest.approx([math.log10(0.1 * math.sqrt(10))] * 200)
    if rho:
        assert float(row["rho"]) == rho
        assert float(row["g"]) == rho


def test_explodes_for_real(tmp_path):
    database = run_spec("tutorial_explodes_for_real.ini", tmp_path)
    kinds = set()
    for row in table("decay", database):
        if float(row["rho"]) > 2.5:
            assert row["regime"] == "exploding", row
            assert float(row["growing_fraction"]) == 1
            kinds.add(row["cell"])
    assert kinds == {"tanh", "relu", "linear"}


def test_explodes_raw(tmp_path):
    """Plain float32 comes to inf and then NaN, and the table names the step."""
    database = run_spec("tutorial_explodes_raw.ini", tmp_path)
    seen = defaultdict(set)
    for row in table("profile", database):
        text = row["log10_norm_max"]
        seen[row["cell"]].add(text if text in ("inf", "") else "finite")
    assert all(kinds == {"finite", "inf", ""} or kinds == {"finite", ""} for kinds in seen.values())
    assert {"inf", ""} <= set.union(*seen.values())
    for row in table("decay", database):
        assert int(float(row["backward_nonfinite"])) > 0, row


def clipped_share(rows):
    return mean(float(row["clip_coef"]) < 1 for row in rows)


def test_clipping_finds_little_to_clip(tmp_path):
    """PyTorch's clip_grad_norm_ says of 400 networks drawn elsewhere: a median total of 0.248, 44 of
    them above 1."""
    rows = table("clip", run_spec("tutorial_clipping.ini", tmp_path))
    totals = [float(row["total"]) for row in rows]
    assert len(rows) == 200
    assert median(totals) == pytest.approx(0.25, abs=0.04)
    assert clipped_share(rows) == pytest.approx(0.11, abs=0.08)
    for row, total in zip(rows, totals):
        assert (float(row["clip_coef"]) < 1) == (total > 1 - 1e-6)
        assert float(row["total_clipped"]) == pytest.approx(min(total, 1), abs=1e-6)


def test_clipping_where_it_triggers(tmp_path):
    database = run_spec("tutorial_clipping_triggers.ini", tmp_path)
    rows = defaultdict(list)
    for row in table("clip", database):
        rows[row["cell"], round(float(row["rho"]), 6)].append(row)
    assert {key: len(some) for key, some in rows.items()} == {
        (cell, rho): 20 for cell in ("tanh", "relu") for rho in (0.5, 1.3, 1.6, 2.0)
    }
    for cell in ("tanh", "relu"):
        assert clipped_share(rows[cell, 0.5]) == 0
        assert all(row["total"] == row["total_clipped"] for row in rows[cell, 0.5])
        assert 0 < clipped_share(rows[cell, 1.3]) < 1
        assert clipped_share(rows[cell, 2.0]) >= 0.9
    assert median(float(row["total"]) for row in rows["relu", 2.0]) > 1e9
    assert all(float(row["total_clipped"]) <= 1 for some in rows.values() for row in some)


def of_pair(rows):
    """The curves that the decay rate is fitted to."""
    return [row for row in rows if row["state"] == ("both" if row["cell"] == "lstm" else "h")]


def test_gates_alone_gain_little(tmp_path):
    """nn.LSTM and nn.GRU as PyTorch initialises them, beside nn.RNN."""
    database = run_spec("gated.ini", tmp_path)
    rates = {row["cell"]: float(row["decay_rate"]) for row in table("decay", database)}
    assert rates == {
        "tanh": pytest.approx(0.62, abs=0.03),
        "lstm": pytest.approx(0.45, abs=0.02),
        "gru": pytest.approx(0.45, abs=0.02),
    }
    assert all(row["growing_fraction"] == "0" for row in table("decay", database))
    first = defaultdict(list)
    for row in of_pair(table("profile", database)):
        if row["step"] == "1":
            first[row["cell"]].append(float(row["log10_norm_mean"]))
    assert {cell: median(norms) for cell, norms in first.items()} == {
        "tanh": pytest.approx(-14.1, abs=0.5),
        "lstm": pytest.approx(-10.7, abs=0.4),
        "gru": pytest.approx(-10.2, abs=0.4),
    }


def test_the_forget_bias_does_the_work(tmp_path):
    database = run_spec("forget_bias.ini", tmp_path)
    rows = {(row["cell"], row["gate_bias"]): row for row in table("decay", database)}
    biases = ("-1", "0", "1", "2", "5")
    assert set(rows) == {(cell, bias) for cell in ("lstm", "gru") for bias in (*biases, "chrono:50")}
    for cell in ("lstm", "gru"):
        rates = [float(rows[cell, bias]["decay_rate"]) for bias in biases]
        assert rates == sorted(rates, reverse=True)
        assert rates[1] == pytest.approx(0.49, abs=0.03)  # as by default
        assert all(rate < math.log1p(math.exp(-float(bias))) + 1e-3 for rate, bias in zip(rates, biases))
        assert 0 < float(rows[cell, "chrono:50"]["decay_rate"]) < 0.05
    assert float(rows["gru", "5"]["decay_rate"]) == pytest.approx(math.log1p(math.exp(-5)), abs=2e-4)
    assert float(rows["lstm", "5"]["growing_fraction"]) == pytest.approx(126 / 200, abs=0.02)
    assert all(float(row["growing_fraction"]) == 0 for (cell, _), row in rows.items() if cell == "gru")
    ends = defaultdict(list)
    for row in of_pair(table("profile", database)):
        if row["step"] in ("1", "50"):
            ends[row["cell"], row["gate_bias"], row["step"]].append(float(row["log10_norm_mean"]))
    left = {key[:2]: median(ends[(*key[:2], "1")]) - median(ends[(*key[:2], "50")]) for key in ends}
    assert left["lstm", "1"] == pytest.approx(math.log10(2e-5), abs=0.1)
    assert left["gru", "1"] == pytest.approx(math.log10(7e-6), abs=0.1)
    assert left["lstm", "5"] == pytest.approx(math.log10(0.1), abs=0.1)
    assert left["gru", "5"] == pytest.approx(math.log10(0.7), abs=0.05)


def test_a_leak_slows_down(tmp_path):
    rates = {
        (row["cell"], float(row["leak"]), round(float(row["rho"]), 2)): float(row["decay_rate"])
        for row in table("decay", run_spec("leak.ini", tmp_path))
    }
    leaks = (1, 0.5, 0.2, 0.05)
    for leak, vanishing, growing in zip(leaks, (0.69, 0.31, 0.11, 0.028), (0.69, 0.37, 0.16, 0.042)):
        assert rates["linear", leak, 0.5] == pytest.approx(vanishing, rel=0.04)
        assert rates["linear", leak, 2.0] == pytest.approx(-growing, rel=0.04)
    assert rates["tanh", 1, 1.5] > 0 > rates["tanh", 1, 1.75]
    assert all(rates["tanh", 0.05, rho] < 0.005 for rho in (1.25, 1.5, 1.75, 2.0))


def test_quickstart_goes_from_vanishing_to_exploding(tmp_path):
    rows = table("decay", run_spec("quickstart.ini", tmp_path))
    assert rows[0]["regime"] == "vanishing"
    assert rows[-1]["regime"] == "exploding"
    rates = [float(row["decay_rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)


def test_noise_moves_the_critical_point(tmp_path):
    """128 units turn at a coupling 0.01 to 0.05 above that of mean-field theory."""
    few = ("--seeds", "1:2", "--input", "noise:0.3,noise:0.5,noise:1")
    database = sweep(tmp_path / "results.db", SWEEPS / "phase.ini", *few)
    couplings = [float(row["g_critical"]) for row in table("critical", database)]
    assert couplings == sorted(couplings)
    for measured, theory in zip(couplings, (1.396, 1.550, 1.856), strict=True):
        assert 0.01 < measured - theory < 0.05


def mean_field_rate(g, sigma):
    """Decay rate -ln(chi) / 2 of mean-field theory: q = g^2 E[tanh(sqrt(q) z)^2] + sigma^2,
    chi = g^2 E[tanh'(sqrt(q) z)^2], z ~ N(0, 1); Chen, Pennington & Schoenholz 2018."""
    n = 4001
    zs = [-8 + 16 * i / (n - 1) for i in range(n)]
    weights = [math.exp(-z * z / 2) for z in zs]
    total = sum(weights)

    def expect(f):
        return sum(w * f(z) for w, z in zip(weights, zs)) / total

    q = 1.0
    for _ in range(200):
        q, last = g * g * expect(lambda z: math.tanh(math.sqrt(q) * z) ** 2) + sigma**2, q
        if abs(q - last) < 1e-10:
            break
    chi = g * g * expect(lambda z: (1 - math.tanh(math.sqrt(q) * z) ** 2) ** 2)
    return -math.log(chi) / 2


def test_mean_field(tmp_path):
    """At N = 256 the measured rates follow theory within 0.012, the finite-size bias of at most
    2.5 / N aside."""
    rows = table("decay", run_spec("mean_field.ini", tmp_path))
    assert mean_field_rate(2.0, 0.5) == pytest.approx(-0.1204, abs=2e-4)
    errors = [float(r["decay_rate"]) - mean_field_rate(float(r["g"]), 0.5) for r in rows]
    assert len(errors) >= 6
    assert max(map(abs, errors)) < 0.012 + 2.5 / 256
    assert abs(mean(errors)) < 0.012
