"""What torch_peer.py and jax_peer.py share: the numbers, the check against Rhosweep, the timing.

Each program describes its library (Library) and calls main(). They take the same options and write
the same JSON:

    python bench/peers/torch_peer.py --shape 64,16,32,100 --threads 2        JSON of timings
    python bench/peers/torch_peer.py --shape 64,16,4,100 --check DIR         against Rhosweep
    python bench/peers/torch_peer.py --shape 64,16,32,100 --cell lstm        of other networks
"""

import argparse
import csv
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapes import Shape

INPUT_SIZE = 1
# Where no gradient leaves the range of fp32 at any benchmarked shape. Below, gradients turn
# subnormal, which slows plain arithmetic down: from 0.5 on, to a third at (128,16,32,200).
RADII = (0.9, 1.5)

GRADIENTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class Cell:
    gates: int  # blocks of rows of the weights, in PyTorch's order
    candidate: int  # the block whose spectral radius is that of the network
    states: tuple  # whose gradients have norms


CELLS = {"tanh": Cell(1, 0, ("h",)), "lstm": Cell(4, 2, ("h", "c")), "gru": Cell(3, 2, ("h",))}

TOLERANCES = {"f32": 1e-4, "f64": 1e-9}  # in log10 of a norm
WEIGHT_GRADIENTS = {"no": (False,), "yes": (True,), "both": (False, True)}  # an option's values
GROWTH = 0.5  # a curve that rises by more than this is growing, and f32 may leave f64


class PeerError(Exception):
    """Says "what: why" to the user."""


@dataclass(frozen=True)
class Library:
    name: str  # for people
    # Cell and name to a function that makes, from a Task, a function that runs forward and backward
    # once. That one returns the norms [R][T][S][B] of dL/dh_t (and of an LSTM's dL/dc_t: of the
    # c_t that enters step t + 1, while h_t is held fixed) or None, dL/dh_0 (and dL/dc_0)
    # [R][S][B][H] or None, and where the task wants them the gradients of the weights, by the names
    # of GRADIENTS: an array a radius.
    peers: dict[str, dict[str, Callable]]
    configure: Callable  # (options): threads, device, precision of products; PeerError
    about: Callable  # (options) -> {"version", "device"}
    put: Callable  # (float64 array, precision, device) -> the library's array
    fetch: Callable  # the library's array -> a NumPy array
    wait: Callable  # (what a run returned, device): returns when it is computed


@dataclass(frozen=True)
class Task:
    """One shape's numbers, as arrays of the library, device and type that are timed."""

    cell: str  # of CELLS
    shape: Shape
    radii: np.ndarray  # [R] ascending
    scales: list  # [R] that weight_hh is multiplied by
    arrays: dict  # as in the state_dict of nn.RNN, nn.LSTM, nn.GRU, and "input" [T][B][1]
    weight_gradients: bool  # those of the parameters at every radius, too

    @property
    def dtype(self):
        return self.arrays["input"].dtype

    @property
    def device(self):
        return self.arrays["input"].device


def parse_radii(text):
    try:
        lowest, highest = map(float, text.split(":"))
    except ValueError:
        lowest, highest = 0.0, 0.0
    if not 0.0 < lowest <= highest < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: not LOW:HIGH with 0 < LOW <= HIGH")
    return lowest, highest


def draw_model(cell, shape, seed):
    """Float64 arrays: a Gaussian weight_hh, the rest as PyTorch's defaults have it."""
    rng = np.random.default_rng(seed)
    rows = CELLS[cell].gates * shape.hidden
    bound = 1.0 / np.sqrt(shape.hidden)
    uniform = functools.partial(rng.uniform, -bound, bound)
    return {
        "weight_hh_l0": bound * rng.standard_normal((rows, shape.hidden)),
        "weight_ih_l0": uniform((rows, INPUT_SIZE)),
        "bias_ih_l0": uniform(rows),
        "bias_hh_l0": uniform(rows),
        "input": rng.standard_normal((shape.steps, shape.batch, INPUT_SIZE)),
    }


def make_task(library, cell, model, shape, precision, weight_gradients, options):
    """All gates of a radius are scaled alike."""
    radii = np.linspace(*options.radii, shape.radii)
    gates = np.split(model["weight_hh_l0"], CELLS[cell].gates)
    radius = np.abs(np.linalg.eigvals(gates[CELLS[cell].candidate])).max()
    arrays = {name: library.put(value, precision, options.device) for name, value in model.items()}
    return Task(cell, shape, radii, list(map(float, radii / radius)), arrays, weight_gradients)


# ---- timing -------------------------------------------------------------------------------------


def time_once(library, run, device):
    start = time.perf_counter()
    library.wait(run(), device)
    return time.perf_counter() - start


def time_peer(library, run, options):
    """Seconds of every repetition: at least two, at most --repetitions, and no new one once
    --seconds are over. The first, untimed run compiles and warms caches and allocators."""
    time_once(library, run, options.device)
    times = []
    while len(times) < 2 or (len(times) < options.repetitions and sum(times) < options.seconds):
        times.append(time_once(library, run, options.device))
    return times


def measure_task(library, task, options):
    for name, make in library.peers[task.cell].items():
        if name not in options.peers:
            continue
        times = time_peer(library, make(task), options)
        yield {
            "peer": name,
            "cell": task.cell,
            "shape": list(task.shape),
            "weight_gradients": task.weight_gradients,
            "median_ms": 1e3 * statistics.median(times),
            "min_ms": 1e3 * min(times),
            "max_ms": 1e3 * max(times),
            "repetitions": len(times),
        }


def measure(library, options):
    results = []
    for cell, shape in itertools.product(options.cell, options.shape):
        model = draw_model(cell, shape, options.seed)
        for weight_gradients in WEIGHT_GRADIENTS[options.weight_gradients]:
            task = make_task(library, cell, model, shape, options.precision, weight_gradients,
                             options)
            results += measure_task(library, task, options)
    return {
        "library": library.name,
        **library.about(options),
        "threads": options.threads,
        "precision": options.precision,
        "seed": options.seed,
        "radii": options.radii,
        "results": results,
    }


# ---- the check ----------------------------------------------------------------------------------


def rhosweep(program, *arguments):
    try:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
    except OSError as error:
        raise PeerError(f"{program}: {error.strerror}; see --rhosweep") from None
    if done.returncode != 0:
        raise PeerError(f"{program} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def table(options, name, database, columns, count, state="h"):
    """`count` rows of a table of the program, in the order of their numbers; where it has rows of
    several states, those of one."""
    text = rhosweep(options.rhosweep, "table", name, database, "--format", "csv")
    rows = sorted([float(row[column]) for column in columns]
                  for row in csv.DictReader(text.splitlines()) if row.get("state", state) == state)
    if len(rows) != count:
        raise PeerError(f"{database}: {len(rows)} rows of {name}, not {count}")
    return np.array(rows)


def our_profiles(options, database, task):
    """[R][T][mean, min, max over the batch, of every state]"""
    shape = task.shape
    columns = ("rho", "step", "log10_norm_mean", "log10_norm_min", "log10_norm_max")
    of_states = [table(options, "profile", database, columns, shape.radii * shape.steps, state)
                 for state in CELLS[task.cell].states]
    return np.concatenate([rows[:, 2:].reshape(shape.radii, shape.steps, 3)
                           for rows in of_states], axis=-1)


def our_norms(options, model, task, precision):
    """From the program itself, log10 of norms: of dL/dh_t as our_profiles has them, and of the
    weights' gradients [R][GRADIENTS], or None where the task has none."""
    stem = "-".join([task.cell, "x".join(map(str, task.shape))])
    path = options.check / f"{stem}.npz"
    database = options.check / f"{stem}-{precision}.db"
    np.savez(path, **model)
    database.unlink(missing_ok=True)  # a sweep does not repeat what its database holds
    clip = ("--clip", 1) if task.weight_gradients else ()
    rhosweep(options.rhosweep, "sweep", "--quiet", "--output", database, "--model", path,
             "--cell", task.cell, "--rho", ",".join(map(repr, map(float, task.radii))),
             "--precision", precision, "--loss", "last-mean", "--seeds", 0,
             "--threads", options.threads, *clip)
    profiles = our_profiles(options, database, task)
    if not task.weight_gradients:
        return profiles, None
    gradients = table(options, "clip", database, ("rho", *GRADIENTS), task.shape.radii)
    return profiles, log10(gradients[:, 1:])


def log10(norms):
    with np.errstate(divide="ignore"):  # that of 0 is an infinite error
        return np.log10(norms)


def profiles_of(norms):
    """[R][T][mean, min, max over the batch, of every state] of log10, from norms [R][T][S][B]."""
    logs = log10(norms)
    profiles = np.stack([logs.mean(-1), logs.min(-1), logs.max(-1)], axis=-1)
    return profiles.reshape(*logs.shape[:2], -1)


def comparable(what, curves, precision):
    """Which of the radii can be compared: in f32, those whose curve of h does not grow."""
    decays = curves[:, :, 2].max(axis=1) <= curves[:, -1, 2] + GROWTH
    chosen = decays if precision == "f32" else np.full(len(curves), True)
    if not chosen.any():
        raise PeerError(f"{what}: every curve grows, so that f32 can be compared nowhere; "
                        "take a larger H or fewer steps")
    return chosen


def judge(what, found, expected, precision):
    """Raises where logarithms of norms, a row a radius, differ; returns by how much they do."""
    with np.errstate(invalid="ignore"):  # dL/dc_T is 0 on both sides
        error = np.where(found == expected, 0.0, np.abs(found - expected)).max()
    if not error <= TOLERANCES[precision]:  # NaN is an error too
        raise PeerError(f"{what}: log10 of a norm differs by {error:.3g}, "
                        f"more than {TOLERANCES[precision]:g}")
    return f"within {error:.1e} (limit {TOLERANCES[precision]:g}) in log10"


def compare(what, found, expected, precision):
    """Raises where two sets of curves [R][T][...] differ; in f32, of those that do not grow."""
    chosen = comparable(what, expected, precision)
    verdict = judge(what, found[chosen], expected[chosen], precision)
    print(f"{what}: {chosen.sum()} of {len(chosen)} curves {verdict}")


def compare_gradients(what, found, expected, curves, precision):
    """The same of the weights' gradients [R][GRADIENTS]; `curves` says where dL/dh_t grows."""
    chosen = comparable(what, curves, precision)
    verdict = judge(what, found[chosen], expected[chosen], precision)
    print(f"{what}: weight gradients of {chosen.sum()} of {len(chosen)} radii {verdict}")


def gradient_norms(library, gradients):
    """log10 of the Frobenius norms [R][GRADIENTS], from gradients by name."""
    def log_norm(array):
        return log10(np.linalg.norm(library.fetch(array).astype(np.float64)))

    return np.array([list(map(log_norm, gradients[name])) for name in GRADIENTS]).T


def check_task(library, ours, our_gradients, task, precision):
    """Every peer's norms against ours. A peer without norms is compared in dL/dh_0 with one that
    has both."""
    where = f"{precision} {task.cell} {task.shape}"
    starts, anchor = {}, None
    for name, make in library.peers[task.cell].items():
        norms, gradient, of_weights = make(task)()
        if task.weight_gradients:
            compare_gradients(f"{where} {name} and Rhosweep", gradient_norms(library, of_weights),
                              our_gradients, ours, precision)
        if norms is not None:
            compare(f"{where} {name} and Rhosweep", profiles_of(library.fetch(norms)), ours,
                    precision)
        if gradient is None:
            continue
        start = np.linalg.norm(library.fetch(gradient).astype(np.float64), axis=-1)
        # One more step back than the curve in front of it, of which it becomes a part.
        starts[name] = np.concatenate([profiles_of(start[:, None]), ours], axis=1)
        anchor = anchor or (name if norms is not None else None)
    for name in starts:
        if name == anchor:
            continue
        compare(f"{where} {name} and {anchor} at h_0", starts[name], starts[anchor], precision)


def check(library, options):
    options.check.mkdir(parents=True, exist_ok=True)
    for cell, shape in itertools.product(options.cell, options.shape):
        model = draw_model(cell, shape, options.seed)
        for precision, weight_gradients in itertools.product(
                TOLERANCES, WEIGHT_GRADIENTS[options.weight_gradients]):
            task = make_task(library, cell, model, shape, precision, weight_gradients, options)
            check_task(library, *our_norms(options, model, task, precision), task, precision)


# ---- the command line ---------------------------------------------------------------------------


def parse_arguments(library, description, arguments):
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--shape", type=Shape.parse, action="append", required=True, metavar="H,B,R,T",
        help="units, batch, radii, steps; may be given several times")
    add("--cell", choices=CELLS, action="append",
        help="may be given several times; default tanh")
    add("--peers", type=lambda text: text.split(","), metavar="LIST",
        help="; ".join(f"{cell}: of {','.join(peers)}" for cell, peers in library.peers.items())
             + "; default: all of the cell")
    add("--precision", choices=TOLERANCES, default="f32")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--repetitions", type=int, default=20, help="at most so many; default 20")
    add("--seconds", type=float, default=2.0,
        help="no new repetition after so long, though there are two; default 2")
    add("--seed", type=int, default=1, help="of weights and input")
    add("--radii", type=parse_radii, default=RADII, metavar="LOW:HIGH",
        help="spectral radii, evenly spaced; default {}:{}".format(*RADII))
    add("--weight-gradients", nargs="?", choices=WEIGHT_GRADIENTS, const="yes", default="no",
        help="compute the gradients of weights and biases at every radius, too; both: times "
             "without them and with them")
    add("--check", type=Path, metavar="DIR",
        help="compare the gradients with those of the program instead; its files go to DIR")
    add("--rhosweep", default="build/release/rhosweep", metavar="PROGRAM", help="for --check")
    options = parser.parse_args(arguments)
    options.cell = options.cell or ["tanh"]
    known = list(dict.fromkeys(itertools.chain(*(library.peers[cell] for cell in options.cell))))
    options.peers = options.peers or known
    unknown = set(options.peers) - set(known)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: not one of {', '.join(known)}")
    if options.threads < 1 or options.repetitions < 2:
        parser.error("--threads must be at least 1, --repetitions at least 2")
    return options


def main(library, description):
    """The whole program of one library; the first line of `description` heads its --help."""
    options = parse_arguments(library, description.partition("\n")[0], sys.argv[1:])
    try:
        library.configure(options)
        if options.check:
            check(library, options)
        else:
            json.dump(measure(library, options), sys.stdout, indent=1)
            print()
    except PeerError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
