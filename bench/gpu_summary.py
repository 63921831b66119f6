"""One page from what scripts/gpu-check left in a folder.

    gpu_summary.py FOLDER        prints it; gpu-check writes it to FOLDER/summary.md

The folder holds machine.txt, steps.json and, as far as the steps came, bench.json (the engine as it
chooses its path), paths.json (with a path forced) and peers.json.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"(bptt|bptt\+gradients|gradient)/(\w+)/(f32|f64)/(\w+)"
                  r"/H:(\d+)/B:(\d+)/R:(\d+)/T:(\d+)")
GEMM = re.compile(r"peak/\w+/gemm/(f32|f64)/H:(\d+)/columns:(\d+)")
GROUPS = {"parity": "parity with the reference engine", "paths": "every path at every size",
          "peers": "ours against the peers", "sanitizer": "compute-sanitizer"}
PATHS = ("small", "cluster", "persistent", "stepwise")
CELLS = ("tanh", "lstm", "gru")
SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def read_json(path):
    """The file's content, or None where a step left none or half of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


# ---- what was measured ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Timing:
    """Forward, backward and norms of one shape; or with the weights' gradients, or these alone."""

    ms: float
    gflops: float
    peak_fraction: float  # of the FMA rate measured on the same device


def benchmarks_in(folder, name):
    document = read_json(folder / name) or {"benchmarks": []}
    return [row for row in document["benchmarks"] if not row.get("error_occurred")]


def timings(rows, cell, body="bptt"):
    """{(engine, path, precision): {shape: Timing}}; the path is "" where the engine chose. Of
    several timings the last, which is the peers' neighbour."""
    found = {}
    for row in rows:
        match = NAME.match(row["name"])
        if match and (match[1], match[4]) == (body, cell):
            engine, precision, _, *sizes = match.groups()[1:]
            ms = 1e3 * SECONDS_OF[row["time_unit"]] * row["real_time"]
            found.setdefault((engine, row.get("path", ""), precision), {})[
                tuple(map(int, sizes))] = Timing(ms, row["gflops"], row["peak_fraction"])
    return found


def bare_products(rows):
    """{(precision, H, columns): gflops} of cuBLAS alone."""
    matches = ((GEMM.match(row["name"]), row) for row in rows)
    return {(match[1], int(match[2]), int(match[3])): row["gflops"]
            for match, row in matches if match}


def peer_times(folder, cell, gradients=False):
    """{peer: {shape: ms}}, a peer named with its library; without the weights' gradients or with
    them."""
    times = {}
    for row in (read_json(folder / "peers.json") or {"results": []})["results"]:
        if row.get("weight_gradients", False) == gradients and row.get("cell", "tanh") == cell:
            name = " ".join(filter(None, (row.get("program"), row["peer"])))
            times.setdefault(name, {})[tuple(row["shape"])] = row["median_ms"]
    return times


@dataclass(frozen=True)
class Measured:
    """Of one cell."""

    cell: str
    timings: dict
    products: dict  # of W0 [H][H], which those of several gates are not
    peers: dict
    engine: str  # the device's: cuda, but for a dry run
    with_gradients: dict  # as timings: with the weights' gradients, and these alone
    gradients: dict
    peers_with_gradients: dict

    def at(self, shape, precision="f32", path="", engine=None):
        key = (engine or self.engine, path, precision)
        return self.timings.get(key, {}).get(shape)

    def shapes(self, precision):
        """Of the device's engine, by whichever path."""
        return sorted({shape for (engine, _, kind), rows in self.timings.items()
                       if engine == self.engine and kind == precision for shape in rows})

    def of_product(self, shape, precision="f32"):
        """The fraction of a bare cuBLAS product's rate at the same sizes, or None."""
        timing = self.at(shape, precision)
        product = self.products.get((precision, shape[0], shape[1] * shape[2]))
        return timing.gflops / product if timing and product else None


def read_measured(folder, cell):
    rows = benchmarks_in(folder, "bench.json") + benchmarks_in(folder, "paths.json")
    found = timings(rows, cell)
    engine = "cuda" if any(key[0] == "cuda" for key in found) else "cpu"
    return Measured(cell, found, bare_products(rows) if cell == "tanh" else {},
                    peer_times(folder, cell), engine, timings(rows, cell, "bptt+gradients"),
                    timings(rows, cell, "gradient"), peer_times(folder, cell, gradients=True))


# ---- tables --------------------------------------------------------------------------------------


def line(cells):
    return "| " + " | ".join(cells) + " |"


def heading(*names):
    yield line(names)
    yield "|---|" + "--:|" * (len(names) - 1)


def shape_text(shape):
    return ",".join(map(str, shape))


def columns_text(shape):
    return f"{shape[1] * shape[2]:,}"


def percent(fraction):
    return f"{fraction:.0%}" if fraction is not None else ""


def chosen_table(measured, precision):
    bare = measured.cell == "tanh"
    yield from heading("H,B,R,T", "columns", "ms", "TFLOP/s", "of the FMA ceiling",
                       *bare * ["of bare cuBLAS"])
    for shape in measured.shapes(precision):
        if timing := measured.at(shape, precision):
            yield line([shape_text(shape), columns_text(shape), f"{timing.ms:.4g}",
                        f"{timing.gflops / 1e3:.3g}", percent(timing.peak_fraction),
                        *bare * [percent(measured.of_product(shape, precision))]])


def path_cell(timing):
    return f"{timing.ms:.4g} ({timing.peak_fraction:.0%})" if timing else ""


def path_table(measured, precision):
    """What each path takes, and which is the fastest: the choice should rest on it."""
    yield from heading("H,B,R,T", "columns", "as chosen", *PATHS, "fastest")
    for shape in measured.shapes(precision):
        forced = {path: measured.at(shape, precision, path) for path in PATHS}
        taken = {path: timing.ms for path, timing in forced.items() if timing}
        if taken:
            yield line([shape_text(shape), columns_text(shape),
                        path_cell(measured.at(shape, precision)),
                        *map(path_cell, forced.values()), min(taken, key=taken.get)])


def peer_table(measured):
    """How many times longer the others take."""
    peers = measured.peers
    shapes = sorted({shape for times in peers.values() for shape in times})
    yield from heading("H,B,R,T", "ours, ms", "x our CPU engine", *(f"x {name}" for name in peers))
    for shape in shapes:
        ours, cpu = measured.at(shape), measured.at(shape, engine="cpu")
        others = [cpu.ms if cpu else None, *(times.get(shape) for times in peers.values())]
        yield line([shape_text(shape), f"{ours.ms:.4g}" if ours else "",
                    *(f"{other / ours.ms:.3g}" if ours and other else "" for other in others)])


def gradient_table(measured):
    """With the weights' gradients on all sides."""
    key, peers = (measured.engine, "", "f32"), measured.peers_with_gradients
    yield from heading("H,B,R,T", "ours, ms", "of the FMA ceiling", "/ ours without",
                       "the gradients alone, of the ceiling", *(f"x {name}" for name in peers))
    for shape, ours in sorted(measured.with_gradients.get(key, {}).items()):
        plain, alone = measured.at(shape), measured.gradients.get(key, {}).get(shape)
        others = (times.get(shape) for times in peers.values())
        yield line([shape_text(shape), f"{ours.ms:.4g}", percent(ours.peak_fraction),
                    f"{ours.ms / plain.ms:.3g}" if plain else "",
                    percent(alone.peak_fraction) if alone else "",
                    *(f"{other / ours.ms:.3g}" if other else "" for other in others)])


# ---- bars ----------------------------------------------------------------------------------------


def bar(what, values, least, text, wanted=0):
    """A row: whether all values, by shape, reach the bar, and which is the least of them. Fewer
    than `wanted` leave it open, unless one misses it already."""
    values = {shape: value for shape, value in values.items() if value is not None}
    if not values:
        return [what, "not measured", ""]
    worst = min(values, key=values.get)
    met = values[worst] >= least
    verdict = "not met" if not met else "met" if len(values) >= wanted else "met as far as measured"
    return [what, verdict, f"least {text(values[worst])} at {shape_text(worst)}"]


def bars(measured):
    """DESIGN.md, section 7, for a GPU: of tanh units."""
    shapes = measured.shapes("f32")
    ceiling = {shape: timing.peak_fraction for shape in shapes
               if (timing := measured.at(shape)) and shape[0] in (64, 128, 256)
               and shape[1] * shape[2] >= 8192}
    product = {shape: measured.of_product(shape) for shape in shapes if shape[0] >= 512}
    rnn = {shape: ms / ours.ms for name, times in measured.peers.items() if "nn_rnn" in name
           for shape, ms in times.items() if (ours := measured.at(shape))}
    yield bar("f32, H = 64, 128, 256 from 8,192 columns: at least 50% of the FMA ceiling",
              ceiling, 0.5, percent, wanted=6)
    yield bar("f32, H = 512 and more: at least 85% of a bare cuBLAS product",
              product, 0.85, percent, wanted=6)
    yield bar("at least 20 times nn.RNN called once for each radius",
              rnn, 20.0, lambda times: f"{times:.3g} times", wanted=4)


# ---- steps ---------------------------------------------------------------------------------------


def group_line(group, what, steps):
    counts = {}
    for step in steps:
        counts[step["status"]] = counts.get(step["status"], 0) + 1
    if not steps:
        return f"- {what}: not run"
    seconds = sum(step["seconds"] for step in steps)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"- {what}: {said} ({seconds:.0f} s)"


def step_lines(steps):
    for group, what in GROUPS.items():
        yield group_line(group, what, [step for step in steps if step["group"] == group])
    for step in steps:
        if step["status"] != "passed":
            yield f"    - {step['name']}: {step['status']}: {step['why']}"


def sanitizer_table(steps):
    found = {(step["case"], step["precision"], step["tool"]): step["status"] for step in steps
             if step["group"] == "sanitizer" and "tool" in step}
    tools = list(dict.fromkeys(tool for _, _, tool in found))
    yield from heading("kernels", *tools)
    for case, precision in dict.fromkeys((case, precision) for case, precision, _ in found):
        yield line([f"{case} {precision}",
                    *(found.get((case, precision, tool), "") for tool in tools)])


# ---- the page ------------------------------------------------------------------------------------


def section(title, lines):
    """Nothing where the table has no rows."""
    lines = list(lines)
    return ["", f"## {title}", "", *lines] if len(lines) > 2 else []


def cell_sections(measured):
    for precision in ("f32", "f64"):
        yield from section(f"{precision}, {measured.cell}: forward, backward and norms",
                           chosen_table(measured, precision))
    for precision in ("f32", "f64"):
        yield from section(f"{precision}, {measured.cell} by each path: ms (of the FMA ceiling)",
                           path_table(measured, precision))
    yield from section(f"f32, {measured.cell} against the peers: how many times longer they take",
                       peer_table(measured))
    yield from section(f"f32, {measured.cell} with the weights' gradients",
                       gradient_table(measured))


def page(folder):
    machine = folder / "machine.txt"
    steps = (read_json(folder / "steps.json") or {"steps": []})["steps"]
    of_cells = [read_measured(folder, cell) for cell in CELLS]
    text = ["# What a GPU said", "", "```", machine.read_text().strip() if machine.exists() else "",
            "```", "", *step_lines(steps)]
    if of_cells[0].engine == "cuda":
        text += section("Bars", [*heading("bar", "verdict", "measured"),
                                 *(line(row) for row in bars(of_cells[0]))])
    for measured in of_cells:
        text += cell_sections(measured)
    text += section("Errors and hazards", sanitizer_table(steps))
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1])))
