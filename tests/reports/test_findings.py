"""What is said of tables in short: counts, sentences, ends of number formats."""

import re

import numpy as np
import pytest
from report_tools import make_fixed_database, rows, sweep

pytest.importorskip("matplotlib")
findings = pytest.importorskip("rhosweep_reports.findings")
from rhosweep_reports import page_tables, summary  # noqa: E402
from rhosweep_reports.load import Results  # noqa: E402
from rhosweep_reports.table import Table  # noqa: E402


def test_number_formats_end_where_the_decay_table_says(tmp_path):
    """The norm of an orthogonal linear network is rho^k of its start, k steps back."""
    database = sweep(tmp_path / "x.db", {"--cell": "linear", "--ensemble": "orthogonal",
                                         "--hidden": "4,9", "--steps": "600", "--batch": "1",
                                         "--seeds": "1", "--rho": "0.55:0.95:0.05,1.3,1.7,2",
                                         "--loss": "random", "--precision": "f64"})
    curves = {}
    for row in rows("profile", database):
        key = row["hidden"], row["rho_asked"]
        curves.setdefault(key, []).append(float(row["log10_norm_mean"]))
    found = 0
    for row in rows("decay", database):
        back = np.array(curves[row["hidden"], row["rho_asked"]])[::-1]
        for name, (low, high) in findings.limits_log10(int(row["hidden"])).items():
            for column, left in ((f"{name}_underflow", back <= low),
                                 (f"{name}_overflow", back > high)):
                step = str(left.argmax()) if left.any() else ""
                assert row[column] == step, (row["hidden"], row["rho_asked"], column)
                found += bool(step)
    assert found > 40


def test_seeds_are_counted_where_most_are(tmp_path):
    """A radius may lack some, whose sweep was interrupted."""
    table = Table.from_rows("decay", ("seeds",), [{"seeds": n} for n in ("3", "10", "7")])
    assert findings.seeds(table) == "10 seeds"
    assert findings.seeds(Table.from_rows("decay", ("seeds",), [{"seeds": "1"}])) == "1 seed"


RUN = {"device": "A CPU", "engine": "cpu", "host": "box", "version": "0.1.0", "git_commit": "abc",
       "points": "8"}


@pytest.mark.parametrize("column", ["device", "engine", "host", "version", "git_commit"])
def test_a_sentence_for_each_machine_and_version(column):
    runs = [RUN, RUN, RUN | {column: "another", "points": "1"}]
    first, second = summary.ran(Table.from_rows("runs", tuple(RUN), runs))
    assert first.startswith("16 points") and "in 2 runs by rhosweep 0.1.0 (abc)" in first
    assert second.startswith("1 point (") and "in 1 run by" in second


@pytest.mark.parametrize("column", ["model", "command_line", "points"])
def test_cells_of_the_page_are_text(column):
    assert "&lt;b&gt;&amp;&quot;" in page_tables.cell(column, '<b>&"')


def test_the_columns_of_a_case_are_those_of_the_program(tmp_path):
    """One list here, one in the C program, and the database's constraint: the same."""
    import sqlite3

    from rhosweep_reports.table import NETWORK, SETTINGS, SHAPE

    database = make_fixed_database(tmp_path / "x.db")
    header = Results(database, tmp_path).read("failures").header
    assert tuple(header) == (*SHAPE, "seed", "reason", "run", *SETTINGS)
    unique = sqlite3.connect(database).execute(
        "SELECT sql FROM sqlite_schema WHERE name = 'cases'").fetchone()[0]
    identity = re.findall(r"\w+", re.search(r"UNIQUE \((.*?)\)", unique, re.S)[1])
    assert {*identity} == {*NETWORK, "seed"} - {"model"}


def test_a_part_of_a_part_has_its_own_rows():
    cells = [{"a": str(at // 4), "b": str(at % 2), "c": str(at)} for at in range(8)]
    whole = Table("profile", ("a", "b", "c"), list(zip(*(row.values() for row in cells), strict=True)),
                  [np.full(1, at) for at in range(8)])
    parts = [part for half in whole.split(("a",)) for part in half.split(("b",))]
    assert [part.text("c") for part in parts] == [("0", "2"), ("1", "3"), ("4", "6"), ("5", "7")]
    assert [part.numbers("c").tolist() for part in parts] == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert [[int(one[0]) for one in part.curves] for part in parts] == [[0, 2], [1, 3], [4, 6], [5, 7]]
