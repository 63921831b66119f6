"""Spectra and singular values: as read from a database, and as drawn."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import spectrum_tables as known
from report_tools import rows, succeed, sweep

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
import rhosweep_reports  # noqa: E402
from picture_tools import draw  # noqa: E402
from rhosweep_reports import database, student, summary  # noqa: E402
from rhosweep_reports.errors import InputError  # noqa: E402
from rhosweep_reports.figures import lyapunov  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import Table  # noqa: E402

OLD = Path(__file__).resolve().parents[1] / "data" / "version4.db"
KINDS = ("spectrum", "lyapunov", "dimension", "singular")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return known.make_database(tmp_path_factory.mktemp("spectra") / "spectra.db")


@pytest.fixture(scope="module")
def tables(path):
    return known.tables(path)


def picture(tables, name, cell="tanh", look=Look()):
    (found,) = [one for one in pictures.plan(tables, look, name)[0] if one.parts[0].one("cell") == cell]
    return found


def lines(axes, **look):
    """(x, y) of the lines of more than two points with these properties."""
    def agrees(line):
        return all(getattr(line, f"get_{name}")() == value for name, value in look.items())

    return [np.array(line.get_data(), float) for line in axes.lines if len(line.get_xdata()) > 2 and agrees(line)]


def execute(path, sql, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


# --- as read --------------------------------------------------------------------------------------

def test_exponents_are_read_one_a_row(path):
    found = rhosweep_reports.read(path)["lyapunov"]
    chosen = found[(found["cell"] == "linear") & (found["rho"] == 2.0) & (found["seed"] == 3)]
    assert chosen["k"].tolist() == list(range(1, 17))
    assert np.array_equal(chosen["exponent"], known.exponents(2.0, 3, 16))
    assert np.array_equal(chosen["predicted"], known.eigenvalues(2.0, 16))
    assert set(chosen["transient"]) == {known.TRANSIENT} and set(chosen["qr_every"]) == {2}
    assert np.isnan(found["predicted"][found["cell"] == "tanh"]).all()


def test_a_pair_has_twice_as_many(path):
    found = rhosweep_reports.read(path)
    assert found["lyapunov"]["k"][found["lyapunov"]["cell"] == "lstm"].max() == 32
    assert found["singular"]["k"][found["singular"]["cell"] == "lstm"].max() == 32


def test_singular_values_are_read_as_log10(path):
    found = rhosweep_reports.read(path)["singular"]
    chosen = found[(found["cell"] == "tanh") & (found["rho"] == 3.0) & (found["seed"] == 1) & (found["at"] == 16)]
    assert chosen["log10_singular_value"].tolist() == pytest.approx(16 * known.exponents(3.0, 1, 16) / np.log(10.0))


def test_tables_are_the_printed_ones(tmp_path):
    path = sweep(tmp_path / "x.db", {"--cell": "linear,lstm", "--hidden": "4", "--steps": "12", "--seeds": "1:2",
                                     "--rho": "0.5,1", "--lyapunov": "all", "--transient": "4",
                                     "--singular-at": "3,12", "--precision": "f64"})
    for name, columns in (("lyapunov", ("k", "exponent", "standard_error", "predicted", "qr_every")),
                          ("singular", ("k", "at", "log10_singular_value"))):
        read, printed = rhosweep_reports.read(path)[name], rows(name, path)
        assert len(read) == len(printed) > 0
        for column in ("seed", "rho", "transient", *columns):
            numbers = [float(row[column] or "nan") for row in printed]
            assert np.array_equal(np.asarray(read[column], float), numbers, equal_nan=True), column


def test_an_older_database_has_none():
    found = rhosweep_reports.read(OLD)
    assert len(found["lyapunov"]) == len(found["singular"]) == 0
    assert len(database.spectra(OLD)) == len(database.singular_values(OLD)) == 0


@pytest.mark.parametrize("sql", ["UPDATE lyapunov SET exponents = zeroblob(24)",
                                 "UPDATE lyapunov SET standard_errors = zeroblob(7)",
                                 "UPDATE lyapunov SET directions = 3",
                                 "UPDATE singular_values SET logs = zeroblob(9)"])
def test_arrays_of_another_length_are_refused(path, tmp_path, sql):
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(path.read_bytes())
    execute(damaged, sql)
    with pytest.raises(InputError, match="damaged"):
        database.spectra(damaged), database.singular_values(damaged)


# --- intervals ------------------------------------------------------------------------------------

@pytest.mark.parametrize(("freedom", "expected"), [  # the tables of Student's t
    (1, 12.7062), (2, 4.3027), (3, 3.1824), (9, 2.2622), (30, 2.0423), (199, 1.9720)])
def test_quantiles_are_those_of_the_tables(freedom, expected):
    assert student.quantile(freedom) == pytest.approx(expected, abs=5e-5)


def test_an_interval_leaves_out_what_is_not_finite():
    assert student.interval(np.array([1.0, np.nan, 3.0, np.inf])) == pytest.approx((2.0, 12.7062), abs=1e-4)
    alone, half = student.interval(np.array([np.nan, 5.0]))
    assert alone == 5.0 and np.isnan(half)
    assert np.isnan(student.interval(np.array([np.nan]))).all()


# --- in sentences ---------------------------------------------------------------------------------

def told_of(tables, spectra):
    """The sentences about the tanh network at all radii."""
    seeds = [row for row in tables["seeds"].rows() if row["cell"] == "tanh"]
    decay = [row | {"rho": row["rho_asked"], "g": row["rho_asked"], "regime": "vanishing", "seeds": "3"}
             for row in seeds if row["seed"] == "1"]
    decay = Table.from_rows("decay", tuple(decay[0]), decay)
    ((_, (line,)),) = summary.came_out(decay, {}, (), spectra, tables["seeds"])
    return line


def test_the_page_says_how_far_exponents_and_rates_are_apart(tables):
    line = told_of(tables, tables["lyapunov-summary"])
    assert line.endswith("The largest Lyapunov exponents and minus the decay rates differ by at most 0.003 nats per "
                         "step. Spectra obey the sum rule to 1e-10.")


def test_without_spectra_it_says_nothing(tables):
    assert "Lyapunov" not in told_of(tables, ())


# --- as drawn -------------------------------------------------------------------------------------

def test_a_spectrum_is_the_mean_over_seeds(tables):
    figure = draw(picture(tables, "spectrum", "linear"))
    drawn, predicted = (lines(figure.axes[0], linestyle=dash) for dash in ("-", "--"))
    assert len(drawn) == len(predicted) == len(known.RADII)
    for (place, mean), (_, law), rho in zip(drawn, predicted, known.RADII, strict=True):
        assert place == pytest.approx(np.arange(1, 17) / 16)
        assert mean == pytest.approx(known.exponents(rho, 2, 16))
        assert law == pytest.approx(known.eigenvalues(rho, 16))


@pytest.mark.parametrize("name", ["spectrum", "singular"])
def test_networks_that_are_not_finite_are_left_out(name, path, tmp_path):
    some = tmp_path / "some.db"
    some.write_bytes(path.read_bytes())
    nan = np.full(16, np.nan).tobytes()
    of_first = "WHERE length({0}) = 128 AND point_id IN (SELECT p.id FROM points p JOIN cases c ON c.id = p.case_id" \
               " WHERE c.seed = 1)"
    execute(some, "UPDATE lyapunov SET exponents = ? " + of_first.format("exponents"), nan)
    execute(some, "UPDATE singular_values SET logs = ? " + of_first.format("logs"), nan)
    figure = draw(picture(known.tables(some), name))
    value = lines(figure.axes[0], linestyle="-")[0][1]
    expected = known.exponents(0.75, 2.5, 16) if name == "spectrum" else \
        np.array(known.TIMES) * known.exponents(3.0, 2.5, 16)[0] / np.log(10.0)
    assert value == pytest.approx(expected)


def test_a_pair_is_drawn_over_both_of_its_halves(tables):
    figure = draw(picture(tables, "spectrum", "lstm"))
    assert lines(figure.axes[0], linestyle="-")[0][0][-1] == 1.0
    assert "2H" in figure.axes[0].get_xlabel()


def test_small_positive_exponents_are_enlarged(tables):
    (inset,) = draw(picture(tables, "spectrum", "tanh")).axes[0].child_axes
    assert inset.get_ylim()[1] == pytest.approx(1.1 * known.exponents(3.0, 1, 16)[0])
    assert inset.get_xlim()[0] == 0.0


def test_the_largest_exponent_is_drawn_beside_minus_the_rate(tables):
    figure = draw(picture(tables, "lyapunov"))
    above, below = figure.axes
    ((_, rate),) = lines(above, linestyle="-", marker="None")
    expected = [-np.mean([known.decay_rate(rho, seed, 16) for seed in known.SEEDS]) for rho in known.RADII]
    assert rate == pytest.approx(expected)
    largest, difference = (lines(one, marker="o")[0][1] for one in (above, below))
    assert largest == pytest.approx([known.exponents(rho, 2, 16)[0] for rho in known.RADII])
    assert difference == pytest.approx(largest - rate, abs=1e-12)
    ((segments, *_),) = [bars.get_segments() for bars in below.collections]
    assert segments[:, 1] == pytest.approx([-4.3027 * 0.00075 / 3**0.5, 4.3027 * 0.00075 / 3**0.5], rel=1e-3)


def test_networks_without_a_rate_are_left_out(tables):
    lacking = [row | {"decay_rate": ""} if row["seed"] == "1" else row for row in tables["seeds"].rows()]
    some = type(tables["seeds"]).from_rows("seeds", tuple(lacking[0]), lacking)
    figure = draw(picture(tables | {"seeds": some}, "lyapunov"))
    largest = lines(figure.axes[0], marker="o")[0][1]
    assert largest == pytest.approx([known.exponents(rho, 2.5, 16)[0] for rho in known.RADII])


def test_dimension_and_entropy_are_per_unit(tables):
    above, below = draw(picture(tables, "dimension", "linear")).axes
    for axes, factor in ((above, 4.0), (below, 0.25)):
        ((place, value),) = lines(axes, marker="o")
        assert place == pytest.approx(0.9375 * np.array(known.RADII))
        assert value == pytest.approx(factor * np.array(known.RADII) / 16)


@pytest.mark.parametrize(("settings", "shown"), [
    ({}, True), ({"input": "noise:0.5"}, False), ({"h0": "zero"}, False), ({"ensemble": "orthogonal"}, False),
    ({"leak": "0.5"}, False)])
def test_large_networks_are_shown_beside_their_like_alone(tmp_path, settings, shown):
    path = known.make_database(tmp_path / "x.db", cells=("tanh",), radii=(1.0, 2.0, 3.5), **settings)
    figure = draw(picture(known.tables(path), "dimension"))
    diamonds = [np.array(line.get_data()) for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert [one.tolist() for one in diamonds] == ([[[1.5, 2.0, 3.0], [0.16511, 0.25659, 0.28717]]] if shown else [])


def test_large_networks_have_no_radius(tmp_path):
    path = known.make_database(tmp_path / "x.db", cells=("tanh",))
    figure = draw(picture(known.tables(path), "dimension", look=Look(x="rho")), Look(x="rho"))
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "D"]


def test_a_few_exponents_have_no_dimension(tmp_path):
    path = known.make_database(tmp_path / "x.db", cells=("tanh",), directions=2)
    tables = known.tables(path)
    assert "dimension" not in {one.figure.name for one in pictures.plan(tables, Look())[0]}
    assert draw(picture(tables, "dimension")) is None
    assert draw(picture(tables, "spectrum")) is not None


def test_singular_values_are_drawn_by_order(tables):
    figure = draw(picture(tables, "singular"))
    for axes, rho in zip(figure.axes, (3.0, 2.0, 0.75), strict=True):  # the largest on top, three of four
        spectrum = known.exponents(rho, 2, 16) / np.log(10.0)
        drawn = lines(axes, linestyle="-")
        for (times, value), rank in zip(drawn, (0, 2, 8, 14, 15), strict=True):
            assert times.tolist() == list(known.TIMES)
            assert value == pytest.approx(np.array(known.TIMES) * spectrum[rank])


def test_one_norm_hides_all_but_the_largest():
    """The root mean square of 10^0 and 10^-300 is 10^0 / sqrt 2, beyond what squares in doubles hold too."""
    logs = np.array([[0.0, -300.0], [400.0, 400.0], [-500.0, -500.0], [-np.inf, -np.inf]])
    expected = [-0.5 * np.log10(2.0), 400.0, -500.0, -np.inf]
    assert lyapunov.root_mean_square(logs) == pytest.approx(expected)


def test_the_fullest_measurement_is_shown(path, tmp_path):
    more = tmp_path / "more.db"
    more.write_bytes(path.read_bytes())
    execute(more, "INSERT INTO lyapunov SELECT point_id, 2, transient, qr_asked, qr_every, "
                  "zeroblob(16), zeroblob(16), NULL, NULL, NULL FROM lyapunov")
    before, after = (draw(picture({"lyapunov": database.spectra(one)}, "spectrum")) for one in (path, more))
    for one, other in zip(lines(before.axes[0]), lines(after.axes[0]), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("name", KINDS)
def test_who_never_asked_misses_nothing(name, tables):
    empty = {key: Table.from_rows(key, table.header, []) for key, table in tables.items()}
    told = [title for title, _ in pictures.plan(empty, Look())[1]]
    assert not any("Lyapunov" in title or "ingular" in title or "dimension" in title for title in told)
    ((_, reason),) = pictures.plan(empty, Look(), name)[1]
    assert "rhosweep sweep --lyapunov" in reason


@pytest.mark.parametrize("name", KINDS)
def test_the_same_database_gives_the_same_bytes(name, tables, tmp_path):
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert pictures.draw(picture(tables, name), folder, ("svg",), Look()) is None
        found.append({one.name: one.read_bytes() for one in folder.iterdir()})
    assert found[0] == found[1] and len(found[0]) == 2


# --- the whole report -----------------------------------------------------------------------------

def test_a_report_has_tables_and_figures(tmp_path):
    path = known.make_database(tmp_path / "x.db", cells=("tanh",), hidden=(8,), radii=(0.75, 2.0))
    succeed("report", path, "-o", tmp_path / "report", "--format", "svg")
    names = {one.name for one in (tmp_path / "report").iterdir()}
    assert {"lyapunov-summary.csv", "condition.tex"} <= names
    assert {name.partition("_")[0] for name in names if name.endswith(".svg")} >= set(KINDS)
    page = (tmp_path / "report" / "index.html").read_text()
    for name in ("lyapunov-summary", "condition", "lyapunov", "singular"):
        assert f'id="data-{name}"' in page, name
    assert f"rhosweep table singular {path} --format csv" in page
    assert "minus the decay rates differ by at most 0.002" in page


def test_a_report_without_exponents_does_not_mention_them(report):
    page = (report / "index.html").read_text()
    assert "Lyapunov" not in page and 'id="data-lyapunov' not in page and "ingular value" not in page
    assert not [one for one in report.iterdir() if one.name.startswith(("lyapunov", "condition", "spectrum"))]
