"""A results database as arrays, read without the program: host/store/schema.sql, versions 1 to
6."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .connection import SQLITE_ERRORS, check, check_file, failure, with_connection
from .errors import InputError
from .table import NETWORK, SETTINGS, SHAPE, Table

FINDINGS = ("forward_nonfinite", "backward_nonfinite", "fp32_underflow", "fp32_overflow",
            "fp16_underflow", "fp16_overflow", "bf16_underflow", "bf16_overflow")
RUN = ("started", "finished", "outcome", "version", "git_commit", "libraries", "host", "system",
       "engine", "device", "driver", "isa", "threads", "memory", "command_line", "spec", "workers")
TIMING = ("radii", "columns", "device", "threads", "host", "rank", "device_index", "forward_s",
          "backward_s")
GRADIENTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # as PyTorch names the parameters
CURVES = ("log10_norm_mean", "log10_norm_min", "log10_norm_max", "zero_fraction")
STATES = ("h", "c")  # of a pair
STATES_OF = {"lstm": 2}  # S, of other cells 1
# Of tangents came with version 6: what names a measurement, and its arrays.
LYAPUNOV = ("directions", "transient", "qr_asked", "qr_every", "log_slope", "sum_rule_residual")
SPECTRA = ("exponents", "standard_errors", "predicted")
SINGULAR = ("transient", "qr_asked", "at")

# Version 1 has other names, and wrote h0 'zero' also where a model's own start state was used.
VERSION_1 = {"c.cell": "c.nonlinearity AS cell",
             "c.h0": "iif(c.model_digest <> '' AND c.h0 = 'zero', 'unrecorded', c.h0) AS h0",
             "r.isa": "NULL AS isa"}
# Cells with gates, and leaky ones, came with version 4.
TO_VERSION_3 = {"c.gate_bias": "'' AS gate_bias", "c.gate_scale": "'' AS gate_scale",
                "c.leak": "'1' AS leak"}
# Runs of several devices came with version 5.
TO_VERSION_4 = {"r.workers": "1 AS workers", "t.host": "r.host", "t.rank": "0 AS rank",
                "t.device_index": "0 AS device_index"}


def _columns(prefix, names, version):
    renamed = ((VERSION_1 if version == 1 else {}) | (TO_VERSION_3 if version < 4 else {})
               | (TO_VERSION_4 if version < 5 else {}))
    return [renamed.get(f"{prefix}.{name}", f"{prefix}.{name}") for name in names]


# As `rhosweep table` orders cases; a model's name does not count.
ORDER = ", ".join(column for column in NETWORK if column != "model")
SEED_ORDER = "c.seed < 0, c.seed"


def _points(version):
    columns = [*_columns("c", SHAPE, version), "p.rho", "p.g", "c.seed", "p.decay_rate",
               *_columns("c", SETTINGS, version), "p.rho_asked", *_columns("p", FINDINGS, version),
               "p.run_id AS run", "p.id"]
    return (f"SELECT {', '.join(columns)} FROM points p JOIN cases c ON c.id = p.case_id"
            f" ORDER BY {ORDER}, p.rho_asked, {SEED_ORDER}")


# Without rows, where a database has no such tables.
_NO_GRADIENTS = f"(SELECT {', '.join(f'NULL AS {name}' for name in GRADIENTS)})"


def _gradients(version):
    norms = "gradients w ON w.point_id = p.id" if version >= 3 else f"{_NO_GRADIENTS} w ON false"
    columns = [*_columns("c", SHAPE, version), "p.rho", "p.g", "c.seed",
               *(f"w.{name} AS log10_{name}" for name in GRADIENTS),
               *_columns("c", SETTINGS, version), "p.rho_asked"]
    return (f"SELECT {', '.join(columns)} FROM points p JOIN cases c ON c.id = p.case_id"
            f" JOIN {norms} ORDER BY {ORDER}, p.rho_asked, {SEED_ORDER}")


def _clips(version):
    """As `rhosweep table clip`, norms as log10 and without what follows from them."""
    norms = "gradients w ON w.point_id = p.id JOIN clips k ON k.case_id = c.id" if version >= 3 \
        else f"{_NO_GRADIENTS} w JOIN (SELECT NULL AS max_norm) k ON false"
    shape = [name for name in SHAPE if name != "steps"]
    columns = [*_columns("c", shape, version), "p.rho", "c.seed", "c.loss",
               *(f"w.{name}" for name in GRADIENTS), "k.max_norm", "p.g", "c.steps",
               *_columns("c", [name for name in SETTINGS if name != "loss"], version),
               "p.rho_asked"]
    return (f"SELECT {', '.join(columns)} FROM points p JOIN cases c ON c.id = p.case_id"
            f" JOIN {norms} ORDER BY {ORDER}, p.rho_asked, {SEED_ORDER}, k.max_norm")


def _of_points(table, names, arrays, version):
    """Rows of a table of tangents, of which older databases have none; their arrays are last."""
    empty = ", ".join(f"NULL AS {name}" for name in ("point_id", *names, *arrays))
    source = table if version >= 6 else f"(SELECT {empty} WHERE false)"
    columns = [*_columns("c", SHAPE, version), "p.rho", "p.g", "c.seed", *(f"m.{name}" for name in names),
               *_columns("c", SETTINGS, version), "p.rho_asked", *(f"m.{name}" for name in arrays)]
    keys = [f"m.{name}" for name in names if name in ("directions", *SINGULAR)]
    return (f"SELECT {', '.join(columns)} FROM points p JOIN cases c ON c.id = p.case_id"
            f" JOIN {source} m ON m.point_id = p.id"
            f" ORDER BY {ORDER}, p.rho_asked, {SEED_ORDER}, {', '.join(keys)}")


def _failures(version):
    columns = [*_columns("c", SHAPE, version), "c.seed", "c.reason", "c.run_id AS run",
               *_columns("c", SETTINGS, version)]
    return (f"SELECT {', '.join(columns)} FROM cases c WHERE c.status = 'failed'"
            f" ORDER BY {ORDER}, {SEED_ORDER}")


def _timings(version):
    columns = [*_columns("c", SHAPE, version), "c.seed", *_columns("t", TIMING, version),
               "NULL AS transfer_s" if version == 1 else "t.transfer_s",
               *_columns("c", SETTINGS, version), "t.run_id AS run"]
    return (f"SELECT {', '.join(columns)} FROM timings t JOIN cases c ON c.id = t.case_id"
            " JOIN runs r ON r.id = t.run_id"
            " ORDER BY t.run_id, t.case_id")


def _runs(version):
    times = "NULL AS engine_s, NULL AS wall_s" if version == 1 else "r.engine_s, r.wall_s"
    return (f"SELECT r.id AS run, {', '.join(_columns('r', RUN, version))}, {times}"
            " FROM runs r ORDER BY r.started, r.id")


def _array(name, values):
    """A column: text as objects, seeds as given, else int64, or float64 with NaN for NULL."""
    if name == "seed":
        return np.array(values, np.int64).view(np.uint64)  # the same 64 bits
    if any(isinstance(value, str) for value in values):
        return np.array(values, object)
    if values and all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _values(connection, sql):
    """Column name to values."""
    rows = connection.execute(sql)
    names = [description[0] for description in rows.description]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return dict(zip(names, columns, strict=True))


def _query(connection, sql):
    """Column name to array."""
    return {name: _array(name, values) for name, values in _values(connection, sql).items()}


def _frame(columns):
    """A DataFrame where pandas is installed, else a record array."""
    try:
        import pandas
    except ImportError:
        return np.rec.fromarrays(list(columns.values()), names=list(columns))
    return pandas.DataFrame(columns)


def _with_zeros(norms):
    """Norms [3, T], and behind them the fraction of samples that are exactly zero where a database
    has none: early builds did not store it."""
    return np.vstack([norms, np.where(np.isneginf(norms[1]), np.nan, 0.0)])


def _curve(point, *blobs):
    """[4, T] of the arrays of a point, the last of which may be None."""
    blobs = [blob for k, blob in enumerate(blobs) if k < 3 or blob is not None]
    if not all(isinstance(blob, bytes) and len(blob) == len(blobs[0]) for blob in blobs):
        raise ValueError(f"point {point}: curves of uneven length")
    curve = np.frombuffer(b"".join(blobs), "<f8").reshape(len(blobs), -1)
    return curve if len(blobs) == len(CURVES) else _with_zeros(curve)


def _curves_of_states(connection):
    """Point to its curves [4, T] of h and of c, where its state is a pair."""
    found = {}
    rows = connection.execute("SELECT point_id, state, mean, ifnull(min, mean), ifnull(max, mean),"
                              " zero FROM state_curves")
    for point, state, *blobs in rows:
        found.setdefault(point, {}).setdefault(state, _curve(point, *blobs))
    return found


def _stored_curves(connection):
    """Point to its curve [4, T], of the whole state."""
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(curves)")}
    zero = "zero" if "zero" in columns else "NULL"
    rows = connection.execute("SELECT point_id, mean, ifnull(min, mean), ifnull(max, mean),"
                              f" {zero} FROM curves")
    return {point: _curve(point, *blobs) for point, *blobs in rows}


def _curves_of_version_1(connection):
    """The same of rows, one per step."""
    rows = connection.execute("SELECT point_id, log10_norm_mean, log10_norm_min, log10_norm_max"
                              " FROM profile ORDER BY point_id, step").fetchall()
    values = np.array(rows, np.float64).reshape(-1, 4)  # NULL as NaN
    points, first = np.unique(values[:, 0], return_index=True)
    parts = map(_with_zeros, np.split(values[:, 1:].T, first[1:], axis=1))
    return dict(zip(points.astype(int).tolist(), parts, strict=True)) if len(rows) else {}


def _by_state(curve, states):
    """State to curve, in the order of the program's table; `curve` or `states` may be None."""
    found = {state: states[state] for state in STATES if states and state in states}
    return found if curve is None else {**found, "both" if states else "h": curve}


def _behind(last, own, columns):
    """The columns with `own` behind the one named."""
    names = list(columns)
    at = names.index(last) + 1
    return {name: (columns | own)[name] for name in (*names[:at], *own, *names[at:])}


def _points_with_curves(connection, version):
    """What names the curves, as columns, and the curves [4, T]; T is 0 where one is empty."""
    points = _query(connection, _points(version))
    curves = (_curves_of_version_1 if version == 1 else _stored_curves)(connection)
    of_states = _curves_of_states(connection) if version >= 4 else {}
    found = [_by_state(curves.get(point), of_states.get(point))
             for point in points.pop("id").tolist()]
    for one, steps in zip(found, points["steps"].tolist(), strict=True):
        for curve in one.values():
            if curve.shape[1] not in (0, steps):
                raise ValueError(f"a curve of {curve.shape[1]} steps in a case of {steps}")
    columns = {name: np.repeat(values, [len(one) for one in found])
               for name, values in points.items() if name not in ("decay_rate", "run", *FINDINGS)}
    states = np.array([state for one in found for state in one], object)
    return _behind("seed", {"state": states}, columns), [curve for one in found for curve in one.values()]


def _profile(connection, version):
    """A row per curve and step: what names the curve, repeated, and the curves end to end."""
    names, found = _points_with_curves(connection, version)
    lengths = [curve.shape[1] for curve in found]
    values = np.concatenate([np.empty((len(CURVES), 0)), *found], axis=1)
    steps = np.concatenate([np.arange(0), *(np.arange(1, n + 1) for n in lengths)])
    columns = {name: np.repeat(values, lengths) for name, values in names.items()}
    return _behind("seed", {"state": columns.pop("state"), "step": steps,
                            **dict(zip(CURVES, values, strict=True))}, columns)


def _numbers(blob, count, what):
    """So many of a point; NaN where it has none."""
    found = np.full(count, np.nan) if blob is None else np.frombuffer(blob, "<f8")
    if len(found) != count:
        raise ValueError(f"{what}: {len(found)} numbers in place of {count}")
    return found


def _arrays(columns, names, counts):
    """The columns but those of arrays, as arrays; and the arrays of each row [names, numbers]."""
    blobs = zip(*(columns[name] for name in names), strict=True)
    found = [np.array([_numbers(blob, count, name) for name, blob in zip(names, row, strict=True)])
             for row, count in zip(blobs, counts, strict=True)]
    return {name: _array(name, values) for name, values in columns.items() if name not in names}, found


def _spectra_of_points(connection, version):
    """What names a spectrum, as columns, and of each [3, k]: SPECTRA."""
    columns = _values(connection, _of_points("lyapunov", LYAPUNOV, SPECTRA, version))
    return _arrays(columns, SPECTRA, columns["directions"])


def _singular_of_points(connection, version):
    """What names the singular values at one time, as columns, and of each [1, S H]: ln, descending."""
    columns = _values(connection, _of_points("singular_values", SINGULAR, ("logs",), version))
    counts = [STATES_OF.get(cell, 1) * hidden for cell, hidden in zip(columns["cell"], columns["hidden"],
                                                                      strict=True)]
    return _arrays(columns, ("logs",), counts)


def _one_by_one(names, found, columns):
    """A row for each number of the arrays, k = 1 the largest; `names` of their rows."""
    lengths = [one.shape[1] for one in found]
    values = np.concatenate([np.empty((len(names), 0)), *found], axis=1)
    own = {"k": np.concatenate([np.arange(0), *(np.arange(1, n + 1) for n in lengths)]),
           **dict(zip(names, values, strict=True))}
    return own, {name: np.repeat(values, lengths) for name, values in columns.items()}


def _lyapunov(connection, version):
    columns, found = _spectra_of_points(connection, version)
    own, columns = _one_by_one(("exponent", "standard_error", "predicted"), found, columns)
    del columns["qr_asked"], columns["log_slope"], columns["sum_rule_residual"]
    return _behind("qr_every", own, columns)


def _singular(connection, version):
    columns, found = _singular_of_points(connection, version)
    own, columns = _one_by_one(("log10_singular_value",), [one / np.log(10.0) for one in found], columns)
    del columns["qr_asked"]
    return _behind("at", own, columns)


def _seeds(connection, version):
    columns = _query(connection, _points(version))
    del columns["id"]
    return columns


def _clipped(norms, max_norm):
    """Total norm, coefficient and total after clipping as clip_grad_norm_ has them, all as log10, of
    log10 norms [4, n]: host/fit/clip.c."""
    with np.errstate(all="ignore"):
        largest = norms.max(axis=0)
        scale = np.where(np.isinf(largest), 0, largest)
        total = scale + 0.5 * np.log10((10.0 ** (2 * (norms - scale))).sum(axis=0))
        above, limit = total + 6, np.log10(max_norm)
        more = np.log1p(10.0 ** -np.abs(above)) / np.log(10)
        coefficient = np.minimum(limit - (np.maximum(total, -6) + more), 0)
        clipped = np.where(coefficient < 0, limit + np.minimum(above, 0) - more, total)
    return total, coefficient, np.where(np.isposinf(total), np.nan, clipped)


def _clip(connection, version):
    columns = _query(connection, _clips(version))
    norms = np.array([columns[name] for name in GRADIENTS])
    of_all = _clipped(norms, columns["max_norm"])
    with np.errstate(over="ignore", under="ignore"):
        own = {name: 10.0 ** log10 for name, log10 in
               zip((*GRADIENTS, "total", "clip_coef", "total_clipped"), (*norms, *of_all), strict=True)}
    names = [name for name in columns if name not in own]
    at = names.index("max_norm")
    return {name: (columns | own)[name] for name in (*names[:at], *own, *names[at:])}


def _plain(sql):
    return lambda connection, version: _query(connection, sql(version))


TABLES = {"seeds": _seeds, "profile": _profile, "clip": _clip, "gradients": _plain(_gradients),
          "lyapunov": _lyapunov, "singular": _singular, "runs": _plain(_runs), "timings": _plain(_timings), "failures": _plain(_failures)}


class Tables(Mapping):
    """Tables of a database by name. Each is read when it is first asked for, as it is then."""

    def __init__(self, path):
        self.path = Path(path)
        self._tables = {}

    def __getitem__(self, name):
        if name not in TABLES:
            raise KeyError(f"{name}: the tables are {', '.join(TABLES)}")
        if name not in self._tables:
            self._tables[name] = _frame(self._read(name))
        return self._tables[name]

    def __iter__(self):
        return iter(TABLES)

    def __len__(self):
        return len(TABLES)

    def __repr__(self):
        return f"Tables({str(self.path)!r}: {', '.join(TABLES)})"

    def _read(self, name):
        return _of_one_moment(self.path, TABLES[name])


def _of_one_moment(path, what, name=None):
    """what(connection, version of the schema) of a database, which errors call by `name`."""
    name = name or path

    def read_it(connection):
        connection.execute("BEGIN")
        return what(connection, check(name, connection))

    check_file(path)
    try:
        return with_connection(path, read_it)
    except SQLITE_ERRORS as error:
        raise failure(name, error) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: {error}: the database is damaged; name another file") from error


def _text(value):
    """A value as `rhosweep table` prints it, or in other digits for the same number."""
    return "" if value is None or value != value else str(value)


def mean_curves(path, name=None):
    """What names the curves as a table of text, and the curves' means over the samples."""
    points, found = _of_one_moment(path, _points_with_curves, name)
    rows = [at for at, curve in enumerate(found) if curve.shape[1]]
    return _table("profile", points, rows, [found[at][0] for at in rows])


def spectra(path, name=None):
    """What names the spectra as a table of text; and of each the exponents and what is predicted of
    them, NaN where nothing is [2, k]."""
    points, found = _of_one_moment(path, _spectra_of_points, name)
    exponents, predicted = SPECTRA.index("exponents"), SPECTRA.index("predicted")
    return _table("lyapunov", points, range(len(found)), [one[[exponents, predicted]] for one in found])


def singular_values(path, name=None):
    """The same of singular values at one time: log10 of each, descending."""
    points, found = _of_one_moment(path, _singular_of_points, name)
    return _table("singular", points, range(len(found)), [one[0] / np.log(10.0) for one in found])


def _table(name, points, rows, arrays):
    """Of these rows of columns, and an array beside each."""
    columns = [[_text(values[at]) for at in rows] for values in map(np.ndarray.tolist, points.values())]
    return Table(name, points, columns, arrays)


def read(path):
    tables = Tables(path)
    check_file(tables.path)
    tables["runs"]  # so that what is no database of rhosweep is refused here
    return tables
