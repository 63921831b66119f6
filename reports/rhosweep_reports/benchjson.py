"""Benchmark JSON as a table: of `rhosweep-bench --benchmark_out=...` and of `scripts/bench`."""

import json
import re
import statistics
from pathlib import Path

from .errors import InputError
from .table import Table

HEADER = ("body", "device", "threads", "precision", "cell", "hidden", "batch", "radii",
          "steps", "time_ms", "time_ms_min", "time_ms_max", "gflops", "bytes_per_s",
          "ns_per_column_step", "repetitions", "commit")

_NAME = re.compile(r"(?P<body>(?:bptt|baseline)/\w+)/(?P<precision>f32|f64)/(?P<cell>\w+)"
                   r"/H:(?P<hidden>\d+)/B:(?P<batch>\d+)/R:(?P<radii>\d+)/T:(?P<steps>\d+)(?:/|$)")
_PEAK = re.compile(r"(?P<body>peak/(?:cuda/)?(?:fma|bandwidth|copy)(?:/(?P<precision>f32|f64))?)(?:/|$)")
_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def _text(value):
    return "" if value is None else repr(float(value))


def _row(shape, times, **more):
    """One row from the shape's columns and the repetitions' times."""
    row = dict.fromkeys(HEADER, "") | shape | more
    row["time_ms"] = _text(statistics.median(times))
    row["time_ms_min"], row["time_ms_max"] = _text(min(times)), _text(max(times))
    row["repetitions"] = str(len(times))
    if row["hidden"]:
        column_steps = int(row["batch"]) * int(row["radii"]) * int(row["steps"])
        row["ns_per_column_step"] = _text(1e6 * statistics.median(times) / column_steps)
    return row


def _median(runs, counter):
    values = [run[counter] for run in runs if counter in run]
    return _text(statistics.median(values)) if values else ""


def _rate(runs):
    """The best of a ceiling's runs is the ceiling; where it has a name of its own."""
    return _median(runs, "best_gflops") or _median(runs, "gflops")


def _google(document):
    context = document.get("context", {})
    runs = {}
    for run in document["benchmarks"]:
        match = _NAME.match(run["name"]) or _PEAK.match(run["name"])
        if match and run.get("run_type") != "aggregate" and not run.get("error_occurred"):
            runs.setdefault(match[0].rstrip("/"), (match, []))[1].append(run)
    for match, repetitions in runs.values():
        shape = {name: value or "" for name, value in match.groupdict().items()}
        engine = "cuda" if "/cuda" in shape["body"] else "cpu"
        device = context.get(f"engine_{engine}", context.get("processor", ""))
        times = [run["real_time"] * _MS[run["time_unit"]] for run in repetitions]
        yield _row(shape, times, device=device.partition(";")[0].strip(),
                   threads=str(context.get("threads", "")), gflops=_rate(repetitions),
                   bytes_per_s=_median(repetitions, "bytes_per_s"),
                   commit=str(context.get("rhosweep_commit", "")))


def _base_shape(scaled):
    """The shape that a scaled one is a multiple of."""
    shape = list(scaled["shape"])
    shape["HBRT".index(scaled["axis"])] //= scaled["factor"]
    return ",".join(map(str, shape))


def _of_cells(document):
    """Cell and shape to rounds: of tanh at the document's top, of others below it."""
    measured = dict(document["measured"])
    if "scaling" in document:
        base = [{"ours_ms": r["base_ms"], "rival_ms": {}} for rounds in measured.values()
                for r in rounds]
        measured[_base_shape(document["scaling"][0])] = base
    cells = {"tanh": measured} | {cell: found["measured"]
                                  for cell, found in document.get("cells", {}).items()}
    return [(cell, shape, rounds) for cell, shapes in cells.items()
            for shape, rounds in shapes.items()]


def _compared(document):
    """What scripts/bench sums up: our times and the peers', round by round."""
    machine = {"device": document["machine"]["cpu"], "threads": str(document["run"]["threads"]),
               "commit": str(document["run"]["commit"]), "precision": "f32"}
    for cell, text, rounds in _of_cells(document):
        about = machine | {"cell": cell}
        shape = dict(zip(("hidden", "batch", "radii", "steps"), text.split(","), strict=True))
        yield _row(shape | {"body": "bptt/cpu"}, [r["ours_ms"] for r in rounds],
                   gflops=_median(rounds, "gflops"), **about)
        for name in rounds[0]["rival_ms"]:
            yield _row(shape | {"body": name}, [r["rival_ms"][name] for r in rounds], **about)


def _read(path):
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {error}") from error
    try:
        if "benchmarks" in document:
            return list(_google(document))
        if "measured" in document:
            return list(_compared(document))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{path}: benchmark JSON with something missing: {error!r}") from error
    raise InputError(f"{path}: no benchmark JSON: neither of rhosweep-bench nor of scripts/bench")


def read(paths):
    """One table of all files; rows that say the same twice stay once."""
    rows = {tuple(row.values()): row for path in paths for row in _read(path)}
    return Table.from_rows("bench", HEADER, rows.values())
