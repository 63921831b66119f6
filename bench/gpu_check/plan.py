"""Every step, in order: parity, paths, ours against the peers, sanitizer.

A shape is H, B, R, T: units, samples, radii, steps; it has B x R columns.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import sanitizer
from programs import said_by
from steps import FAILED, PASSED, SKIPPED, Step, judge_by_code

# Seconds of 470 that each group has at least; a group that is done early leaves the rest.
SHARES = {"parity": 90, "paths": 150, "peers": 120, "sanitizer": 110}

PATHS = ("small", "cluster", "persistent", "stepwise")
RADII = 64  # of every shape: peers call their library once for each


@dataclass(frozen=True)
class Sizes:
    """What is measured. By the model of the kernels an H100 takes the paths in two to three
    minutes; the largest trace, of H = 1024 with 64K columns in f64, is 54 GB."""

    hidden: tuple = (64, 256, 128, 512, 1024, 10)  # the most telling first
    batches: tuple = (16, 128, 1024)  # 1K, 8K and 64K columns
    radii: int = RADII
    steps: int = 100
    precisions: tuple = ("f32", "f64")
    seconds: float = 0.1  # of each benchmark, at least
    gated_shapes: tuple = ((64, 128, RADII, 100), (256, 128, RADII, 100), (10, 128, RADII, 100))
    gated_peer_shapes: tuple = ((64, 128, RADII, 100), (256, 16, RADII, 100))
    peer_shapes: tuple = ((64, 16, RADII, 100), (256, 16, RADII, 100), (64, 128, RADII, 100),
                          (256, 128, RADII, 100), (512, 128, RADII, 100), (10, 16, RADII, 100))
    peer_seconds: float = 1.0


DRY_SIZES = Sizes(hidden=(10,), batches=(2, 4), radii=4, steps=5, seconds=0.001,
                  gated_shapes=((10, 2, 4, 5),), gated_peer_shapes=((10, 2, 4, 5),),
                  peer_shapes=((10, 2, 4, 5),), peer_seconds=0.01)

GATED = ("lstm", "gru")


@dataclass(frozen=True)
class Run:
    """All that the steps are made from."""

    root: Path  # of the tree or bundle with bench/
    device: object
    programs: object
    results: object
    python: str  # that has the peers' libraries

    @property
    def sizes(self):
        return Sizes() if self.device.is_real else DRY_SIZES


def shape_text(shape):
    return ",".join(map(str, shape))


# ---- parity --------------------------------------------------------------------------------------


def parity(run):
    small = {} if run.device.is_real else {"RHOSWEEP_TEST_SMALL": "1"}
    environment = run.programs.environment(RHOSWEEP_TEST_ENGINE=run.device.engine, **small)
    programs = run.programs
    for name, program in (("parity", programs.parity), ("gradients", programs.gradients),
                          ("tangents", programs.tangents)):
        yield Step("parity", name, [program], limit=90, environment=environment)


# ---- paths ---------------------------------------------------------------------------------------


def bytes_needed(shape, precision, cell="tanh"):
    """Of the device, about: the trace and two states with some padding, norms and exponents."""
    hidden, batch, radii, steps = shape
    real = 4 if precision == "f32" else 8
    columns, kept = batch * radii, 6 if cell in GATED else 1
    return columns * (real * (hidden + 8) * (kept * steps + 2) + 20 * steps)


def judge_bench(outcome):
    """A path need not take every shape; then none of its benchmarks is left."""
    left_out = re.findall(r"left out: (.+)", outcome.log)
    if outcome.code != 0 and left_out and "matches no benchmark" in outcome.log:
        return SKIPPED, left_out[-1]
    return judge_by_code(outcome)


def bench_step(run, group, name, shapes, pattern, forced="", limit=40.0):
    """rhosweep-bench with a filter, its rows taken into the results."""
    out = run.results.work / f"{name}.json"
    environment = run.programs.environment(**({"RHOSWEEP_CUDA_PATH": forced} if forced else {}))
    command = [run.programs.bench, *(f"--shape={shape_text(shape)}" for shape in shapes),
               f"--benchmark_filter={pattern}",
               f"--benchmark_min_time={run.sizes.seconds}", f"--benchmark_out={out}",
               "--benchmark_out_format=json"]
    return Step(group, name, command, limit=limit, environment=environment, judge=judge_bench,
                gather=lambda: run.results.add_benchmarks(out, forced))


def path_steps(run, what, shapes, precision, forced, cell="tanh"):
    """Shapes by one path: those that fit the device's memory, and a word on the others."""
    name = f"paths-{what}-{precision}-{forced or 'chosen'}"
    needed = {shape: bytes_needed(shape, precision, cell) for shape in shapes}
    fit = [shape for shape in shapes if needed[shape] <= run.device.free_bytes]
    for shape in shapes:
        if shape not in fit:
            yield Step("paths", f"{name}-{shape[1] * shape[2]}-columns",
                       skip=f"{needed[shape] / 1e9:.1f} GB, the device has "
                            f"{run.device.free_bytes / 1e9:.1f} GB free")
    engine = run.device.engine
    pattern = f"^bptt/{engine}/{precision}/{cell}/"
    if not forced and cell == "tanh":
        pattern += f"|^peak/{engine}/gemm/{precision}/"
    if fit:
        yield bench_step(run, "paths", name, fit, pattern, forced)


def tanh_steps(run, hidden, precision, forced):
    shapes = [(hidden, batch, run.sizes.radii, run.sizes.steps) for batch in run.sizes.batches]
    yield from path_steps(run, hidden, shapes, precision, forced)


def gated_steps(run, forced):
    for cell in GATED:
        yield from path_steps(run, cell, run.sizes.gated_shapes, "f32", forced, cell)


def paths(run):
    """The engine as it chooses before the paths by force, f32 before f64: should time run out, the
    least telling is lost."""
    sizes = run.sizes
    peaks = "^peak/cuda/(fma|copy)" if run.device.is_real else "^peak/fma"
    yield bench_step(run, "paths", "ceilings", [(10, 1, 4, 5)], peaks)
    for precision in sizes.precisions:
        for hidden in sizes.hidden:
            yield from tanh_steps(run, hidden, precision, "")
        if precision == "f32":
            yield from gated_steps(run, "")
        for hidden in sizes.hidden:
            for forced in PATHS:
                if forced != "small" or hidden <= 16:
                    yield from tanh_steps(run, hidden, precision, forced)
        for forced in PATHS if precision == "f32" else ():
            yield from gated_steps(run, forced)


# ---- ours against the peers ----------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """A program of bench/peers, and how to see whether its library is here with a GPU."""

    name: str
    program: str
    probe: dict  # by --device
    options: tuple = ()


PEERS = (
    Peer("PyTorch", "torch_peer.py",
         {"cuda": "import numpy, torch; raise SystemExit(not torch.cuda.is_available())",
          "cpu": "import numpy, torch"},
         ("--peers", "bmm_hooks,nn_rnn_loop")),  # cell_hooks takes seconds a run on a GPU
    Peer("JAX", "jax_peer.py",
         {"cuda": "import jax; jax.devices('cuda')", "cpu": "import jax"}),
)


def why_not(run, peer):
    """Why this peer cannot run here; empty where it can."""
    if not (run.root / "bench" / "peers" / peer.program).is_file():
        return f"no {peer.program} here"
    probe = f"{peer.probe[run.device.peers]}\nprint('usable')"
    usable = said_by([run.python, "-c", probe]).endswith("usable")
    with_gpu = " with CUDA" if run.device.is_real else ""
    return "" if usable else f"no {peer.name}{with_gpu} here"


def peer_step(run, peer, part, shapes, skip):
    name = f"{Path(peer.program).stem}-{part}"
    out = run.results.work / f"{name}.json"
    command = [run.python, str(run.root / "bench" / "peers" / peer.program),
               "--device", run.device.peers, "--seconds", str(run.sizes.peer_seconds),
               "--weight-gradients", "yes" if part == GRADIENTS else "no"]
    command += [f"--cell={cell}" for cell in GATED] if part == "gated" else peer.options
    for shape in shapes:
        command += ["--shape", shape_text(shape)]
    return Step("peers", name, command, limit=75, needs=8, stdout=out, skip=skip,
                gather=lambda: run.results.add_peers(out, peer.name))


GRADIENTS = "gradients"  # the part of the peers with those of the weights


def peers(run):
    """Ours, then each peer, first at the two shapes that matter most, then with gates, then at the
    other shapes, then at those two with the weights' gradients: a peer that is cut short loses the
    latter."""
    every = run.sizes.peer_shapes
    engine = run.device.engine
    engines = "cpu" if engine == "cpu" else "cuda|cpu"
    plain = f"^(bptt|forward|backward)/({engines})/f32/tanh/"
    gated = f"^bptt/({engines})/f32/({'|'.join(GATED)})/"
    parts = ((1, every[:2], plain), ("gated", run.sizes.gated_peer_shapes, gated),
             (2, every[2:], plain),
             (GRADIENTS, every[:2], f"^(bptt[+]gradients|gradient)/{engine}/f32/tanh/"))
    skip = {}
    for part, shapes, pattern in parts:
        if shapes:
            yield bench_step(run, "peers", f"ours-{part}", shapes, pattern)
            for peer in PEERS:
                if peer.name not in skip:
                    skip[peer.name] = why_not(run, peer)
                yield peer_step(run, peer, part, shapes, skip[peer.name])


# ---- sanitizer -----------------------------------------------------------------------------------


def judge_sanitizer(outcome):
    """Errors have an exit code; a tool that says nothing of errors has not looked."""
    found = sanitizer.found_by(outcome.log)
    if refused := re.search(r"RHOSWEEP_CUDA_PATH: .* does not take .*", outcome.log):
        return SKIPPED, refused[0]
    if found is None:
        return FAILED, f"exit code {outcome.code}, and no summary of errors"
    if found > 0 or outcome.code != 0:
        return FAILED, f"{found} errors or hazards, exit code {outcome.code}"
    return PASSED, ""


def sanitize(run):
    device = run.device
    command = sanitizer.find(run.python) if device.is_real else [sys.executable, sanitizer.STAND_IN]
    facts = sanitizer.Facts(device.capability, *sanitizer.versions(command, run.programs))
    for tool, case, precision in sanitizer.matrix():
        name = f"{tool}-{case.label.replace(' ', '-')}-{precision}"
        database = run.results.work / f"{name}.db"
        target = [run.programs.rhosweep, "sweep", "--engine", device.engine, "--quiet",
                  "--hidden", case.hidden, "--precision", precision, "--cell", case.cells,
                  "--steps", "6", "--batch", "3", "--seeds", "1", "--rho", "0.5,1.5",
                  "--output", str(database)]
        yield Step("sanitizer", name,
                   [*command, "--tool", tool, "--error-exitcode", "9", *target],
                   limit=30, needs=4, judge=judge_sanitizer,
                   environment=run.programs.environment(RHOSWEEP_CUDA_PATH=case.path),
                   skip=sanitizer.why_not(tool, case, facts),
                   tags={"tool": tool, "case": case.label, "precision": precision})


GROUPS = {"parity": parity, "paths": paths, "peers": peers, "sanitizer": sanitize}
