"""Tables for reading: on a terminal, in a paper, with the columns one wants."""

import os
import pty
import re
import shutil
import subprocess

import pytest

from conftest import PROGRAM, SMALL, assert_one_line, rhosweep, succeed, sweep, table, table_text

NAMES = ("decay", "critical", "seeds", "profile", "clip", "throughput", "runs", "failures")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    database = tmp_path_factory.mktemp("small") / "small.db"
    return sweep(database, *SMALL, "--clip", "1", "--ensemble", "gaussian,orthogonal")


def on_a_terminal(*arguments, width=80, **environment):
    """What the program prints where standard output is a terminal of that width."""
    ours, its = pty.openpty()
    subprocess.run(["stty", "cols", str(width)], stdin=its, check=True)
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LC_ALL")}
    with subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=its, env=known | environment) as process:
        os.close(its)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # EIO: the program has closed its end
            pass
        assert process.wait() == 0
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_md_is_the_default_but_on_a_terminal(small):
    assert succeed("table", "decay", small) == table_text("decay", small, "md")
    text = on_a_terminal("table", "decay", small, LC_ALL="C")
    assert text == succeed("table", "decay", small, "--format", "text",
                           env=os.environ | {"COLUMNS": "80", "LC_ALL": "C"})
    assert text.startswith("decay: ")


@pytest.mark.parametrize("width", [70, 100, 140])
def test_lines_fit_the_terminal(width, small):
    for name in NAMES:
        lines = on_a_terminal("table", name, small, width=width).splitlines()
        assert max(map(len, lines)) <= width, (name, lines)


def test_columns_wins_over_the_terminal(small):
    lines = on_a_terminal("table", "decay", small, width=140, COLUMNS="75").splitlines()
    assert max(map(len, lines)) <= 75


def test_no_more_than_ascii_without_utf8(small):
    assert on_a_terminal("table", "decay", small, LC_ALL="C").isascii()
    assert "─" in on_a_terminal("table", "decay", small, LC_ALL="C.UTF-8")


def test_uncertainty_is_that_of_csv(small):
    """0.0459(93) stands for the value and the half width that CSV has, to the last digit shown."""
    rows = table("decay", small)
    shown = [line.split("|")[1].strip() for line in
             succeed("table", "decay", small, "--columns", "decay_rate").splitlines()[2:]]
    assert len(shown) == len(rows)
    for text, row in zip(shown, rows, strict=True):
        value, digits = re.fullmatch(r"(-?[\d.]+)\(([\d.]+)\)", text).groups()
        unit = 10.0 ** -len(value.partition(".")[2])
        half_width = float(digits) if "." in digits else float(digits) * unit
        assert abs(float(value) - float(row["decay_rate"])) <= 0.5001 * unit
        assert abs(half_width - float(row["decay_rate_ci95"])) <= 0.5001 * unit


@pytest.mark.parametrize("output_format", ["csv", "json", "md", "latex", "text"])
def test_columns_by_name_in_their_order(output_format, small):
    text = succeed("table", "decay", small, "--columns", "regime,rho", "--format", output_format)
    _, _, body = text.rpartition(r"\toprule")
    assert body.index("regime") < body.index("rho")
    assert "ensemble" not in text


def test_columns_that_are_none(small):
    line = assert_one_line(rhosweep("table", "decay", small, "--columns", "rho,regimes"), 2)
    assert "regime?" in line and "rhosweep help table decay" in line
    assert_one_line(rhosweep("table", "decay", small, "--columns", "rho", "--wide"), 2)


def test_wide_has_the_columns_of_csv(small):
    names = table_text("decay", small).splitlines()[0].split(",")
    wide = succeed("table", "decay", small, "--wide").splitlines()[0]
    assert [name.strip() for name in wide.strip("|").split("|")] == names


def test_help_of_a_table_names_its_columns(small):
    for name in NAMES:
        columns = table_text(name, small).splitlines()[0].split(",")
        lines = succeed("help", "table", name).splitlines()[2:]
        assert [line.split("`")[1] for line in lines] == columns
    assert "decay_rate" in on_a_terminal("help", "table", "decay")
    assert "decay?" in assert_one_line(rhosweep("help", "table", "decya"), 2)
    assert_one_line(rhosweep("help", "table", "decay", "seeds"), 2)


def test_help_lists_every_table():
    text = succeed("table", "--help")
    for name in NAMES:
        assert f"\n  {name} " in text


PAPER = r"""\documentclass[10pt,a4paper]{article}
\usepackage{booktabs,longtable}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")
def test_latex_fits_the_page_of_a_paper(small, tmp_path):
    for name in NAMES:
        text = table_text(name, small, "latex")
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
    body = "\n".join(rf"\input{{{name}.tex}}\clearpage" for name in NAMES)
    (tmp_path / "paper.tex").write_text(PAPER % body, encoding="utf-8")
    for _ in range(2):  # longtable learns its widths from the first run
        done = subprocess.run(["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
                              cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert re.findall(r"^(?:Overfull|LaTeX Warning).*", log, re.M) == []
