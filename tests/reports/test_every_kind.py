"""Every kind of figure there is: nothing clipped, no names that overlap, none on a bar or a whisker."""

import json

import numpy as np
import overview_tables as overview
import pytest

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
import cell_tables as cells  # noqa: E402
import test_bench_figures as benches  # noqa: E402
import spectrum_tables as spectra  # noqa: E402
import test_clipping as clips  # noqa: E402
import test_workers as workers  # noqa: E402
from matplotlib.collections import LineCollection  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.path import Path as Curve  # noqa: E402
from picture_tools import assert_readable, draw, names_of, overlap  # noqa: E402
from rhosweep_reports import benchjson  # noqa: E402
from rhosweep_reports.figures import FIGURES  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from rhosweep_reports.table import Table  # noqa: E402

RADII = (0.5, 1.0, 1.5, 2.0)
LOOKS = [Look("paper", "column"), Look("talk", "page", "sans", "full", "g")]
MOST = 3  # pictures of one kind and one set of tables


def with_ends(decay):
    """With the steps at which a gradient leaves a number format."""
    ends = {f"{name}_{end}": "" for name in ("fp32", "fp16", "bf16") for end in ("underflow", "overflow")}
    rows = [row | ends | {"fp16_underflow": "20", "fp32_underflow": "35", "bf16_underflow": "33"}
            for row in decay.rows()]
    return Table.from_rows("decay", tuple(rows[0]), rows)


def of_cells(networks, radii):
    return {"decay": with_ends(cells.decay(networks, radii)), "critical": cells.critical(networks),
            "profile": cells.profile(networks, radii)}


def of_networks(**settings):
    return overview.tables([overview.network(**one) for one in _spread(settings)])


def _spread(settings):
    """{"hidden": (8, 16)} as [{"hidden": 8}, {"hidden": 16}]."""
    (name, values), = settings.items()
    return [{name: value} for value in values]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")

    def of_bench(case):
        paths = []
        for at, document in enumerate(benches.CASES[case]):
            paths.append(folder / f"{case}-{at}.json")
            paths[-1].write_text(json.dumps(document))
        return {"bench": benchjson.read(paths)}

    plain = [cells.network(cell) for cell in ("tanh", "lstm", "gru")]
    biased = [cells.network(cell, gate_bias=bias) for cell in ("lstm", "gru") for bias in ("-1", "1", "chrono:50")]
    leaky = [cells.network(cell, leak=leak) for cell in ("tanh", "linear") for leak in ("1", "0.5", "0.125")]
    clip = [row | {"g": row["rho"]} for row in clips.FEW]
    return [of_cells(plain, RADII), of_cells(plain, (None,)), of_cells(biased, (None,)), of_cells(leaky, RADII),
            {"clip": clips.table(clip), "profile": clips.profile_of(clip, [-50, -3, 0])},
            of_networks(hidden=(16, 64, 256)), of_networks(input=("noise:0.25", "noise:0.5", "noise:1")),
            of_bench("peers"), of_bench("many shapes"), of_bench("threads"), of_bench("cells"),
            {"workers": workers.table_of(folder, workers.measured(2))},
            spectra.tables(spectra.make_database(folder / "cells.db", ("linear", "lstm"))),
            spectra.tables(spectra.make_database(folder / "sizes.db", ("tanh",), (16, 64), (1.25, 2.0, 2.5, 3.5))),
            spectra.tables(spectra.make_database(folder / "few.db", ("gru",), (16,), (1.5,)))]


def strokes_of(figure):
    """(path, axes' view) of whiskers, in pixels."""
    for axes in figure.axes:
        for lines in axes.collections:
            if isinstance(lines, LineCollection):
                for segment in lines.get_segments():
                    points = lines.get_transform().transform(segment)
                    if len(points) > 1 and np.isfinite(points).all():
                        yield Curve(points), axes.get_window_extent()


def bars_of(figure):
    """Boxes of the bars of bar charts."""
    for axes in figure.axes:
        for container in axes.containers:
            for patch in getattr(container, "patches", ()):
                yield patch.get_window_extent()


def assert_nothing_beneath(figure, about):
    """No name is on a bar or a whisker."""
    legends = [legend.get_window_extent() for legend in figure.legends]
    names = [(name, box) for name, box in names_of(figure) if not any(map(box.overlaps, legends))]
    for name, box in names:
        assert not any(overlap(box, bar) for bar in bars_of(figure)), (about, name, "a bar")
        for path, view in strokes_of(figure):
            inside = type(box).intersection(box, view)
            assert inside is None or not path.intersects_bbox(inside, filled=False), (about, name, "a whisker")


@pytest.mark.parametrize(("draws", "beneath"), [
    (lambda axes: axes.barh([0.0], [2.0]), "a bar"), (lambda axes: axes.errorbar([1.0], [0.0], [0.5]), "a whisker")])
def test_a_name_on_something_is_found(draws, beneath):
    figure = Figure()
    axes = figure.add_subplot(xlim=(0, 3), ylim=(-1, 1))
    draws(axes)
    name = axes.text(2.2, 0.7, "beside")
    assert_nothing_beneath(figure, "made")
    name.set_position((0.9, 0.0))
    with pytest.raises(AssertionError, match=beneath):
        assert_nothing_beneath(figure, "made")


@pytest.mark.parametrize("look", LOOKS, ids=["paper", "talk"])
@pytest.mark.parametrize("kind", [figure.name for figure in FIGURES])
def test_every_kind_can_be_read(kind, look, tables):
    drawn = 0
    for one in tables:
        for picture in pictures.plan(one, look, kind)[0][:MOST]:
            figure = draw(picture, look)
            if figure is None:
                continue
            drawn += 1
            assert_readable(figure, picture.name)
            assert_nothing_beneath(figure, picture.name)
    assert drawn, "no table of this test draws it: add one"
