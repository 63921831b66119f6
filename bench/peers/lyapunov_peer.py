"""What one would write for the Lyapunov exponents of tanh networks over many spectral radii, timed.

The peers:

    numpy_loop   NumPy: for every radius and step a product with the tangents, and np.linalg.qr.
    torch_bmm    PyTorch: one bmm per step over all radii at once, and torch.linalg.qr of the batch.

Both carry k = H tangents from the unit vectors on through a transient and the steps that count, in
float64, make them orthonormal every n steps (--qr-every, may be given several times), and add up
ln |R_ii| of the steps that count (Benettin et al. 1980). They have no gradients and no standard
errors: less work than ours. Drawing and scaling the weights is not timed.

    python bench/peers/lyapunov_peer.py --library numpy --shape 128,1,21,100       JSON of timings
    python bench/peers/lyapunov_peer.py --library numpy --shape 32,1,5,100 --check DIR

The second compares all exponents with those of the program. NumPy takes its threads from
OPENBLAS_NUM_THREADS or OMP_NUM_THREADS.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import common
from shapes import Shape

RADII = (0.5, 1.5)  # as in rhosweep-bench
# Of an exponent, where between two QRs the tangents' lengths spread by less than MOST_SPREAD: an
# exponent is off by about 1e-16 e^spread.
TOLERANCE = 1e-9
MOST_SPREAD = 14.0


@dataclass(frozen=True)
class Task:
    """Networks of one base matrix, all of float64."""

    weights: np.ndarray  # [H][H]
    scales: np.ndarray  # [R]
    drive: np.ndarray  # [transient + T][B][H]  weight_ih x + biases
    transient: int
    qr_every: int

    @property
    def steps(self):
        return len(self.drive) - self.transient

    def is_due(self, step):
        """Whether QR comes after this step, which count from 1; those that start or end counting
        are among them."""
        return step % self.qr_every == 0 or step in (self.transient, len(self.drive))


def transient_of(shape):
    """As in rhosweep-bench, and the default of a sweep."""
    return shape.steps // 10


def with_transient(shape):
    return shape._replace(steps=shape.steps + transient_of(shape))


def make_task(model, shape, qr_every, options):
    radius = np.abs(np.linalg.eigvals(model["weight_hh_l0"])).max()
    drive = model["input"] @ model["weight_ih_l0"].T + model["bias_ih_l0"] + model["bias_hh_l0"]
    return Task(model["weight_hh_l0"], np.linspace(*options.radii, shape.radii) / radius, drive,
                transient_of(shape), qr_every)


# ---- the peers: from a task to a function that returns exponents [R][B][H] ----------------------


def spectrum(task, scale, sample):
    """Of one network and one sample."""
    weights = scale * task.weights
    state = np.zeros(len(weights))
    tangents = np.eye(len(weights))
    stretch = np.zeros(len(weights))
    for step, drive in enumerate(task.drive[:, sample], 1):
        state = np.tanh(weights @ state + drive)
        tangents = (1.0 - state * state)[:, None] * (weights @ tangents)
        if task.is_due(step):
            tangents, triangle = np.linalg.qr(tangents)
            if step > task.transient:
                stretch += np.log(np.abs(np.diagonal(triangle)))
    return stretch / task.steps


def numpy_loop(task):
    samples = range(task.drive.shape[1])
    return lambda: np.array([[spectrum(task, scale, sample) for sample in samples]
                             for scale in task.scales])


def torch_bmm(task):
    torch = importlib.import_module("torch")
    samples, hidden = task.drive.shape[1:]
    networks = len(task.scales) * samples
    scales = torch.tensor(task.scales).repeat_interleave(samples)
    weights = scales[:, None, None] * torch.tensor(task.weights)
    drives = torch.tensor(task.drive).repeat(1, len(task.scales), 1)[..., None]

    def run():
        state = torch.zeros(networks, hidden, 1, dtype=torch.float64)
        tangents = torch.eye(hidden, dtype=torch.float64).expand(networks, -1, -1)
        stretch = torch.zeros(networks, hidden, dtype=torch.float64)
        for step, drive in enumerate(drives, 1):
            state = torch.tanh(torch.baddbmm(drive, weights, state))
            tangents = (1.0 - state * state) * torch.bmm(weights, tangents)
            if task.is_due(step):
                tangents, triangle = torch.linalg.qr(tangents)
                if step > task.transient:
                    stretch += triangle.diagonal(dim1=-2, dim2=-1).abs().log()
        return (stretch / task.steps).reshape(len(task.scales), samples, hidden).numpy()

    return run


PEERS = {"numpy": ("numpy_loop", numpy_loop), "torch": ("torch_bmm", torch_bmm)}


# ---- the check ----------------------------------------------------------------------------------


def our_exponents(options, model, shape, qr_every):
    """[R][H] from the program itself: means over the samples, descending."""
    database = options.check / f"{'x'.join(map(str, shape))}-qr{qr_every}.db"
    path = database.with_suffix(".npz")
    np.savez(path, **model)
    database.unlink(missing_ok=True)  # a sweep does not repeat what its database holds
    transient = transient_of(shape)
    common.rhosweep(options.rhosweep, "sweep", "--quiet", "--output", database, "--model", path,
                    "--cell", "tanh", "--rho",
                    ",".join(map(repr, np.linspace(*options.radii, shape.radii).tolist())),
                    "--precision", "f64", "--loss", "last-mean", "--seeds", 0, "--threads",
                    options.threads, "--lyapunov", "all", "--transient", transient,
                    "--qr-every", qr_every)
    rows = common.table(options, "lyapunov", database, ("rho", "k", "exponent"),
                        shape.radii * shape.hidden)
    return rows[:, 2].reshape(shape.radii, shape.hidden)


def judge(what, found, expected, qr_every):
    """Raises where exponents [R][H] differ that rounding lets one compare."""
    comparable = qr_every * (expected[:, :1] - expected) < MOST_SPREAD
    error = np.abs(found - expected)[comparable].max()
    if not error <= TOLERANCE:  # NaN is an error too
        raise common.PeerError(f"{what}: an exponent differs by {error:.3g}, "
                               f"more than {TOLERANCE:g}")
    print(f"{what}: {comparable.sum()} of {comparable.size} exponents within {error:.1e} "
          f"(limit {TOLERANCE:g})")


def check(name, peer, options):
    options.check.mkdir(parents=True, exist_ok=True)
    for shape in options.shape:
        model = common.draw_model("tanh", with_transient(shape), options.seed)
        for qr_every in options.qr_every:
            found = peer(make_task(model, shape, qr_every, options))().mean(1)
            judge(f"{name} and Rhosweep at {shape}, QR every {qr_every} steps",
                  -np.sort(-found, axis=1), our_exponents(options, model, shape, qr_every),
                  qr_every)


# ---- timing -------------------------------------------------------------------------------------


def measure_one(name, run, shape, qr_every, options):
    """A run of seconds is not repeated for long: twice, and on for --seconds."""
    run()
    times = []
    while len(times) < 2 or sum(times) < options.seconds:
        times.append(common.time_once(WAITS_FOR_NOTHING, run, "cpu"))
    return {"peer": name, "shape": list(shape), "qr_every": qr_every,
            "median_ms": 1e3 * statistics.median(times), "min_ms": 1e3 * min(times),
            "max_ms": 1e3 * max(times), "repetitions": len(times)}


class WAITS_FOR_NOTHING:
    """Both libraries are done when they return, on a CPU."""

    @staticmethod
    def wait(*_):
        pass


def measure(name, peer, options):
    results = []
    for shape in options.shape:
        model = common.draw_model("tanh", with_transient(shape), options.seed)
        results += [measure_one(name, peer(make_task(model, shape, n, options)), shape, n, options)
                    for n in options.qr_every]
    library = importlib.import_module(options.library)
    return {"library": {"numpy": "NumPy", "torch": "PyTorch"}[options.library],
            "version": library.__version__, "threads": options.threads, "radii": options.radii,
            "seed": options.seed, "results": results}


# ---- the command line ---------------------------------------------------------------------------


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--library", choices=PEERS, required=True)
    add("--shape", type=Shape.parse, action="append", required=True, metavar="H,B,R,T",
        help="units, samples, radii, steps; may be given several times")
    add("--qr-every", type=int, action="append", metavar="N",
        help="may be given several times; default 1")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of PyTorch and ours")
    add("--seconds", type=float, default=2.0,
        help="no new repetition after so long, though there are two; default 2")
    add("--seed", type=int, default=1, help="of weights and input")
    add("--radii", type=common.parse_radii, default=RADII, metavar="LOW:HIGH",
        help="spectral radii, evenly spaced; default {}:{}".format(*RADII))
    add("--check", type=Path, metavar="DIR",
        help="compare the exponents with those of the program instead; its files go to DIR")
    add("--rhosweep", default="build/release/rhosweep", metavar="PROGRAM", help="for --check")
    options = parser.parse_args(arguments)
    options.qr_every = options.qr_every or [1]
    if min(options.qr_every) < 1 or options.threads < 1:
        parser.error("--qr-every and --threads must be at least 1")
    return options


def configure(options):
    if options.library == "torch":
        try:
            importlib.import_module("torch").set_num_threads(options.threads)
        except ImportError as error:
            raise common.PeerError(f"--library torch: {error}") from None


def main():
    options = parse_arguments(sys.argv[1:])
    name, peer = PEERS[options.library]
    try:
        configure(options)
        if options.check:
            check(name, peer, options)
        else:
            json.dump(measure(name, peer, options), sys.stdout, indent=1)
            print()
    except common.PeerError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


if __name__ == "__main__":
    main()
