"""Every plotted number is a number of a table."""

import numpy as np
import pytest
from report_tools import rows, succeed

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw, marks_of, overlap  # noqa: E402
from PIL import Image  # noqa: E402
from rhosweep_reports import fonts, style  # noqa: E402
from rhosweep_reports.figures import FIGURES, flow, profiles  # noqa: E402
from rhosweep_reports.figures.drawing import Absent, power_text, with_interval  # noqa: E402
from rhosweep_reports.figures.places import spread, write_where_free  # noqa: E402
from rhosweep_reports.load import Results  # noqa: E402
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


def draw_rate(axes, results, x="rho", **chosen):
    decay, critical = (part(results.read(name), FAMILY, **chosen) for name in ("decay", "critical"))
    flow.rate(axes, decay, critical, x)()


@pytest.mark.parametrize("over", style.AXES)
def test_rate_plots_the_decay_table(axes, results, database, over):
    draw_rate(axes, results, over, **TANH)
    for hidden in ("8", "12"):
        expected = family(database, hidden=hidden, **TANH)
        x, y, half = errorbars(axes, f"H = {hidden}")
        assert list(x) == [float(row[over]) for row in expected]
        assert list(y) == [float(row["decay_rate"]) for row in expected]
        np.testing.assert_allclose(half, [float(row["decay_rate_ci95"]) for row in expected])


def test_rate_plots_predictions_of_the_table(axes, results, database):
    chosen = {"cell": "linear", "ensemble": "orthogonal"}
    draw_rate(axes, results, **chosen)
    expected = family(database, hidden="8", **chosen)
    assert all(row["predicted_rate"] for row in expected)
    x, y = drawn(axes, f"_{expected[0]['prediction']}")
    assert list(x) == [float(row["rho"]) for row in expected]
    assert list(y) == [float(row["predicted_rate"]) for row in expected]
    assert not [line for line in axes.lines if line.get_label() == "linear cells"]


def test_rate_compares_other_cells_with_linear_ones(axes, results):
    draw_rate(axes, results, **TANH)
    x, y = drawn(axes, "linear cells")
    np.testing.assert_allclose(y, -np.log(x), rtol=1e-9)
    low, high = axes.get_ylim()
    assert low > y.min()  # a law sets no limit


@pytest.fixture
def fixed(fixed_database, tmp_path):
    """Tables of one network whose rate crosses 0."""
    return Results(fixed_database, tmp_path)


@pytest.mark.parametrize("over", style.AXES)
def test_rate_marks_the_critical_point_with_its_interval(axes, fixed, fixed_database, over):
    draw_rate(axes, fixed, over, **TANH)
    (row,) = rows("critical", fixed_database)
    place, *ends = (float(row[f"{over}_critical{end}"]) for end in ("", "_ci95_low", "_ci95_high"))
    mark, bar = [line.get_xydata().T.tolist() for line in axes.lines
                 if line.get_color() == style.MEASURED and line.get_zorder() >= 4][::-1]
    assert (mark, bar) == ([[place], [0.0]], [ends, [0.0, 0.0]])
    assert any(with_interval(place, *ends) in text.get_text() for text in axes.texts)


def test_rate_marks_the_largest_network_that_has_a_critical_point(axes):
    empty = dict.fromkeys(("rho_critical_ci95_low", "rho_critical_ci95_high", "g_predicted"), "")
    table = [empty | {"hidden": hidden, "rho_critical": place}
             for hidden, place in (("128", "1.25"), ("512", ""), ("64", "1.5"))]
    part, (place, *_) = flow._critical_point(Table.from_rows("critical", tuple(table[0]), table), "rho")
    assert (part.one("hidden"), place) == ("128", 1.25)


def test_rates_of_all_families_have_one_scale(results):
    planned, _ = pictures.plan({name: results.read(name) for name in ("decay", "critical")}, Look(), "rate")
    assert len({draw(picture).axes[0].get_ylim() for picture in planned}) == 1 < len(planned)


@pytest.mark.parametrize(("ends", "expected"), [
    ((1.5, 1.7), r"1.61\ [1.50,\,1.70]"), ((1.588, 1.636), r"1.609\ [1.588,\,1.636]"),
    ((1.3, np.inf), r"1.61\ [1.30,\,\infty)"), ((0.0, 1.7), r"1.61\ (0,\,1.70]"),
    ((0.0, np.inf), r"1.609\ (0,\,\infty)"),
    ((np.nan, np.nan), "1.609"), ((1.609, 1.609), r"1.609\ [1.609,\,1.609]")])
def test_intervals_are_rounded_to_their_width(ends, expected):
    assert with_interval(1.609, *ends) == expected


def test_growing_plots_the_decay_table(axes, results, database):
    chosen = {"cell": "linear", "ensemble": "orthogonal"}
    flow.growing(axes, part(results.read("decay"), FAMILY, **chosen))
    x, y = drawn(axes, "H = 12")
    expected = family(database, hidden="12", **chosen)
    aside = x - [float(row["rho"]) for row in expected]
    assert aside == pytest.approx(aside[0], abs=1e-12) and 0.0 < aside[0] < 0.02
    assert list(y) == [float(row["growing_fraction"]) for row in expected] != [0] * len(expected)


def test_growing_offsets_sizes_and_keeps_marks_off_the_frame(axes, results):
    flow.growing(axes, part(results.read("decay"), FAMILY, cell="linear", ensemble="orthogonal"))
    axes.figure.draw_without_rendering()
    small, large = (line.get_xdata() for line in axes.lines if line.get_label().startswith("H = "))
    assert len(small) == len(large) and not set(small) & set(large)
    for mark in marks_of(axes):
        assert axes.bbox.x0 < mark.x0 and mark.x1 < axes.bbox.x1


def test_growing_says_that_nothing_grows(axes, results):
    vanishing = next(one for one in part(results.read("decay"), FAMILY, **TANH).split(("rho_asked",))
                     if one.one("rho_asked") == "0.25")
    with pytest.raises(Absent, match="gradients of no seed grow"):
        flow.growing(axes, vanishing)


@pytest.mark.parametrize(("share", "count", "expected"), [  # R: prop.test(correct = FALSE)
    (0.0, 10, (0.0, 0.2775)), (0.5, 10, (0.2366, 0.7634)), (1.0, 3, (0.4385, 1.0))])
def test_intervals_of_wilson(share, count, expected):
    assert flow.wilson(share, count) == pytest.approx(expected, abs=1e-4)


def curves_of(database, hidden):
    """Radius asked to values [seeds, T] of the profile table, straight from the program."""
    found = {}
    for row in rows("profile", database):
        if (row["cell"], row["ensemble"], row["hidden"]) == ("tanh", "gaussian", hidden):
            found.setdefault(float(row["rho_asked"]), {}).setdefault(row["seed"], []).append(
                number(row["log10_norm_mean"]))
    return {radius: np.array(list(seeds.values())) for radius, seeds in sorted(found.items())}


def test_profile_plots_every_step_of_every_radius(axes, results, database):
    profiles.profile(axes, part(results.read("profile"), NETWORK, hidden="8", **TANH))
    expected = curves_of(database, "8")
    lines = [line for line in axes.lines if len(line.get_xdata()) == 120]
    assert len(lines) == len(expected) == 4
    for line, values in zip(lines, expected.values(), strict=True):
        assert list(line.get_xdata()) == list(range(120))
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0)[::-1], rtol=1e-14)
    for band, values in zip(axes.collections, expected.values(), strict=True):
        path = band.get_paths()[0].vertices
        for back in (0, 60, 119):
            at = path[path[:, 0] == back][:, 1]
            assert at.min() == values[:, 119 - back].min()
            assert at.max() == values[:, 119 - back].max()


def falls(*rates):
    """Means of log10 norms over 100 steps back."""
    return [rate * np.arange(100.0) for rate in rates]


@pytest.mark.parametrize(("means", "critical", "expected"), [
    (falls(-1, 0), None, [0, 1]),  # few are all shown
    (falls(-0.4, -0.3, -0.2, -0.1, 0, 0.1, 0.25, 0.4), 4, [0, 2, 4, 6, 7]),  # two on each side
    (falls(-0.4, -0.3, -0.2, -0.1, 0, 0.1), 4, [0, 1, 3, 4, 5]),  # one side has too few
    (falls(-0.4, -0.39, -0.3, -0.2, -0.1, 0), None, [0, 2, 3, 4, 5]),  # their ends are spread
    (falls(-4, -3, -0.3, -0.2, -0.1, 0, 0.1), None, [2, 3, 4, 5, 6]),  # the steep press the others together
    (falls(-4, -3.9, -3.8, -3.7, -3, -2), None, [0, 2, 3, 4, 5])])  # unless all are
def test_a_profile_shows_five_radii_that_tell_most(means, critical, expected):
    chosen = profiles.choose_curves(means, critical, 64)
    assert len(chosen) <= 5 and (critical is None or critical in chosen)
    assert chosen == expected


def test_the_radius_nearest_to_the_critical_one_is_strong(axes, fixed):
    profiles.profile(axes, fixed.read("profile"), fixed.read("critical"))
    widths = [line.get_linewidth() for line in axes.lines if len(line.get_xdata()) == 20]
    assert len(widths) == 4 and widths.index(max(widths)) == 2  # 0.5, 1, 1.5, 2: critical at 1.52
    assert any(r"\rho=1.5\approx\rho^*" in text.get_text() for text in axes.texts)


def test_heatmap_plots_every_step_of_every_radius(axes, results, database):
    profiles.heatmap(axes, part(results.read("profile"), NETWORK, hidden="8", **TANH))
    expected = np.array([values.mean(axis=0)[::-1] for values in curves_of(database, "8").values()])
    mesh = axes.collections[0]
    np.testing.assert_allclose(np.asarray(mesh.get_array()), expected - expected[:, :1], atol=1e-13)
    assert mesh.get_clim() == (-10, 10)


@pytest.mark.parametrize(("furthest", "clip"), [(0.5, 1), (2.5, 3), (-4, 5), (99, 10)])
def test_colours_of_a_heatmap_are_symmetric_and_end_at_the_data(axes, furthest, clip):
    relative = np.outer([0.0, 1.0], [0.0, 1.0, furthest])
    found, bar = profiles._draw_colours(axes, np.array([1.0, 2.0]), relative)
    assert found == clip and bar.mappable.get_clim() == (-clip, clip)
    assert list(bar.get_ticks()) == sorted(-tick for tick in bar.get_ticks())
    assert bar.extend == ("max" if furthest > clip else "neither")


def test_horizon_plots_ranges_of_the_table_and_the_fall_of_the_curves(axes, results, database):
    network = {"hidden": "8", **TANH}
    profiles.horizon(axes, part(results.read("decay"), NETWORK, **network),
                     part(results.read("profile"), NETWORK, **network))
    expected = family(database, **network)
    for name in ("fp16", "fp32"):
        _, y = drawn(axes, f"{name} underflow")
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
    decay = [network | ends | {"rho": rho, "g": rho, "fp16_underflow": low, "fp16_overflow": high}
             for rho, low, high in (("1", "7", ""), ("2", "", "4"))]
    curves = [network | {"rho": rho, "g": rho, "rho_asked": rho, "seed": "1", "state": "h"}
              for rho in ("1", "2")]
    profile = Table("profile", tuple(curves[0]), list(zip(*(row.values() for row in curves))),
                    [np.zeros(9)] * 2)
    profiles.horizon(axes, Table.from_rows("decay", tuple(decay[0]), decay), profile)
    np.testing.assert_array_equal(drawn(axes, "fp16 underflow")[1], [7, np.nan])
    np.testing.assert_array_equal(drawn(axes, "fp16 overflow")[1], [np.nan, 4])


def test_values_that_are_not_finite_break_the_line(axes):
    header = ("cell", "ensemble", "model", "hidden", "steps", "batch", "input", "h0", "loss",
              "gate_bias", "gate_scale", "leak", "precision", "raw", "rho", "rho_asked", "seed",
              "state")
    row = ("linear", "gaussian", "", "4", "4", "1", "zero", "zero", "random", "", "", "1", "f32",
           "1", "1", "1", "7", "h")
    curve = np.array([-np.inf, np.nan, -2.0, 0.0])
    table = Table("profile", header, [(cell,) for cell in row], [curve])
    profiles.profile(axes, table)
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 4]
    np.testing.assert_array_equal(line.get_ydata(), [0.0, -2.0, np.nan, np.nan])


def test_powers_have_their_sign():
    assert [power_text(exponent) for exponent in (-38, 0, 12)] == ["10⁻³⁸", "1", "10¹²"]


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


@pytest.mark.parametrize("over", style.AXES)
@pytest.mark.parametrize("name", ["heatmap", "rate"])
def test_a_figure_gives_the_critical_point_the_digits_of_the_table(name, over, fixed, fixed_database):
    table = succeed("table", "critical", fixed_database, "--format", "md", "--columns", f"{over}_critical")
    value = table.splitlines()[-1].strip("| ").partition(" [")[0]
    tables = {one: fixed.read(one) for one in ("decay", "profile", "critical")}
    (picture,), _ = pictures.plan(tables, Look(x=over), name)
    assert any(f"^*={value}" in text.get_text() for text in draw(picture, Look(x=over)).axes[0].texts)


def test_words_find_room_beside_an_interval_of_no_number(axes):
    axes.errorbar([1.0, 2.0, 3.0], [np.nan, 1.0, 2.0], [np.nan, 0.5, 0.5], fmt="o")
    axes.figure.draw_without_rendering()
    text = write_where_free(axes, "here", (0.0, 0.0))
    assert not any(overlap(text.get_window_extent(), mark) for mark in marks_of(axes))


def test_a_rate_of_no_number_leaves_the_figure_as_it_is(axes, fixed):
    decay, critical = (part(fixed.read(name), FAMILY, **TANH) for name in ("decay", "critical"))
    found = [row | ({"decay_rate": "", "decay_rate_ci95": ""} if at == 1 else {})
             for at, row in enumerate(decay.rows())]
    flow.rate(axes, Table.from_rows("decay", tuple(found[0]), found), critical)()
    assert any("explode" in text.get_text() for text in axes.texts)


def test_a_colour_bar_has_all_its_colours(fixed, tmp_path):
    tables = {name: fixed.read(name) for name in ("decay", "profile", "critical")}
    for name, mode in (("heatmap", "RGB"), ("rate", "P")):
        (picture,), _ = pictures.plan(tables, Look(), name)
        typeset = pictures.drawn(picture, Look())
        typeset.save(tmp_path / f"{name}.png", "png")
        typeset.figure.savefig(tmp_path / "exact.png")
        saved, exact = Image.open(tmp_path / f"{name}.png"), Image.open(tmp_path / "exact.png").convert("RGB")
        assert saved.mode == mode
        error = np.asarray(saved.convert("RGB"), int) - np.asarray(exact, int)
        assert np.abs(error).max() <= (0 if mode == "RGB" else 12)


def test_fonts_are_read_once_and_cut_to_the_letters_used(fixed, tmp_path, monkeypatch):
    read, load_font = [], fonts.subset.load_font
    monkeypatch.setattr(fonts.subset, "load_font", lambda font, options:
                        read.append(font) or load_font(font, options))
    fonts._common.cache_clear()
    (picture,), _ = pictures.plan({name: fixed.read(name) for name in ("profile", "critical")}, Look(), "heatmap")
    for _ in range(2):
        pictures.draw(picture, tmp_path, ("pdf",), Look())
    files = [font for font in read if isinstance(font, str)]
    assert len(files) == len(set(files)) > 1
    for letters in ("Aρ∂", "A\u0416"):  # a common letter, and one that reports write in a model's name alone
        with fonts._of_letters(files[0], letters) as cut, load_font(files[0], fonts.subset.Options()) as whole:
            names = whole.getBestCmap()
            assert {*cut.getBestCmap()} == {*map(ord, letters)}
            for letter in letters:
                name = names[ord(letter)]
                assert cut["hmtx"][name] == whole["hmtx"][name]
                assert cut["glyf"][name].getCoordinates(cut["glyf"]) == \
                    whole["glyf"][name].getCoordinates(whole["glyf"])


def test_names_of_figures_are_known_to_the_program():
    text = " ".join(succeed("report", "--help").split())
    assert all(f"{figure.name}," in text or f"{figure.name} " in text for figure in FIGURES)


# Every pair of choices.
LOOKS = [Look(style_name, width, font, "none", x) for style_name, width, font, x in (
    ("paper", "column", "sans", "rho"), ("paper", "page", "serif", "g"), ("talk", "column", "serif", "rho"),
    ("talk", "page", "sans", "g"), ("talk", "column", "sans", "g"), ("paper", "page", "serif", "rho"))]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_nothing_is_clipped_and_no_names_overlap(results, look):
    tables = {name: results.read(name) for name in ("decay", "critical", "profile")}
    planned, _ = pictures.plan(tables, look)
    drawn_figures = set()
    for picture in planned:
        figure = draw(picture, look)
        if figure is None:
            continue
        drawn_figures.add(picture.figure.name)
        assert_readable(figure, picture.name)
    assert {"rate", "profile", "heatmap", "horizon", "growing"} <= drawn_figures
