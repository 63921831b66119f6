"""Crafted databases and models: every command answers in bounded time, and in one line."""

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import rhosweep

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
DATABASES = sorted((CORPUS / "databases").glob("*.db"))
MODELS = sorted((CORPUS / "models").iterdir())
BOUND = 10 if "build/asan" not in os.environ.get("RHOSWEEP", "") else 60  # seconds
TABLES = ("decay", "critical", "seeds", "profile", "clip", "runs", "throughput", "failures")
SWEEP = ["--quiet", "--hidden", "4", "--steps", "5", "--rho", "0.5,1.5,2", "--batch", "2",
         "--seeds", "1:2", "--engine", "cpu", "--threads", "1", "--clip", "0.5"]
# What no reader may go on from, whichever table it wants.
REFUSED = re.compile("view|trigger|virtual|unknown|computed|odd_names|negative|no_steps|step_far"
                     "|before_the_first|text_for|newer|older|damaged_schema|empty|cut_|^text$")
GOOD = ("sweep", "version1", "version2", "version3", "version4", "version5", "write_ahead_log", "no_rows",
        "a_run_that_was_killed", "odd_gradients", "odd_gates", "many_curves_of_a_state")


def names(paths):
    return [path.stem for path in paths]


def assert_answer(done, words):
    """Exit 0, 1 or 2; where it is not 0, one line."""
    assert done.returncode in (0, 1, 2), (words, done.returncode, done.stderr)
    if done.returncode != 0:
        assert len(done.stderr.splitlines()) == 1, (words, done.stderr)
        assert done.stderr.startswith("rhosweep: ") and "Traceback" not in done.stderr
    return done.returncode


def answer(*words, **options):
    return assert_answer(rhosweep(*words, timeout=BOUND, errors="replace", **options), words)


@pytest.fixture
def copy(request, tmp_path):
    return shutil.copy(request.param, tmp_path / "x.db")


def test_the_corpus_is_there():
    assert len(DATABASES) > 50 and len(MODELS) > 50


@pytest.mark.parametrize("copy", DATABASES, ids=names(DATABASES), indirect=True)
def test_tables_of_a_crafted_database(copy, request):
    before = Path(copy).read_bytes()
    codes = [answer("table", name, copy, "--format", output_format)
             for name in TABLES for output_format in ("csv", "md")]
    name = request.node.callspec.id
    if REFUSED.search(name):
        assert set(codes) == {2}
    if name in GOOD:
        assert set(codes) == {0}
    assert Path(copy).read_bytes() == before
    assert list(Path(copy).parent.iterdir()) == [Path(copy)]


@pytest.mark.parametrize("copy", DATABASES, ids=names(DATABASES), indirect=True)
def test_a_sweep_into_a_crafted_database(copy):
    answer("sweep", *SWEEP, "-o", copy)
    answer("table", "decay", copy)


@pytest.mark.parametrize("copy", DATABASES, ids=names(DATABASES), indirect=True)
def test_merging_a_crafted_database(copy, request, tmp_path):
    before = Path(copy).read_bytes()
    good = shutil.copy(CORPUS / "databases" / "no_rows.db", tmp_path / "good.db")
    code = answer("merge", tmp_path / "out.db", good, copy)
    name = request.node.callspec.id
    if REFUSED.search(name) or name.startswith("version"):
        assert code == 2
    if name in GOOD and not name.startswith("version"):
        assert code == 0
    assert (tmp_path / "out.db").exists() == (code == 0)
    assert Path(copy).read_bytes() == before


@pytest.mark.parametrize("copy", DATABASES, ids=names(DATABASES), indirect=True)
def test_merging_into_a_crafted_database(copy, request, tmp_path):
    before = Path(copy).read_bytes()
    good = shutil.copy(CORPUS / "databases" / "sweep.db", tmp_path / "good.db")
    code = answer("merge", copy, good)
    name = request.node.callspec.id
    if REFUSED.search(name.replace("empty", "")):
        assert code == 2 and Path(copy).read_bytes() == before
    if name == "sweep":
        assert code == 0
    assert set(tmp_path.iterdir()) == {Path(copy), Path(good)}


@pytest.mark.parametrize("path", MODELS, ids=names(MODELS))
def test_a_crafted_model(path, tmp_path):
    answer("inspect", path)
    answer("sweep", "--quiet", "--model", path, "--rho", "0.5,1.5", "-o", tmp_path / "x.db")
    assert set(tmp_path.iterdir()) <= {tmp_path / "x.db"}
