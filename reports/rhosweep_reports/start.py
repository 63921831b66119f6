"""Where `rhosweep report` enters the package: first of all, it says in one line what Python lacks.

An old Python must be able to read this file.
"""

import os
import sys

PYTHON = (3, 11)
MATPLOTLIB = (3, 10)  # pyproject.toml asks pip for the same


def _numbers(version):
    """3.10 of "3.10.7.post1"."""
    return tuple(int(part) for part in version.split(".")[:2])


def _dotted(numbers):
    return ".".join(map(str, numbers))


def lack():
    """What this Python lacks for a report, or None."""
    if sys.version_info < PYTHON:
        return f"is Python {_dotted(sys.version_info[:2])}, reports need {_dotted(PYTHON)}"
    try:
        import matplotlib
    except ImportError as error:
        return str(error)
    if _numbers(matplotlib.__version__) < MATPLOTLIB:
        return f"has matplotlib {matplotlib.__version__}, reports need {_dotted(MATPLOTLIB)}"
    return None


def _way_out(home):
    """How to get what is missing; `home` is the folder of reports/, "" for an installed wheel."""
    setup = os.path.join(home, "scripts", "setup")
    if home and os.path.exists(setup):
        return f"run {setup}, or set RHOSWEEP_PYTHON to another Python"
    needed = os.path.join(home, "reports") if home else f"'matplotlib>={_dotted(MATPLOTLIB)}'"
    return (f"run pip install {needed} in an active environment, or set RHOSWEEP_PYTHON to another "
            "Python")


def main(home):
    """Makes a report; returns the exit code."""
    missing = lack()
    if missing:
        print(f"rhosweep: report: {sys.executable}: {missing}: {_way_out(home)}", file=sys.stderr)
        return 1
    from .cli import main as report

    return report()
