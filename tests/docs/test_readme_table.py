"""The table of the README is the one that scripts/quickstart prints in a terminal of 80 columns.

Rows where gradients vanish are the same to the last digit on every CPU. The other networks are
chaotic: their values agree within the confidence interval.
"""

import fcntl
import os
import platform
import re
import shutil
import struct
import subprocess
import termios
import threading

import pytest

from doc_tools import PROGRAM, ROOT, blocks, text_of

NUMBER = re.compile(r"(-?\d+(?:\.(\d+))?(?:e[+-]\d+)?)(?:\(([\d.]+)\))?")


def rows_of(printed):
    """Heading and rows of the decay table in it; a row is a list of words, cells of which may be missing."""
    lines = printed.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("decay: "))
    end = next(at for at, line in enumerate(lines) if line.startswith("  In parentheses"))
    words = [re.split(r"\s{2,}", line.strip()) for line in lines[start:end] if line.strip()]
    return [row for row in words if not re.fullmatch("[─-]+", row[0])]


def number(cell):
    """(value, half width of its interval or None), or None for words: 0.0459(93) is 0.0459 +- 0.0093."""
    match = NUMBER.fullmatch(cell)
    if not match:
        return None
    value, decimals, spread = match.groups()
    if spread and "." not in spread:
        spread = float(spread) * 10.0 ** -len(decimals or "")
    return float(value), float(spread) if spread else None


def half_width(row):
    """Of the decay rate, the one cell that shows its interval; None of the heading."""
    return next((number(cell)[1] for cell in row if number(cell) and number(cell)[1]), None)


def agree(ours, other, width):
    """Two cells of a chaotic row. Values of single networks differ more than their mean."""
    values = number(ours), number(other)
    if None in values:
        return ours == other
    return abs(values[0][0] - values[1][0]) <= width * (1 if values[0][1] else 3)


def same_row(ours, other):
    width = half_width(ours)
    if width is None or "vanishing" in ours or len(ours) != len(other):
        return ours == other
    return all(agree(*cells, width) for cells in zip(ours, other, strict=True))


def differences(ours, printed):
    return [rows for rows in zip(ours, printed, strict=True) if not same_row(*rows)]


def in_terminal(command, columns, environment):
    """What a command prints to a terminal of that width."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    printed = []

    def read():
        try:
            while some := os.read(ours, 65536):
                printed.append(some)
        except OSError:  # how Linux tells the end
            pass

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(command, stdout=its, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False,
                          timeout=240, env=environment)
    os.close(its)
    reader.join()
    os.close(ours)
    assert done.returncode == 0, done.stderr
    return b"".join(printed).decode().replace("\r\n", "\n")


def quickstart(folder, **more):
    """What the script prints in a clone whose set-up and build are done."""
    (folder / "bin").mkdir()
    (folder / "scripts").mkdir()
    (folder / "build" / "release").mkdir(parents=True)
    (folder / "build" / "release" / "rhosweep").symlink_to(PROGRAM)
    (folder / "sweeps").symlink_to(ROOT / "sweeps")
    shutil.copy(ROOT / "scripts" / "quickstart", folder / "scripts")
    for done in (folder / "scripts" / "setup", folder / "bin" / "cmake"):
        done.write_text("#!/bin/sh\n")
        done.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **more}
    environment.pop("COLUMNS", None)
    return rows_of(in_terminal([folder / "scripts" / "quickstart"], 80, environment))


@pytest.fixture(scope="module")
def readme():
    (table,) = [block.text for block in blocks(text_of("README.md")) if block.language == "text"]
    return rows_of(table)


def test_readme_has_what_quickstart_prints(readme, tmp_path):
    assert differences(readme, quickstart(tmp_path)) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one instruction set")
def test_also_where_digits_round_otherwise(readme, tmp_path):
    of_other = quickstart(tmp_path, RHOSWEEP_ISA="baseline")
    engine = [[word.replace("cpu-baseline", "cpu") for word in row] for row in of_other]
    assert differences(readme, engine) == []


def test_the_table_has_all_radii(readme):
    assert sum(half_width(row) is not None for row in readme) == 13


@pytest.mark.parametrize(("cell", "value"), [
    ("0.0459(93)", (0.0459, 0.0093)), ("-0.29(1)", (-0.29, 0.01)), ("12.3(1.1)", (12.3, 1.1)),
    ("128", (128, None)), ("1.5e-07", (1.5e-7, None)), ("mean field", None), ("", None)])
def test_numbers_are_read(cell, value):
    assert number(cell) == (value and tuple(pytest.approx(part) for part in value))


def with_rate(row, text):
    """The row with another decay rate."""
    return [text if number(cell) and number(cell)[1] else cell for cell in row]


def test_a_changed_digit_where_gradients_vanish_is_found(readme):
    row = next(row for row in readme if "vanishing" in row)
    assert same_row(row, list(row))
    assert not same_row(row, with_rate(row, "1.5812(38)"))


def test_explosion_may_differ_within_its_interval(readme):
    row = readme[-1]
    assert "exploding" in row
    rate = next(number(cell)[0] for cell in row if number(cell) and number(cell)[1])
    assert same_row(row, with_rate(row, f"{rate + 0.9 * half_width(row):.6f}(8000)"))
    assert not same_row(row, with_rate(row, f"{rate + 1.1 * half_width(row):.6f}(8000)"))
    assert not same_row(row, ["mixed" if cell == "exploding" else cell for cell in row])
