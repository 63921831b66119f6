"""One page from what scripts/gpu-check left in a folder: summary.md.

    gpu_summary.py FOLDER
"""

import json
import re
import sys
from pathlib import Path

NAME = re.compile(r"bptt/(\w+)/(\w+)/(\w+)/H:(\d+)/B:(\d+)/R:(\d+)/T:(\d+)")
GEMM = re.compile(r"peak/cuda/gemm/f32/H:(\d+)/columns:(\d+)")


def rows_of(benchmarks):
    """Per shape: the CUDA and CPU rows of bptt, and the bare product of the same shape."""
    shapes, products = {}, {}
    for row in benchmarks:
        if row.get("error_occurred"):
            continue
        found = NAME.match(row["name"])
        if found:
            engine, precision, _, *sizes = found.groups()
            if precision == "f32":
                shapes.setdefault(tuple(map(int, sizes)), {})[engine] = row
        found = GEMM.match(row["name"])
        if found:
            products[tuple(map(int, found.groups()))] = row["gflops"]
    return shapes, products


def milliseconds(row):
    return row["real_time"] * {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}[row["time_unit"]]


def table(shapes, products):
    yield "| H,B,R,T | CUDA, ms | TFLOP/s | of FMA peak | of bare cuBLAS | CPU, ms | CPU / CUDA |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for shape, engines in sorted(shapes.items()):
        hidden, batch, radii, _ = shape
        cuda, cpu = engines.get("cuda"), engines.get("cpu")
        product = products.get((hidden, batch * radii))
        cells = [",".join(map(str, shape))]
        if cuda:
            cells += [f"{milliseconds(cuda):.4g}", f"{cuda['gflops'] / 1e3:.3g}", f"{cuda['peak_fraction']:.0%}"]
            cells.append(f"{cuda['gflops'] / product:.0%}" if product else "")
        else:
            cells += ["", "", "", ""]
        cells.append(f"{milliseconds(cpu):.4g}" if cpu else "")
        cells.append(f"{milliseconds(cpu) / milliseconds(cuda):.3g}" if cpu and cuda else "")
        yield "| " + " | ".join(cells) + " |"


def verdict(folder, name):
    log = folder / f"{name}.log"
    if not log.exists():
        return f"- {name}: not run"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"- {name}: {lines[-1] if lines else 'no output'}"


def main(folder):
    text = ["# What a GPU said", "", "```", (folder / "machine.txt").read_text().strip(), "```", ""]
    text += [verdict(folder, name) for name in ("parity", "sanitizer", "peers")]
    bench = folder / "bench.json"
    if bench.exists():
        text += ["", "f32, tanh; forward, backward and norms, timed with the device's events", ""]
        text += table(*rows_of(json.loads(bench.read_text())["benchmarks"]))
    (folder / "summary.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
