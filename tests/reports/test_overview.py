"""Figures of many networks: phase diagram, small multiples, scaling with size, spread over seeds."""

import numpy as np
import overview_tables as made
import pytest

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
from matplotlib.text import Text  # noqa: E402
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import style  # noqa: E402
from rhosweep_reports.figures import phase, seeds  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import Table  # noqa: E402

NAMES = ("phase", "multiples", "scaling", "seeds")
IN_G = Look(x="g")


def planned(tables, name, look=Look()):
    found, _ = pictures.plan(tables, look, name)
    return found


def drawn(tables, name, look=Look()):
    (picture,) = planned(tables, name, look)
    return pictures.drawn(picture, look).figure


def words_of(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def reason(tables, name, tmp_path):
    (picture,) = planned(tables, name)
    return pictures.draw(picture, tmp_path, ("svg",), Look())


def asked(tables, name):
    """Whether a report draws the figure without its being named."""
    return name in {picture.figure.name for picture in pictures.plan(tables, Look())[0]}


# --- phase ----------------------------------------------------------------------------------------

SIGMAS = ("noise:0.25", "noise:0.5", "noise:1")


def over_noise(sigmas=SIGMAS, **settings):
    networks = [made.network(input=sigma, **settings) for sigma in sigmas]
    return {"decay": made.decay(networks), "critical": made.critical(networks)}


def meshes(axes):
    return [np.asarray(mesh.get_array()).ravel() for mesh in axes.collections if mesh.get_array() is not None]


@pytest.mark.parametrize("x", style.AXES)
def test_phase_plots_the_tables(x):
    tables = over_noise()
    axes = drawn(tables, "phase", Look(x=x)).axes[0]
    for column, part in zip(meshes(axes), tables["decay"].split(("input",)), strict=True):
        assert list(column) == list(part.numbers("decay_rate"))
    line, _, (bars,) = axes.containers[0].lines
    assert list(line.get_xdata()) == [0.25, 0.5, 1.0]
    assert list(line.get_ydata()) == list(tables["critical"].numbers(f"{x}_critical"))
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    for at, end in enumerate(("low", "high")):
        np.testing.assert_allclose(ends[:, at], tables["critical"].numbers(f"{x}_critical_ci95_{end}"))


def test_phase_has_the_prediction_where_the_table_has_it():
    assert "mean field" in words_of(drawn(over_noise(), "phase"))
    assert "mean field" not in words_of(drawn(over_noise(), "phase", Look(x="rho")))  # it is a coupling


@pytest.mark.parametrize(("x", "over"), [("", "coupling"), ("g", "coupling"), ("rho", "spectral radius")])
def test_phase_is_over_the_coupling_unless_a_user_asks_for_the_radius(x, over):
    assert drawn(over_noise(), "phase", Look(x=x)).axes[0].get_ylabel().startswith(over)


def test_phase_says_what_happens_where():
    words = words_of(drawn(over_noise(), "phase"))
    assert {"gradients explode", "gradients vanish", "linear cells"} <= {*words}
    words = words_of(drawn(over_noise(ensemble="symmetric"), "phase"))
    assert "gradients vanish" in words
    assert "gradients explode" not in words


def test_words_on_a_phase_diagram_cover_their_side_alone():
    figure = drawn(over_noise(), "phase")
    axes, rates = figure.axes[0], meshes(figure.axes[0])
    edges = np.array([0.125, 0.375, 0.75, 1.25])
    for words, sign in (("gradients explode", -1), ("gradients vanish", 1)):
        (text,) = (one for one in axes.texts if one.get_text() == words)
        box = text.get_window_extent().transformed(axes.transData.inverted())
        columns = slice(np.searchsorted(edges, box.x0) - 1, np.searchsorted(edges, box.x1))
        rows = [int(np.abs(np.array(made.RADII) - y).argmin()) for y in (box.y0, box.y1)]
        assert all((sign * column[rows] > 0.0).all() for column in rates[columns])


def test_phase_needs_three_levels_of_noise(tmp_path):
    tables = over_noise(("noise:0.25", "pytorch", "noise:1"))
    assert not asked(tables, "phase")
    assert reason(tables, "phase", tmp_path) == \
        "needs several radii at 3 levels of --input noise:SIGMA or more"
    assert asked(over_noise(("zero", "noise:0.25", "noise:1")), "phase")


@pytest.mark.parametrize(("rates", "limit"), [
    ([-0.27, 1.0], 0.4), ([-1.0, 0.27], 0.4), ([-0.001, 0.5], 0.1), ([0.1, 0.5], 0.6), ([-0.3, -0.1], 0.4),
    ([0.0], 1.0), ([-20.0, 20.0], 20.0),
])
def test_colours_end_alike_on_both_sides(rates, limit):
    assert phase.colour_limit(np.array(rates)) == pytest.approx(limit)


def test_phase_is_named_for_its_network_without_the_noise():
    (picture,) = planned(over_noise(), "phase")
    assert picture.name == "phase_tanh_gaussian_H64_T100"
    assert "input noise:0.25 to noise:1" in picture.about


# --- multiples ------------------------------------------------------------------------------------

def grid(ensembles, sizes):
    return made.tables([made.network(ensemble=ensemble, hidden=hidden) for ensemble in ensembles
                        for hidden in sizes], count=2)


@pytest.mark.parametrize("x", style.AXES)
def test_multiples_plot_the_tables(x):
    tables = grid(("gaussian", "symmetric"), (64, 128))
    figure = drawn(tables, "multiples", Look("paper", "page", x=x))
    parts = tables["decay"].split(("ensemble", "hidden"))
    assert len(figure.axes) == 4
    for axes, part in zip(figure.axes, parts, strict=True):
        line, _, _ = axes.containers[0].lines
        assert list(line.get_xdata()) == list(part.numbers(x))
        assert list(line.get_ydata()) == list(part.numbers("decay_rate"))
        (theory,) = (one for one in axes.lines if one.get_label() == "theory")
        assert list(theory.get_ydata()) == list(part.numbers("predicted_rate"))


def test_multiples_say_where_each_network_turns():
    words = words_of(drawn(grid(("gaussian", "symmetric"), (64, 128)), "multiples"))
    assert {r"$\rho^*=1.75$", r"$\rho^*=1.62$", "Gaussian", "Symmetric", "H = 64", "H = 128"} <= {*words}
    assert words.count(r"no $\rho^*$") == 2


@pytest.mark.parametrize(("width", "shape"), [("page", (3, 4)), ("column", (4, 3))])
def test_ensembles_go_down_a_page_and_across_a_column(width, shape):
    figure = drawn(grid(made.ENSEMBLES[:3], (16, 32, 64, 128)), "multiples", Look("paper", width))
    assert len(figure.axes) == 12
    rows, columns = (len({round(getattr(axes.get_position(), end), 2) for axes in figure.axes})
                     for end in ("y0", "x0"))
    assert (rows, columns) == shape


@pytest.mark.parametrize(("sizes", "shown"), [((16, 32), 2), ((16, 32, 64, 128, 256), 5)])
def test_one_row_of_multiples_wraps(sizes, shown):
    figure = drawn(grid(("gaussian",), sizes), "multiples")
    assert [axes.get_title() for axes in figure.axes] == [f"H = {size}" for size in sizes][:shown]


def test_multiples_say_how_many_are_left_out():
    figure = drawn(grid(made.ENSEMBLES, (16, 32, 64, 128, 256, 512)), "multiples")
    assert len(figure.axes) == 24
    assert any("24 of 48 panels shown" in words for words in words_of(figure))
    assert {"H = 16", "H = 512"} <= {axes.get_title() for axes in figure.axes}


def test_multiples_are_of_cells_too():
    networks = [made.network(), made.network(cell="lstm", gate_bias="1", leak=""), made.network(leak="0.5")]
    figure = drawn(made.tables(networks), "multiples")
    assert [axes.get_title() for axes in figure.axes] == ["tanh, leak 0.5", "tanh, leak 1", "LSTM"]


def test_one_network_makes_no_multiples(tmp_path):
    tables = grid(("gaussian",), (64,))
    assert not asked(tables, "multiples")
    assert "needs several sizes" in reason(tables, "multiples", tmp_path)
    at_one_radius = made.tables([made.network(), made.network(hidden=128)], radii=(1.0,))
    assert not asked(at_one_radius, "multiples")
    assert reason(at_one_radius, "multiples", tmp_path) == "needs several radii"


def test_multiples_and_scaling_are_named_for_what_their_networks_share():
    tables = grid(("gaussian", "orthogonal"), (64, 128))
    for name in ("multiples", "scaling"):
        (picture,) = planned(tables, name)
        assert picture.name == f"{name}_T100"
        assert picture.lines[0] == "tanh, gaussian, orthogonal, H = 64 to 128, T = 100, " + \
            {"multiples": "2 seeds", "scaling": "10 seeds"}[name]


# --- scaling --------------------------------------------------------------------------------------

def across_sizes(ensembles=("gaussian",), **settings):
    networks = [made.network(ensemble=ensemble, hidden=hidden) for ensemble in ensembles
                for hidden in (256, 16, 64)]
    return {"critical": made.critical(networks, **settings)}


def test_scaling_plots_the_table_in_the_order_of_sizes():
    tables = across_sizes()
    figure = drawn(tables, "scaling")
    for axes, x in zip(figure.axes, ("g", "rho"), strict=True):
        line, _, (bars,) = axes.containers[0].lines
        values = tables["critical"].numbers(f"{x}_critical")[[1, 2, 0]]
        assert list(line.get_xdata()) == [16, 64, 256]
        assert list(line.get_ydata()) == list(values)
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends.T, [values - 0.0625, values + 0.0625], rtol=1e-12)


def test_scaling_shows_the_coupling_alone_where_the_x_axis_is_it():
    assert len(drawn(across_sizes(), "scaling", IN_G).axes) == 1


def test_scaling_has_the_prediction_of_the_coupling():
    above, below = drawn(across_sizes(), "scaling").axes
    theory = [list(line.get_ydata()) for line in above.lines if line.get_color() == style.THEORY]
    assert theory == [[1.5, 1.5]]
    assert not any(line.get_color() == style.THEORY for line in below.lines)
    assert r"mean field, $H\to\infty$: 1.500" in words_of(above.figure)


@pytest.mark.parametrize(("low", "high", "arrows"), [
    ("0", "1.75", "v"), ("1.25", "inf", "^"), ("0", "inf", "v^"), ("", "", "")])
def test_an_end_that_is_not_bounded_is_an_arrow(low, high, arrows):
    (axes,) = drawn(across_sizes(low=low, high=high), "scaling", IN_G).axes
    found = {line.get_marker(): line for line in axes.lines if line.get_marker() in ("v", "^")}
    assert "".join(found) == arrows
    for marker, edge in zip("v^", axes.get_ylim(), strict=True):
        if marker in found:
            assert {*found[marker].get_ydata()} == {edge}


def test_scaling_names_kinds_at_their_ends():
    words = words_of(drawn(across_sizes(("gaussian", "uniform", "symmetric")), "scaling"))
    assert words.count("Gaussian") == words.count("Uniform") == 2
    assert "Symmetric" not in words  # has no critical point


def test_scaling_needs_two_sizes(tmp_path):
    for networks in ([made.network()], [made.network(ensemble="symmetric", hidden=h) for h in (64, 128)]):
        tables = {"critical": made.critical(networks)}
        assert not asked(tables, "scaling")
        assert reason(tables, "scaling", tmp_path) == "needs a critical point at two sizes or more"


# --- seeds ----------------------------------------------------------------------------------------

def marks(axes):
    return np.concatenate([line.get_ydata() for line in axes.lines
                           if line.get_marker() in ("o", "^") and line.get_linestyle() == "None"])


@pytest.mark.parametrize("count", [2, 10, 80])
def test_every_network_has_a_mark(count):
    tables = made.tables([made.network()], count)
    axes = drawn(tables, "seeds").axes[0]
    assert sorted(marks(axes)) == sorted(tables["seeds"].numbers("decay_rate"))
    for line in axes.lines:
        if line.get_marker() in ("o", "^") and line.get_linestyle() == "None" and len(line.get_ydata()):
            assert ((line.get_ydata() > 0.0) == (line.get_marker() == "o")).all()


@pytest.mark.parametrize("count", [200, 62500])
def test_many_networks_are_a_histogram_that_turns_at_zero(count):
    tables = made.tables([made.network()], count, radii=(1.5, 1.75))
    axes = drawn(tables, "seeds").axes[0]
    bars = [patch for patch in axes.patches if patch.get_height() < 0.2]  # not what tints both sides
    assert bars and all(patch.get_y() * (patch.get_y() + patch.get_height()) > -1e-9 for patch in bars)
    rates = [part.numbers("decay_rate") for part in tables["seeds"].split(("rho_asked",))]
    for place, values in enumerate(rates):
        own = [patch for patch in bars if abs(patch.get_x() + patch.get_width() / 2 - place) < 0.01]
        area = {sign: sum(patch.get_width() * patch.get_height() for patch in own
                          if sign * (patch.get_y() + 0.5 * patch.get_height()) > 0.0) for sign in (1, -1)}
        assert area[-1] / (area[1] + area[-1]) == pytest.approx((values < 0.0).mean(), abs=1e-6)


def test_seeds_show_means_predictions_and_fractions_of_the_table():
    tables = made.tables([made.network()])
    figure = drawn(tables, "seeds")
    axes, above = figure.axes
    decay = tables["decay"]
    means = [container.lines[0].get_ydata()[0] for container in axes.containers]
    assert means == list(decay.numbers("decay_rate"))
    laws = [lines for lines in axes.collections
            if lines.get_color()[0][:3] == pytest.approx((0.0, 158 / 255, 115 / 255))]
    strong = [lines.get_segments()[0] for lines in laws if lines.get_linewidth()[0] > style.stroke(1.0)]
    assert [stroke[0, 1] for stroke in strong] == list(decay.numbers("predicted_rate"))
    for place, stroke in enumerate(strong):
        assert stroke[:, 0].max() <= place - seeds.WIDE  # beside the networks, not on them
    assert all(lines.get_zorder() < 2.0 for lines in laws if lines.get_linewidth()[0] < style.stroke(1.0))
    assert [label.get_text() for label in above.get_xticklabels()] == ["25%", "25%", "25%", "100%", "100%"]


@pytest.mark.parametrize("kind", ["seeds", "phase"])
@pytest.mark.parametrize("look", [Look(), Look("talk", "page", "serif", "full", "g")])
def test_the_label_above_is_clear_of_the_ticks_below_it(kind, look):
    tables = made.tables([made.network(input=f"noise:{sigma}") for sigma in ("0.25", "0.5", "1")])
    figure = pictures.drawn(planned(tables, kind, look)[0], look).figure
    above = figure.axes[1].xaxis
    ticks = [label.get_window_extent() for label in above.get_ticklabels() if label.get_text()]
    gap = above.label.get_window_extent().y0 - max(box.y1 for box in ticks)
    assert gap > 0.15 * above.label.get_fontsize() * figure.dpi / 72.0


MANY_RADII = tuple(np.arange(0.25, 3.1, 0.25).tolist())


@pytest.mark.parametrize(("settings", "radii", "shown"), [
    ({}, MANY_RADII, [1.25, 1.5, 1.75, 2.0, 2.25]),  # turns at 1.75
    ({"hidden": 16}, MANY_RADII, [2.0, 2.25, 2.5, 2.75, 3.0]),
    ({"ensemble": "symmetric"}, MANY_RADII, [2.0, 2.25, 2.5, 2.75, 3.0]),  # nearest to 0 at the end
    ({}, (1.0, 2.0), [1.0, 2.0]),
])
def test_radii_are_the_nearest_to_the_critical_one(settings, radii, shown):
    networks = [made.network(**settings)]
    rows = seeds.chosen_radii(made.decay(networks, radii), made.critical(networks))
    assert [row.numbers("rho")[0] for row in rows] == shown


def test_radii_as_drawn_are_a_mean():
    tables = made.tables([made.network()], radii=(1.0,))
    for name in ("decay", "seeds"):
        rows = [row | {"rho_asked": ""} for row in tables[name].rows()]
        tables[name] = Table.from_rows(name, tables[name].header, rows)
    assert "as drawn (mean 1)" in words_of(drawn(tables, "seeds"))


def test_one_seed_has_no_spread(tmp_path):
    tables = made.tables([made.network()], 1)
    assert not asked(tables, "seeds")
    assert reason(tables, "seeds", tmp_path) == "needs several seeds"


# --- all ------------------------------------------------------------------------------------------

LOOKS = [Look("paper", "column"), Look("paper", "page", x="g"), Look("talk", "column", "serif", "full", "g"),
         Look("talk", "page", title="short")]

WIDE = (16, 64, 256, 1024)
CROWDS = {
    "phase": [over_noise(), over_noise(("noise:0.001", "noise:0.03", "noise:1")),
              over_noise(("zero", *SIGMAS), ensemble="symmetric")],
    "multiples": [grid(made.ENSEMBLES, WIDE), grid(("gaussian",), WIDE), grid(made.ENSEMBLES[:2], (64,))],
    "scaling": [across_sizes(made.ENSEMBLES), across_sizes(low="0", high="inf"), across_sizes(("gaussian",))],
    "seeds": [made.tables([made.network()], count) for count in (2, 10, 200)],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(filter(None, vars(look).values())))
def test_nothing_is_clipped_and_no_names_overlap(name, look):
    for at, tables in enumerate(CROWDS[name]):
        for picture in planned(tables, name, look):
            assert_readable(draw(picture, look), (name, at))


LONG = "a very long name of weights_with $dollars$ and 100%" * 3 + ".npz"


@pytest.mark.parametrize("name", ["multiples", "scaling"])
def test_names_of_models_are_shown_as_they_are_or_cut(name):
    networks = [made.network(hidden=hidden, ensemble="", model=model, model_digest=model)
                for model in ("$x$.npz", LONG) for hidden in (64, 128)]
    figure = draw(planned(made.tables(networks), name)[0])
    assert "$x$.npz" in words_of(figure)
    assert_readable(figure, name)


def test_a_real_sweep_has_these_figures(results):
    tables = {name: results.read(name) for name in ("decay", "critical", "seeds")}
    found = [picture for picture in pictures.plan(tables, Look())[0] if picture.figure.name in NAMES]
    assert {picture.figure.name for picture in found} == {"multiples", "scaling", "seeds"}
    for picture in found:
        assert_readable(pictures.drawn(picture, Look()).figure, picture.name)
