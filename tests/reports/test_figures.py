"""Every plotted number is a number of a table."""

import numpy as np
import pytest
from report_tools import rows, succeed

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import style  # noqa: E402
from rhosweep_reports.figures import FIGURES, flow  # noqa: E402
from rhosweep_reports.figures.drawing import power_text  # noqa: E402
from rhosweep_reports.figures.places import spread  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import FAMILY, NETWORK, Table  # noqa: E402


@pytest.fixture
def axes():
    style.apply(style.Look())
    return Figure(layout="constrained").add_subplot()


def number(text):
    return float(text) if text else np.nan


def family(database, **chosen):
    """The decay table's rows of one network, straight from the program, by radius."""
    found = [row for row in rows("decay", database)
             if all(row[name] == value for name, value in chosen.items())]
    return sorted(found, key=lambda row: float(row["rho"]))


def part(table, split, **chosen):
    for one in table.split(split):
        if all(one.one(name) == value for name, value in chosen.items()):
            return one
    raise AssertionError(chosen)


def drawn(axes, label):
    """x and y of the line whose label begins so."""
    for line in axes.lines:
        if line.get_label().startswith(label):
            return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    raise AssertionError([line.get_label() for line in axes.lines])


def errorbars(axes, label):
    for container in axes.containers:
        if container.get_label().startswith(label):
            line, _, (bars,) = container.lines
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            return line.get_xdata(), line.get_ydata(), (ends[:, 1] - ends[:, 0]) / 2
    raise AssertionError([one.get_label() for one in axes.containers])


TANH = {"cell": "tanh", "ensemble": "gaussian"}


def test_rate_plots_the_decay_table(axes, results, database):
    flow.rate(axes, part(results.read("decay"), FAMILY, **TANH))
    for hidden in ("8", "12"):
        expected = family(database, hidden=hidden, **TANH)
        x, y, half = errorbars(axes, f"H = {hidden}")
        assert list(x) == [float(row["rho"]) for row in expected]
        assert list(y) == [float(row["decay_rate"]) for row in expected]
        np.testing.assert_allclose(half, [float(row["decay_rate_ci95"]) for row in expected])


def test_rate_plots_predictions_and_bounds_of_the_table(axes, results, database):
    chosen = {"cell": "linear", "ensemble": "orthogonal"}
    flow.rate(axes, part(results.read("decay"), FAMILY, **chosen))
    expected = family(database, hidden="8", **chosen)
    assert all(row["predicted_rate"] for row in expected)
    x, y = drawn(axes, f"predicted: {expected[0]['prediction']}")
    assert list(x) == [float(row["rho"]) for row in expected]
    assert list(y) == [float(row["predicted_rate"]) for row in expected]
    largest = family(database, hidden="12", **chosen)
    x, y = drawn(axes, "−ln ρ: linear cells, and bound")
    np.testing.assert_allclose(y, [float(row["decay_rate_bound"]) for row in largest], rtol=1e-12)


def test_rate_draws_the_bound_where_it_is_another_curve(axes, results, database):
    flow.rate(axes, part(results.read("decay"), FAMILY, **TANH))
    _, y = drawn(axes, "bound by")
    expected = family(database, hidden="12", **TANH)
    assert list(y) == [float(row["decay_rate_bound"]) for row in expected]


def test_growing_plots_the_decay_table(axes, results, database):
    flow.growing(axes, part(results.read("decay"), FAMILY, **TANH))
    x, y = drawn(axes, "H = 12")
    expected = family(database, hidden="12", **TANH)
    assert list(x) == [float(row["rho"]) for row in expected]
    assert list(y) == [float(row["growing_fraction"]) for row in expected]


def curves_of(database, hidden):
    """Radius asked to values [seeds, T] of the profile table, straight from the program."""
    found = {}
    for row in rows("profile", database):
        if (row["cell"], row["ensemble"], row["hidden"]) == ("tanh", "gaussian", hidden):
            found.setdefault(float(row["rho_asked"]), {}).setdefault(row["seed"], []).append(
                number(row["log10_norm_mean"]))
    return {radius: np.array(list(seeds.values())) for radius, seeds in sorted(found.items())}


def test_profile_plots_every_step_of_every_radius(axes, results, database):
    flow.profile(axes, part(results.read("profile"), NETWORK, hidden="8", **TANH))
    expected = curves_of(database, "8")
    lines = [line for line in axes.lines if len(line.get_xdata()) == 120]
    assert len(lines) == len(expected) == 4
    for line, values in zip(lines, expected.values(), strict=True):
        assert list(line.get_xdata()) == list(range(1, 121))
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0), rtol=1e-14)
    for band, values in zip(axes.collections, expected.values(), strict=True):
        path = band.get_paths()[0].vertices
        for step in (1, 60, 120):
            at = path[path[:, 0] == step][:, 1]
            assert at.min() == values[:, step - 1].min()
            assert at.max() == values[:, step - 1].max()


def test_heatmap_plots_every_step_of_every_radius(axes, results, database):
    flow.heatmap(axes, part(results.read("profile"), NETWORK, hidden="8", **TANH))
    expected = np.array([values.mean(axis=0)[::-1] for values in curves_of(database, "8").values()])
    mesh = axes.collections[0].get_array()
    np.testing.assert_allclose(np.asarray(mesh), expected.T, rtol=1e-14)


def test_horizon_plots_ranges_of_the_table_and_the_fall_of_the_curves(axes, results, database):
    network = {"hidden": "8", **TANH}
    flow.horizon(axes, part(results.read("decay"), NETWORK, **network),
                 part(results.read("profile"), NETWORK, **network))
    expected = family(database, **network)
    for name in ("fp16", "fp32"):
        _, y = drawn(axes, f"{name} → 0")
        np.testing.assert_array_equal(y, [number(row[f"{name}_underflow"]) for row in expected])
    _, y = drawn(axes, "1e-3 of the start")
    for reached, values in zip(y, curves_of(database, "8").values(), strict=True):
        steps = [next((k for k in range(120) if seed[119 - k] <= seed[119] - 3.0), np.inf)
                 for seed in values]
        middle = np.median(steps)
        assert (np.isnan(reached) and np.isinf(middle)) or reached == middle


def test_horizon_plots_both_ends_of_a_range(axes):
    network = dict.fromkeys((*NETWORK, "seeds"), "1") | {"model": "", "cell": "relu"}
    ends = {f"{name}_{end}": "" for name in ("fp32", "fp16", "bf16") for end in ("underflow", "overflow")}
    decay = [network | ends | {"rho": rho, "fp16_underflow": low, "fp16_overflow": high}
             for rho, low, high in (("1", "7", ""), ("2", "", "4"))]
    curves = [network | {"rho": rho, "rho_asked": rho, "seed": "1", "state": "h"} for rho in ("1", "2")]
    profile = Table("profile", tuple(curves[0]), list(zip(*(row.values() for row in curves))),
                    [np.zeros(9)] * 2)
    flow.horizon(axes, Table.from_rows("decay", tuple(decay[0]), decay), profile)
    np.testing.assert_array_equal(drawn(axes, "fp16 → 0")[1], [7, np.nan])
    np.testing.assert_array_equal(drawn(axes, "fp16 → ∞")[1], [np.nan, 4])


def test_values_that_are_not_finite_break_the_line(axes):
    header = ("cell", "ensemble", "model", "hidden", "steps", "batch", "input", "h0", "loss",
              "gate_bias", "gate_scale", "leak", "precision", "raw", "rho", "rho_asked", "seed",
              "state")
    row = ("linear", "gaussian", "", "4", "4", "1", "zero", "zero", "random", "", "", "1", "f32",
           "1", "1", "1", "7", "h")
    curve = np.array([-np.inf, np.nan, -2.0, 0.0])
    table = Table("profile", header, [(cell,) for cell in row], [curve])
    flow.profile(axes, table)
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 4]
    np.testing.assert_array_equal(line.get_ydata(), [np.nan, np.nan, -2.0, 0.0])


def test_powers_have_their_sign():
    assert [power_text(exponent) for exponent in (-38, 0, 12)] == ["10⁻³⁸", "10⁰", "10¹²"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([0, 10], [0, 10]),
        ([0, 0], [-1, 1]),
        ([0, 1, 10], [-0.5, 1.5, 10]),
        ([5, 5, 5], [3, 5, 7]),
        ([0, 1, 2.5], [-0.833333, 1.166667, 3.166667]),
    ],
)
def test_names_are_moved_as_little_as_may_be(values, expected):
    assert spread(values, 2.0) == pytest.approx(expected, abs=1e-5)


def test_names_of_figures_are_known_to_the_program():
    text = " ".join(succeed("report", "--help").split())
    assert all(f"{figure.name}," in text or f"{figure.name} " in text for figure in FIGURES)


@pytest.mark.parametrize("look", style.STYLES)
@pytest.mark.parametrize("width", style.WIDTHS)
def test_nothing_is_clipped_and_no_names_overlap(results, look, width):
    tables = {"decay": results.read("decay"), "profile": results.read("profile")}
    planned, _ = pictures.plan(tables, Look())
    drawn_figures = set()
    for picture in planned:
        figure = draw(picture, Look(look, width))
        if figure is None:
            continue
        drawn_figures.add(picture.figure.name)
        assert_readable(figure, picture.name)
    assert {"rate", "profile", "heatmap", "horizon", "growing"} <= drawn_figures
