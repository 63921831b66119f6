"""What a step is, and how it is run: under a limit, in a process group of its own, with a log."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
CUT_SHORT, NOT_RUN = "cut short", "not run"  # for want of time

GRACE = 2.0  # seconds between SIGTERM and SIGKILL


class Stopped(BaseException):
    """A signal asks the whole run to end: no failure of a step, and not caught as one."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Outcome:
    """How a step's command ended: `code` is None where it was killed at its limit."""

    code: int | None
    log: str


def judge_by_code(outcome):
    """(status, why)"""
    return (PASSED, "") if outcome.code == 0 else (FAILED, f"exit code {outcome.code}")


@dataclass(frozen=True)
class Step:
    """One command. `judge` gives (status, why) once it ended by itself; `gather` takes in what it
    measured, even where it failed. A step with `skip` is not run for that reason."""

    group: str
    name: str
    command: list = field(default_factory=list)
    limit: float = 60.0  # seconds; to reach it is a failure
    needs: float = 2.0  # with less time left it is not begun
    environment: dict | None = None
    stdout: Path | None = None  # where standard output goes apart from the log
    judge: Callable = judge_by_code
    gather: Callable = lambda: None
    skip: str = ""
    tags: dict = field(default_factory=dict)  # kept with the result


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def end_group(process):
    """Ends the command and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def run_command(step, seconds, log):
    """Runs the step's command for at most so long."""
    with open(log, "wb") as errors, open(step.stdout or os.devnull, "wb") as output:
        process = subprocess.Popen(step.command, stdin=subprocess.DEVNULL, stderr=errors,
                                   stdout=output if step.stdout else errors,
                                   env=step.environment, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
    return Outcome(code, Path(log).read_text(errors="replace"))


def result_of(step, status, why="", seconds=0.0, said=""):
    return {"group": step.group, "name": step.name, "status": status, "why": why,
            "seconds": round(seconds, 2), "said": said[:300], **step.tags}


def run_step(step, left, log):
    """The result of a step, run within its limit and the `left` seconds of its group."""
    if step.skip:
        return result_of(step, SKIPPED, step.skip)
    if left < step.needs:
        return result_of(step, NOT_RUN, "no time left")
    begin = time.monotonic()
    try:
        outcome = run_command(step, min(step.limit, left), log)
    except OSError as error:
        return result_of(step, FAILED, f"{step.command[0]}: {error.strerror}")
    if outcome.code is not None:
        status, why = step.judge(outcome)
    elif step.limit <= left:
        status, why = FAILED, f"did not end within {step.limit:g} s"
    else:
        status, why = CUT_SHORT, f"no time left after {left:.0f} s"
    step.gather()
    return result_of(step, status, why, time.monotonic() - begin, last_line(outcome.log))
