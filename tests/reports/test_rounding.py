"""Numbers with intervals have the digits that the program's own tables give them."""

import re
import sqlite3
from contextlib import closing

import pytest
from report_tools import make_fixed_database, rows, succeed

rounding = pytest.importorskip("rhosweep_reports.rounding")
from rhosweep_reports import findings, page_tables  # noqa: E402
from rhosweep_reports.table import Table  # noqa: E402

# Of the coupling; rates and how they differ between seeds.
SCALES = [(1.0, 1.0), (3e-6, 1e-7), (0.012, 4e-5), (7e7, 3.0), (5.0, 1e-12), (450.0, 60.0), (8e5, 1e5)]


@pytest.fixture(params=SCALES, ids=str)
def scaled(request, tmp_path):
    """The same networks with numbers of another size."""
    path, (size, spread) = make_fixed_database(tmp_path / "x.db"), request.param
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE points SET g = ? * g, decay_rate = ? * (2 - rho)"
                           " + ? * (SELECT seed - 1.5 FROM cases c WHERE c.id = case_id)",
                           (size, size, size * 0.05 * spread))
    return path


def printed(name, database, *columns):
    """The cells that a reader sees."""
    lines = succeed("table", name, database, "--format", "md", "--columns", ",".join(columns)).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_critical_point_is_as_in_the_table(scaled):
    (shown,) = printed("critical", scaled, "rho_critical", "g_critical")
    (row,) = rows("critical", scaled)
    for x, text in zip(("rho", "g"), shown, strict=True):
        value, low, high = (float(row[f"{x}_critical{end}"]) for end in ("", "_ci95_low", "_ci95_high"))
        how = rounding.between(value, low, high)
        assert f"{how(value)} [{how(low)}, {how(high)}]{how.exponent}" == text
        told = text.replace("[0,", "[beyond the radii swept,").replace("inf]", "beyond the radii swept]")
        assert findings.bounded(value, low, high) == told


def test_a_decay_rate_is_as_in_the_table(scaled):
    for (shown,), row in zip(printed("decay", scaled, "decay_rate"), rows("decay", scaled), strict=True):
        value, half = float(row["decay_rate"]), float(row["decay_rate_ci95"])
        how = rounding.to(value, half)
        assert how.digits(value) == shown.partition("(")[0]
        assert how.exponent == shown.partition(")")[2]
        assert rounding.with_half(value, half) == f"{how.digits(value)} ± {how(half)}{how.exponent}"


def test_the_page_rounds_as_the_table_does(scaled):
    """Columns of their own, which the table has too where it is wide."""
    names = ("g_critical", "g_critical_ci95_low", "g_critical_ci95_high")
    (row,) = rows("critical", scaled)
    how = page_tables._roundings("critical", row)
    (shown,) = printed("critical", scaled, "g_critical")
    value, low, high = (how[name](float(row[name])) + how[name].exponent for name in names)
    text = shown[0].replace("[", "").replace("]", " ").replace(",", "").split()
    power = text[3] if len(text) > 3 else ""
    assert [value, low, high] == [one + power for one in text[:3]]


@pytest.mark.parametrize(("value", "low", "high", "shown"), [
    (1.609, 1.588, 1.636, "1.609"), (1.55428, 1.55347, 1.55501, "1.5543"), (1.92, 1.76, float("inf"), "1.92"),
    (1.92, 0.0, 2.4, "1.9"), (1.5, float("nan"), float("nan"), "1.5"), (12.0, 9.0, 14.0, "12.0"),
    (1234.5, 1100.0, 1300.0, "1230"),
])
def test_a_number_is_told_as_exactly_as_it_is_known(value, low, high, shown):
    assert rounding.between(value, low, high).whole(value) == shown


@pytest.mark.parametrize("text", ["-0.0001", "-0.00049", "-0.0"])
def test_no_cell_of_the_page_is_less_than_zero_by_its_sign_alone(text):
    shown = page_tables.cell("decay_rate_min", text, rounding.to(0.5, 0.012)) + page_tables.cell("gain", "-0.0")
    assert ">-" not in shown and ">−" not in shown


def test_heads_of_numbers_are_at_the_right_as_numbers_are():
    table = Table("decay", ("cell", "rho", "decay_rate"), [("tanh", "tanh"), ("0.5", "1"), ("0.25", "")])
    heads = re.findall("<th scope[^>]*>", page_tables.in_rows(table))
    assert ['class="number"' in head for head in heads if "cell" not in head] == [True, True]
    assert not any('class="number"' in head for head in heads if "cell" in head)
