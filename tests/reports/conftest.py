"""One small database, made once by the program, and its report."""

import importlib.util
from pathlib import Path

import pytest
from report_tools import SWEEP, make_fixed_database, succeed, sweep


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("rhosweep_reports"):
        return
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason="rhosweep_reports is not installed: "
                                                    "scripts/setup does it"))


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("sweep") / "small.db", SWEEP)


@pytest.fixture(scope="session")
def report(database, tmp_path_factory):
    """A whole report, in every format that needs no LaTeX."""
    folder = tmp_path_factory.mktemp("report") / "report"
    succeed("report", database, "-o", folder, "--format", "pdf,svg,png")
    return folder


@pytest.fixture(scope="session")
def results(database, tmp_path_factory):
    from rhosweep_reports.load import Results

    return Results(database, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def fixed_database(tmp_path_factory):
    return make_fixed_database(tmp_path_factory.mktemp("fixed") / "fixed.db")
