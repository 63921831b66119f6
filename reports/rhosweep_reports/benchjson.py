"""Benchmark JSON as a table: of `rhosweep-bench --benchmark_out=...`, `scripts/bench` and
`scripts/gpu-check`."""

import json
import math
import re
import statistics
from pathlib import Path

from .errors import InputError
from .table import Table

# How a row differs from others: what was timed, where, and what it is compared with.
KIND = ("precision", "cell", "gradients")
SHAPE = ("hidden", "batch", "radii", "steps")
_IDENTITY = ("body", "device", "threads", *KIND, *SHAPE, "compared_with")
# Values with their least and greatest over the repetitions.
_RANGES = ("time_ms", "ns_per_column_step", "time_over_ours", "speedup_over_fewest_threads")
HEADER = (*_IDENTITY, *(name + end for name in _RANGES for end in ("", "_min", "_max")), "gflops",
          "bytes_per_s", "flops_per_byte", "repetitions", "library", "commit")

OURS = ("bptt/cuda", "bptt/cpu")  # what others are compared with: the first that a file has
STATES, WEIGHTS = "states", "states+weights"  # what gradients were computed of

_NAME = re.compile(r"(?P<body>(?:bptt|baseline)(?P<weights>\+gradients)?/\w+)"
                   r"/(?P<precision>f32|f64)/(?P<cell>\w+)"
                   r"/H:(?P<hidden>\d+)/B:(?P<batch>\d+)/R:(?P<radii>\d+)/T:(?P<steps>\d+)(?:/|$)")
_PEAK = re.compile(r"(?P<body>peak/(?:cuda/)?(?:fma|bandwidth|copy)(?:/(?P<precision>f32|f64))?)(?:/|$)")
BROKEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # what such JSON leads to
_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def _text(value):
    return "" if value is None else repr(float(value))


def _spread(row, name, low, middle, high):
    row[name], row[f"{name}_min"], row[f"{name}_max"] = _text(middle), _text(low), _text(high)


def _range(row, name):
    """Least, median and greatest."""
    return tuple(float(row[f"{name}{end}"]) for end in ("_min", "", "_max"))


def _spread_of(row, name, values):
    _spread(row, name, min(values), statistics.median(values), max(values))


def _row(shape, times, **more):
    """One row from the shape's columns and the repetitions' times."""
    if not all(0.0 < time < math.inf for time in times):
        raise ValueError(f"times {times}")
    row = dict.fromkeys(HEADER, "") | shape | more
    _spread_of(row, "time_ms", times)
    row["repetitions"] = str(len(times))
    if row["hidden"]:
        column_steps = int(row["batch"]) * int(row["radii"]) * int(row["steps"])
        _spread_of(row, "ns_per_column_step", [1e6 * time / column_steps for time in times])
    return row


def _median(runs, counter):
    values = [run[counter] for run in runs if counter in run]
    return _text(statistics.median(values)) if values else ""


def _rate(runs):
    """The best of a ceiling's runs is the ceiling; where it has a name of its own."""
    return _median(runs, "best_gflops") or _median(runs, "gflops")


def _intensity(row):
    """Operations for each byte moved; none where one of the two was not counted."""
    if not row["gflops"] or not row["bytes_per_s"]:
        return ""
    return _text(1e9 * float(row["gflops"]) / float(row["bytes_per_s"]))


def _shape_of(match):
    """The columns that a benchmark's name gives."""
    told = {name: value or "" for name, value in match.groupdict().items()}
    weights = told.pop("weights", None)
    if told.get("hidden"):
        told["gradients"] = WEIGHTS if weights else STATES
        told["body"] = told["body"].replace("+gradients", "")
    return told


def _google_row(match, repetitions, context):
    shape = _shape_of(match)
    on_gpu = "/cuda" in shape["body"]
    device = context.get("engine_cuda" if on_gpu else "engine_cpu", context.get("processor", ""))
    times = [run["real_time"] * _MS[run["time_unit"]] for run in repetitions]
    row = _row(shape, times, device=device.partition(";")[0].strip(), gflops=_rate(repetitions),
               threads="" if on_gpu else str(context.get("threads", "")),
               bytes_per_s=_median(repetitions, "bytes_per_s"),
               commit=str(context.get("rhosweep_commit", "")))
    row["flops_per_byte"] = _intensity(row)
    return row


def _google(document):
    runs = {}
    for run in document["benchmarks"]:
        match = _NAME.match(run["name"]) or _PEAK.match(run["name"])
        if match and run.get("run_type") != "aggregate" and not run.get("error_occurred"):
            runs.setdefault(match[0].rstrip("/"), (match, []))[1].append(run)
    return [_google_row(*found, document.get("context", {})) for found in runs.values()]


def _base_shape(scaled):
    """The shape that a scaled one is a multiple of."""
    shape = list(scaled["shape"])
    shape["HBRT".index(scaled["axis"])] //= scaled["factor"]
    return ",".join(map(str, shape))


def _of_cells(document):
    """Cell, what gradients are of, shape and its rounds: of tanh at the document's top, of others
    below it."""
    for cell, found in {"tanh": document, **document.get("cells", {})}.items():
        for gradients, name in ((STATES, "measured"), (WEIGHTS, "measured_with_gradients")):
            for shape, rounds in found.get(name, {}).items():
                yield cell, gradients, shape, rounds
    if "scaling" in document:
        base = [{"ours_ms": r["base_ms"], "rival_ms": {}} for rounds in document["measured"].values()
                for r in rounds]
        yield "tanh", STATES, _base_shape(document["scaling"][0]), base


def _libraries(document):
    """Name to how its version is shown. An older file has PyTorch's version alone."""
    peers = document["run"].get("peers") or []
    if isinstance(peers, dict):
        peers = [peers | {"library": "PyTorch", "version": peers["torch"]}]
    return {peer["library"]: peer for peer in peers}


def _peer(name, libraries):
    """What is known of a peer besides its times: older files timed peers with the gradients of
    weights beside ours without."""
    if name.startswith("baseline/"):
        return {}
    library = libraries.get("JAX" if name.startswith("jax_") else "PyTorch", {})
    told = {"library": f"{library['library']} {library['version']}"} if library else {}
    return told | ({"gradients": WEIGHTS} if library.get("weight_gradients") else {})


def _rival(about, name, rounds, libraries):
    """A peer's row. What is compared is of one round, where both sides met the same disturbances."""
    row = _row(about | {"body": name}, [r["rival_ms"][name] for r in rounds]) | _peer(name, libraries)
    if row["gradients"] == about["gradients"]:
        _spread_of(row, "time_over_ours", [r["rival_ms"][name] / r["ours_ms"] for r in rounds])
    return row


def _compared(document):
    """What scripts/bench sums up: our times and the peers', round by round."""
    machine = {"device": document["machine"]["cpu"], "threads": str(document["run"]["threads"]),
               "commit": str(document["run"]["commit"]), "precision": "f32"}
    libraries = _libraries(document)
    for cell, gradients, text, rounds in _of_cells(document):
        about = machine | dict(zip(SHAPE, text.split(","), strict=True)) \
            | {"cell": cell, "gradients": gradients}
        yield _row(about | {"body": "bptt/cpu"}, [r["ours_ms"] for r in rounds],
                   gflops=_median(rounds, "gflops"))
        for name in rounds[0]["rival_ms"]:
            yield _rival(about, name, rounds, libraries)


def _peers_row(result, run):
    """Of the file of peers that scripts/gpu-check leaves beside its bench.json."""
    shape = dict(zip(SHAPE, map(str, result["shape"]), strict=True))
    gradients = WEIGHTS if result["weight_gradients"] else STATES
    times = [result[name] for name in ("min_ms", "median_ms", "max_ms")]
    on_cpu = run["device"] == "cpu"
    return _row(shape | {"body": result["peer"], "cell": result["cell"], "gradients": gradients}, times,
                device=run["device"], threads=str(run["threads"]) if on_cpu else "",
                precision=run["precision"], library=f"{run['library']} {run['version']}") \
        | {"repetitions": str(result["repetitions"])}


def _peers(document):
    runs = {run["program"]: run for run in document["runs"]}
    return [_peers_row(result, runs[result["program"]]) for result in document["results"]]


def _key(row, columns):
    return tuple(row[column] for column in columns)


def _set_beside(row, ours):
    """How long it takes beside ours. Where rounds did not bring them together, the range is as wide as
    both ranges make it."""
    (least, middle, most), (fastest, usual, slowest) = (_range(one, "time_ms") for one in (row, ours))
    _spread(row, "time_over_ours", least / slowest, middle / usual, most / fastest)


def _compare(rows):
    """Fills in what a file's rows are compared with, and how long they take beside it."""
    engine = next((body for body in OURS if any(row["body"] == body for row in rows)), None)
    own = {_key(row, KIND + SHAPE): row for row in rows if row["body"] == engine}
    for row in rows:
        if own and row["hidden"]:  # no ceiling
            row["compared_with"] = next(iter(own.values()))["device"]
        ours = own.get(_key(row, KIND + SHAPE))
        if ours and row["body"] != engine and not row["time_over_ours"]:
            _set_beside(row, ours)
    return rows


def _compare_apart(rows):
    """The same for files of peers alone: with ours on the same GPU."""
    own = {_key(row, ("device", *KIND, *SHAPE)): row for row in rows if row["body"] == "bptt/cuda"}
    for row in rows:
        if row["hidden"] and not row["compared_with"]:
            row["compared_with"] = row["device"]
            ours = own.get(_key(row, ("device", *KIND, *SHAPE)))
            if ours:
                _set_beside(row, ours)


def _scale(rows):
    """Fills in how much faster our CPU engine is than with the fewest threads that a shape was timed
    with, where there are several."""
    found = {}
    for row in rows:
        if row["body"] == "bptt/cpu" and row["threads"].isdigit():
            found.setdefault(_key(row, ("device", *KIND, *SHAPE)), []).append(row)
    for same in found.values():
        fewest = min(same, key=lambda row: int(row["threads"]))
        for row in same if any(row["threads"] != fewest["threads"] for row in same) else ():
            time, (least, middle, most) = float(fewest["time_ms"]), _range(row, "time_ms")
            _spread(row, "speedup_over_fewest_threads", time / most, time / middle, time / least)


def document_of(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {error}") from error


def something_missing(path, error):
    return InputError(f"{path}: benchmark JSON with something missing: {error!r}")


def _rows(path):
    document = document_of(path)
    try:
        if "workers" in document:  # workersjson.py reads it
            return []
        if "benchmarks" in document:
            return _compare(_google(document))
        if "measured" in document:
            return _compare(list(_compared(document)))
        if "results" in document:
            return _peers(document)
    except BROKEN as error:
        raise something_missing(path, error) from error
    raise InputError(f"{path}: no benchmark JSON: neither of rhosweep-bench nor of scripts/bench")


def read(paths):
    """One table of all files. What several of them timed is that of the last one."""
    every = [row for path in paths for row in _rows(path)]
    _compare_apart(every)
    rows = {_key(row, _IDENTITY): row for row in every}
    _scale(rows.values())
    return Table.from_rows("bench", HEADER, rows.values())
