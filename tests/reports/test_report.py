"""The report as files: what is in them, that they are whole, and always the same."""

import html
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from report_tools import (
    PROGRAM,
    SWEEP,
    contents,
    make_fixed_database,
    package,
    rhosweep,
    succeed,
    sweep,
)

GOLDEN = Path(__file__).parent / "golden"
TABLES = ("decay", "critical", "seeds", "throughput", "runs", "failures")
BENCH = {
    "context": {"processor": "A CPU", "threads": "2", "engine_cpu": "A CPU; avx2; ",
                "rhosweep_commit": "abc"},
    "benchmarks": [
        {"name": f"{body}/f32/tanh/H:{h}/B:16/R:32/T:100/manual_time", "run_type": "iteration",
         "real_time": time_us, "time_unit": "us", "gflops": 1e-3 * h, "bytes_per_s": 1e9}
        for body, factor in (("bptt/cpu", 1), ("baseline/blas_stepwise", 4))
        for h in (64, 128)
        for time_us in (factor * h * 10.0, factor * h * 12.0, factor * h * 11.0)
    ] + [{"name": "host/weights/64", "real_time": 1.0, "time_unit": "us"}],
}


def assert_one_line(done, exit_code):
    assert done.returncode == exit_code, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert re.fullmatch(r"rhosweep: [^\n]+: [^\n]+\n", done.stderr), done.stderr


def test_tables_are_what_the_program_prints(report, database):
    endings = {"csv": "csv", "md": "md", "latex": "tex", "json": "json"}
    for name in TABLES:
        for output_format, ending in endings.items():
            assert (report / f"{name}.{ending}").read_text() == succeed(
                "table", name, database, "--format", output_format)


def test_profiles_are_in_no_file_and_the_page_says_how_to_have_them(fixed_database, tmp_path):
    database = shutil.copy(fixed_database, tmp_path / "it's mine.db")
    succeed("report", database, "-o", tmp_path / "out")
    assert not list((tmp_path / "out").glob("profile.*"))
    page = html.unescape((tmp_path / "out" / "index.html").read_text())
    (note,) = re.findall(r"160 rows. To have them in a file: (.*?)</p>", page)
    assert page.count('<a href="#data-profile">profile</a>') == 3  # of its figures
    directory = str(Path(PROGRAM).parent)
    subprocess.run(note, shell=True, check=True, cwd=tmp_path,
                   env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"})
    assert (tmp_path / "profile.csv").read_text() == succeed("table", "profile", database,
                                                             "--format", "csv")


def test_a_long_table_is_written_as_csv_alone(fixed_database, tmp_path, monkeypatch):
    """Files of the other formats, from when it was shorter, go."""
    from rhosweep_reports import cli

    assert cli.main([str(fixed_database), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "decay.md").exists()
    monkeypatch.setattr(cli, "LONG_TABLE", 3)
    assert cli.main([str(fixed_database), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "decay.csv").exists() and (tmp_path / "runs.md").exists()
    assert not list(tmp_path.glob("decay.[jmt]*"))
    page = html.unescape((tmp_path / "index.html").read_text())
    assert f"rhosweep table decay {fixed_database} --format json prints it" in page
    assert 'id="table-decay"' not in page


def test_every_figure_of_the_data_is_there(report):
    for figure, count in {"rate": 4, "growing": 3, "profile": 8, "heatmap": 8, "horizon": 8}.items():
        for ending in ("pdf", "svg", "png"):
            assert len(list(report.glob(f"{figure}_*.{ending}"))) == count, (figure, ending)


def test_absent_figures_are_named(report):
    page = (report / "index.html").read_text()
    left_out = re.search(r'<ul id="left-out">.*</ul>', page, re.S)[0]
    (no_bench,) = re.findall(r"<li>([^<]*): no benchmark JSON was given", left_out)
    assert {"Time against H", "Roofline", "Scaling with threads"} < set(no_bench.split("; "))
    assert "Decay rate against" not in left_out
    assert "Fraction of seeds whose gradient grows (tanh, gaussian" in left_out


def test_fonts_are_embedded_as_truetype(report):
    for path in report.glob("*.pdf"):
        text = path.read_bytes()
        assert b"/FontFile2" in text and b"/Subtype /Type3" not in text, path.name


def test_the_page_needs_no_network(report):
    page = (report / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    for source in sources:
        assert source.startswith(("data:", "#")) or (report / source).is_file(), source
    assert "http" not in re.sub(r"data:[^\"]*", "", page)


def test_the_same_database_gives_the_same_bytes(report, database, tmp_path):
    from rhosweep_reports import files

    again = tmp_path / "report"
    succeed("report", database, "-o", again, "--format", "pdf,svg,png",
            env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "MPLBACKEND": "svg"})
    first, second = contents(report), contents(again)
    assert first.keys() == second.keys()
    for name in first.keys() - {"index.html", files.LIST}:  # which name the folder
        assert first[name] == second[name], name
    assert first["index.html"] == second["index.html"].replace(bytes(again), bytes(report))


def golden(name, text):
    assert text == (GOLDEN / name).read_text(), f"not as in golden/{name}:\n{text}"


@pytest.fixture(scope="module")
def fixed_report(fixed_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed-report")
    succeed("report", fixed_database, "-o", folder, "--format", "svg")
    return folder


@pytest.mark.parametrize("name", ["decay.csv", "decay.tex"])
def test_golden_tables(name, fixed_report):
    golden(name, (fixed_report / name).read_text())


def test_golden_summary(fixed_report):
    summary = re.search(r'<section id="summary">.*?</section>',
                        (fixed_report / "index.html").read_text(), re.S)[0]
    golden("summary.html", summary + "\n")


def test_bench_json_becomes_a_table_and_figures(fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(BENCH))
    out = tmp_path / "out"
    succeed("report", fixed_database, "-o", out, "--bench", tmp_path / "bench.json")
    lines = (out / "bench.csv").read_text().splitlines()
    assert len(lines) == 5  # header and shapes: medians of repetitions
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (row["body"], row["hidden"], row["threads"]) == ("bptt/cpu", "64", "2")
    assert float(row["time_ms"]) == pytest.approx(0.704)
    assert float(row["time_ms_max"]) == pytest.approx(0.768)
    assert float(row["ns_per_column_step"]) == pytest.approx(0.704e6 / (16 * 32 * 100))
    assert (out / "time.pdf").exists() and (out / "speedup.svg").exists()
    assert (out / "time-H.pdf").exists() and (out / "speedup-H.svg").exists()
    left_out = re.search(r'<ul id="left-out">.*</ul>', (out / "index.html").read_text(), re.S)[0]
    assert "Roofline" in left_out and "ceilings" in left_out


@pytest.mark.parametrize("text", ["", "{", "[]", '{"benchmarks": [{}]}', '{"measured": {}}'])
def test_bad_bench_json(text, fixed_database, tmp_path):
    (tmp_path / "bench.json").write_text(text)
    assert_one_line(rhosweep("report", fixed_database, "-o", tmp_path / "out", "--bench",
                             tmp_path / "bench.json"), 2)
    assert not (tmp_path / "out").exists()


def test_one_figure_alone(fixed_database, tmp_path):
    out = succeed("report", fixed_database, "-o", tmp_path / "out", "--figure", "rate", "--format",
                  "png", "--style", "talk", "--width", "page")
    picture = tmp_path / "out" / "rate_tanh_gaussian_T20.png"
    assert {*(tmp_path / "out").iterdir()} == {picture, picture.with_suffix(".tex")}
    assert out.split() == [str(picture)]


# --- databases that are none ----------------------------------------------------------------------

def missing(_path):
    pass


def empty(path):
    path.write_bytes(b"")


def text_file(path):
    path.write_text("hello " * 100)


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()


def newer(path):
    make_fixed_database(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()


def damaged(path):
    make_fixed_database(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def unversioned(path):
    make_fixed_database(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 0")
    connection.commit()
    connection.close()


def truncated(path):
    make_fixed_database(path)
    path.write_bytes(path.read_bytes()[:10000])


def folder(path):
    path.mkdir()


def without_results(path):
    connection = sqlite3.connect(path)
    schema = Path(__file__).resolve().parents[2] / "host" / "store" / "schema.sql"
    connection.executescript(schema.read_text())
    connection.close()


BAD = (missing, empty, text_file, foreign, newer, unversioned, damaged, truncated, folder, without_results)


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("run", [lambda *words: rhosweep("report", *words), package],
                         ids=["program", "package"])
def test_bad_database(spoil, run, tmp_path):
    spoil(tmp_path / "bad.db")
    before = sorted(tmp_path.iterdir())
    assert_one_line(run(tmp_path / "bad.db", "-o", tmp_path / "out"), 2)
    assert sorted(tmp_path.iterdir()) == before


BAD_USAGE = {
    "no database": ["-o", "out"],
    "no folder": ["fixed.db"],
    "two databases": ["fixed.db", "b.db", "-o", "out"],
    "unknown figure": ["fixed.db", "-o", "out", "--figure", "pie"],
    "unknown format": ["fixed.db", "-o", "out", "--format", "pdf,gif"],
    "empty format": ["fixed.db", "-o", "out", "--format", ""],
    "unknown style": ["fixed.db", "-o", "out", "--style", "poster"],
    "unknown width": ["fixed.db", "-o", "out", "--width", "3"],
    "figure without data": ["fixed.db", "-o", "out", "--figure", "roofline"],
    "missing bench file": ["fixed.db", "-o", "out", "--bench", "no.json"],
    "value like an option": ["fixed.db", "-o", "out", "--bench", "-x"],
    "the folder is a file": ["fixed.db", "-o", "fixed.db"],
}


@pytest.mark.parametrize("words", BAD_USAGE.values(), ids=BAD_USAGE.keys())
def test_bad_usage(words, fixed_database, tmp_path):
    shutil.copy(fixed_database, tmp_path)
    assert_one_line(rhosweep("report", *words, cwd=tmp_path), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["fixed.db"]


@pytest.mark.parametrize(("python", "status"), [("/no/such/python", 2), ("no-package", 1)])
def test_without_the_package_there_is_a_way_out(python, status, fixed_database, tmp_path):
    if python == "no-package":
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
        python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = rhosweep("report", fixed_database, "-o", tmp_path / "out",
                    env=environment | {"RHOSWEEP_PYTHON": str(python)})
    assert_one_line(done, status)
    assert "RHOSWEEP_PYTHON" in done.stderr


# --- half-written files ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A database whose report takes long enough to be interrupted."""
    options = SWEEP | {"--hidden": "4,5,6,7,8,9", "--steps": "300"}
    return sweep(tmp_path_factory.mktemp("large") / "large.db", options)


def heed_interrupts():
    """In the child: whoever runs the tests may ignore interrupts, as nohup and cron's shells do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_when_working(database, folder, how):
    process = subprocess.Popen([PROGRAM, "report", database, "-o", folder],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 60
    while not list(folder.glob(".rhosweep-report-*/out/*.pdf")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, how)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_report_leaves_nothing(how, large, tmp_path):
    code, stderr = interrupt_when_working(large, tmp_path / "out", how)
    assert code == 130
    assert stderr.splitlines()[-1].startswith("rhosweep: report: interrupted")
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_an_interrupted_report_leaves_an_earlier_one_whole(large, fixed_database, tmp_path):
    succeed("report", fixed_database, "-o", tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    before = contents(tmp_path)
    interrupt_when_working(large, tmp_path, signal.SIGINT)
    assert contents(tmp_path) == before


def test_a_killed_report_leaves_no_file_of_its_own(large, tmp_path):
    interrupt_when_working(large, tmp_path / "out", signal.SIGKILL)
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []


def test_a_sweep_may_go_on_writing(tmp_path):
    database = tmp_path / "busy.db"
    small = sweep(database, SWEEP | {"--hidden": "4", "--cell": "tanh"})
    words = [word for pair in (SWEEP | {"--hidden": "24,25,26,27", "--steps": "400"}).items()
             for word in pair]
    writer = subprocess.Popen([PROGRAM, "sweep", "-o", small, *words], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        done = rhosweep("report", database, "-o", tmp_path / "out", "--figure", "rate")
    finally:
        writer.kill()
        writer.wait()
    assert done.returncode == 0, done.stderr


# --- LaTeX ----------------------------------------------------------------------------------------

def latex(folder, body, packages=""):
    (folder / "document.tex").write_text(
        r"\documentclass{article}\usepackage[paperwidth=200cm,paperheight=200cm,margin=1cm]{geometry}"
        rf"\usepackage{{booktabs,longtable,graphicx}}{packages}\begin{{document}}" "\n"
        + body + "\n\\end{document}\n")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error",
                           "document.tex"], cwd=folder, capture_output=True, text=True,
                          errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-3000:]


needs_latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")


@needs_latex
def test_latex_takes_every_table_and_figure(report, tmp_path):
    copy = shutil.copytree(report, tmp_path / "report")
    body = [rf"\input{{{path.stem}}}\par" for path in sorted(copy.glob("*.tex"))]
    body += [rf"\includegraphics{{{path.name}}}" for path in sorted(copy.glob("*.pdf"))]
    assert len(body) > 30
    latex(copy, "\n".join(body))


@needs_latex
@pytest.mark.parametrize("font", ["sans", "serif"])
def test_latex_takes_pgf_without_a_preamble(font, fixed_database, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for figure in ("rate", "profile", "heatmap", "horizon"):
        succeed("report", fixed_database, "-o", tmp_path, "--figure", figure, "--format", "pgf",
                "--font", font, env=os.environ | {"TMPDIR": str(scratch)})
    assert list(scratch.iterdir()) == []
    body = [rf"\input{{{path.name}}}\par" for path in tmp_path.glob("*.pgf")]
    assert len(body) == 4
    latex(tmp_path, "\n".join(body), r"\usepackage{pgf}")
