"""What a PyTorch user would write for the norms of dL/dh_t over many spectral radii, timed.

    python bench/peers/torch_peer.py --shape 64,16,32,100 --threads 2        JSON of timings
    python bench/peers/torch_peer.py --shape 64,16,4,100 --check DIR         against Rhosweep

The peers:

    nn_rnn_loop   nn.RNN, one call per radius. The fastest code that ships, but it has no dL/dh_t:
                  it is timed for forward and backward alone.
    cell_hooks    nn.RNNCell per step and radius, a hook on every h_t that takes its norm.
    bmm_hooks     one baddbmm per step over all radii at once, with the same hooks.

All do the work of one of our runs and no more: dL/dh_t, per sample norms summed in double, and no
gradients of weights unless --weight-gradients asks for them. Drawing and scaling the weights and
building the modules is not timed.
"""

import argparse
import csv
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

INPUT_SIZE = 1
# Where no gradient leaves the range of fp32 at any benchmarked shape. Below, gradients turn
# subnormal, which slows plain arithmetic down: from 0.5 on, to a third at (128,16,32,200).
RADII = (0.9, 1.5)

DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCES = {"f32": 1e-4, "f64": 1e-9}  # in log10 of a norm
GROWTH = 0.5  # a curve that rises by more than this is growing, and f32 may leave f64


class PeerError(Exception):
    """Says "what: why" to the user."""


@dataclass(frozen=True)
class Shape:
    hidden: int
    batch: int
    radii: int
    steps: int

    @classmethod
    def parse(cls, text):
        parts = text.split(",")
        if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise argparse.ArgumentTypeError(f"{text}: not four positive numbers H,B,R,T")
        return cls(*map(int, parts))


@dataclass(frozen=True)
class Task:
    """One shape's numbers, as tensors of the device and type that are timed."""

    shape: Shape
    radii: np.ndarray  # [R] ascending
    scales: list  # [R] that weight_hh is multiplied by
    arrays: dict  # as in nn.RNN's state_dict, and "input"
    weight_gradients: bool

    def tensor(self, *sizes, **options):
        return torch.zeros(*sizes, dtype=self.dtype, device=self.device, **options)

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


def draw_model(shape, seed):
    """Float64 arrays: a Gaussian weight_hh, the rest as PyTorch's defaults have it."""
    rng = np.random.default_rng(seed)
    bound = 1.0 / np.sqrt(shape.hidden)
    uniform = functools.partial(rng.uniform, -bound, bound)
    return {
        "weight_hh_l0": bound * rng.standard_normal((shape.hidden, shape.hidden)),
        "weight_ih_l0": uniform((shape.hidden, INPUT_SIZE)),
        "bias_ih_l0": uniform(shape.hidden),
        "bias_hh_l0": uniform(shape.hidden),
        "input": rng.standard_normal((shape.steps, shape.batch, INPUT_SIZE)),
    }


def make_task(model, shape, precision, options):
    radii = np.linspace(*options.radii, shape.radii)
    radius = np.abs(np.linalg.eigvals(model["weight_hh_l0"])).max()
    arrays = {
        name: torch.tensor(value, dtype=DTYPES[precision], device=options.device)
        for name, value in model.items()
    }
    return Task(shape, radii, list(radii / radius), arrays, options.weight_gradients)


def load_weights(module, task, scale, suffix):
    """The module with the task's weights, weight_hh scaled."""
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            factor = scale if name == "weight_hh" else 1.0
            getattr(module, name + suffix).copy_(task.arrays[name + "_l0"] * factor)
    return module.requires_grad_(task.weight_gradients)


def record_norm(norms, step, gradient):
    """The hook: norms [T][...][B] of a gradient [...][B][H]."""
    norms[step] = torch.linalg.vector_norm(gradient, dim=-1, dtype=torch.float64)


def hook_norms(state, norms, step):
    state.register_hook(functools.partial(record_norm, norms, step))


def new_norms(task, *columns):
    return torch.zeros(task.shape.steps, *columns, dtype=torch.float64, device=task.device)


def nn_rnn_loop(task):
    shape = task.shape
    networks = [
        load_weights(torch.nn.RNN(INPUT_SIZE, shape.hidden, device=task.device, dtype=task.dtype),
                     task, scale, "_l0")
        for scale in task.scales
    ]

    def run():
        starts = []
        for network in networks:
            start = task.tensor(1, shape.batch, shape.hidden, requires_grad=True)
            _, last = network(task.arrays["input"], start)
            last.mean().backward()
            starts.append(start.grad[0])
        return None, torch.stack(starts)

    return run


def cell_hooks(task):
    shape = task.shape
    cells = [
        load_weights(torch.nn.RNNCell(INPUT_SIZE, shape.hidden, device=task.device,
                                      dtype=task.dtype), task, scale, "")
        for scale in task.scales
    ]

    def run():
        norms, starts = [], []
        for cell in cells:
            start = task.tensor(shape.batch, shape.hidden, requires_grad=True)
            state, own_norms = start, new_norms(task, shape.batch)
            for step, x in enumerate(task.arrays["input"]):
                state = cell(x, state)
                hook_norms(state, own_norms, step)
            state.mean().backward()
            norms.append(own_norms)
            starts.append(start.grad)
        return torch.stack(norms), torch.stack(starts)

    return run


def bmm_hooks(task):
    shape, arrays = task.shape, task.arrays
    weights = torch.stack([scale * arrays["weight_hh_l0"].T for scale in task.scales])
    weights.requires_grad_(task.weight_gradients)
    columns = (shape.radii, shape.batch)

    def run():
        drive = arrays["input"] @ arrays["weight_ih_l0"].T
        drive = drive + (arrays["bias_ih_l0"] + arrays["bias_hh_l0"])
        start = task.tensor(*columns, shape.hidden, requires_grad=True)
        state, norms = start, new_norms(task, *columns)
        for step in range(shape.steps):
            state = torch.tanh(torch.baddbmm(drive[step], state, weights))
            hook_norms(state, norms, step)
        state.mean(dim=(1, 2)).sum().backward()
        return norms.transpose(0, 1), start.grad

    return run


# Each makes, from a task, a function that runs forward and backward once and returns the norms
# [R][T][B] (None where it cannot) and dL/dh_0 [R][B][H].
PEERS = {"bmm_hooks": bmm_hooks, "nn_rnn_loop": nn_rnn_loop, "cell_hooks": cell_hooks}


def time_once(run, device):
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def time_peer(run, device, repetitions, seconds):
    """Seconds of every repetition: at least two, at most `repetitions`, and no new one once
    `seconds` are over. The first, untimed run warms caches and allocators."""
    time_once(run, device)
    times = []
    while len(times) < 2 or (len(times) < repetitions and sum(times) < seconds):
        times.append(time_once(run, device))
    return times


def measure(options):
    results = []
    for shape in options.shape:
        model = draw_model(shape, options.seed)
        task = make_task(model, shape, options.precision, options)
        for name in options.peers:
            times = time_peer(PEERS[name](task), options.device, options.repetitions,
                              options.seconds)
            results.append({
                "peer": name,
                "shape": [shape.hidden, shape.batch, shape.radii, shape.steps],
                "median_ms": 1e3 * statistics.median(times),
                "min_ms": 1e3 * min(times),
                "max_ms": 1e3 * max(times),
                "repetitions": len(times),
            })
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": options.precision,
        "seed": options.seed,
        "radii": options.radii,
        "weight_gradients": options.weight_gradients,
        "results": results,
    }


def rhosweep(program, *arguments):
    try:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
    except OSError as error:
        raise PeerError(f"{program}: {error.strerror}; see --rhosweep") from None
    if done.returncode != 0:
        raise PeerError(f"{program} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def our_profiles(options, model, task, precision):
    """[R][T][mean, min, max over the batch] of log10 |dL/dh_t|, from the program itself."""
    shape = task.shape
    stem = "x".join(map(str, (shape.hidden, shape.batch, shape.radii, shape.steps)))
    path = options.check / f"{stem}.npz"
    database = options.check / f"{stem}-{precision}.db"
    np.savez(path, **model)
    database.unlink(missing_ok=True)  # a sweep does not repeat what its database holds
    rhosweep(options.rhosweep, "sweep", "--quiet", "--output", database, "--model", path,
             "--rho", ",".join(map(repr, map(float, task.radii))), "--precision", precision,
             "--loss", "last-mean", "--seeds", 0, "--threads", options.threads)
    text = rhosweep(options.rhosweep, "table", "profile", database, "--format", "csv")
    rows = sorted(
        [float(row[name]) for name in
         ("rho", "step", "log10_norm_mean", "log10_norm_min", "log10_norm_max")]
        for row in csv.DictReader(text.splitlines())
    )
    if len(rows) != shape.radii * shape.steps:
        raise PeerError(f"{database}: {len(rows)} rows of profile, not "
                        f"{shape.radii} radii x {shape.steps} steps")
    return np.array(rows)[:, 2:].reshape(shape.radii, shape.steps, 3)


def profiles_of(norms):
    """[R][T][mean, min, max over the batch] of log10, from norms [R][T][B]."""
    logs = norms.log10()
    return torch.stack([logs.mean(-1), logs.amin(-1), logs.amax(-1)], dim=-1).cpu().numpy()


def compare(what, found, expected, precision):
    """Raises where two sets of curves [R][T][3] differ; in f32, of those that do not grow."""
    decays = expected[:, :, 2].max(axis=1) <= expected[:, -1, 2] + GROWTH
    chosen = decays if precision == "f32" else np.full(len(expected), True)
    if not chosen.any():
        raise PeerError(f"{what}: every curve grows, so that f32 can be compared nowhere; "
                        "take a larger H or fewer steps")
    error = np.abs(found[chosen] - expected[chosen]).max()
    if not error <= TOLERANCES[precision]:  # NaN is an error too
        raise PeerError(f"{what}: log10 of a norm differs by {error:.3g}, "
                        f"more than {TOLERANCES[precision]:g}")
    print(f"{what}: {chosen.sum()} of {len(chosen)} curves within {error:.1e} "
          f"(limit {TOLERANCES[precision]:g}) in log10")


def check(options):
    """Every peer's gradients against the program's, in both precisions. nn.RNN, which has no
    norms, is compared in dL/dh_0 with cell_hooks, which has both."""
    options.check.mkdir(parents=True, exist_ok=True)
    for shape in options.shape:
        model = draw_model(shape, options.seed)
        for precision in DTYPES:
            task = make_task(model, shape, precision, options)
            ours = our_profiles(options, model, task, precision)
            starts = {}
            where = f"{precision} {shape.hidden},{shape.batch},{shape.radii},{shape.steps}"
            for name, make in PEERS.items():
                norms, gradient = make(task)()
                starts[name] = profiles_of(gradient.double().norm(dim=-1)[:, None])
                if norms is not None:
                    compare(f"{where} {name} and Rhosweep", ours, profiles_of(norms), precision)
            # One more step back than the curve in front of it, of which it becomes a part.
            for name in ("nn_rnn_loop", "bmm_hooks"):
                compare(f"{where} {name} and cell_hooks at h_0",
                        np.concatenate([starts[name], ours], axis=1),
                        np.concatenate([starts["cell_hooks"], ours], axis=1), precision)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--shape", type=Shape.parse, action="append", required=True, metavar="H,B,R,T",
        help="units, batch, radii, steps; may be given several times")
    add("--peers", type=lambda text: text.split(","), default=list(PEERS), metavar="LIST",
        help="of " + ",".join(PEERS) + "; default: all")
    add("--precision", choices=DTYPES, default="f32")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--repetitions", type=int, default=20, help="at most so many; default 20")
    add("--seconds", type=float, default=2.0,
        help="no new repetition after so long, though there are two; default 2")
    add("--seed", type=int, default=1, help="of weights and input")
    add("--radii", type=parse_radii, default=RADII, metavar="LOW:HIGH",
        help="spectral radii, evenly spaced; default {}:{}".format(*RADII))
    add("--weight-gradients", action="store_true",
        help="compute dL/dW too, as in training; Rhosweep's runs do not")
    add("--check", type=Path, metavar="DIR",
        help="compare the gradients with those of the program instead; its files go to DIR")
    add("--rhosweep", default="build/release/rhosweep", metavar="PROGRAM", help="for --check")
    options = parser.parse_args(arguments)
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: not one of {', '.join(PEERS)}")
    if options.threads < 1 or options.repetitions < 2:
        parser.error("--threads must be at least 1, --repetitions at least 2")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no usable GPU")
    return options


def main():
    options = parse_arguments(sys.argv[1:])
    torch.set_num_threads(options.threads)
    # fp32 means fp32: no tensor cores on a GPU.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        if options.check:
            check(options)
        else:
            json.dump(measure(options), sys.stdout, indent=1)
            print()
    except PeerError as error:
        sys.exit(f"torch_peer: {error}")


if __name__ == "__main__":
    main()
