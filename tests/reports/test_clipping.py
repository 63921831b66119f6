"""Clipping and the weights' gradients: figures, sentences and files are those of the table clip."""

import html
import math
import re
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from report_tools import add_gradients, make_fixed_database, package, rows, succeed
from test_report import TABLES, assert_one_line

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import findings, page_tables, style, summary, text  # noqa: E402
from rhosweep_reports.figures import FIGURES, weights  # noqa: E402
from rhosweep_reports.figures.drawing import Absent, gradient_norm  # noqa: E402
from rhosweep_reports.load import Results  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import NETWORK, Table  # noqa: E402

OURS = ("clipping", "gradients")


def norms(rho, seed):
    """log10 of four norms that vanish and explode beyond the range of doubles."""
    slope = 400.0 * (rho - 1.0) + 0.25 * seed
    return -math.inf, slope, slope - 0.5, slope - 0.5


@pytest.fixture(scope="module")
def clipped(tmp_path_factory):
    path = make_fixed_database(tmp_path_factory.mktemp("clipped") / "clipped.db")
    return add_gradients(path, norms, (0.5, 100.0))


@pytest.fixture(scope="module")
def clipped_report(clipped, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clipped-report")
    succeed("report", clipped, "-o", folder, "--format", "pdf,svg,png")
    return folder


@pytest.fixture
def axes():
    style.apply(style.Look())
    return Figure(layout="constrained").add_subplot()


def log10(text):
    """Of a number as the table prints it."""
    mantissa, _, exponent = text.partition("e")
    return math.log10(float(mantissa)) + int(exponent or 0) if float(mantissa) else -math.inf


def line(axes, label):
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found.get_xydata().T


def band(axes, at):
    """Least and greatest of a band at each radius."""
    places = axes.collections[at].get_paths()[0].vertices
    return np.array([(places[places[:, 0] == x, 1].min(), places[places[:, 0] == x, 1].max())
                     for x in np.unique(places[:, 0])]).T


G = 0.9375  # g / rho of the networks


def norms_at(printed, column, over="rho", **chosen):
    """Radius or coupling to log10 norms of its rows, of the printed table."""
    found = {}
    for row in printed:
        if all(row[name] == value for name, value in chosen.items()):
            found.setdefault(float(row[over]), []).append(log10(row[column]))
    return dict(sorted(found.items()))


# --- figures plot the tables ----------------------------------------------------------------------

def test_the_table_has_norms_beyond_doubles(clipped):
    totals = [row["total"] for row in rows("clip", clipped)]
    assert len(totals) == 2 * 4 * 2
    assert min(map(log10, totals)) < -150 and max(map(log10, totals)) > 350


OVER = pytest.mark.parametrize("over", style.AXES)


@OVER
@pytest.mark.parametrize(("label", "column", "threshold", "at"), [
    ("before clipping", "total", "0.5", 0),
    ("clipped at 0.5", "total_clipped", "0.5", 1),
    ("clipped at 100", "total_clipped", "100", 2),
])
def test_clipping_plots_norms_of_the_table(label, column, threshold, at, over, axes, clipped, tmp_path):
    weights.clipping(axes, Results(clipped, tmp_path).read("clip"), over)
    expected = norms_at(rows("clip", clipped), column, over, max_norm=threshold)
    x, y = line(axes, label)
    assert list(x) == list(expected) == [{"rho": 1.0, "g": G}[over] * rho for rho in (0.5, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(y, [np.median(values) for values in expected.values()], rtol=1e-12)
    low, high = band(axes, at)
    for part, drawn in ((0.1, low), (0.9, high)):
        np.testing.assert_allclose(drawn, [np.quantile(values, part) for values in expected.values()],
                                   rtol=1e-12)


@OVER
def test_clipping_plots_the_thresholds_and_the_share_of_networks(over, axes, clipped, tmp_path):
    weights.clipping(axes, Results(clipped, tmp_path).read("clip"), over)
    printed = rows("clip", clipped)
    levels = [one.get_ydata()[0] for one in axes.lines if one.get_linestyle() == ":"
              and len(set(one.get_ydata())) == 1]
    np.testing.assert_allclose(levels, [math.log10(0.5), 2.0])
    (lower,) = [other for other in axes.figure.axes if other is not axes]
    assert lower.get_xlim() == axes.get_xlim()
    for drawn, threshold in zip(lower.lines, ("0.5", "100"), strict=True):
        expected = norms_at(printed, "clip_coef", over, max_norm=threshold)
        x, y = drawn.get_xydata().T
        assert list(x) == list(expected)
        assert list(y) == [np.mean([c < 0 for c in values]) for values in expected.values()]
    assert list(lower.lines[0].get_ydata()) == [0, 1, 1, 1]
    assert list(lower.lines[1].get_ydata()) == [0, 0, 1, 1]


@OVER
def test_gradients_plots_both_tables(over, axes, clipped, tmp_path):
    results = Results(clipped, tmp_path)
    weights.gradients(axes, results.read("clip"), results.read("profile"), over)
    expected = norms_at(rows("clip", clipped), "weight_hh", over, max_norm="100")
    x, y = line(axes, gradient_norm("W_{hh}"))
    assert list(x) == list(expected)
    np.testing.assert_allclose(y, [np.median(values) for values in expected.values()], rtol=1e-12)
    first = {}
    for row in rows("profile", clipped):
        if row["step"] == "1":
            first.setdefault(float(row[over]), []).append(float(row["log10_norm_mean"]))
    x, y = line(axes, f"{gradient_norm('h_t')}, {text.math('t=1')}")
    assert list(x) == sorted(first)
    np.testing.assert_allclose(y, [np.median(first[rho]) for rho in x], rtol=1e-12)
    low, high = band(axes, 1)
    np.testing.assert_allclose(low, [np.quantile(first[rho], 0.1) for rho in x])
    np.testing.assert_allclose(high, [np.quantile(first[rho], 0.9) for rho in x])


@pytest.mark.parametrize("name", OURS)
def test_a_user_chooses_the_axis(name, clipped, tmp_path):
    results = Results(clipped, tmp_path)
    for x, label in (("", "spectral radius"), ("g", "coupling")):
        tables = {table: results.read(table) for table in ("clip", "profile")}
        (picture,) = pictures.plan(tables, Look(x=x), name)[0]
        assert any(one.get_xlabel().startswith(label) for one in draw(picture).axes)


def test_gradients_mark_where_formats_end_for_all_elements(axes, clipped, tmp_path):
    results = Results(clipped, tmp_path)
    weights.gradients(axes, results.read("clip"), results.read("profile"))
    levels = [one.get_ydata()[0] for one in axes.lines if one.get_linestyle() == ":"]
    assert min(levels) == pytest.approx(math.log10(2.0**-150) + math.log10(8.0))  # |ones(8, 8)| = 8


# --- rows of few, odd and many networks -----------------------------------------------------------

ROW = dict.fromkeys(NETWORK, "1") | {
    "cell": "tanh", "ensemble": "gaussian", "hidden": "8", "steps": "20", "batch": "4",
    "input": "zero", "h0": "zero", "loss": "random", "precision": "f32", "raw": "0", "model": "",
    "gate_bias": "", "gate_scale": "", "state": "h", "rho": "1", "rho_asked": "1", "seed": "1", "max_norm": "1", "weight_hh": "0.5", "total": "0.5",
    "clip_coef": "1", "total_clipped": "0.5"}


def of_totals(totals, **common):
    """A table clip of a seed for each total, at threshold 1."""
    found = []
    for seed, total in enumerate(totals):
        norm = math.nan if total == "nan" else math.inf if total == "inf" else log10(total)
        coefficient = "nan" if norm != norm else "0" if norm == math.inf else \
            "1" if norm < 0 else f"1e{-norm:.0f}"
        after = "nan" if norm != norm or norm == math.inf else "1" if norm > 0 else total
        found.append(ROW | common | {"seed": str(seed), "total": total, "weight_hh": total,
                                     "clip_coef": coefficient, "total_clipped": after})
    return found


def table(found, name="clip"):
    return Table.from_rows(name, tuple(found[0]), found)


def profile_of(found, curve):
    points = {(row["rho_asked"], row["seed"]): row for row in found}.values()
    columns = list(zip(*(row.values() for row in points), strict=True))
    return Table("profile", tuple(found[0]), columns, [np.asarray(curve, float)] * len(points))


FEW = [*of_totals(["0.125"] * 3), *of_totals(["1e300", "1e350", "0.25"], rho="2", rho_asked="2")]
RAW = [*of_totals(["0", "0.125", "0.25", "0.5"], raw="1"),
       *of_totals(["0.5", "8", "1e30", "inf"], raw="1", rho="2", rho_asked="2"),
       *of_totals(["1e38", "nan", "nan", "inf"], raw="1", rho="3", rho_asked="3")]
ODD = {
    "few": FEW,
    "raw": RAW,
    "one radius": of_totals(["0.125", "0.25", "1e9"]),
    "one seed": [row for row in FEW if row["seed"] == "0"],
    "one network": of_totals(["0.125"]),
    "one network that explodes": of_totals(["1e400"]),
    "tiny": of_totals(["1e-400", "2e-400"]),
    "many thresholds": [row | {"max_norm": norm} for row in RAW
                        for norm in ("1e-30", "0.1", "1", "2.5", "1e+20", "123456789")],
    "native": [row | {"rho_asked": "", "rho": str(1 + 0.01 * at)} for at, row in enumerate(FEW[:3])],
}


@pytest.mark.parametrize("look", style.STYLES)
@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize("found", ODD.values(), ids=ODD.keys())
def test_figures_of_odd_rows_are_readable(found, look, width):
    tables = {"clip": table(found), "profile": profile_of(found, [-50, -3, 0])}
    planned, _ = pictures.plan(tables, Look())
    ours = [picture for picture in planned if picture.figure.name in OURS]
    assert len(ours) == 2
    for picture in ours:
        assert_readable(draw(picture, Look(look, width)), picture.name)


@pytest.mark.parametrize("found", ODD.values(), ids=ODD.keys())
def test_ticks_are_different_powers(found, axes):
    weights.clipping(axes, table(found))
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    ticks = [label.get_text() for at, label in zip(axes.get_yticks(), axes.get_yticklabels(),
                                                   strict=True) if low <= at <= high]
    assert len(ticks) == len(set(ticks)) >= 2


@pytest.mark.parametrize(("found", "names"), [
    (FEW, ["before clipping", "clipped at 1"]),
    (RAW, ["before clipping", "clipped at 1", "not finite"]),
    (ODD["many thresholds"][:6] + FEW, ["before clipping", *(f"clipped at {norm}" for norm in (
        "1e-30", "0.1", "1", "2.5", "123456789", "1e+20"))]),
], ids=["finite", "raw", "thresholds"])
def test_the_legend_names_every_line(found, names, axes):
    weights.clipping(axes, table(found))
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names


def test_what_is_not_finite_is_neither_clipped_nor_left_out(axes):
    weights.clipping(axes, table(RAW))
    (lower,) = [other for other in axes.figure.axes if other is not axes]
    clipped, broken = (list(one.get_ydata()) for one in lower.lines)
    assert clipped == [0, 0.5, 0.25]
    assert broken == [0, 0.25, 0.75]
    _, before = line(axes, "before clipping")
    middle = [0.5 * (log10("0.125") + log10("0.25")), 0.5 * (log10("8") + 30), np.nan]
    np.testing.assert_allclose(before, middle)
    _, after = line(axes, "clipped at 1")
    np.testing.assert_allclose(after, [middle[0], 0, np.nan])


def test_a_seed_counts_once_whatever_its_thresholds(axes):
    found = [*FEW, *(row | {"max_norm": "7"} for row in FEW[:1])]
    weights.clipping(axes, table(found))
    assert [len(values) for values in weights._by_radius(table(found), "total", "rho")[1]] == [3, 3]
    x, _ = line(axes, "clipped at 7")
    assert list(x) == [1.0]


def test_one_radius_shows_its_spread(axes):
    weights.clipping(axes, table(ODD["one radius"]))
    strokes = [lines.get_segments()[0] for lines in axes.collections if isinstance(lines, LineCollection)]
    assert len(strokes) > 1 and strokes[0][1, 1] - strokes[0][0, 1] > 1
    assert len({stroke[0, 0] for stroke in strokes}) == len(strokes)  # side by side
    assert [label.get_text() for label in axes.figure.axes[1].get_xticklabels()] == ["1"]


@pytest.mark.parametrize(("values", "expected"), [
    ([3.0], [3, 3, 3]),
    ([2.0, 1.0], [1.1, 1.5, 1.9]),
    ([-np.inf, 1.0, 2.0], [-np.inf, 1, 1.8]),
    ([np.nan, 1.0, 2.0], [1.2, 2, np.inf]),
    ([-np.inf, -np.inf], [-np.inf] * 3),
    ([-np.inf, np.inf], [np.nan] * 3),
    (list(range(11)), [1, 5, 9]),
])
def test_quantiles(values, expected):
    np.testing.assert_allclose(findings.quantiles(np.array(values, float), (0.1, 0.5, 0.9)), expected)


def test_figures_say_why_they_are_absent(axes):
    none = of_totals(["nan", "inf"])
    with pytest.raises(Absent, match="no norm"):
        weights.clipping(axes, table(none))
    with pytest.raises(Absent, match="no norm"):
        weights.gradients(axes, table(none), profile_of(none, [np.nan, 0]))


# --- sentences ------------------------------------------------------------------------------------

def told(totals, regimes):
    """Totals of the networks at each radius, 1, 2, ..., and what the decay table calls it."""
    found = [row for at, part in enumerate(totals, start=1)
             for row in of_totals(part, rho=str(at), rho_asked=str(at))]
    decay = table([ROW | {"rho": str(at), "rho_asked": str(at), "regime": regime}
                   for at, regime in enumerate(regimes, start=1)], "decay")
    return list(summary._clipping(table(found), decay))


SMALL, LARGE, HALF, MOST = ["0.5"] * 4, ["1e400"] * 4, ["0.5", "9"] * 2, ["0.5", "9", "9", "9"]
BEGIN = " Clipping at 1 scales down more than half of the networks' gradients "


@pytest.mark.parametrize(("totals", "regimes", "end"), [
    ([SMALL, HALF, MOST, LARGE], ["vanishing", "mixed", "exploding", "exploding"],
     "from ρ = 3 on; where they vanish, it leaves them as they are."),
    ([SMALL, LARGE], ["vanishing", "exploding"],
     "at ρ = 2; where they vanish, it leaves them as they are."),
    ([LARGE, MOST], ["vanishing", "mixed"],
     "at every radius; where they vanish, it makes them smaller still."),
    ([HALF, SMALL], ["vanishing", "vanishing"],
     "at no radius; where they vanish, it leaves 6 of 8 as they are, and makes the others smaller still."),
    ([MOST, MOST, SMALL, MOST], ["mixed"] * 4, "from ρ = 1 to 2, at ρ = 4."),
    ([LARGE], ["mixed"], "at ρ = 1."),  # a sweep of one radius, as sweeps/tutorial_clipping.ini
    ([SMALL], ["mixed"], "at no radius."),
])
def test_what_clipping_does_in_words(totals, regimes, end):
    assert told(totals, regimes) == [BEGIN + end]


def test_each_threshold_has_a_sentence():
    found = [row | {"max_norm": norm} for row in FEW for norm in ("10", "2")]
    decay = table([ROW | {"regime": "mixed"}], "decay")
    assert [re.match(" Clipping at ([0-9]+) ", one)[1] for one in
            summary._clipping(table(found), decay)] == ["2", "10"]


def test_the_summary_of_a_report(clipped_report):
    text = html.unescape((clipped_report / "index.html").read_text())
    lines = re.search(r'<section id="every-network">.*?</section>', text, re.S)[0]
    assert "gradients vanish at ρ = 0.5, change less than 1000-fold in 20 steps at ρ = 1," in lines
    assert ("Clipping at 0.5 scales down more than half of the networks' gradients from ρ = 1 on; where "
            "they vanish, it leaves them as they are. "
            "Clipping at 100 scales down more than half of the networks' gradients from ρ = 1.5 on; "
            "where they vanish, it leaves them as they are.</li>") in lines


# --- files and the page ---------------------------------------------------------------------------

def test_a_report_has_the_table_and_the_figures(clipped_report, clipped):
    for output_format, ending in {"csv": "csv", "md": "md", "latex": "tex", "json": "json"}.items():
        assert (clipped_report / f"clip.{ending}").read_text() == succeed(
            "table", "clip", clipped, "--format", output_format)
    text = (clipped_report / "index.html").read_text()
    for name in OURS:
        for ending in ("pdf", "svg", "png"):
            assert (clipped_report / f"{name}_tanh_gaussian_H8_T20.{ending}").exists()
        assert f'<h3 id="{name}">' in text
    assert text.count('data: <a href="clip.csv">clip</a>') == 2
    assert 'id="table-clip"' in text


def test_a_report_without_gradients_does_not_mention_them(fixed_database, tmp_path):
    succeed("report", fixed_database, "-o", tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "clip" not in re.sub(r"<(svg|script).*?</\1>", "", page, flags=re.S).lower()
    assert {path.stem for path in tmp_path.glob("*.csv")} == {*TABLES}


@pytest.mark.parametrize("name", OURS)
def test_a_figure_without_gradients_says_what_to_do(name, fixed_database, tmp_path):
    done = package(fixed_database, "-o", tmp_path / "out", "--figure", name)
    assert_one_line(done, 2)
    assert done.stderr == (f"rhosweep: figure {name}: no weights' gradients were recorded (rhosweep "
                           "sweep --clip)\n")


def test_a_figure_without_curves_says_so(clipped, tmp_path):
    database = shutil.copy(clipped, tmp_path / "bare.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM curves")
    succeed("report", database, "-o", tmp_path / "out", "--format", "svg")
    assert list((tmp_path / "out").glob("clipping*")) and \
        not list((tmp_path / "out").glob("gradients*"))
    title = next(figure.title for figure in FIGURES if figure.name == "gradients")
    assert f"{title}: the table profile is empty" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("name", OURS)
def test_the_same_gradients_give_the_same_bytes(name, clipped, clipped_report, tmp_path):
    succeed("report", clipped, "-o", tmp_path, "--figure", name, "--format", "pdf,svg,png")
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (clipped_report / path.name).read_bytes()


@pytest.mark.parametrize(("text", "shown"), [
    ("1.23456e+600", "1.235e+600"), ("1.23456e-600", "1.235e-600"), ("123456", "123456"),
    ("0.123456", "0.1235"), ("1.23456e+30", "1.235e+30"), ("inf", "inf"), ("-inf", "-inf"),
    ("nan", "nan"), ("0", "0"), ("0.0", "0"), ("-1.23456e+600", "-1.235e+600"),
])
def test_numbers_of_the_page_are_short(text, shown):
    exact = "" if text == shown else f' data-exact="{text}"'
    assert page_tables.cell("total", text) == f'<td class="number"{exact}>{shown}</td>'
