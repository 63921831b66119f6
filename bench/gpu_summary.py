"""One page from what scripts/gpu-check left in a folder: summary.md.

    gpu_summary.py FOLDER

The folder holds machine.txt, a log for each step, and as far as the steps came bench.json,
paths-<path>.json (the same benchmark with that path forced) and peers.json.
"""

import json
import re
import sys
from pathlib import Path

NAME = re.compile(r"bptt/(\w+)/f32/tanh/H:(\d+)/B:(\d+)/R:(\d+)/T:(\d+)")
GEMM = re.compile(r"peak/cuda/gemm/f32/H:(\d+)/columns:(\d+)")
STEPS = ("parity", "sanitizer", "bench", "paths", "peers")
PEERS = {"nn_rnn_loop": "nn.RNN / CUDA", "bmm_hooks": "bmm / CUDA"}


def read_json(path):
    """The file's content, or None where a step left none or half of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def milliseconds(row):
    return row["real_time"] * {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}[row["time_unit"]]


def benchmarks_in(path):
    document = read_json(path) or {"benchmarks": []}
    return [row for row in document["benchmarks"] if not row.get("error_occurred")]


def rows_by_engine(path):
    """{shape: {engine: row}} of the whole of forward, backward and norms."""
    shapes = {}
    for row in benchmarks_in(path):
        if found := NAME.match(row["name"]):
            engine, *sizes = found.groups()
            shapes.setdefault(tuple(map(int, sizes)), {})[engine] = row
    return shapes


def bare_products(path):
    """{(H, columns): gflops} of cuBLAS alone."""
    found = ((GEMM.match(row["name"]), row) for row in benchmarks_in(path))
    return {tuple(map(int, match.groups())): row["gflops"] for match, row in found if match}


def peer_times(path):
    """{shape: {peer: milliseconds}}"""
    times = {}
    for row in (read_json(path) or {"results": []})["results"]:
        times.setdefault(tuple(row["shape"]), {})[row["peer"]] = row["median_ms"]
    return times


def line(cells):
    return "| " + " | ".join(cells) + " |"


def heading(*names):
    yield line(names)
    yield "|---|" + "--:|" * (len(names) - 1)


def ratio(other, row):
    return f"{other / milliseconds(row):.3g}" if other else ""


def table(shapes, products, peers):
    yield from heading("H,B,R,T", "CUDA, ms", "TFLOP/s", "of FMA peak", "of bare cuBLAS", "CPU, ms",
                       "CPU / CUDA", *PEERS.values())
    for shape, engines in sorted(shapes.items()):
        if "cuda" not in engines:
            continue
        hidden, batch, radii, _ = shape
        cuda, product = engines["cuda"], products.get((hidden, batch * radii))
        cpu = milliseconds(engines["cpu"]) if "cpu" in engines else None
        yield line([",".join(map(str, shape)), f"{milliseconds(cuda):.4g}",
                    f"{cuda['gflops'] / 1e3:.3g}", f"{cuda['peak_fraction']:.0%}",
                    f"{cuda['gflops'] / product:.0%}" if product else "",
                    f"{cpu:.4g}" if cpu else "", ratio(cpu, cuda),
                    *(ratio(peers.get(shape, {}).get(peer), cuda) for peer in PEERS)])


def path_table(chosen, forced):
    """Milliseconds of every path that took the shape."""
    yield from heading("H,B,R,T", "as chosen", *forced)
    for shape in sorted({shape for rows in forced.values() for shape in rows}):
        rows = [source.get(shape, {}).get("cuda") for source in (chosen, *forced.values())]
        yield line([",".join(map(str, shape)),
                    *(f"{milliseconds(row):.4g}" if row else "" for row in rows)])


def verdict(folder, name):
    log = folder / f"{name}.log"
    if not log.exists():
        return f"- {name}: not run"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"- {name}: {lines[-1] if lines else 'no output'}"


def main(folder):
    text = ["# What a GPU said", "", "```", (folder / "machine.txt").read_text().strip(), "```", ""]
    text += [verdict(folder, name) for name in STEPS]
    bench = folder / "bench.json"
    shapes = rows_by_engine(bench)
    if any("cuda" in engines for engines in shapes.values()):
        text += ["", "f32, tanh; forward, backward and norms, timed with the device's events", ""]
        text += table(shapes, bare_products(bench), peer_times(folder / "peers.json"))
    forced = {path.stem.removeprefix("paths-"): rows_by_engine(path)
              for path in sorted(folder.glob("paths-*.json"))}
    if any(forced.values()):
        text += ["", "The same by each path, in ms", "", *path_table(shapes, forced)]
    (folder / "summary.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
