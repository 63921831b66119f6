"""Figures of speed from benchmark JSON of many kinds: what they name, and that all can be read."""

import json
import os
import re

import pytest
from report_tools import contents, succeed

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import benchjson, style  # noqa: E402
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


def comparison(shapes):
    """As scripts/bench sums up one round: each peer takes longer than the one before."""
    rivals = {name: 2.0 * at for at, name in enumerate(PEERS, start=1)}
    return {"machine": {"cpu": CPU}, "run": {"threads": 2, "commit": "abc123"},
            "measured": {",".join(map(str, shape)): [
                {"ours_ms": 1.0, "gflops": 100.0, "rival_ms": rivals}] for shape in shapes}}


CASES = {
    "default shapes": [document(DEFAULT)],
    "many shapes": [document(MANY)],
    "sizes close together": [document(CLOSE)],
    "one size": [document(ONE_SIZE)],
    "one shape": [document(DEFAULT[:1])],
    "a GPU too": [document(DEFAULT, gpu=GPU)],
    "a GPU too, many shapes": [document(MANY, threads=16, gpu=GPU)],
    "two machines": [document(DEFAULT, gpu=GPU),
                     document(MANY, cpu=OTHER_CPU, gpu=OTHER_GPU)],
    "threads": [document(DEFAULT, threads) for threads in (1, 2, 4, 8, 16, 64)],
    "peers": [comparison(DEFAULT)],
}
KINDS = {
    "default shapes": {"time-H", "speedup-H", "roofline"},
    "many shapes": {"time-H", "time-B", "time-R", "speedup-H", "speedup-B", "speedup-R",
                    "roofline"},
    "peers": {"time-H", "speedup-H"},
    "threads": {"time-H", "speedup-H", "roofline", "threads"},
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


def test_the_base_of_a_scaling_is_a_shape_of_its_own(read):
    scaled = comparison([(64, 16, 32, 100)]) | {
        "scaling": [{"shape": [64, 16, 32, 100], "axis": "B", "factor": 4}]}
    scaled["measured"]["64,16,32,100"][0]["base_ms"] = 0.25
    base = [row for row in read([scaled]).rows() if row["batch"] != "16"]
    assert [[row[name] for name in ("body", "hidden", "batch", "radii", "steps", "time_ms")]
            for row in base] == [["bptt/cpu", "64", "4", "32", "100", "0.25"]]


def drawn(table, look="paper", width="column", wanted=None):
    """(picture, figure) of all that the table allows."""
    planned, _ = pictures.plan({"bench": table}, Look(), wanted)
    figures = ((picture, draw(picture, Look(look, width))) for picture in planned
               if picture.figure.tables == ("bench",))
    return [(picture, figure) for picture, figure in figures if figure is not None]


def assert_told_apart(axes, about):
    """No two series look alike, or have the same name."""
    handles, labels = axes.get_legend_handles_labels()
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in handles}
    assert len(looks) == len(set(labels)) == len(labels), about


@pytest.mark.parametrize(("look", "width"), [("paper", "column"), ("talk", "page")])
@pytest.mark.parametrize("case", CASES)
def test_everything_can_be_read(case, look, width, read):
    found = drawn(read(CASES[case]), look, width)
    for picture, figure in found:
        assert_readable(figure, picture.name)
        assert_told_apart(figure.axes[0], picture.name)
        inches = figure.axes[0].get_window_extent().height / figure.dpi
        assert inches > 0.35 * style.size(Look(look, width))[1], picture.name
    assert KINDS.get(case, {"roofline"}) <= {picture.figure.name for picture, _ in found}


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
    assert labels == [f"H {size}" for size in SIZES] + [
        "f32 (open): 429 GFLOP/s, 23 GB/s", "f64 (filled): 215 GFLOP/s, 23 GB/s"]


def test_a_gpu_has_a_roofline_of_its_own(read):
    told = {"\n".join(picture.lines) for picture, _ in
            drawn(read([document(DEFAULT, gpu=GPU)]), wanted="roofline")}
    assert told == {f"tanh, f32, 2 threads\n{CPU}", f"tanh, f32\n{GPU}"}


def test_times_of_two_processors_are_not_compared(read):
    table = read([document(DEFAULT), document(DEFAULT, cpu=OTHER_CPU)])
    for _, figure in drawn(table, wanted="speedup-H"):
        for line in figure.axes[0].get_legend_handles_labels()[0]:
            assert list(line.get_ydata()) == pytest.approx([5.0] * len(DEFAULT))


def test_peers_have_names_for_people(read):
    ((_, figure),) = drawn(read([comparison(DEFAULT)]), wanted="speedup-H")
    _, labels = figure.axes[0].get_legend_handles_labels()
    assert labels == [f"over {name}, 2 threads" for name in (
        "BLAS, a product per step", "JAX, vmap of grad of scan", "JAX, backward pass by hand",
        "PyTorch, baddbmm with hooks", "PyTorch, nn.RNN per radius, no norms",
        "PyTorch, nn.RNNCell with hooks")]


def test_a_speedup_over_one_gpu_or_the_other_is_not_drawn(read):
    documents = [document(DEFAULT, gpu=GPU), document(DEFAULT, gpu=OTHER_GPU)]
    assert drawn(read(documents[:1]), wanted="speedup-H")
    assert not drawn(read(documents), wanted="speedup-H")


def left_out(page):
    return re.findall("<li>(.*?)</li>", re.search(r'<ul id="left-out">.*?</ul>', page, re.S)[0])


def test_what_is_left_out_is_said_once(fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(document(DEFAULT)))
    succeed("report", fixed_database, "-o", tmp_path / "out", "--bench", tmp_path / "bench.json")
    lines = left_out((tmp_path / "out" / "index.html").read_text())
    (time,) = [line for line in lines if line.startswith("Time against H")]
    assert time == ("Time against H (f32, relu; f32, linear; f64, relu; f64, linear): "
                    "no two shapes of one engine that differ in H")
    assert not any("no times" in line for line in lines)


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
    assert len(first) == 6
    assert first == contents(tmp_path / "second")
