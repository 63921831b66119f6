"""The GPU as nvidia-smi describes it, and what stands in for it in a dry run."""

import datetime
from dataclasses import dataclass

from failure import CheckError
from programs import said_by

QUERY = "name,driver_version,memory.free,compute_cap,clocks.sm,clocks.mem,clocks.max.sm,power.limit"


@dataclass(frozen=True)
class Device:
    name: str
    engine: str  # of ours that runs on it
    peers: str  # the peers' --device
    free_bytes: int
    capability: tuple  # compute capability, major and minor
    described: str

    @property
    def is_real(self):
        return self.engine == "cuda"


def find_device():
    said = said_by(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"])
    if not said:
        raise CheckError("nvidia-smi: finds no GPU; --dry-run needs none")
    name, driver, free, capability, *clocks = [part.strip() for part in
                                               said.splitlines()[0].split(",")]
    try:
        free_bytes = int(free) << 20
        version = tuple(map(int, capability.split(".")))
    except ValueError:
        raise CheckError(f"nvidia-smi: not understood: {said.splitlines()[0]}") from None
    described = (f"{name}, compute capability {capability}, driver {driver}, {free} MiB free; "
                 f"clocks (processors, memory, highest) {', '.join(clocks[:3])} MHz, "
                 f"power limit {clocks[3]} W")
    return Device(name, "cuda", "cuda", free_bytes, version, described)


def dry_device():
    """The CPU in its place: every step runs, and measures nothing."""
    return Device("dry-run", "cpu", "cpu", 1 << 30, (9, 0), "none: a dry run on the CPU")


def describe(device, programs, tree_commit):
    """The text of machine.txt."""
    lines = [f"commit: {programs.commit}"]
    if tree_commit not in (programs.commit, "unknown"):
        lines.append(f"scripts of another commit: {tree_commit}")
    built = ", ".join(f"{key} {value}" for key, value in programs.about.items() if key != "commit")
    lines += [f"built: {built}"] if built else []
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
    lines += [f"date: {date}", f"gpu: {device.described}",
              f"cuBLAS: {programs.cublas or 'where the system finds it'}",
              said_by([programs.rhosweep, "devices"], env=programs.environment())]
    return "\n".join(lines) + "\n"
