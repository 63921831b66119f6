"""scripts/gpu-check: checks and measures the CUDA engine on a machine with a GPU.

Runs with Python alone, from the tree or from a bundle, and ends within its time whatever happens.
Exit codes: 0 all passed; 1 a step failed; 2 it could not begin; 3 nothing failed, but time ran out
before some steps were done; 128 + N ended by signal N.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "bench"))

import gpu_summary
import plan
from budget import Budget, Clock
from bundle import make_bundle
from device import describe, dry_device, find_device
from failure import CheckError
from programs import commit_of_tree, find_programs
from results import ARCHIVE, Results
from steps import CUT_SHORT, FAILED, NOT_RUN, Step, Stopped, result_of, run_step

SECONDS = 470.0  # of eight minutes; the rest is for starting and ending


def groups(text):
    """The groups of steps that are named, in their own order."""
    named = text.split(",")
    for name in named:
        if name not in plan.GROUPS:
            raise argparse.ArgumentTypeError(f"{name}: not one of {', '.join(plan.GROUPS)}")
    return [group for group in plan.GROUPS if group in named]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/gpu-check",
                                     description=__doc__.split("\n", 1)[0].partition(": ")[2])
    add = parser.add_argument
    add("--bundle", nargs="?", const="gpu-bundle", metavar="DIR", type=Path,
        help="build here what a bare GPU machine needs, as DIR and DIR.tar.xz; default gpu-bundle")
    add("--dry-run", action="store_true", help="every step, with the CPU in the device's place")
    add("--out", type=Path, default=os.environ.get("OUT"), metavar="DIR",
        help="folder of the results; default: OUT of the environment, else bench/results/<gpu>")
    add("--programs", type=Path, metavar="DIR",
        help="use the programs in this folder, such as build/release")
    add("--python", default=sys.executable, metavar="PROGRAM",
        help="the Python that has PyTorch and JAX; default: the one that runs this")
    add("--only", type=groups, default=list(plan.GROUPS), metavar="LIST",
        help="some of the steps: " + ",".join(plan.GROUPS))
    add("--seconds", type=float, default=SECONDS, metavar="S",
        help="steps that do not fit into so long are not run; default %(default)g")
    options = parser.parse_args(arguments)
    if not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    return options


def stop(number, frame):
    raise Stopped(number)


def folder_for(options, device):
    if options.out:
        return Path(options.out)
    if not device.is_real:
        return Path(tempfile.mkdtemp(prefix="gpu-check-dry-run-"))
    return ROOT / "bench" / "results" / re.sub(r"[^a-z0-9.]+", "-", device.name.lower()).strip("-")


def run_and_record(step, run, budget):
    print(f"==== {step.name} ({budget.clock.text()})", flush=True)
    try:
        result = run_step(step, budget.left(step.group), run.results.log(step))
    except Stopped as signalled:
        run.results.add_step(result_of(step, CUT_SHORT, f"ended by {signalled}"))
        raise
    run.results.add_step(result)
    print(": ".join(filter(None, (result["status"], result["why"] or result["said"]))), flush=True)


def run_steps(run, chosen, budget):
    """The groups, in order: neither a step that fails nor one that cannot be made stops the next
    group. Each result is written as it comes."""
    for group in chosen:
        try:
            for step in plan.GROUPS[group](run):
                run_and_record(step, run, budget)
        except Exception:
            what = traceback.format_exc()
            print(what, file=sys.stderr)
            run.results.add_step(result_of(Step(group, f"{group}-steps"), FAILED,
                                           what.strip().splitlines()[-1]))


def verdict(steps):
    """The exit code, and a line about each step that explains it."""
    failed = [step for step in steps if step["status"] == FAILED]
    unfinished = [step for step in steps if step["status"] in (CUT_SHORT, NOT_RUN)]
    for step in failed + unfinished:
        print(f"scripts/gpu-check: {step['name']}: {step['status']}: {step['why']}",
              file=sys.stderr)
    return 1 if failed else 3 if unfinished else 0


def check(options):
    device = dry_device() if options.dry_run else find_device()
    programs = find_programs(ROOT, options.programs, options.python, need_cuda=device.is_real)
    clock = Clock(options.seconds)  # a build has the time that it takes
    results = Results(folder_for(options, device), gpu_summary.page)
    results.write("machine.txt", describe(device, programs, commit_of_tree(ROOT)))
    try:
        run_steps(plan.Run(ROOT, device, programs, results, options.python), options.only,
                  Budget(clock, {group: plan.SHARES[group] for group in options.only}))
    finally:
        results.save()
        print((results.folder / "summary.md").read_text())
        print(f"==== results are in {results.folder}, with all logs in {ARCHIVE} ({clock.text()})")
        results.close()
    return verdict(results.steps)


def main(arguments):
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        if options.bundle:
            print(make_bundle(ROOT, options.bundle.absolute()))
            return 0
        return check(options)
    except CheckError as error:
        print(f"scripts/gpu-check: {error}", file=sys.stderr)
        return 2
    except Stopped as signalled:
        print(f"scripts/gpu-check: ended by {signalled}", file=sys.stderr)
        return 128 + signalled.number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
