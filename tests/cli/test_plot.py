"""rhosweep plot, read back: what it draws is what the tables say."""

import os
import pty
import re
import sqlite3

import numpy as np
import pytest

from conftest import PROGRAM, SMALL, assert_one_line, rhosweep, succeed, sweep, table, table_text

LINEAR = ["--cell", "linear", "--ensemble", "orthogonal", "--steps", "40", "--seeds", "1:3"]
UTF8 = {"LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """Rates of -ln rho."""
    return sweep(tmp_path_factory.mktemp("linear") / "linear.db", *LINEAR, "--hidden", 8,
                 "--rho", "0.4:2:0.1")


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("sizes") / "sizes.db", "--hidden", "8,16,32", "--steps", 30,
                 "--cell", "linear", "--seeds", "1:3", "--rho", "0.5:2:0.25",
                 "--ensemble", "gaussian,uniform")


def plot(database, *options, width=60, **environment):
    cleared = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LC_CTYPE", "LANG")}
    return succeed("plot", database, *options,
                   env={**cleared, "COLUMNS": str(width), **environment}).splitlines()


def on_a_terminal(*words, **environment):
    """What a process prints on a terminal, which it must leave with exit code 0."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, [str(PROGRAM), *map(str, words)],
                  {**os.environ, "TERM": "xterm", **environment})
    text = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        text += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    return text.decode()


def bottom_of(lines):
    """The line that is the x axis."""
    return next(i for i, line in enumerate(lines) if re.fullmatch(r" +\+[+-]+", line))


def read_axes(lines):
    """The rows of a plot in plain characters, and what its ticks say of rows and columns."""
    bottom = bottom_of(lines)
    rows = [line[10:] for line in lines[1:bottom]]
    y = [(row, float(line[:8])) for row, line in enumerate(lines[1:bottom]) if line[:8].strip()]
    x = [match.start() for match in re.finditer(r"\+", lines[bottom][10:])]
    values = [float(word) for word in lines[bottom + 1].split()[:-1]]
    return rows, np.polyfit(*zip(*y, strict=True), 1), np.polyfit(values, x, 1)


def test_curves_are_where_the_table_says(linear):
    rows, rate_of_row, column_of_rho = read_axes(plot(linear))
    drawn = {(row, column) for row, line in enumerate(rows)
             for column, mark in enumerate(line) if mark == "*"}
    for point in table("decay", linear):
        column = np.polyval(column_of_rho, float(point["rho"]))
        near = [row for row, at in drawn if abs(at - column) <= 1]
        distance = np.abs(np.polyval(rate_of_row, near) - float(point["decay_rate"]))
        assert distance.min() < abs(rate_of_row[0])  # a row
    zero = round(-rate_of_row[1] / rate_of_row[0])
    assert set(rows[zero]) == {"-", "*", "+"} or set(rows[zero]) == {"-", "*"}


def test_the_turn_is_marked(linear):
    [row] = table("critical", linear)
    rows, _, column_of_rho = read_axes(plot(linear))
    [column] = {line.index(":") for line in rows if ":" in line}
    assert column == pytest.approx(np.polyval(column_of_rho, float(row["rho_critical"])), abs=1)


@pytest.mark.parametrize("axis", ["rho", "g"])
def test_turns_are_those_of_the_table(axis, sizes):
    text = table_text("critical", sizes, "md").splitlines()
    column = [cell.strip() for cell in text[0].split("|")].index(f"{axis}_critical")
    shown = [row.split("|")[column].strip() for row in text[2:]]
    assert len(shown) == 6 and all("[" in number for number in shown)
    drawn = [line for line in plot(sizes, "--x", axis) if "* = " in line]
    assert len(drawn) == len(shown)
    for number, line in zip(shown, drawn, strict=True):
        assert f" {axis}* = {number}" in line


def test_every_size_has_a_letter(sizes):
    lines = plot(sizes, **UTF8)
    titles = [line for line in lines if "decay rate" in line]
    assert [title.split(":")[0] for title in titles] == ["linear, gaussian", "linear, uniform"]
    text = "\n".join(lines)
    for letter, hidden in zip("abc", (8, 16, 32), strict=True):
        assert text.count(f"{letter}  H = {hidden}, T = 30:") == 2
        assert re.search(rf"[│┤].*{letter}", text)


def test_characters_are_those_of_the_locale(linear):
    plain, braille = plot(linear, LC_ALL="C"), plot(linear, **UTF8)
    assert all(line.isascii() for line in plain)
    assert any("\u2801" <= mark <= "\u28ff" for line in braille for mark in line)
    assert len(plain) == len(braille)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_lines_are_as_long_as_the_terminal(width, locale, linear):
    lengths = [len(line) for line in plot(linear, width=width, LC_ALL=locale)]
    assert width - 4 < max(lengths[1:]) <= width


def test_odd_widths(linear):
    for width in "0", "-1", "7", "none", "100000":
        assert max(map(len, plot(linear, width=width))) <= 100


def test_colour_is_for_terminals(linear):
    assert not any("\x1b" in line for line in plot(linear, TERM="xterm"))
    assert "\x1b[" in on_a_terminal("plot", linear)
    assert "\x1b" not in on_a_terminal("plot", linear, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("plot", linear, TERM="dumb")


def test_what_vanishes_and_what_explodes_have_colours_of_their_own(linear):
    rows = on_a_terminal("plot", linear, **UTF8).splitlines()
    colours = [re.findall(r"\x1b\[38;5;(\d+)m", row) for row in rows]
    flat = [colour for row in colours for colour in row]
    assert set(flat) == {"32", "166"} and flat == sorted(flat, key=["32", "166"].index)


def test_many_decades_have_a_logarithmic_axis(database):
    sweep(database, *LINEAR, "--hidden", 8, "--rho", "0.01,0.1,1,10,100")
    lines = plot(database, width=80)
    bottom = bottom_of(lines)
    assert lines[bottom + 1].split() == ["0.01", "0.1", "1", "10", "100", "rho"]
    rows = [line[10:] for line in lines[1:bottom]]
    across = [column for row in rows for column, mark in enumerate(row) if mark == "*"]
    assert min(across) == 0 and len(set(across)) == max(across) + 1  # one straight line


def test_one_radius_is_a_line_of_text(database):
    sweep(database, *SMALL[:-2], "--rho", "native", "--ensemble", "gaussian,identity")
    lines = plot(database)
    rows = table("decay", database)
    assert len(lines) == len(rows) == 2
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(f"tanh, {row['ensemble']}, H = 12, T = 40, rho = ")
        shown = re.search(r"decay rate (-?[\d.]+)", line)[1]
        assert float(shown) == pytest.approx(float(row["decay_rate"]), abs=float(row["decay_rate_ci95"]) / 5)


def test_settings_that_differ_are_named(database):
    for precision in "f32", "f64":
        sweep(database, *SMALL, "--precision", precision, "--input", "noise:0.1,noise:1")
    titles = [line for line in plot(database) if "decay rate" in line]
    assert len(titles) == 4
    for title in titles:
        assert re.search(r"input noise:[\d.]+, precision f\d\d, H = 12", title), title


def test_a_database_without_rates(database):
    sweep(database, *SMALL)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE points SET decay_rate = NULL")
    assert "no decay rates" in assert_one_line(rhosweep("plot", database), 2)


@pytest.mark.parametrize("words", [[], ["none.db"], ["x.db", "y.db"], ["x.db", "--x", "h"]])
def test_bad_usage_of_plot(words, tmp_path):
    assert_one_line(rhosweep("plot", *words, cwd=tmp_path), 2)


# ---- after a sweep -------------------------------------------------------------------------------


def test_a_sweep_at_a_terminal_ends_with_the_plot(database):
    text = on_a_terminal("sweep", *SMALL, "-o", database, **UTF8).replace("\r\n", "\n")
    shown = on_a_terminal("plot", database, **UTF8).replace("\r\n", "\n")
    assert f"\n\n{shown}\nNext:\n  rhosweep plot " in text


def test_no_plot_where_it_would_be_in_the_way(database, tmp_path):
    assert "nats per step\n" not in succeed("sweep", *SMALL, "-o", database)
    assert on_a_terminal("sweep", "--quiet", *SMALL, "-o", tmp_path / "quiet.db") == ""
    many = on_a_terminal("sweep", *SMALL, "--ensemble", "gaussian,ring,identity",
                         "-o", tmp_path / "many.db")
    assert "decay rate, nats" not in many and "rhosweep plot" in many
