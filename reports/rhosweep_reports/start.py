"""Where `rhosweep report` enters the package: first of all, it says in one line what Python lacks.

Any Python 3 must be able to read this file.
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
        return "is Python %s, reports need %s" % (_dotted(sys.version_info[:2]), _dotted(PYTHON))
    try:
        import matplotlib
    except ImportError as error:
        return str(error)
    if _numbers(matplotlib.__version__) < MATPLOTLIB:
        return "has matplotlib %s, reports need %s" % (matplotlib.__version__, _dotted(MATPLOTLIB))
    return None


def _way_out(home):
    """How to get what is missing; `home` is the folder of reports/, "" for an installed wheel."""
    setup = os.path.join(home, "scripts", "setup")
    if home and os.path.exists(setup):
        return "run " + setup + ", or set RHOSWEEP_PYTHON to another Python"
    needed = os.path.join(home, "reports") if home else '"matplotlib>=' + _dotted(MATPLOTLIB) + '"'
    return ("run pip install " + needed + " in an active environment, or set RHOSWEEP_PYTHON to "
            "another Python")


def main(home):
    """Makes a report; returns the exit code."""
    missing = lack()
    if missing:
        print("rhosweep: report", sys.executable, missing, _way_out(home), sep=": ", file=sys.stderr)
        return 1
    from .cli import main as report

    return report()
