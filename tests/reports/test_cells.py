"""LSTM, GRU and leaky cells: figures plot the tables, and nothing of different networks is mixed."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from cell_tables import SEEDS, STEPS, critical, curve, decay, network, profile, rate
from report_tools import float64, insert, make_fixed_database, rows, succeed
from test_bench_figures import document

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import benchjson, findings, headlines, page_tables, style, summary  # noqa: E402
from rhosweep_reports.figures import cells, profiles  # noqa: E402
from rhosweep_reports.figures.drawing import Absent, gradient_norm  # noqa: E402
from rhosweep_reports.load import Results  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import FAMILY, NETWORK, OF_CELLS  # noqa: E402

RADII = (0.5, 1.0, 2.0)
THREE = [network(cell) for cell in ("gru", "lstm", "tanh")]
BIASES = ("chrono:50", "drawn", "5", "-1", "2", "0", "1")
BIASED = [network("tanh"), *(network(cell, gate_bias=bias) for cell in ("lstm", "gru")
                             for bias in BIASES)]
LEAKS = ("1", "0.5", "0.125")
LEAKY = [network(cell, leak=leak) for cell in ("tanh", "relu") for leak in LEAKS]


@pytest.fixture
def axes():
    style.apply(style.Look())
    return Figure(layout="constrained").add_subplot()


def line(axes, label):
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found.get_xydata().T


def law_of(axes):
    (found,) = [one for one in axes.lines if one.get_color() == style.THEORY]
    return found.get_xydata().T


def errorbars(axes):
    """Label to x, y and half intervals of each, over all axes of the figure."""
    found = {}
    for one in axes.figure.axes:
        for container in one.containers:
            x, y = container[0].get_data()
            (bars,) = container[2]
            half = [(high - low).max() / 2 for low, high in bars.get_segments()]
            found.setdefault(container.get_label(), []).append((list(x), list(y), half))
    return found


def planned(networks, radii, wanted=None):
    tables = {"decay": decay(networks, radii), "profile": profile(networks, radii),
              "critical": critical(networks)}
    return pictures.plan(tables, Look(), wanted)[0]


# --- nothing is mixed -----------------------------------------------------------------------------

@pytest.mark.parametrize("column", OF_CELLS)
@pytest.mark.parametrize("split", [FAMILY, NETWORK])
def test_settings_of_cells_tell_networks_apart(column, split):
    assert column in split


@pytest.mark.parametrize("networks", [BIASED, LEAKY,
                                      [network("gru", gate_scale=s) for s in ("same", "native")]])
def test_pictures_have_names_and_heads_of_their_own(networks):
    found = [picture for picture in planned(networks, RADII) if picture.figure.split == NETWORK]
    assert len(found) == 3 * len(networks)
    for name in ("profile", "heatmap", "horizon"):
        own = [picture for picture in found if picture.figure.name == name]
        assert len({picture.about for picture in own}) == len({picture.name for picture in own}) \
            == len(networks)
        assert not any(picture.name.endswith("_2") for picture in own)


def test_names_of_files_tell_settings_only_where_they_differ():
    assert {picture.name for picture in planned(THREE, RADII) if picture.figure.name == "rate"} == {
        f"rate_{cell}_gaussian_T40" for cell in ("tanh", "lstm", "gru")}
    names = {picture.name for picture in planned(BIASED, RADII) if picture.figure.name == "rate"}
    assert {"rate_tanh_gaussian_T40", "rate_lstm_gaussian_T40_gate-bias--1",
            "rate_gru_gaussian_T40_gate-bias-chrono-50"} < names


@pytest.mark.parametrize(("of", "told"), [
    (network("tanh"), ""), (network("tanh", leak="0.5"), "leak 0.5"),
    (network("lstm"), "gate bias drawn"),
    (network("gru", gate_bias="1", gate_scale="native"), "gate bias 1, gate scale native")])
def test_heads_tell_the_settings_of_a_cell(of, told):
    head = findings.describe(decay([of], (1.0,)))
    assert head.split("\n")[2:] == [told] * bool(told)
    assert head.startswith(findings.CELLS[of["cell"]])


def test_the_page_shows_settings_that_are_not_the_usual_ones():
    assert not {*OF_CELLS} & {*page_tables.columns(decay(THREE, RADII))}
    assert {*OF_CELLS} & {*page_tables.columns(decay(BIASED, RADII))} == {"gate_bias"}
    assert {*OF_CELLS} & {*page_tables.columns(decay([network("tanh", leak="0.5")], RADII))} == {"leak"}
    assert 'number' not in page_tables.cell("gate_bias", "1")


# --- which figures there are ----------------------------------------------------------------------

OF_CELLS_FIGURES = {"cells", "cell-profiles", "gate-bias", "leak"}


@pytest.mark.parametrize(("networks", "radii", "names"), [
    (THREE[-1:], RADII, set()), (THREE[:1], (None,), set()),
    (THREE, RADII, {"cells"}), (THREE, (None,), {"cells", "cell-profiles"}),
    (BIASED, RADII, {"cells", "gate-bias"}), (BIASED, (None,), {"cells", "cell-profiles", "gate-bias"}),
    (LEAKY, RADII, {"cells", "leak"}), (LEAKY, (1.0,), {"cells", "cell-profiles", "leak"})])
def test_figures_that_the_networks_call_for(networks, radii, names):
    found = planned(networks, radii)
    assert {one.figure.name for one in found} & OF_CELLS_FIGURES == names
    assert len([one for one in found if one.figure.name in names]) == len(names)


@pytest.mark.parametrize("name", sorted(OF_CELLS_FIGURES))
def test_a_figure_by_name_says_what_it_lacks(name):
    (picture,) = planned(THREE[:1], RADII, name)
    assert picture.figure.draw
    with pytest.raises(Absent, match="needs several"):
        style.apply(style.Look())
        picture.figure.draw(Figure().add_subplot(), *picture.parts)


def test_sizes_and_inputs_are_not_compared_with_each_other():
    networks = [network(cell, hidden=size, input=kind) for cell in ("tanh", "gru")
                for size in ("16", "32") for kind in ("zero", "noise:1")]
    found = [one for one in planned(networks, RADII) if one.figure.name == "cells"]
    assert len(found) == 4
    for picture in found:
        (part,) = picture.parts
        assert sorted(part.text("cell")) == ["gru"] * 3 + ["tanh"] * 3


# --- cells ----------------------------------------------------------------------------------------

def test_cells_plots_the_decay_table_with_its_intervals(axes):
    cells.cells(axes, decay(THREE, RADII))
    _, labels = axes.get_legend_handles_labels()
    assert labels == ["tanh", "LSTM", "GRU"]
    for of, band in zip(reversed(THREE), axes.collections, strict=True):
        x, y = line(axes, findings.CELLS[of["cell"]])
        assert list(x) == list(RADII)
        expected = [rate(of, radius) for radius in RADII]
        assert list(y) == expected
        outline = band.get_paths()[0].vertices
        for radius, middle in zip(RADII, expected, strict=True):
            ends = outline[outline[:, 0] == radius][:, 1]
            assert [ends.min(), ends.max()] == [middle - 0.03125, middle + 0.03125]
    assert any(list(one.get_ydata()) == [0.0, 0.0] for one in axes.lines)


def test_cells_plots_predictions_of_the_table(axes):
    table = [row | {"predicted_rate": "0.25", "prediction": "mean field"}
             if row["cell"] == "gru" else row for row in decay(THREE, RADII).rows()]
    cells.cells(axes, type(decay(THREE, RADII)).from_rows("decay", tuple(table[0]), table))
    x, y = line(axes, "_mean field")
    assert (list(x), list(y)) == (list(RADII), [0.25] * 3)


def test_cells_of_several_settings_have_axes_of_one_scale_each(axes):
    cells.cells(axes, decay(BIASED, RADII))
    every = axes.figure.axes
    assert [one.get_ylabel().partition(":")[0] for one in every] == ["tanh", "LSTM", "GRU"]
    assert len({one.get_ylim() for one in every}) == len({one.get_xlim() for one in every}) == 1
    looks = []
    for cell, own in zip(("lstm", "gru"), every[1:], strict=True):
        for bias in BIASES:
            _, y = line(own, f"gate bias {bias}")
            assert list(y) == [rate(network(cell, gate_bias=bias), radius) for radius in RADII]
        looks.append([(one.get_label(), one.get_color(), one.get_marker()) for one in own.lines[:7]])
    assert looks[0] == looks[1]
    (legend,) = axes.figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["tanh", *(f"gate bias {bias}" for bias in
                               ("-1", "0", "1", "2", "5", "chrono:50", "drawn"))]


def test_cells_at_one_radius_have_a_row_each(axes):
    cells.cells(axes, decay(BIASED, (None,)))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:3] == ["tanh", "LSTM, gate bias -1", "LSTM, gate bias 0"]
    drawn = dict(zip(names, [container[0].get_data() for container in axes.containers], strict=True))
    for of in BIASED[1:]:
        (x,), (place,) = drawn[f"{findings.CELLS[of['cell']]}, gate bias {of['gate_bias']}"]
        assert x == rate(of, 0.58)
        assert place == names.index(f"{findings.CELLS[of['cell']]}, gate bias {of['gate_bias']}")
    assert findings.describe_at_radius(decay(BIASED, (None,))).endswith("ρ native")


def test_cell_profiles_are_medians_over_seeds_of_the_pair(axes):
    cells.cell_profiles(axes, profile(THREE, (None,)))
    for of in THREE:
        x, y = line(axes, findings.CELLS[of["cell"]])
        assert list(x) == list(range(STEPS))
        state = "both" if of["cell"] == "lstm" else "h"
        curves = [curve(of, 0.5 + 0.04 * seed, seed, state)[::-1] for seed in SEEDS]
        np.testing.assert_allclose(y, np.median(curves, axis=0), rtol=1e-14)


# --- gate-bias, leak ------------------------------------------------------------------------------

def test_gate_bias_plots_the_decay_table_and_the_law(axes):
    cells.against("gate_bias")(axes, [one for one in planned(BIASED, (None,))
                                      if one.figure.name == "gate-bias"][0].parts[0])
    found = errorbars(axes)
    assert list(found) == ["LSTM", "GRU"]
    numbers = ["-1", "0", "1", "2", "5"]
    for cell in ("lstm", "gru"):
        (line_of, words) = found[findings.CELLS[cell]]
        assert line_of[0] == [float(bias) for bias in numbers]
        for texts, (_, y, half) in ((numbers, line_of), (("chrono:50", "drawn"), words)):
            assert y == [rate(network(cell, gate_bias=bias), 0.58) for bias in texts]
            np.testing.assert_allclose(half, 0.03125, rtol=1e-12)
        assert 5 < words[0][0] < words[0][1]
    ticks = dict(zip(axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()],
                     strict=True))
    for beside, name in zip(words[0], ["chrono\n50", "drawn"], strict=True):
        place = min(ticks, key=lambda at: abs(at - beside))  # noqa: B023
        assert ticks[place] == name and place != beside
    assert not set(found["LSTM"][1][0]) & set(found["GRU"][1][0])  # no mark hides another
    assert ticks[-1.0] == "−1"
    b, law = law_of(axes)
    assert (b[0], b[-1]) == (-1, 5)
    np.testing.assert_allclose(np.interp([-1, 0, 1, 2, 5], b, law),
                               [1.3133, 0.6931, 0.3133, 0.1269, 0.00672], atol=2e-4)


def test_gate_bias_over_radii_has_axes_for_each_cell(axes):
    table = decay(BIASED[1:], RADII)
    cells.against("gate_bias")(axes, table)
    lstm, gru, bar = axes.figure.axes
    for cell, own in (("lstm", lstm), ("gru", gru)):
        curves = [container[0].get_ydata() for container in own.containers]
        expected = [[rate(network(cell, gate_bias=bias), radius) for bias in texts] for radius in RADII
                    for texts in (("-1", "0", "1", "2", "5"), ("chrono:50", "drawn"))]
        assert [list(y) for y in curves] == expected
        colours = {container[0].get_color() for container in own.containers}
        assert len(colours) == len(RADII)
    assert bar.get_xlim() == (0.5, 2.0)


def test_leak_plots_the_decay_table_and_the_law(axes):
    cells.against("leak")(axes, decay(LEAKY, (1.0,)))
    for cell, ((x, y, _), *words) in errorbars(axes).items():
        assert x == [0.125, 0.5, 1.0]
        assert y == [rate(network(cell, leak=leak), 1.0) for leak in ("0.125", "0.5", "1")]
        assert not words
    leak, law = law_of(axes)
    assert (leak[0], leak[-1]) == (0.125, 0.5)
    np.testing.assert_allclose(law[[0, -1]], [0.133531, 0.693147], rtol=1e-5)


# --- states ---------------------------------------------------------------------------------------

def test_profile_of_an_lstm_has_axes_for_the_pair_and_its_parts(axes):
    profiles.profile(axes, profile(THREE[1:2], RADII))
    every = axes.figure.axes[:3]
    assert [one.get_ylabel() for one in every] == [gradient_norm(of) for of in ("(h_t,c_t)", "h_t", "c_t")]
    assert len({one.get_ylim() for one in every}) == 1
    for own, state in zip(every, ("both", "h", "c"), strict=True):
        curves = [one.get_ydata() for one in own.lines if len(one.get_xdata()) == STEPS]
        for drawn, radius in zip(curves, RADII, strict=True):
            expected = np.mean([curve(THREE[1], radius, seed, state)[::-1] for seed in SEEDS], axis=0)
            np.testing.assert_allclose(drawn, np.where(np.isinf(expected), np.nan, expected))


def test_other_figures_are_of_the_pair(axes):
    profiles.heatmap(axes, profile(THREE[1:2], RADII))
    expected = np.array([np.mean([curve(THREE[1], radius, seed, "both")[::-1] for seed in SEEDS], axis=0)
                         for radius in RADII])
    relative = np.asarray(axes.collections[0].get_array())
    np.testing.assert_allclose(relative, expected - expected[:, :1], atol=1e-12)


# --- words ----------------------------------------------------------------------------------------

def test_the_summary_says_where_each_cell_crosses():
    table = decay(THREE, (0.5, 3.0, 5.0))
    ((heading, lines),) = summary.side_by_side(table, headlines.points(critical(THREE)))
    assert heading.startswith("Cells side by side: gaussian, H = 64")
    assert lines == ["H = 64: the decay rate crosses 0 at ρ = 1.200 [1.190, 1.210] for tanh; at ρ = 1.200 [1.190, 1.210] "
                     "for LSTM; at ρ = 1.200 [1.190, 1.210] for GRU."]
    assert "its candidate's block. The gradient of an LSTM is" in summary.swept(table)


def test_the_summary_says_how_far_each_cell_carries_a_gradient():
    ((_, lines),) = summary.side_by_side(decay(BIASED, (None,)), {})
    assert len(lines) == len(BIASED)
    assert lines[0] == ("H = 64, ρ native, tanh: decay rate 0.496 ± 0.031 nats per step, "
                        "13.9 steps to 1e-3 of the start.")
    assert lines[1].startswith("H = 64, ρ native, LSTM, gate bias -1: ")
    assert "Cells differ in gate bias -1, 0, 1, 2, 5, chrono:50, drawn." in \
        summary.swept(decay(BIASED, (None,)))


def test_the_summary_tells_cells_at_one_radius_once():
    told = [heading for heading, _ in summary.came_out(decay(BIASED, (None,)), {})]
    assert [heading.partition(",")[0] for heading in told] == ["tanh"]
    assert len(list(summary.came_out(decay(BIASED, RADII), {}))) == len(BIASED)
    assert len(list(summary.came_out(decay(THREE[:1], (None,)), {}))) == 1


def test_the_summary_of_plain_cells_has_no_word_of_gates():
    table = decay(THREE[-1:], RADII)
    assert "gate" not in summary.swept(table)
    assert not list(summary.side_by_side(table, {}))


# --- readable -------------------------------------------------------------------------------------

@pytest.mark.parametrize(("look", "width"), [("paper", "column"), ("talk", "page")])
@pytest.mark.parametrize(("networks", "radii"), [
    (THREE, RADII), (THREE, (None,)), (BIASED, RADII), (BIASED, (None,)), (LEAKY, (1.0,))],
    ids=["radii", "native", "biases over radii", "biases", "leaks"])
def test_everything_can_be_read(networks, radii, look, width):
    found = [one for one in planned(networks, radii) if one.figure.name in OF_CELLS_FIGURES]
    lstm = [one for one in planned(networks[1:2], radii) if one.figure.name == "profile"]
    for picture in found + lstm:
        assert_readable(draw(picture, Look(look, width)), picture.name)


# --- from a database ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def gated_database(tmp_path_factory):
    """The fixed one, and the same networks as LSTM with two biases of its forget gate."""
    path = make_fixed_database(tmp_path_factory.mktemp("gated") / "gated.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        cases = [dict(row) for row in connection.execute("SELECT * FROM cases")]
        for factor, bias in ((0.5, "1"), (0.25, "5")):
            for case in cases:
                as_lstm = {"cell": "lstm", "gate_bias": bias, "gate_scale": "same", "leak": ""}
                add_case(connection, case | as_lstm, case["id"], factor)
    return path


def add_case(connection, case, like, factor):
    """A copy of the case `like`, with its rates and curves times a factor."""
    del case["id"]
    own = insert(connection, "cases", **case)
    for row in connection.execute("SELECT p.*, k.mean FROM points p JOIN curves k"
                                  " ON k.point_id = p.id WHERE p.case_id = ?", (like,)).fetchall():
        point = dict(row)
        mean = factor * np.frombuffer(point.pop("mean"), "<f8")
        del point["id"]
        point |= {"case_id": own, "decay_rate": factor * point["decay_rate"]}
        at = insert(connection, "points", **point)
        insert(connection, "curves", point_id=at, mean=float64(mean))
        for state, shift in (("h", 0.5), ("c", 0.25)):
            insert(connection, "state_curves", point_id=at, state=state, mean=float64(mean - shift))


def test_the_report_plots_the_program_s_numbers(gated_database, tmp_path):
    results = Results(gated_database, tmp_path)
    style.apply(style.Look())
    axes = Figure(layout="constrained").add_subplot()
    cells.cells(axes, results.read("decay"))
    lstm = axes.figure.axes[1]
    for bias in ("1", "5"):
        x, y = line(lstm, f"gate bias {bias}")
        expected = [row for row in rows("decay", gated_database) if row["gate_bias"] == bias]
        assert list(x) == [float(row["rho"]) for row in expected]
        assert list(y) == [float(row["decay_rate"]) for row in expected]
    states = [part.one("state") for part in findings.states(next(
        part for part in results.read("profile").split(NETWORK) if part.one("cell") == "lstm"))]
    assert states == ["both", "h", "c"]


def test_a_report_of_gated_cells(gated_database, tmp_path):
    succeed("report", gated_database, "-o", tmp_path / "out", "--format", "svg")
    files = {path.name for path in (tmp_path / "out").glob("*.svg")}
    assert {"cells_gaussian_H8_T20.svg", "gate-bias_gaussian_H8_T20.svg", "rate_tanh_gaussian_T20.svg",
            "profile_lstm_gaussian_H8_T20_gate-bias-5.svg"} < files
    text = (tmp_path / "out" / "index.html").read_text()
    assert "Cells side by side" in text
    assert '<h3 id="gate-bias">' in text and '<h3 id="leak">' not in text


# --- benchmarks -----------------------------------------------------------------------------------

def test_benchmarks_of_gated_cells_are_drawn_beside_others(tmp_path):
    found = document([(64, 16, 32, 100), (128, 16, 32, 200)])
    for row in [row for row in found["benchmarks"] if "/f32/tanh/" in row["name"]]:
        for cell, times in (("lstm", 5.0), ("gru", 4.0)):
            found["benchmarks"].append(row | {"name": row["name"].replace("tanh", cell),
                                              "real_time": times * row["real_time"]})
    (tmp_path / "x.json").write_text(json.dumps(found))
    table = benchjson.read([tmp_path / "x.json"])
    drawn = {picture.name: draw(picture)
             for picture in pictures.plan({"bench": table}, Look())[0]}
    assert_readable(drawn["time_f32"], "time_f32")
    assert_readable(drawn["roofline"], "roofline")
    axes = drawn["roofline"].axes[0]
    colours = {label: handle.get_color() for handle, label in
               zip(*axes.get_legend_handles_labels(), strict=True)}
    marks = {one.get_color() for one in axes.lines if one.get_linestyle() == "None"
             and len(one.get_xdata())}
    assert marks == {colours[name] for name in ("without gates", "LSTM", "GRU")}
    assert len(marks) == 3


def test_what_scripts_bench_sums_up_of_other_cells(tmp_path):
    rounds = [{"ours_ms": 2.0, "gflops": 5.0, "rival_ms": {"nn_lstm_loop": 6.0}}]
    found = {"machine": {"cpu": "A CPU"}, "run": {"threads": 2, "commit": "abc"}, "measured": {},
             "cells": {"lstm": {"measured": {"64,16,32,100": rounds, "128,16,32,100": rounds}}}}
    (tmp_path / "x.json").write_text(json.dumps(found))
    table = benchjson.read([tmp_path / "x.json"])
    assert [(row["body"], row["cell"], row["time_ms"]) for row in table.rows()] == 2 * [
        ("bptt/cpu", "lstm", "2.0"), ("nn_lstm_loop", "lstm", "6.0")]
