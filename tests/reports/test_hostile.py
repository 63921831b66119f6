"""Names and databases that no sweep of good faith makes: names are shown as they are, and whatever a file
holds, the report is made or ends in one line."""

import html
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import unicodedata
import xml.etree.ElementTree as ElementTree

import pytest
from report_tools import (
    PROGRAM,
    make_fixed_database,
    package,
    rhosweep,
    succeed,
)
from test_report import assert_one_line, latex, needs_latex

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import cli, text  # noqa: E402
from rhosweep_reports.load import Results  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402

# --- names ----------------------------------------------------------------------------------------

LITERAL = {
    "dollars": "cost_$5_vs_$6.npz",
    "latex": r"\input{x}_%#&~^{}$\undefined|$$.npz",
    "html": "<b>&\"'</td><script>alert(1)</script>.npz",
    "ligatures": "a--b``c''?`!`<<[1].npz",
    "number": "1e5",
    "long": "M" * 236 + ".npz",
    "accents": "modèle_ß.npz",
}
CONTROLS = {
    "escape": "\x1b[31mred\x07\x7f.npz",
    "C1": "a\x9b2Jb\x85.npz",
    "lines": "two\nlines\r\tand\u2028more.npz",
    "right to left": "\u202egnp.exe",
    "no UTF-8": b"caf\xe9\xff.npz",
    "cut short": "x\0y",
}
NAMES = LITERAL | CONTROLS


def name_model(database, name):
    """Gives the networks of one seed a model of that name; others stay, so that tables show it."""
    name = name if isinstance(name, bytes) else name.encode()
    connection = sqlite3.connect(database)
    connection.execute("UPDATE cases SET ensemble = 'model', model_digest = '0123456789abcdef',"
                       " model = CAST(? AS TEXT) WHERE seed = 1", (name,))
    connection.commit()
    connection.close()
    return database


def shown(name):
    """What stands for the name where people read it."""
    name = name if isinstance(name, str) else name.decode(errors="replace")
    return text.printable(name.partition("\0")[0])


def assert_printable(content, keep="\n"):
    for letter in set(content) - set(keep):
        assert unicodedata.category(letter) not in ("Cc", "Cs"), repr(letter)


def assert_only_progress(stderr):
    """No warning of a library."""
    for line in stderr.splitlines():
        assert line.startswith(("Figure ", "Reading ", "Writing ")), stderr


@pytest.fixture(params=NAMES.values(), ids=NAMES.keys())
def named(request, tmp_path):
    """A name, and a database with a model of that name."""
    return request.param, name_model(make_fixed_database(tmp_path / "named.db"), request.param)


def test_a_report_shows_names_as_they_are(named, tmp_path):
    name, database = named
    done = rhosweep("report", database, "-o", tmp_path / "out", "--format", "svg")
    assert done.returncode == 0
    assert_only_progress(done.stderr)
    assert_printable(done.stdout + done.stderr)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert_printable(page)
    assert f"<td>{html.escape(shown(name))}</td>" in page
    assert page.count("<script>") == 1  # our own
    svg = list((tmp_path / "out").glob("*.svg"))
    assert len(svg) == 2 * 5 + 1  # five of each network, and one of both
    for path in svg:
        assert_printable(path.name, keep="")
        ElementTree.parse(path)


def test_figures_name_models_as_they_are(named, tmp_path):
    name, database = named
    results = Results(database, tmp_path)
    planned, _ = pictures.plan({name: results.read(name) for name in ("decay", "critical", "profile")}, Look())
    ours = [picture for picture in planned if picture.parts[0].one("model")]
    assert len(ours) == 5
    for picture in ours:
        figure = draw(picture, Look(title="full"))
        title = figure.get_suptitle()
        assert re.sub(r"\s", "", shown(name)) in title.replace("\n", "").replace(" ", ""), title
        assert_readable(figure, picture.name)


@needs_latex
def test_latex_takes_names_as_they_are(tmp_path):
    body = []
    for at, name in enumerate(LITERAL.values()):
        database = name_model(make_fixed_database(tmp_path / f"{at}.db"), name)
        (tmp_path / f"{at}.tex").write_text(
            succeed("table", "decay", database, "--format", "latex"), encoding="utf-8")
        body.append(rf"\input{{{at}.tex}}\par")
    latex(tmp_path, "\n".join(body))


@needs_latex
def test_pgf_takes_names_as_they_are(tmp_path):
    body = []
    for at, name in enumerate((*LITERAL.values(), CONTROLS["escape"])):
        database = name_model(make_fixed_database(tmp_path / f"{at}.db"), name)
        done = package(database, "-o", tmp_path, "--figure", "profile", "--format", "pgf,svg")
        assert done.returncode == 0, done.stderr
        paths = done.stdout.splitlines()
        path = next(path for path in paths if path.endswith(".pgf") and "gaussian" not in path)
        shutil.move(path, tmp_path / f"{at}.pgf")
        body.append(rf"\input{{{at}.pgf}}\par")
    latex(tmp_path, "\n".join(body), r"\usepackage{pgf}")


def test_text_in_latex():
    assert text.latex("a_b--c^é") == r"a\_b-{}-{}c\textasciicircum{}é"
    assert text.latex("ρ模10⁻³ " + text.math(r"g^*")) == r"$\rho$[U+6A21]10$^{-3}$ $g^*$"


def test_pictures_never_share_a_file(tmp_path):
    database = name_model(make_fixed_database(tmp_path / "two.db"), "a$b.npz")
    connection = sqlite3.connect(database)
    connection.execute("UPDATE cases SET ensemble = 'model', model_digest = 'fedcba9876543210',"
                       " model = 'a#b.npz' WHERE seed = 2")
    connection.commit()
    connection.close()
    results = Results(database, tmp_path)
    planned, _ = pictures.plan({name: results.read(name) for name in ("decay", "critical", "profile")}, Look())
    names = [picture.name for picture in planned]
    assert len(names) == len(set(names))
    assert sum(name.startswith("profile_tanh_a-b_H8_T20") for name in names) == 2
    assert all(len(f"{name}.pdf".encode()) < 255 for name in names)


def test_names_that_are_taken_get_a_number():
    taken = set()
    assert [pictures._own_name("profile_a-b", taken) for _ in range(3)] == [
        "profile_a-b", "profile_a-b_2", "profile_a-b_3"]


def test_a_commit_is_no_number(tmp_path):
    database = make_fixed_database(tmp_path / "x.db")
    connection = sqlite3.connect(database)
    connection.execute("UPDATE runs SET git_commit = '1234e56', spec = '[sweep]\nrho = 1\n'")
    connection.commit()
    connection.close()
    succeed("report", database, "-o", tmp_path / "out", "--format", "svg")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<td>1234e56</td>" in page and "[sweep]\nrho = 1" in page


def test_errors_do_not_control_the_terminal(tmp_path):
    done = package(tmp_path / "a\x1b[2J\x9b\nb.db", "-o", tmp_path / "out")
    assert_one_line(done, 2)
    assert_printable(done.stderr)
    assert "a\ufffd[2J\ufffd b.db: no such file" in done.stderr


# --- databases ------------------------------------------------------------------------------------

def curve(*values):
    """SQL of a curve of 20 steps."""
    return f"x'{struct.pack(f'<{len(values)}d', *values).hex()}'"


def same(value):
    return curve(*20 * [value])


ALL = "min = NULL, max = NULL"
REFUSED = {
    "schema 0": ["PRAGMA user_version = 0"],
    "another application": ["PRAGMA application_id = 1"],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM cases; END"],
    "a virtual table": ["CREATE VIRTUAL TABLE v USING fts5(a)"],
    "no curves": ["DROP TABLE curves"],
    "no timings": ["DROP TABLE timings"],
    "no cases": ["DROP TABLE cases"],
    "seen by quick_check alone": ["PRAGMA ignore_check_constraints = ON",
                                  "UPDATE cases SET status = 'odd'"],
    "negative units": ["UPDATE cases SET hidden = -8"],
    "no steps": ["UPDATE cases SET steps = 0"],
    "steps without end": ["UPDATE cases SET steps = 9223372036854775807"],
    "a short curve": ["UPDATE curves SET mean = x'00'"],
    "short curves": [f"UPDATE curves SET mean = x'000000', {ALL}"],
    "uneven curves": ["UPDATE curves SET mean = zeroblob(80), min = zeroblob(160), "
                      "max = zeroblob(240)"],
    "fewer steps": [f"UPDATE curves SET mean = zeroblob(80), {ALL} WHERE point_id = 1"],
    "curves of text": ["ALTER TABLE curves RENAME TO old",
                       "CREATE TABLE curves (point_id INTEGER PRIMARY KEY, mean, min, max)",
                       "INSERT INTO curves SELECT point_id, 'text', 'text', 'text' FROM old"],
    "curves of numbers": ["ALTER TABLE curves RENAME TO old",
                          "CREATE TABLE curves (point_id INTEGER PRIMARY KEY, mean, min, max)",
                          "INSERT INTO curves SELECT point_id, 5, 5, 5 FROM old"],
    "no results": ["DELETE FROM points"],
}
LOOSE_CASES = ["CREATE TABLE loose AS SELECT * FROM cases", "DROP TABLE cases",
               "ALTER TABLE loose RENAME TO cases"]
REFUSED |= {f"units {value}": [*LOOSE_CASES, f"UPDATE cases SET hidden = {value}"]
            for value in ("NULL", "'abc'", "x'00ff'", "''")}
CLIPPED = ["INSERT INTO gradients (point_id, weight_ih, weight_hh, bias_ih, bias_hh)"
           " SELECT id, -9e999, rho, rho, rho FROM points",
           "INSERT INTO clips (case_id, max_norm, run_id) SELECT id, 0.5, run_id FROM cases"]
DRAWN = {
    "large radii": ["UPDATE points SET rho = 1e307 * id"],
    "tiny radii": ["UPDATE points SET rho = 1e-318 * id"],
    "negative radii": ["UPDATE points SET rho = -rho"],
    "no radii": ["UPDATE points SET rho = NULL"],
    "rates that are not finite": ["UPDATE points SET decay_rate = 9e999 WHERE id < 3"],
    "large rates": ["UPDATE points SET decay_rate = 1e308 * (id - 4)"],
    "ends before the start": ["UPDATE points SET fp16_underflow = -5, fp32_overflow = -1"],
    "ends far away": ["UPDATE points SET fp16_underflow = 9223372036854775807"],
    "no norm": [f"UPDATE curves SET mean = {same(float('nan'))}, {ALL}"],
    "norms of 0": [f"UPDATE curves SET mean = {same(-float('inf'))}, {ALL}"],
    "large norms": [f"UPDATE curves SET mean = {curve(*10 * [1.7e308, -1.7e308])}, {ALL}"],
    "empty curves": [f"UPDATE curves SET mean = x'', {ALL} WHERE point_id < 6"],
    "bare cases": [*LOOSE_CASES, "UPDATE cases SET cell = NULL, model = NULL, precision = NULL"],
    "bare runs": ["UPDATE runs SET version = NULL, git_commit = NULL, engine = NULL, spec = NULL"],
    "no runs": ["DELETE FROM runs"],
    "gradients without end": [*CLIPPED, "UPDATE gradients SET weight_hh = 1e15 * (point_id - 4)"],
    "gradients of no number": [*CLIPPED, "UPDATE gradients SET weight_hh = NULL"],
    "gradients of some points": [*CLIPPED, "DELETE FROM gradients WHERE point_id > 3"],
    "nothing to clip to": [*CLIPPED, "UPDATE clips SET max_norm = 0"],
    "less than nothing to clip to": [*CLIPPED, "UPDATE clips SET max_norm = -1 WHERE case_id = 1"],
    "no end to clip to": [*CLIPPED, "UPDATE clips SET max_norm = 9e999"],
    "a long spec": ["UPDATE runs SET spec = replace(hex(zeroblob(100000)), '00', 'a,')"],
}


def crafted(path, statements):
    make_fixed_database(path)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED.keys())
def test_crafted_databases_are_refused(statements, tmp_path):
    database = crafted(tmp_path / "crafted.db", statements)
    for run in (lambda *words: rhosweep("report", *words), package):
        assert_one_line(run(database, "-o", tmp_path / "out"), 2)
    assert list(tmp_path.iterdir()) == [database]


def test_a_view_is_refused(tmp_path):
    """One that would be read for ever."""
    database = crafted(tmp_path / "view.db", [
        "ALTER TABLE cases RENAME TO other",
        "CREATE VIEW cases AS WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
        " SELECT other.* FROM other, r"])
    assert_one_line(package(database, "-o", tmp_path / "out"), 2)


@pytest.mark.parametrize("statements", DRAWN.values(), ids=DRAWN.keys())
def test_reports_of_odd_numbers(statements, tmp_path):
    database = crafted(tmp_path / "crafted.db", statements)
    done = rhosweep("report", database, "-o", tmp_path / "out", "--format", "svg")
    assert done.returncode == 0, done.stderr
    assert_only_progress(done.stderr)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    for path in (tmp_path / "out").glob("*.svg"):
        assert f'id="{path.stem}"' in page
        ElementTree.parse(path)


def test_a_picture_that_cannot_be_drawn_is_left_out(fixed_database, tmp_path, monkeypatch, capfd):
    """The others are drawn, and nothing of it stays."""
    def fail(axes, *_rows, **_shared):
        raise ValueError("no such\nnumber")

    rate = next(figure for figure in pictures.FIGURES if figure.name == "rate")
    monkeypatch.setitem(rate.__dict__, "draw", fail)
    assert cli.main([str(fixed_database), "-o", str(tmp_path)]) == 0
    assert not list(tmp_path.glob("rate*")) and list(tmp_path.glob("growing*"))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "its numbers cannot be drawn: no such\nnumber" in page
    assert cli.main([str(fixed_database), "-o", str(tmp_path), "--figure", "rate"]) == 2
    line = "rhosweep: figure rate: its numbers cannot be drawn: no such number"
    assert capfd.readouterr().err.splitlines()[-1] == line


def test_what_nobody_expects_is_one_line(fixed_database, tmp_path, monkeypatch, capfd):
    for error, code in ((RuntimeError("odd\x1b\n"), 2), (MemoryError(), 1), (OSError(28, "full"), 1)):
        def fail(*_arguments, error=error):
            raise error

        monkeypatch.setattr(cli, "_report_all", fail)
        assert cli.main([str(fixed_database), "-o", str(tmp_path / "out")]) == code
        (line,) = capfd.readouterr().err.splitlines()
        assert re.fullmatch(r"rhosweep: [^:]+: .+", line)
        assert_printable(line, keep="")


def test_a_full_disk_under_the_output_is_one_line(fixed_database, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([PROGRAM, "report", fixed_database, "-o", tmp_path, "--figure", "rate"],
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              env=environment)
    assert done.returncode == 1
    assert re.fullmatch(r"rhosweep: report: output: [^\n]+\n", done.stderr), done.stderr


def test_an_empty_name_for_the_folder(fixed_database):
    assert_one_line(package(fixed_database, "-o", ""), 2)


@pytest.mark.parametrize("content", [
    "[" * 100000,
    '{"benchmarks": [{"name": "bptt/cpu/f32/tanh/H:0/B:0/R:0/T:0/", "real_time": 1, '
    '"time_unit": "us"}]}',
    '{"benchmarks": [{"name": "bptt/cpu/f32/tanh/H:8/B:1/R:1/T:1/", "real_time": 1%s, '
    '"time_unit": "us"}]}' % (400 * "0"),
], ids=["depth", "shape of zeros", "no double"])
def test_crafted_bench_json(content, fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(content)
    assert_one_line(package(fixed_database, "-o", tmp_path / "out", "--bench",
                            tmp_path / "bench.json"), 2)
