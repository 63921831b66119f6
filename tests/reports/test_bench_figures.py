"""Figures of speed from benchmark JSON of many kinds: what they name, and that all can be read."""

import json
import os
import re

import numpy as np
import pytest
from report_tools import contents, succeed

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import benchjson, style  # noqa: E402
from rhosweep_reports.figures import bench  # noqa: E402
from rhosweep_reports.text import math as formula  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402

DEFAULT = [(64, 16, 32, 100), (10, 1, 64, 50), (32, 16, 32, 100), (128, 16, 32, 200),
           (256, 32, 16, 100), (512, 32, 8, 50), (1024, 16, 8, 20)]
SIZES = (10, 16, 32, 64, 128, 256, 512, 1024, 2048)
MANY = [(hidden, *rest) for hidden in SIZES
        for rest in ((1, 64, 50), (16, 32, 100), (64, 32, 100), (16, 128, 100))]
CLOSE = [(hidden, 16, 32, 100) for hidden in (10, 12, 16, 20, 24, 30, 32, 48, 50, 64, 1000, 1024)]
ONE_SIZE = [(64, batch, radii, steps) for batch in (1, 4, 16, 60, 64) for radii in (4, 16, 64)
            for steps in (50, 100)]
CPU, GPU = "AMD EPYC 9654 96-Core Processor", "NVIDIA RTX 6000 Ada Generation Laptop GPU"
OTHER_CPU, OTHER_GPU = "Intel(R) Xeon(R) Platinum 8480+", "NVIDIA H100 80GB HBM3"


def time_of(shape, peak):
    """ns at up to three quarters of the peak: small networks and few columns reach less."""
    hidden, batch, radii, steps = shape
    reached = 0.75 * hidden / (hidden + 30) * batch * radii / (batch * radii + 20 + steps)
    return 4 * hidden**2 * batch * radii * steps / (reached * peak)


def row(body, precision, nonlinearity, shape, peak):
    hidden, batch, radii, steps = shape
    column_steps, real = batch * radii * steps, {"f32": 4, "f64": 8}[precision]
    moved = (0 if nonlinearity == "linear" else 2 * hidden * real) + hidden * real / radii + 12
    time = time_of(shape, peak)
    name = f"{body}/{precision}/{nonlinearity}/H:{hidden}/B:{batch}/R:{radii}/T:{steps}"
    return {"name": f"{name}/manual_time", "real_time": time, "time_unit": "ns",
            "gflops": 4 * hidden**2 * column_steps / time,
            "bytes_per_s": 1e9 * moved * column_steps / time}


def engine(name, shapes, peak):
    for precision, factor in (("f32", 1.0), ("f64", 0.5)):
        for at, shape in enumerate(shapes):
            for nonlinearity in ("tanh", "relu", "linear") if at == 0 else ("tanh",):
                yield row(f"bptt/{name}", precision, nonlinearity, shape, factor * peak)


def ceiling(name, **counters):
    return {"name": f"{name}/manual_time", "real_time": 1.0, "time_unit": "us", **counters}


def document(shapes, threads=2, cpu=CPU, gpu=None):
    """As rhosweep-bench writes it; with a GPU where one is named."""
    peak = 230.0 * threads**0.9
    rows = [*engine("cpu", shapes, peak), ceiling("peak/bandwidth", bytes_per_s=2.3e10),
            *(row("baseline/blas_stepwise", "f32", "tanh", shape, 0.2 * peak) for shape in shapes)]
    rows += [ceiling(f"peak/fma/{precision}", gflops=0.9 * factor * peak,
                     best_gflops=factor * peak) for precision, factor in (("f32", 1), ("f64", 0.5))]
    context = {"processor": cpu, "threads": str(threads), "engine_cpu": f"{cpu}; avx512; "}
    if gpu:
        context["engine_cuda"] = f"{gpu}; sm_90; driver 570"
        rows += [*engine("cuda", shapes, 6e4), ceiling("peak/cuda/copy", bytes_per_s=4e12),
                 ceiling("peak/cuda/fma/f32", gflops=6e4), ceiling("peak/cuda/fma/f64", gflops=3e4),
                 ceiling("peak/cuda/gemm/f32/H:64/columns:512", gflops=5e4)]
    return {"context": context, "benchmarks": rows}


PEERS = ("baseline/blas_stepwise", "jax_vmap_grad", "jax_shared_w0", "bmm_hooks", "nn_rnn_loop",
         "cell_hooks")


def rounds_of(*times, names=PEERS):
    """Of scripts/bench: in each round ours takes one of `times`, each peer longer than the one before."""
    return [{"ours_ms": time, "gflops": 100.0,
             "rival_ms": {name: 2.0 * at for at, name in enumerate(names, start=1)}} for time in times]


def comparison(shapes, *times, **more):
    """As scripts/bench sums it up; `more` beside what was measured of tanh without weights."""
    return {"machine": {"cpu": CPU}, "run": {"threads": 2, "commit": "abc123"},
            "measured": {",".join(map(str, shape)): rounds_of(*times or (1.0,)) for shape in shapes}} | more


def cells(shapes, *times):
    """Gated cells beside tanh, with the weights' gradients too."""
    text = [",".join(map(str, shape)) for shape in shapes]
    gated = {cell: {"measured": {shape: rounds_of(*times, names=("jax_vmap_grad", f"nn_{cell}_loop"))
                                 for shape in text},
                    "measured_with_gradients": {shape: rounds_of(*times, names=()) for shape in text}}
             for cell in ("lstm", "gru")}
    weights = {shape: rounds_of(*times, names=PEERS[1:]) for shape in text}
    return comparison(shapes, *times, cells=gated, measured_with_gradients=weights)


UNLIKE = [(10, 1, 64, 50), (64, 16, 32, 100), (128, 16, 32, 200), (256, 32, 16, 100), (512, 32, 8, 50)]
CASES = {
    "default shapes": [document(DEFAULT)],
    "many shapes": [document(MANY)],
    "sizes close together": [document(CLOSE)],
    "one size": [document(ONE_SIZE)],
    "one shape": [document(DEFAULT[:1])],
    "a GPU too": [document(DEFAULT, gpu=GPU)],
    "two machines": [document(DEFAULT, gpu=GPU),
                     document(MANY, cpu=OTHER_CPU, gpu=OTHER_GPU)],
    "threads": [document(DEFAULT, threads) for threads in (1, 2, 4, 8, 16, 64)],
    "peers": [comparison(DEFAULT)],
    "cells": [cells(UNLIKE, 1.0, 1.1, 1.2)],
    "slower than peers": [cells(UNLIKE[:2], 3.0, 30.0, 50.0)],
    "far ahead": [comparison(UNLIKE, 1e-6, 3e-6)],
}
BY_SHAPE = {"time", "speedup"}
KINDS = {
    "default shapes": BY_SHAPE | {"time-H", "speedup-H", "roofline"},
    "many shapes": BY_SHAPE | {"time-H", "time-B", "time-R", "speedup-H", "speedup-B", "speedup-R",
                               "roofline"},
    "peers": BY_SHAPE | {"time-H", "speedup-H"},
    "threads": BY_SHAPE | {"time-H", "speedup-H", "roofline", "threads"},
    "cells": BY_SHAPE, "slower than peers": BY_SHAPE, "far ahead": BY_SHAPE,
}


@pytest.fixture
def read(tmp_path):
    """The table of some documents."""
    def read_all(documents):
        paths = [tmp_path / f"{at}.json" for at in range(len(documents))]
        for path, one in zip(paths, documents, strict=True):
            path.write_text(json.dumps(one))
        return benchjson.read(paths)
    return read_all


def test_a_row_sums_up_the_repetitions_that_worked(read):
    name = "bptt/cpu/f32/tanh/H:8/B:2/R:5/T:10/manual_time"
    runs = [{"name": name, "real_time": time, "time_unit": "us", "gflops": rate}
            for time, rate in ((2000.0, 3.0), (1000.0, 5.0), (6000.0, 4.0))]
    runs += [{"name": name, "real_time": 1.0, "time_unit": "us", "error_occurred": True},
             {"name": f"{name}_mean", "real_time": 3.0, "time_unit": "us", "run_type": "aggregate"}]
    (row,) = read([{"benchmarks": runs}]).rows()
    numbers = {column: float(row[column]) for column in
               ("time_ms", "time_ms_min", "time_ms_max", "gflops", "ns_per_column_step")}
    assert numbers == {"time_ms": 2.0, "time_ms_min": 1.0, "time_ms_max": 6.0, "gflops": 4.0,
                       "ns_per_column_step": 20000.0}
    assert row["repetitions"] == "3"


@pytest.mark.parametrize(("unit", "ms"), [("ns", 3e-6), ("us", 3e-3), ("ms", 3.0), ("s", 3e3)])
def test_units_of_time(read, unit, ms):
    runs = [{"name": "peak/bandwidth", "real_time": 3.0, "time_unit": unit}]
    assert read([{"benchmarks": runs}]).numbers("time_ms") == pytest.approx([ms])


def test_a_ceiling_is_the_best_run(read):
    assert read([{"benchmarks": [ceiling("peak/fma/f32", gflops=1.0, best_gflops=2.0)]}]).text(
        "gflops") == ("2.0",)


def columns(table, *names):
    return [tuple(row[name] for name in names) for row in table.rows()]


def ratios(table):
    return {body: tuple(float(cell) for cell in cells) for body, *cells in columns(
        table, "body", "time_over_ours_min", "time_over_ours", "time_over_ours_max") if cells[0]}


def test_what_ran_in_turns_is_compared_within_each_round(read):
    rounds = [{"ours_ms": ours, "gflops": 1.0, "rival_ms": {"bmm_hooks": theirs}}
              for ours, theirs in ((1.0, 3.0), (5.0, 20.0), (2.0, 12.0))]
    assert ratios(read([comparison([], measured={"8,1,1,9": rounds})])) == {"bmm_hooks": (3.0, 4.0, 6.0)}


def test_what_ran_apart_is_compared_as_far_as_both_ranges_allow(read):
    runs = [{"name": f"{body}/f32/tanh/H:8/B:2/R:5/T:10", "real_time": time, "time_unit": "ms"}
            for body, times in (("bptt/cpu", (1, 2, 4)), ("baseline/blas_stepwise", (8, 12, 16)))
            for time in times]
    assert ratios(read([{"benchmarks": runs}])) == {"baseline/blas_stepwise": (2.0, 6.0, 16.0)}


def test_weights_gradients_are_rows_of_their_own(read):
    runs = [{"name": f"{body}/f32/tanh/H:8/B:2/R:5/T:10", "real_time": time, "time_unit": "ms"}
            for body, time in (("bptt/cpu", 1), ("bptt+gradients/cpu", 3), ("gradient/cpu", 2))]
    expected = [("bptt/cpu", "states", "1.0"), ("bptt/cpu", "states+weights", "3.0")]
    assert columns(read([{"benchmarks": runs}]), "body", "gradients", "time_ms") == expected
    summed = comparison([], measured={"8,1,1,9": rounds_of(1.0, names=())},
                        measured_with_gradients={"8,1,1,9": rounds_of(3.0, names=())})
    assert columns(read([summed]), "body", "gradients", "time_ms") == expected


def test_peers_with_weights_gradients_are_not_compared_with_ours_without(read):
    older = comparison([(8, 1, 1, 9)])
    older["run"]["peers"] = {"torch": "2.8.0", "weight_gradients": True}
    table = read([older])
    assert "bmm_hooks" not in ratios(table) and "baseline/blas_stepwise" in ratios(table)
    assert ("bmm_hooks", "states+weights", "PyTorch 2.8.0") in columns(table, "body", "gradients", "library")


def test_peers_of_a_gpu_are_compared_with_ours_on_it(read):
    ours = {"context": {"engine_cuda": f"{GPU}; sm_90"}, "benchmarks": [
        {"name": "bptt/cuda/f32/tanh/H:64/B:1/R:8/T:9", "real_time": 2.0, "time_unit": "ms"}]}
    result = {"peer": "bmm_hooks", "program": "PyTorch", "cell": "tanh", "shape": [64, 1, 8, 9],
              "weight_gradients": False, "min_ms": 6.0, "median_ms": 8.0, "max_ms": 9.0, "repetitions": 20}
    run = {"program": "PyTorch", "library": "PyTorch", "version": "2.8", "precision": "f32", "threads": 2}
    for device, expected in ((GPU, {"bmm_hooks": (3.0, 4.0, 4.5)}), (OTHER_GPU, {})):
        table = read([{"runs": [run | {"device": device}], "results": [result]}, ours])
        assert ratios(table) == expected
        assert ("20", "PyTorch 2.8") in columns(table, "repetitions", "library")


def test_of_a_shape_in_several_files_the_last_one_counts(read):
    table = read([comparison([(8, 1, 1, 9)], 5.0), comparison([(8, 1, 1, 9)], 2.0)])
    assert columns(table, "body", "time_ms")[0] == ("bptt/cpu", "2.0")
    assert len(table) == 1 + len(PEERS)


def test_a_time_of_zero_is_no_time(read):
    with pytest.raises(benchjson.InputError):
        read([comparison([(8, 1, 1, 9)], 0.0)])


def test_the_base_of_a_scaling_is_a_shape_of_its_own(read):
    scaled = comparison([(64, 16, 32, 100)]) | {
        "scaling": [{"shape": [64, 16, 32, 100], "axis": "B", "factor": 4}]}
    scaled["measured"]["64,16,32,100"][0]["base_ms"] = 0.25
    base = [row for row in read([scaled]).rows() if row["batch"] != "16"]
    assert [[row[name] for name in ("body", "hidden", "batch", "radii", "steps", "time_ms")]
            for row in base] == [["bptt/cpu", "64", "4", "32", "100", "0.25"]]


def drawn(table, look="paper", width="column", wanted=None):
    """(picture, figure) of all that the table allows."""
    planned, _ = pictures.plan({"bench": table}, Look(look, width), wanted)
    figures = ((picture, draw(picture, Look(look, width))) for picture in planned
               if picture.figure.tables == ("bench",))
    return [(picture, figure) for picture, figure in figures if figure is not None]


def assert_told_apart(axes, about):
    """No two series look alike, or have the same name."""
    handles, labels = axes.get_legend_handles_labels()
    lines = [line for line in handles if hasattr(line, "get_marker")]  # bars stand in order
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(lines), about
    assert len(set(labels)) == len(labels), about


@pytest.mark.parametrize(("look", "width"), [("paper", "column"), ("talk", "page")])
@pytest.mark.parametrize("case", CASES)
def test_everything_can_be_read(case, look, width, read):
    found = drawn(read(CASES[case]), look, width)
    for picture, figure in found:
        assert_readable(figure, picture.name)
        assert_told_apart(figure.axes[0], picture.name)
        inches = figure.axes[0].get_window_extent().height / figure.dpi
        by_shape = picture.figure.name in BY_SHAPE  # as high as they have rows
        assert by_shape or inches > 0.35 * style.size(Look(look, width))[1], picture.name
    assert KINDS.get(case, {"roofline"}) <= {picture.figure.name for picture, _ in found}


@pytest.mark.parametrize("case", ["a GPU too", "cells", "slower than peers", "far ahead"])
def test_names_that_do_not_fit_beside_bars_stand_in_a_legend(case, read):
    (picture, figure), *_ = drawn(read(CASES[case]), "talk", "column", "speedup")
    assert_readable(figure, picture.name)
    assert len(figure.legends) == 1


def one(table, wanted, look="paper", width="column"):
    """The axes of the only picture."""
    ((_, figure),) = drawn(table, look, width, wanted)
    return figure.axes[0]


def words(axes):
    """What is written, from the top."""
    placed = sorted(axes.texts, key=lambda text: -text.get_window_extent().y0)
    return [text.get_text() for text in placed]


def bars(axes):
    """Without those of the legend."""
    return [bar for bar in axes.patches if np.isfinite(bar.get_y())]


def test_bars_and_whiskers_are_those_of_the_table(read):
    table = read([comparison(UNLIKE, 1.0, 1.25, 1.6)])
    axes = one(table, "speedup")
    assert {bar.get_x() for bar in bars(axes)} == {1.0}
    ends = sorted(bar.get_x() + bar.get_width() for bar in bars(axes))
    assert ends == pytest.approx(sorted(float(cell) for cell in table.text("time_over_ours") if cell))
    whiskers = [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"]
    assert set(whiskers) == {(least, most) for least, _, most in ratios(table).values()}


def test_bars_say_how_many_times_as_long(read):
    table = read([comparison([], measured={"8,1,1,9": [
        {"ours_ms": 1.0, "gflops": 1.0, "rival_ms": {"bmm_hooks": 5838.4, "jax_vmap_grad": 1.2345,
                                                     "cell_hooks": 99.96}}]})])
    assert [text for text in words(one(table, "speedup")) if "×" in text] == ["1.23×", "5,838×", "100×"]


def with_a_long_bar(document):
    """So that the bars of other shapes leave room for names."""
    document["measured"]["10,1,64,50"] = rounds_of(1e-4)
    return document


def test_peers_have_names_for_people(read):
    said = words(one(read([with_a_long_bar(comparison(UNLIKE))]), "speedup"))
    names = ["BLAS, a product a step", "JAX, vmap of grad", "JAX, by hand", "PyTorch, batched matmul",
             "PyTorch nn.RNN, no norms", "PyTorch nn.RNNCell"]
    assert [text for text in said if text in names] == names


def test_cells_stand_in_groups_with_their_own_peers(read):
    table = read([with_a_long_bar(cells(UNLIKE, 1.0))])
    figures = {picture.name: figure for picture, figure in drawn(table)}
    said = words(figures["speedup_states"].axes[0])
    heads = [text for text in said if text in ("tanh", "LSTM", "GRU")]
    assert heads == ["tanh", "LSTM", "GRU"]
    assert said.index("LSTM") < said.index("PyTorch nn.LSTM, no norms") < said.index("GRU")
    assert set(figures) >= {"speedup_states", "speedup_states+weights", "time_states",
                            "time_states+weights"}


def test_ranges_too_wide_to_quote_are_grey(read):
    axes = one(read([comparison(UNLIKE[:1], 1.0, 1.9)]), "speedup")
    assert "grey" not in axes.get_xlabel()
    axes = one(read([comparison(UNLIKE[:1], 1.0, 2.1)]), "speedup")
    assert "grey: runs differ more than 2-fold" in axes.get_xlabel()
    edges = {bar.get_edgecolor() for bar in bars(axes)}
    assert len(edges) == 1 and len({*next(iter(edges))[:3]}) == 1


def test_lines_join_shapes_that_differ_in_one_size_alone(read):
    assert not {picture.figure.name for picture, _ in drawn(read([comparison(UNLIKE)]))} & {
        "time-H", "time-B", "time-R", "speedup-H", "speedup-B", "speedup-R"}
    table = read([document([*UNLIKE, (128, 16, 32, 100), (128, 16, 64, 100)])])
    figures = {picture.name: figure.axes[0] for picture, figure in drawn(table)}
    joined = {name: sorted(tuple(line.get_xdata()) for line in figures[name].lines
                           if line.get_label()[0] != "_")
              for name in ("time-H_f32_tanh", "time-R_f32_tanh")}
    assert joined == {"time-H_f32_tanh": 2 * [(64, 128)], "time-R_f32_tanh": 2 * [(32, 64)]}
    assert "time-B_f32_tanh" not in figures


def test_lines_are_those_of_the_table(read):
    shapes = [(64, 16, 32, 100), (128, 16, 32, 100)]
    table = read([document(shapes)])
    axes = {picture.name: figure.axes[0] for picture, figure in drawn(table)}

    def values(body, column):
        return [float(value) for precision, cell, name, value in
                columns(table, "precision", "cell", "body", column)
                if (precision, cell, name) == ("f32", "tanh", body)]

    ours, blas = (line.get_ydata() for line in axes["time-H_f32_tanh"].lines)
    np.testing.assert_allclose(ours, values("bptt/cpu", "ns_per_column_step"))
    np.testing.assert_allclose(blas, values("baseline/blas_stepwise", "ns_per_column_step"))
    beside = axes["speedup-H_f32_tanh"].lines[0].get_ydata()
    np.testing.assert_allclose(beside, values("baseline/blas_stepwise", "time_over_ours"))


def test_dots_are_those_of_the_table(read):
    table = read([comparison(UNLIKE)])
    axes = one(table, "time")
    dots = sorted(x for line in axes.lines if line.get_linestyle() == "None"
                  for x, y in line.get_xydata() if np.isfinite(y))
    assert dots == pytest.approx(sorted(table.numbers("ns_per_column_step")))


def test_of_more_shapes_than_there_is_room_for_the_largest_of_each_size(read):
    shapes = [(hidden, batch, 8, 10) for hidden in (8, 16, 32) for batch in (1, 4, 2, 3, 5)]
    axes = one(read([comparison(shapes)]), "speedup")
    said = words(axes)
    assert sum("$B=5$" in text for text in said) == 3
    assert not any(f"$B={batch}$" in text for batch in (1, 2, 3, 4) for text in said)
    assert "3 of 15 shapes shown" in axes.get_xlabel()


@pytest.mark.parametrize("wanted", sorted(BY_SHAPE))
def test_a_slide_has_one_cell_and_room(wanted, read):
    shapes = [(hidden, 4, 8, 10) for hidden in (8, 16, 32, 64, 128)]
    table = read([cells(shapes, 1.0)])
    slides = [one for one in drawn(table, "talk", "page", wanted) if "weights" not in one[0].name]
    assert [picture.about.partition(",")[0] for picture, _ in slides] == ["tanh", "LSTM", "GRU"]
    for _, figure in slides:
        said = words(figure.axes[0])
        assert [size for size in (8, 16, 32, 64, 128) if any(f"$H={size}$" in text for text in said)] == \
            [8, 32, 128]
        assert "3 of 5 shapes shown" in figure.axes[0].get_xlabel()
        assert figure.get_figheight() < 0.7 * figure.get_figwidth()
    for _, figure in drawn(table, "paper", "page", wanted):
        assert "shapes shown" not in figure.axes[0].get_xlabel()


def test_threads_is_relative_to_the_fewest(read):
    shape = [(64, 16, 32, 100)]
    table = read([comparison(shape, time, run={"threads": threads, "commit": ""})
                  for threads, time in ((4, 2.0), (1, 6.0), (8, 1.5))])
    axes = one(table, "threads")
    assert axes.lines[0].get_xydata().tolist() == [[1, 1], [4, 3], [8, 4]]
    said = words(one(table, "speedup"))
    assert [text for text in said if "×" in text][0] == "1.33×"  # beside ours with as many threads


def test_figures_say_what_they_lack(read):
    axes = Figure().add_subplot()
    table = read([comparison(UNLIKE)])
    for draw_one in (bench.time_over("R"), bench.speedup_over("R")):
        with pytest.raises(bench.Absent, match="differ in R alone"):
            draw_one(axes, table)
    with pytest.raises(bench.Absent, match="something to compare it with"):
        bench.speedup(axes, read([comparison([], measured={"8,1,1,9": rounds_of(1.0, names=())})]))


def test_roofline_has_the_measured_ceilings(read):
    axes = one(read([document([(64, 16, 32, 100), (128, 16, 32, 100)])]), "roofline")
    (line,) = [line for line in axes.lines if line.get_label().startswith("f32")]
    reach, rate = line.get_data()
    np.testing.assert_allclose(rate, np.minimum(230.0 * 2**0.9, 23.0 * reach))
    marks = [line for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())]
    shape = (64, 16, 32, 100)
    told = row("bptt/cpu", "f32", "tanh", shape, 230.0 * 2**0.9)
    place = (1e9 * told["gflops"] / told["bytes_per_s"], told["gflops"])
    assert any(np.allclose(place, point) for line in marks for point in line.get_xydata())


def test_the_roofline_tells_sizes_and_precisions_apart(read):
    ((_, figure),) = drawn(read([document(MANY)]), wanted="roofline")
    (axes,) = figure.axes
    marks = {}
    for line in axes.lines:
        if line.get_linestyle() == "None" and len(line.get_xdata()):
            filled = line.get_markerfacecolor() == line.get_color()
            marks.setdefault((line.get_marker(), filled), []).extend(line.get_xdata())
    assert len(marks) == 2 * len(SIZES)
    assert sum(map(len, marks.values())) == 2 * (len(MANY) + 2)  # the first with relu and linear units too
    _, labels = axes.get_legend_handles_labels()
    assert labels == [formula(f"H={size}") for size in SIZES] + [
        "f32 (open): 429 GFLOP/s, 23 GB/s", "f64 (filled): 215 GFLOP/s, 23 GB/s"]


def test_a_gpu_has_a_roofline_of_its_own(read):
    told = {"\n".join(picture.lines) for picture, _ in
            drawn(read([document(DEFAULT, gpu=GPU)]), wanted="roofline")}
    assert told == {f"tanh, relu, linear, f32, f64, 2 threads, {CPU}", f"tanh, relu, linear, f32, f64, {GPU}"}


def test_times_of_two_processors_are_not_compared(read):
    table = read([document(DEFAULT), document(DEFAULT, cpu=OTHER_CPU)])
    figures = {picture.name: figure for picture, figure in drawn(table, wanted="speedup")}
    assert len(figures) == 2
    for figure in figures.values():
        assert [bar.get_width() for bar in bars(figure.axes[0])] == pytest.approx([4.0] * len(DEFAULT))


def test_each_gpu_is_compared_with_its_own_machine(read):
    documents = [document(DEFAULT, gpu=GPU), document(DEFAULT, gpu=OTHER_GPU)]
    names = {picture.name for picture, _ in drawn(read(documents), wanted="speedup")}
    assert names == {f"speedup_{precision}_{gpu}" for precision in ("f32", "f64") for gpu in
                     ("NVIDIA-RTX-6000-Ada-Generation-Laptop-GPU", "NVIDIA-H100-80GB-HBM3")}
    said = words(drawn(read(documents[:1]), wanted="speedup")[0][1].axes[0])
    assert "Rhosweep, CPU" in said


@pytest.mark.parametrize(("wanted", "told", "said_once"), [
    ("time-H", "6 of 8", "T=100"), ("time-B", "6 of 18", "R=32"), ("speedup-R", "6 of 9", "B=16")])
def test_of_many_lines_some_are_shown_and_the_rest_is_counted(wanted, told, said_once, read):
    axes = drawn(read(CASES["many shapes"]), wanted=wanted)[0][1].axes[0]
    names = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert len(names) == bench.MOST_LINES
    assert f"{told} lines shown" in axes.get_xlabel()
    assert said_once in axes.get_xlabel().replace(" ", "").replace("$", "")
    assert not any(said_once in name.replace(" ", "").replace("$", "") for name in names)


def left_out(page):
    return re.findall("<li>(.*?)</li>", re.search(r'<ul id="left-out">.*?</ul>', page, re.S)[0])


def test_what_is_left_out_is_said_once(fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(document(DEFAULT)))
    succeed("report", fixed_database, "-o", tmp_path / "out", "--bench", tmp_path / "bench.json")
    lines = left_out((tmp_path / "out" / "index.html").read_text())
    (threads,) = [line for line in lines if line.startswith("Scaling with threads")]
    kinds = "; ".join(f"{cell}, {precision}, 2 threads, {CPU}" for precision in ("f32", "f64")
                      for cell in ("tanh", "relu", "linear"))
    assert threads == (f"Scaling with threads ({kinds}): "
                       "needs one shape timed with two numbers of threads (two JSON files)")


def test_ceilings_alone_make_no_figure(read):
    table = read([{"benchmarks": [ceiling("peak/fma/f32", gflops=1.0)]}])
    planned, absent = pictures.plan({"bench": table}, Look())
    assert planned == []
    assert ("Roofline", "the benchmark JSON holds no times") in absent


def test_the_same_json_gives_the_same_bytes(fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(document(DEFAULT, gpu=GPU)))
    for folder, seed in (("first", "1"), ("second", "7")):
        succeed("report", fixed_database, "-o", tmp_path / folder, "--figure", "roofline",
                "--format", "pdf,svg,png", "--bench", tmp_path / "bench.json",
                env=os.environ | {"PYTHONHASHSEED": seed})
    first = contents(tmp_path / "first")
    assert len(first) == 8  # of each of the two in three formats and its caption
    assert first == contents(tmp_path / "second")
