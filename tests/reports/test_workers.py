"""The figure and the table of points per second against workers, from JSON of scripts/bench-workers."""

import csv
import json
import re

import numpy as np
import pytest
from report_tools import rhosweep, succeed

pytest.importorskip("matplotlib")
pictures = pytest.importorskip("rhosweep_reports.pictures")
from picture_tools import assert_readable, draw  # noqa: E402
from rhosweep_reports import benchjson, workersjson  # noqa: E402
from rhosweep_reports.style import Look  # noqa: E402
from test_bench_figures import DEFAULT, document  # noqa: E402

CPU = "AMD EPYC 9654 96-Core Processor"
FAKES = {1: 0.98, 2: 0.98, 4: 0.98, 8: 0.975, 16: 0.97, 32: 0.94, 64: 0.81}
LOOKS = [Look("paper", "column"), Look("paper", "page"), Look("talk", "column"), Look("talk", "page")]


def rounds_of(rate, share):
    """Three, of which the middle is given."""
    return [{"points_per_s": factor * rate, "ideal_share": factor * share} for factor in (0.97, 1.0, 1.01)]


def series(name, shares, rate, **more):
    """`rate` is what a worker does alone."""
    return {"series": name, "shape": [64, 16, 21, 200], **more,
            "measured": {str(n): rounds_of(n * share * rate, share) for n, share in shares.items()}}


def measured(cores, ranks=True, fakes=None, cpu=CPU, rate=830.0):
    """As scripts/bench-workers writes it."""
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= cores]
    found = [series("fake devices", fakes or FAKES, 1600.0, shape=[10, 1, 16, 50], launch_ms=10),
             series("threads", {n: 0.99**n for n in counts}, rate)]
    if ranks:
        found.append(series("ranks", {n: 0.985**n for n in counts}, 0.98 * rate))
    return {"machine": {"cpu": cpu, "cores_usable": cores}, "run": {"commit": "abc123"}, "workers": found}


CASES = {
    "two cores": measured(2), "no MPI": measured(2, ranks=False), "many cores": measured(64),
    "one core": measured(1), "fast cores": measured(8, rate=4000.0), "faster than fakes": measured(64, rate=3000.0),
    "a slow writer": measured(2, fakes={n: share / max(1.0, n / 8) for n, share in FAKES.items()}),
}


def table_of(folder, *documents):
    paths = []
    for at, one in enumerate(documents):
        paths.append(folder / f"workers-{at}.json")
        paths[-1].write_text(json.dumps(one))
    return workersjson.read(paths)


@pytest.fixture
def read(tmp_path):
    return lambda *documents: table_of(tmp_path, *documents)


def figure_of(table, look=LOOKS[0]):
    (picture,), _ = pictures.plan({"workers": table}, look, "workers")
    return draw(picture, look)


@pytest.mark.parametrize("look", LOOKS, ids=["paper-column", "paper-page", "talk-column", "talk-page"])
@pytest.mark.parametrize("case", CASES)
def test_everything_can_be_read(case, look, read):
    assert_readable(figure_of(read(CASES[case]), look), case)


@pytest.mark.parametrize("case", CASES)
def test_series_and_shares_have_words(case, read):
    said = {re.split(", | of ideal", text.get_text())[0] for text in figure_of(read(CASES[case])).axes[0].texts}
    named = {"fake devices": "fake devices", "threads": "threads of one process", "ranks": "MPI ranks"}
    assert {named[one["series"]] for one in CASES[case]["workers"]} <= said
    fakes = CASES[case]["workers"][0]["measured"]
    assert {f"{fakes[n][1]['ideal_share']:.0%}" for n in ("32", "64")} <= said


def lines_of(axes, dashed):
    return [line.get_xydata().tolist() for line in axes.lines if (line.get_linestyle() == "--") == dashed]


def test_lines_are_those_of_the_json(read):
    document = measured(4)
    shuffled = [one | {"measured": dict(reversed(one["measured"].items()))} for one in document["workers"]]
    axes = figure_of(read(document | {"workers": shuffled})).axes[0]
    expected = [[[int(n), pytest.approx(rounds[1]["points_per_s"])] for n, rounds in one["measured"].items()]
                for one in document["workers"]]
    assert lines_of(axes, dashed=False) == expected
    bars = [segment[:, 1].tolist() for lines in axes.collections for segment in lines.get_segments()]
    ends = [[rounds[0]["points_per_s"], rounds[2]["points_per_s"]]
            for one in document["workers"] for rounds in one["measured"].values()]
    np.testing.assert_allclose(sorted(bars), sorted(ends))


def test_ideals_are_in_proportion(read):
    axes = figure_of(read(measured(4))).axes[0]
    assert lines_of(axes, dashed=True) == [
        [[1, pytest.approx(rate)], [last, pytest.approx(last * rate)]]
        for rate, last in ((1600.0, 64), (830.0, 4), (813.4, 4))]


def test_columns_are_medians_with_their_range(read):
    row = next(row for row in read(measured(2)).rows()
               if (row["series"], row["workers"]) == ("fake devices", "32"))
    numbers = {name: float(row[name]) for name in ("points_per_s_min", "points_per_s", "points_per_s_max",
                                                   "ideal_share", "ideal_points_per_s")}
    assert numbers == pytest.approx({
        "points_per_s_min": 0.97 * 48128, "points_per_s": 48128, "points_per_s_max": 1.01 * 48128,
        "ideal_share": 0.94, "ideal_points_per_s": 51200})
    assert (row["hidden"], row["radii"], row["launch_ms"], row["repetitions"]) == ("10", "16", "10", "3")


def test_each_machine_has_a_picture_and_a_later_file_counts(read):
    table = read(measured(2), measured(4, cpu="other"), measured(2, fakes={1: 0.5}))
    planned, _ = pictures.plan({"workers": table}, LOOKS[0], "workers")
    assert len({picture.name for picture in planned}) == 2
    assert [row["ideal_share"] for row in planned[0].parts[0].rows() if row["workers"] == "1"][0] == "0.5"


def test_a_broken_file_is_refused(read):
    for breaks in ({"machine": {}}, {"workers": [{"series": "ranks"}]},
                   {"workers": [series("ranks", {1: 0.0}, 1.0)]}):
        with pytest.raises(benchjson.InputError, match="something missing"):
            read(measured(2) | breaks)


def test_the_page_has_the_table_beside_other_benchmarks(fixed_database, tmp_path):
    (tmp_path / "workers.json").write_text(json.dumps(measured(2)))
    (tmp_path / "bench.json").write_text(json.dumps(document(DEFAULT)))
    files = f"{tmp_path / 'workers.json'},{tmp_path / 'bench.json'}"
    succeed("report", fixed_database, "-o", tmp_path / "out", "--format", "svg", "--bench", files)
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'id="data-workers"' in page and 'id="data-bench"' in page
    written = list(csv.DictReader((tmp_path / "out" / "workers.csv").open()))
    assert [row["workers"] for row in written if row["series"] == "threads"] == ["1", "2"]
    assert {path.stem for path in (tmp_path / "out").glob("*.svg")} >= {"workers", "roofline"}


def test_of_workers_alone_other_figures_of_speed_are_left_out(fixed_database, tmp_path):
    (tmp_path / "workers.json").write_text(json.dumps(measured(2)))
    succeed("report", fixed_database, "-o", tmp_path / "out", "--bench", tmp_path / "workers.json")
    page = (tmp_path / "out" / "index.html").read_text()
    left_out = re.search(r'<ul id="left-out">.*?</ul>', page, re.S)[0]
    (reason,) = re.findall(r"<li>([^<]*): no benchmark JSON was given for it", left_out)
    assert "Roofline" in reason.split("; ")
    assert "Points per second" not in left_out
    assert 'id="data-bench"' not in page


def test_the_figure_says_what_it_needs(fixed_database, tmp_path):
    done = rhosweep("report", fixed_database, "-o", tmp_path / "out", "--figure", "workers")
    assert done.returncode == 2
    assert "no benchmark JSON was given for it (--bench)" in done.stderr
