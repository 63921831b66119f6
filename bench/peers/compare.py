"""The arithmetic and the tables of scripts/bench: what it timed, summed up.

    python3 bench/peers/compare.py ratios RAW --results DIR       ours against the rest
    python3 bench/peers/compare.py scaling RAW --results DIR --base H,B,R,T

RAW holds, for every round, cell and shape, <round>-<cell>-<H>x<B>x<R>x<T>-ours.json from
rhosweep-bench and, where there are peers, ...-torch.json and ...-jax.json from theirs. A ratio
is taken within a round, where both sides met the same disturbances; of these ratios the median, the
least and the greatest are kept. Needs nothing beyond Python's own library.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from shapes import Shape

ROOT = Path(__file__).resolve().parents[2]

# With and without the weights' gradients.
OURS = {False: "bptt/cpu", True: "bptt+gradients/cpu"}
BASELINE = "baseline/blas_stepwise"
CELLS = ("tanh", "lstm", "gru")  # in the order of the tables
# Who is compared with us, in the order of the columns, and what it computes.
RIVALS = {
    BASELINE: "C and BLAS: one product per step for all radii, and a tanh loop; norms",
    "jax_vmap_grad": "JAX, vmap of grad of scan: one product per step and radius; norms",
    "jax_shared_w0": "JAX, backward pass by hand: one product per step for all radii; norms",
    "bmm_hooks": "PyTorch, baddbmm and hooks: one call per step for all radii; norms",
    "nn_rnn_loop": "PyTorch, nn.RNN once per radius, no TF32: forward and backward, no norms, "
                   "as it has no dL/dh_t",
    "nn_lstm_loop": "PyTorch, nn.LSTM once per radius: forward and backward, no norms",
    "nn_gru_loop": "PyTorch, nn.GRU once per radius: forward and backward, no norms",
    "cell_hooks": "PyTorch, nn.RNNCell and hooks: one call per step and radius; norms",
}
AXES = {"B": 1, "R": 2, "T": 3}  # of a shape H, B, R, T: those the cost is linear in
LINEAR = 0.1  # cost per unit may differ by so much from the base shape's

NAME = re.compile(r"(?P<body>[\w+]+/\w+)/f32/(?P<cell>\w+)/"
                  r"H:(?P<h>\d+)/B:(?P<b>\d+)/R:(?P<r>\d+)/T:(?P<t>\d+)(/|$)")
FILE = re.compile(r"(?P<round>\d+)-(?P<cell>tanh|lstm|gru)-(?P<shape>\d+x\d+x\d+x\d+)"
                  r"-(?P<side>ours|torch|jax)\.json")
MS_PER_UNIT = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
TOLD_BY_ENVIRONMENT = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "RHOSWEEP_")


class CompareError(Exception):
    """Says "what: why" to the user."""


def our_rows(document, cell):
    """Body ("bptt/cpu", ...) and shape to its time and counters, from Google Benchmark's JSON.
    Of several repetitions, the one in the middle."""
    repetitions = defaultdict(list)
    for run in document["benchmarks"]:
        if run.get("error_occurred"):
            raise CompareError(f"{run['name']}: {run['error_message']}")
        match = NAME.match(run["name"])
        if not match or match["cell"] != cell or run.get("run_type") == "aggregate":
            continue
        row = {"ms": run["real_time"] * MS_PER_UNIT[run["time_unit"]]}
        row.update({name: run[name] for name in ("gflops", "peak_fraction") if name in run})
        repetitions[match["body"], tuple(map(int, match.group(*"hbrt")))].append(row)
    return {
        key: sorted(rows, key=lambda row: row["ms"])[(len(rows) - 1) // 2]
        for key, rows in repetitions.items()
    }


def own_row(rows, shape, gradients=False):
    if (OURS[gradients], shape) not in rows:
        raise CompareError(f"{OURS[gradients]} at {shape_text(shape)}: not among the benchmarks "
                           "that ran")
    return rows[OURS[gradients], shape]


def peers_of(sides):
    """The peers' documents; `sides` has ours too."""
    return [document for side, document in sides.items() if side != "ours"]


def load_round(sides, shape, base=None, gradients=False, cell="tanh"):
    """What one round measured of one cell at one shape, flat. `sides` are the documents of "ours"
    and of the peers; `base` is the shape measured beside it for scaling. With `gradients`, all
    sides compute the weights' gradients too, and plain_ms is our time without them."""
    rows = our_rows(sides["ours"], cell)
    own = own_row(rows, shape, gradients)
    found = {"ours_ms": own["ms"], "gflops": own["gflops"], "peak_fraction": own["peak_fraction"]}
    rivals = {}
    if not gradients:
        rivals = {body: row["ms"] for (body, at), row in rows.items() if at == shape}
    for document in peers_of(sides):
        rivals.update({r["peer"]: r["median_ms"] for r in document["results"]
                       if tuple(r["shape"]) == shape and r["cell"] == cell
                       and r["weight_gradients"] == gradients})
    if base is not None:
        found["base_ms"] = own_row(rows, base)["ms"]
    if gradients:
        found["plain_ms"] = own_row(rows, shape)["ms"]
    found["rival_ms"] = {name: rivals[name] for name in RIVALS if name in rivals}
    return found


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio_spreads(rounds):
    """How many times longer each rival takes: within each round, then over the rounds."""
    names = [name for name in RIVALS if all(name in r["rival_ms"] for r in rounds)]
    return {name: spread([r["rival_ms"][name] / r["ours_ms"] for r in rounds]) for name in names}


def summarise(measured):
    """Shape to what is tabled of it, from shape to its rounds."""
    summary = {}
    for shape, rounds in measured.items():
        summary[shape] = {
            name: spread([r[name] for r in rounds])
            for name in ("ours_ms", "gflops", "peak_fraction")
        }
        if "plain_ms" in rounds[0]:
            summary[shape]["to_plain"] = spread([r["ours_ms"] / r["plain_ms"] for r in rounds])
        summary[shape]["ratios"] = ratio_spreads(rounds)
    return summary


def scaled_axis(base, shape):
    """Which axis of the base shape was multiplied, and by what."""
    grown = [axis for axis, i in AXES.items() if shape[i] != base[i]]
    if shape[0] == base[0] and len(grown) == 1:
        index = AXES[grown[0]]
        if shape[index] % base[index] == 0:
            return grown[0], shape[index] // base[index]
    raise CompareError(f"{shape_text(shape)}: is not {shape_text(base)} with one of "
                       "B, R, T multiplied")


def summarise_scaling(measured, base):
    """Rows (axis, factor, shape, ms, cost per unit relative to the base shape's)."""
    rows = []
    for shape, rounds in measured.items():
        axis, factor = scaled_axis(base, shape)
        costs = [r["ours_ms"] / (r["base_ms"] * factor) for r in rounds]
        rows.append({"axis": axis, "factor": factor, "shape": shape,
                     "base_ms": spread([r["base_ms"] for r in rounds]),
                     "ours_ms": spread([r["ours_ms"] for r in rounds]),
                     "relative_cost": spread(costs)})
    return sorted(rows, key=lambda row: (row["axis"], row["factor"]))


def shape_text(shape):
    return ",".join(map(str, shape))


def by_text(of_shapes):
    """For JSON, whose names are texts."""
    return {shape_text(shape): value for shape, value in of_shapes.items()}


def spread_text(values, digits=3):
    """Median, and in brackets the range; nothing for None."""
    if values is None:
        return ""
    middle, low, high = (significant(values[k], digits) for k in ("median", "min", "max"))
    return f"{middle} ({low} to {high})"


def significant(value, digits=3):
    """1234.5 as 1234, 12.345 as 12.3, 0.012345 as 0.0123."""
    if abs(value) >= 1.0:
        return f"{value:.{max(digits - len(str(int(abs(value)))), 0)}f}"
    return f"{value:#.{digits}g}"


def percent_text(values):
    middle, low, high = (f"{100.0 * values[k]:.0f}" for k in ("median", "min", "max"))
    return f"{middle}% ({low} to {high})"


def markdown(header, rows):
    """A table whose columns line up as text, too."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |"
             for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines) + "\n"


def rivals_in(summary):
    return [name for name in RIVALS if any(name in s["ratios"] for s in summary.values())]


def column_name(rival):
    return rival.rpartition("/")[2]


def legend(*summaries):
    """What each rival of the tables computes."""
    named = {name for summary in summaries for name in rivals_in(summary)}
    lines = [f"- {column_name(name)}: {RIVALS[name]}" for name in RIVALS if name in named]
    return "\nAll run forward and backward. Norms are those of every dL/dh_t, and of an LSTM's " \
           "dL/dc_t.\n\n" + "\n".join(lines) + "\n"


def ratio_table(summary):
    rivals = rivals_in(summary)
    to_plain = any("to_plain" in found for found in summary.values())
    header = ["H,B,R,T", "ours, ms", "GFLOP/s", "of FMA peak"] + to_plain * ["/ ours without"]
    rows = []
    for shape, found in summary.items():
        rows.append([shape_text(shape), spread_text(found["ours_ms"]),
                     spread_text(found["gflops"]), percent_text(found["peak_fraction"])]
                    + to_plain * [spread_text(found.get("to_plain"))]
                    + [spread_text(found["ratios"].get(name)) for name in rivals])
    return markdown(header + [f"x {column_name(name)}" for name in rivals], rows)


WITHOUT = "Without gradients of weights:\n\n"
WITH = ("\nWith the gradients of weights and biases at every radius, on all sides that were timed "
        "with them; GFLOP/s count the product that dL/dW_hh takes, too:\n\n")


def page_of(of_cells):
    """The page of each cell's two summaries, without the weights' gradients and with them."""
    text = "".join(f"## {cell}\n\n{WITHOUT}{ratio_table(plain)}{WITH}{ratio_table(gradients)}\n"
                   for cell, (plain, gradients) in of_cells.items())
    return text.rstrip("\n") + "\n" + legend(*(plain for plain, _ in of_cells.values()))


def scaling_table(rows):
    def verdict(cost):
        return "yes" if abs(cost["median"] - 1.0) <= LINEAR else "no"

    return markdown(
        ["axis", "times", "H,B,R,T", "1x, ms", "ours, ms", "cost per unit / that of 1x",
         "within 10%"],
        [[row["axis"], str(row["factor"]), shape_text(row["shape"]), spread_text(row["base_ms"]),
          spread_text(row["ours_ms"]), spread_text(row["relative_cost"]),
          verdict(row["relative_cost"])] for row in rows])


def load_raw(folder):
    """Cell and shape to the documents of its rounds, in order."""
    documents = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        match = FILE.fullmatch(path.name)
        if match:
            shape = Shape(*map(int, match["shape"].split("x")))
            key = CELLS.index(match["cell"]), shape, int(match["round"])
            documents[key][match["side"]] = read_json(path)
    if not documents:
        raise CompareError(f"{folder}: holds no measurements")
    raw = defaultdict(lambda: defaultdict(list))
    for (cell, shape, number), sides in sorted(documents.items()):
        if "ours" not in sides:
            raise CompareError(f"{folder}: round {number} of {CELLS[cell]} {shape_text(shape)} "
                               "lacks our side")
        raw[CELLS[cell]][shape].append(sides)
    if len({len(rounds) for shapes in raw.values() for rounds in shapes.values()}) > 1:
        raise CompareError(f"{folder}: some shapes have more rounds than others")
    return raw


def load_rounds(of_shapes, base=None, gradients=False, cell="tanh"):
    """Shape to what its rounds measured, from its documents."""
    return {shape: [load_round(sides, shape, base, gradients, cell) for sides in rounds]
            for shape, rounds in of_shapes.items()}


def read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CompareError(f"{path}: {error}") from error


def read_line(path):
    """The first line of a file, or None where it cannot be read."""
    try:
        return Path(path).read_text().partition("\n")[0].strip() or None
    except OSError:
        return None


def output_line(*command):
    """The first line that a command prints, or None where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.partition("\n")[0].strip()


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()  # ARM's cpuinfo has no such line


def compiler(build):
    """As the build knows it: the first line of its --version."""
    cache = build / "CMakeCache.txt"
    try:
        found = re.search(r"^CMAKE_C_COMPILER:\w+=(.+)$", cache.read_text(), re.M)
    except OSError:
        return None
    return output_line(found[1], "--version") if found else None


def slug(model):
    """A CPU's name as a folder's: "Intel(R) Xeon(R) CPU @ 2.60GHz" is "intel-xeon"."""
    bare = re.sub(r"\((r|tm)\)|@.*|\bcpu\b", " ", model.lower())
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")


def describe_machine(build):
    return {
        "cpu": cpu_model(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "governor": read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": compiler(build),
    }


def describe_run(sides):
    """Settings that the numbers depend on, beside the machine; from the documents of one round."""
    context = sides["ours"]["context"]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%MZ"),
        "commit": context["rhosweep_commit"],
        "threads": int(context["threads"]),
        "load_average_at_start": context.get("load_avg"),
        "environment": {name: value for name, value in sorted(os.environ.items())
                        if name.startswith(TOLD_BY_ENVIRONMENT)},
        "peers": [{name: value for name, value in document.items() if name != "results"}
                  for document in peers_of(sides)],
    }


def heading(machine, run, rounds):
    told = [f"{machine['cpu']}, {run['threads']} of {machine['cores_usable']} cores",
            f"commit {run['commit']}", machine["compiler"], machine["kernel"],
            machine["governor"] and f"governor {machine['governor']}", run["date"],
            *map(peer_text, run["peers"])]
    environment = " ".join(f"{name}={value}" for name, value in run["environment"].items())
    told.append(environment or None)
    return (f"# {machine['cpu']}\n\n" + "\n".join(f"- {line}" for line in told if line)
            + f"\n- medians over rounds ({rounds}), in brackets least and greatest\n\n")


def peer_text(peer):
    return "{library} {version}, radii {} to {}".format(*peer["radii"], **peer)


def write_results(options, name, table, document, rounds):
    """Prints the table; writes it and the JSON to the folder of this CPU."""
    folder = options.results / slug(document["machine"]["cpu"])
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "-scaling" if name == "summary-scaling.md" else ""
    path = folder / f"{document['run']['date']}{suffix}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    text = heading(document["machine"], document["run"], rounds) + table
    (folder / name).write_text(text)
    print(text)
    print(f"{path}\n{folder / name}")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("ratios", "scaling"))
    parser.add_argument("raw", type=Path, help="folder of the measurements")
    parser.add_argument("--results", type=Path, required=True, help="a folder per CPU comes here")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--base", type=Shape.parse, metavar="H,B,R,T", help="1x, for scaling")
    options = parser.parse_args(arguments)
    if (options.command == "scaling") != (options.base is not None):
        parser.error("--base: goes with scaling, and scaling with it")
    return options


def scaling(raw, base):
    """The table, and what the JSON holds."""
    measured = load_rounds(raw["tanh"], base)
    rows = summarise_scaling(measured, base)
    return scaling_table(rows), {"scaling": rows, "measured": by_text(measured)}


def ratios(raw):
    """The same. Tanh units are at the top of the JSON, where `rhosweep report --bench` reads them,
    and other cells in a part of their own each."""
    of_cells, records = {}, {}
    for cell, of_shapes in raw.items():
        measured, with_gradients = (load_rounds(of_shapes, gradients=gradients, cell=cell)
                                    for gradients in (False, True))
        of_cells[cell] = summarise(measured), summarise(with_gradients)
        records[cell] = {"summary": by_text(of_cells[cell][0]),
                         "summary_with_gradients": by_text(of_cells[cell][1]),
                         "measured_with_gradients": by_text(with_gradients),
                         "measured": by_text(measured)}
    return page_of(of_cells), records.pop("tanh", {"measured": {}}) | {"cells": records}


def sum_up(options):
    raw = load_raw(options.raw)
    rounds = next(iter(next(iter(raw.values())).values()))
    document = {"machine": describe_machine(options.build), "run": describe_run(rounds[0])}
    if options.command == "scaling":
        (table, found), name = scaling(raw, options.base), "summary-scaling.md"
    else:
        (table, found), name = ratios(raw), "summary.md"
    write_results(options, name, table, document | found, len(rounds))


def main():
    try:
        sum_up(parse_arguments(sys.argv[1:]))
    except CompareError as error:
        sys.exit(f"compare: {error}")


if __name__ == "__main__":
    main()
