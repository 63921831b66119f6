"""compute-sanitizer: where it is, what each of its tools understands, and what it found.

    memcheck    accesses out of bounds or misaligned, in every memory
    racecheck   races in shared memory, those of a cluster too
    synccheck   barriers that not all threads reach
    initcheck   reads of global memory that nobody wrote

Which of them understands which kernels is from NVIDIA's release notes of Compute Sanitizer.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from programs import cuda_folders, said_by

STAND_IN = str(Path(__file__).with_name("stand_in.py"))  # in a dry run

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")


@dataclass(frozen=True)
class Case:
    """Kernels to be looked at, and sizes that lead to them."""

    name: str
    path: str
    hidden: str
    cells: str = "tanh,relu"

    @property
    def label(self):
        """For people. Cells with gates have kernels of their own."""
        return self.name if self.cells == Case.cells else f"{self.name} with gates"


CASES = (
    Case("small", "small", "8"),
    Case("persistent", "persistent", "40,128"),
    Case("streamed", "persistent", "300"),  # W0 too large for one processor
    Case("cluster", "cluster", "300"),
    Case("stepwise", "stepwise", "70"),
)
GATED = (
    Case("small", "small", "8", "lstm,gru"),
    Case("persistent", "persistent", "40", "lstm,gru"),
    Case("streamed", "persistent", "150", "lstm,gru"),
    Case("cluster", "cluster", "150", "lstm,gru"),
    Case("stepwise", "stepwise", "70", "lstm,gru"),
)


def matrix():
    """(tool, case, precision), the most telling first."""
    yield from (("memcheck", case, "f32") for case in CASES + GATED)
    yield from (("memcheck", case, "f64") for case in CASES)
    yield from ((tool, case, "f32") for tool in TOOLS[1:] for case in CASES)
    yield from (("racecheck", case, "f32") for case in GATED)


@dataclass(frozen=True)
class Facts:
    """What decides whether a tool understands a kernel."""

    capability: tuple  # of the device
    version: tuple  # of compute-sanitizer, year and number in it
    toolkit: str  # that the programs were built with: "13.0"


# (tool, case): the version from which the tool understands kernels with clusters, and the streamed
# ones, whose copies an mbarrier waits for on compute capability 9; and what is wrong before.
SINCE = {
    ("racecheck", "streamed"): ((2025, 4), "has false positives with mbarriers"),
    ("synccheck", "streamed"): ((2025, 2), "miscounts mbarriers that expect bytes"),
    ("racecheck", "cluster"): ((2024, 4), "misreads barriers of clusters"),
    ("synccheck", "cluster"): ((2024, 4), "misreads barriers of clusters"),
}


def why_not(tool, case, facts):
    """Why the tool is left out for these kernels; empty where it is not."""
    hopper = facts.capability >= (9, 0)
    if case.name == "cluster" and not hopper:
        return "the device has no clusters"
    least, wrong = SINCE.get((tool, case.name), ((0, 0), ""))
    if hopper and facts.version < least:
        return f"{tool} before {least[0]}.{least[1]} {wrong}"
    if (tool, case.name, facts.toolkit) == ("synccheck", "cluster", "13.0"):
        return "synccheck may take what CUDA 13.0 makes of cooperative groups to be divergent"
    return ""


def find(python):
    """compute-sanitizer as a command: on PATH, else where toolkits and pip put it."""
    on_path = shutil.which("compute-sanitizer")
    folders = [library.parent / "bin" for library in cuda_folders(python)]
    places = [on_path] if on_path else [folder / "compute-sanitizer" for folder in folders]
    found = next((str(place) for place in places if os.access(place, os.X_OK)), None)
    return [found or "compute-sanitizer"]  # which then fails as not found


def versions(command, programs):
    """(year, number) of compute-sanitizer and the toolkit behind the programs, as far as told."""
    tool = re.search(r"Version (\d+)\.(\d+)", said_by([*command, "--version"]))
    built = re.search(r"runtime (\d+\.\d+)",
                      said_by([programs.rhosweep, "devices"], env=programs.environment()))
    return tuple(map(int, tool.groups())) if tool else (0, 0), built[1] if built else ""


def found_by(log):
    """How many errors and hazards the summary counts; None without a summary."""
    errors = re.findall(r"ERROR SUMMARY: (\d+) error", log)
    hazards = re.findall(r"RACECHECK SUMMARY: (\d+) hazard", log)
    counts = [int(count) for count in errors + hazards]
    return sum(counts) if counts else None
