"""JSON of `scripts/bench-workers` as a table: points per second of one sweep against its workers."""

import math
import statistics

from .benchjson import BROKEN, SHAPE, document_of, something_missing
from .table import Table

_RANGES = ("points_per_s", "ideal_share")
HEADER = ("series", "workers", "device", "cores", *SHAPE,
          *(name + end for name in _RANGES for end in ("", "_min", "_max")), "ideal_points_per_s", "launch_ms",
          "repetitions", "commit")


def _spread_of(rounds, name):
    values = [float(one[name]) for one in rounds]
    if not all(0.0 < value < math.inf for value in values):
        raise ValueError(f"{name} {values}")
    found = {"_min": min(values), "": statistics.median(values), "_max": max(values)}
    return {name + end: repr(value) for end, value in found.items()}


def _row(series, workers, rounds, about):
    ideal = statistics.median(one["points_per_s"] / one["ideal_share"] for one in rounds)
    told = {"series": series["series"], "workers": str(int(workers)),
            "ideal_points_per_s": repr(ideal), "launch_ms": str(series.get("launch_ms", "")),
            "repetitions": str(len(rounds))}
    told |= dict(zip(SHAPE, map(str, series["shape"]), strict=True))
    for name in _RANGES:
        told |= _spread_of(rounds, name)
    return told | about


def _rows(path):
    document = document_of(path)
    if "workers" not in document:
        return
    try:
        about = {"device": document["machine"]["cpu"], "cores": str(document["machine"]["cores_usable"]),
                 "commit": str(document["run"]["commit"])}
        for series in document["workers"]:
            for workers, rounds in series["measured"].items():
                yield _row(series, workers, rounds, about)
    except BROKEN as error:
        raise something_missing(path, error) from error


def read(paths):
    """One table of all files of that kind. What several of them measured is that of the last one."""
    found = {(row["series"], row["workers"], row["device"], row["cores"]): row
             for path in paths for row in _rows(path)}
    return Table.from_rows("workers", HEADER, found.values())
