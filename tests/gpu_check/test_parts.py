"""The parts of scripts/gpu-check by themselves: its clock, its bundle, what it knows of tools."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import budget
import bundle
import pytest
import programs
import sanitizer
import steps

ROOT = Path(__file__).resolve().parents[2]


def test_a_group_leaves_its_time_to_the_later_ones():
    now = [100.0]
    clock = budget.Clock(60.0, now=lambda: now[0])
    shares = budget.Budget(clock, {"first": 1, "second": 3, "third": 2})
    assert [shares.left(group) for group in ("first", "second", "third")] == [10, 40, 60]
    now[0] += 45
    assert [shares.left(group) for group in ("first", "second", "third")] == [-35, -5, 15]
    assert clock.text() == "0 min 45 s"


@pytest.mark.parametrize("limit, left, status, why", [
    (0.2, 9.0, steps.FAILED, "did not end within 0.2 s"),
    (9.0, 0.2, steps.CUT_SHORT, "no time left after 0 s"),
    (9.0, 0.05, steps.NOT_RUN, "no time left"),
])
def test_who_is_to_blame_for_a_step_without_end(tmp_path, limit, left, status, why):
    step = steps.Step("group", "name", ["sleep", "60"], limit=limit, needs=0.1)
    result = steps.run_step(step, left, tmp_path / "log")
    assert (result["status"], result["why"]) == (status, why)


def test_a_program_that_is_not_there_has_failed(tmp_path):
    step = steps.Step("group", "name", [str(tmp_path / "absent")])
    result = steps.run_step(step, 60.0, tmp_path / "log")
    assert result["status"] == steps.FAILED and result["why"].endswith("No such file or directory")


def left_out(**facts):
    known = {"capability": (9, 0), "version": (2025, 4), "toolkit": "12.8"} | facts
    return {(tool, case.name) for tool, case, _ in sanitizer.matrix()
            if sanitizer.why_not(tool, case, sanitizer.Facts(**known))}


def test_tools_are_left_out_only_where_they_misunderstand():
    assert left_out() == set()
    assert left_out(version=(2025, 3), toolkit="13.0") == {
        ("racecheck", "streamed"), ("synccheck", "cluster")}
    assert left_out(version=(2025, 1)) == {("racecheck", "streamed"), ("synccheck", "streamed")}
    assert left_out(version=(2024, 3)) == {
        (tool, case) for tool in ("racecheck", "synccheck") for case in ("streamed", "cluster")}
    assert left_out(version=(2023, 1), capability=(8, 6)) == {
        (tool, "cluster") for tool in sanitizer.TOOLS}


@pytest.mark.parametrize("log, count", [
    ("========= ERROR SUMMARY: 0 errors", 0),
    ("========= ERROR SUMMARY: 1 error", 1),
    ("========= RACECHECK SUMMARY: 3 hazards displayed (0 errors, 3 warnings)", 3),
    ("========= Error: Device not supported", None),
    ("", None),
])
def test_what_a_tool_found(log, count):
    assert sanitizer.found_by(log) == count


# ---- the bundle ----------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of what a bundle takes from the tree, without .git, whose build is three programs."""
    root = tmp_path / "tree"
    for name in ("scripts", "bench"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("results"))
    built = root / "build" / "gpu"
    built.mkdir(parents=True)
    for name in programs.NAMES:
        shutil.copy("/bin/true", built / name)
    (built / "CMakeCache.txt").write_text("CMAKE_CUDA_COMPILER:FILEPATH=/nowhere/nvcc\n"
                                          "RHOSWEEP_CUDA_ARCHITECTURES:STRING=80-real;90\n")
    monkeypatch.setattr(bundle, "build", lambda root, need_cuda: built)
    monkeypatch.setenv("RHOSWEEP_COMMIT", "feedc0de")
    return root


def test_a_bundle_is_a_tree_of_its_own(tree, tmp_path):
    said = bundle.make_bundle(tree, tree / "gpu-bundle")
    assert said.startswith(str(tree / "gpu-bundle.tar.xz")) and said.endswith(" MiB")
    with tarfile.open(tree / "gpu-bundle.tar.xz") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    folder = tmp_path / "elsewhere" / "gpu-bundle"
    about = json.loads((folder / "bundle.json").read_text())
    assert about["commit"] == "feedc0de" and about["architectures"] == "80-real;90"
    for path in ("bin/rhosweep", "bench/gpu_summary.py", "bench/peers/torch_peer.py"):
        assert (folder / path).is_file()
    done = subprocess.run([folder / "scripts" / "gpu-check", "--dry-run", "--only", "parity",
                           "--out", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "machine.txt").read_text().startswith("commit: feedc0de\n")


def test_a_newer_archive_replaces_what_an_older_one_left(tree, monkeypatch):
    for commit in ("older", "newer"):
        monkeypatch.setenv("RHOSWEEP_COMMIT", commit)
        shutil.rmtree(tree / "made", ignore_errors=True)
        bundle.make_bundle(tree, tree / "made" / "gpu-bundle")
        shutil.copy(tree / "made" / "gpu-bundle.tar.xz", tree)
        found = programs.find_programs(tree, None, sys.executable, need_cuda=True)
        assert found.commit == commit
        assert found.paths["rhosweep"] == tree / "gpu-bundle" / "bin" / "rhosweep"


def test_a_bundle_too_large_to_carry_is_an_error(tree, monkeypatch):
    monkeypatch.setattr(bundle, "MOST", 1000)
    with pytest.raises(bundle.CheckError, match="MiB, more than"):
        bundle.make_bundle(tree, tree / "gpu-bundle")


def test_a_folder_that_is_no_bundle_stays(tree):
    with pytest.raises(bundle.CheckError, match="is not a bundle"):
        bundle.make_bundle(tree, tree / "bench")
    assert (tree / "bench" / "gpu_summary.py").is_file()
