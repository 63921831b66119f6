"""The table of the README is the one that scripts/quickstart prints.

Rows where gradients vanish are the same to the last digit on every CPU. The other networks are
chaotic: their values agree within the confidence interval.
"""

import os
import platform
import re
import shutil
import subprocess

import pytest

from doc_tools import PROGRAM, ROOT, text_of

TABLE = re.compile(r"<!-- quickstart:.*?-->\n(.*?)<!-- end of quickstart -->", re.S)
NUMBER = re.compile(r"(-?\d+(?:\.(\d+))?(?:e[+-]\d+)?)(?:\(([\d.]+)\))?")


def rows_of(markdown):
    """Of the table in it; each a dict of strings."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in markdown.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


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
    return number(row["decay_rate"])[1] or number(row["decay_rate_ci95"])[0]


def agree(name, ours, other, width):
    """Two cells of rows that need not be the same. Those of single networks spread more than the mean."""
    values = number(ours), number(other)
    if None in values:
        return ours == other
    return abs(values[0][0] - values[1][0]) <= width * (1 if name == "decay_rate" else 3)


def same_row(ours, other):
    if ours.keys() != other.keys() or ours["regime"] == "vanishing":
        return ours == other
    return all(agree(name, ours[name], other[name], half_width(ours)) for name in ours)


def differences(ours, printed):
    return [(row, other) for row, other in zip(ours, printed, strict=True) if not same_row(row, other)]


def quickstart(folder, **environment):
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
    ran = subprocess.run([folder / "scripts" / "quickstart"], capture_output=True, text=True, check=False,
                         timeout=240, env={**os.environ, "PATH": path, **environment})
    assert ran.returncode == 0, ran.stderr
    return rows_of(ran.stdout)


@pytest.fixture(scope="module")
def readme():
    (table,) = TABLE.findall(text_of("README.md"))
    return rows_of(table)


def test_readme_has_what_quickstart_prints(readme, tmp_path):
    assert differences(readme, quickstart(tmp_path)) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one instruction set")
def test_also_where_digits_round_otherwise(readme, tmp_path):
    assert differences(readme, quickstart(tmp_path, RHOSWEEP_ISA="baseline")) == []


@pytest.mark.parametrize(("cell", "value"), [
    ("0.0459(93)", (0.0459, 0.0093)), ("-0.29(1)", (-0.29, 0.01)), ("12.3(1.1)", (12.3, 1.1)),
    ("128", (128, None)), ("1.5e-07", (1.5e-7, None)), ("mean field", None), ("", None)])
def test_numbers_are_read(cell, value):
    assert number(cell) == pytest.approx(value) if value is None else (
        number(cell)[0] == pytest.approx(value[0]) and number(cell)[1] == pytest.approx(value[1]))


def changed(row, **cells):
    assert cells.keys() <= row.keys()
    return {**row, **cells}


def test_a_changed_digit_where_gradients_vanish_is_found(readme):
    first = readme[0]
    assert first["regime"] == "vanishing"
    digit = first["decay_rate"][-1]
    other = first["decay_rate"].replace("1", "2", 1)
    assert digit and other != first["decay_rate"]
    assert not same_row(first, changed(first, decay_rate=other))


def test_explosion_may_differ_within_its_interval(readme):
    last = readme[-1]
    assert last["regime"] == "exploding"
    rate, width = number(last["decay_rate"])[0], half_width(last)
    within, beyond = f"{rate + 0.9 * width:.6f}", f"{rate + 1.1 * width:.6f}"
    assert same_row(last, changed(last, decay_rate=within))
    assert not same_row(last, changed(last, decay_rate=beyond))
    assert not same_row(last, changed(last, regime="mixed"))
