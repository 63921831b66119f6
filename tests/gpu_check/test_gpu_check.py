"""scripts/gpu-check on a machine whose GPU, programs and tools are fakes: it can fail, it fits into
its time, and what it leaves is whole."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import fakes
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {"machine.txt", "steps.json", "bench.json", "paths.json", "peers.json", "summary.md",
         "results.tar.gz"}


class Machine:
    """Fakes in one folder, and the results in another."""

    def __init__(self, folder):
        self.programs, self.out = folder / "fakes", folder / "out"
        self.log = folder / "calls.log"
        self.programs.mkdir()
        fakes.install(self.programs)

    def command(self, *options):
        return [sys.executable, "-B", ROOT / "bench" / "gpu_check", "--programs", self.programs,
                "--python", self.programs / "python", "--out", self.out, *options]

    def environment(self, **faults):
        kept = {name: value for name, value in os.environ.items()
                if name not in ("LD_LIBRARY_PATH", "RHOSWEEP_COMMIT", "OUT", "CUDA_HOME")}
        return kept | {"PATH": f"{self.programs}:{os.environ['PATH']}",
                       "FAKE_LOG": str(self.log)} | faults

    def check(self, *options, **faults):
        return subprocess.run(self.command(*options), env=self.environment(**faults),
                              capture_output=True, text=True, check=False, timeout=120)

    def calls(self):
        return self.log.read_text().splitlines()

    def steps(self):
        return {step["name"]: step for step in
                json.loads((self.out / "steps.json").read_text())["steps"]}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run in which nothing goes wrong."""
    machine = Machine(tmp_path_factory.mktemp("whole"))
    machine.done = machine.check()
    return machine


def test_all_passed(whole):
    assert whole.done.returncode == 0, whole.done.stderr
    statuses = {step["status"] for step in whole.steps().values()}
    assert statuses == {"passed", "skipped"}


def test_order(whole):
    groups = [step["group"] for step in whole.steps().values()]
    assert list(dict.fromkeys(groups)) == ["parity", "paths", "peers", "sanitizer"]
    assert groups == sorted(groups, key=["parity", "paths", "peers", "sanitizer"].index)


def test_every_path_at_every_size(whole):
    """H = 10 .. 1024 by 1K, 8K and 64K columns, T = 100, f32 and f64, each path that takes it."""
    rows = json.loads((whole.out / "paths.json").read_text())["benchmarks"]
    names = {(row["path"], row["name"]) for row in rows}
    for path in ("cluster", "persistent", "stepwise"):
        for precision in ("f32", "f64"):
            for hidden in (10, 64, 128, 256, 512, 1024):
                for batch in (16, 128, 1024):
                    sizes = f"H:{hidden}/B:{batch}/R:64/T:100"
                    assert (path, f"bptt/cuda/{precision}/tanh/{sizes}/manual_time") in names
    assert {name for path, name in names if path == "small" and "/tanh/" in name} == {
        f"bptt/cuda/f32/tanh/H:10/B:{batch}/R:64/T:100/manual_time" for batch in (16, 128, 1024)}
    assert whole.steps()["paths-10-f64-small"]["why"].startswith("small does not take 10 units")
    chosen = json.loads((whole.out / "bench.json").read_text())["benchmarks"]
    assert all("path" not in row for row in chosen) and len(chosen) >= 36


def test_cells_with_gates_by_every_path_that_takes_them(whole):
    rows = json.loads((whole.out / "paths.json").read_text())["benchmarks"]
    names = {(row["path"], row["name"]) for row in rows}
    for path in ("cluster", "persistent", "stepwise"):
        for hidden in (10, 64, 256):
            sizes = f"H:{hidden}/B:128/R:64/T:100"
            assert (path, f"bptt/cuda/f32/lstm/{sizes}/manual_time") in names
            assert (path, f"bptt/cuda/f32/gru/{sizes}/manual_time") in names
    assert whole.steps()["paths-lstm-f32-small"]["status"] == "skipped"
    assert whole.steps()["paths-gru-f32-chosen"]["status"] == "passed"
    summary = (whole.out / "summary.md").read_text()
    assert "## f32, lstm by each path" in summary and "## f32, gru by each path" in summary


def test_few_files_and_an_archive_with_all(whole):
    assert {path.name for path in whole.out.iterdir()} == FILES and len(FILES) <= 8
    with tarfile.open(whole.out / "results.tar.gz") as archive:
        names = set(archive.getnames())
    assert {f"results/{name}" for name in FILES - {"results.tar.gz"}} <= names
    ran = {f"results/logs/{name}.log" for name, step in whole.steps().items()
           if step["status"] == "passed"}
    assert ran <= names


def test_the_commit_needs_no_git(whole):
    assert "commit: abc123\n" in (whole.out / "machine.txt").read_text()


def test_peers(whole):
    rows = json.loads((whole.out / "peers.json").read_text())["results"]
    assert {(row["program"], row["cell"], row["peer"]) for row in rows} == {
        ("PyTorch", cell, peer) for cell, loop in
        (("tanh", "nn_rnn_loop"), ("lstm", "nn_lstm_loop"), ("gru", "nn_gru_loop"))
        for peer in ("bmm_hooks", loop)}
    skipped = whole.steps()["jax_peer-1"]
    assert skipped["status"] == "skipped" and skipped["why"].startswith("no ")
    summary = (whole.out / "summary.md").read_text()
    assert "x PyTorch nn_rnn_loop" in summary and "x PyTorch nn_gru_loop" in summary


def test_every_tool_on_every_path(whole):
    called = [call for call in whole.calls() if call.startswith("compute-sanitizer path=")]
    for tool in ("memcheck", "racecheck", "synccheck", "initcheck"):
        for path in ("small", "persistent", "cluster", "stepwise"):
            assert any(f"path={path} --tool {tool} " in call for call in called), (tool, path)
            if tool in ("memcheck", "racecheck"):
                assert any(f"path={path} --tool {tool} " in call and "--cell lstm,gru" in call
                           for call in called), (tool, path)


def test_parity_that_fails_stops_nothing(machine):
    done = machine.check("--only", "sanitizer,parity", FAKE_FAIL="^test_engine_parity")
    assert done.returncode == 1 and "parity: failed: exit code 3" in done.stderr
    steps = machine.steps()
    assert steps["parity"]["status"] == "failed"
    assert steps["initcheck-stepwise-f32"]["status"] == "passed"
    assert "parity: failed: exit code 3" in (machine.out / "summary.md").read_text()


@pytest.mark.parametrize("faults, why", [
    ({"FAKE_ERRORS": "path=small --tool memcheck"}, "2 errors or hazards, exit code 9"),
    ({"FAKE_FAIL": "path=small --tool memcheck"}, "exit code 3, and no summary of errors"),
    ({"FAKE_SILENT": "path=small --tool memcheck"}, "exit code 0, and no summary of errors"),
    ({"FAKE_FAIL": "^rhosweep path=small sweep"}, "0 errors or hazards, exit code 3"),
], ids=("errors", "refused", "silent", "program"))
def test_a_sanitizer_that_finds_something_fails_the_run(machine, faults, why):
    done = machine.check("--only", "sanitizer", **faults)
    assert done.returncode == 1
    failed = machine.steps()["memcheck-small-f32"]
    assert failed["status"] == "failed" and failed["why"] == why
    assert machine.steps()["memcheck-stepwise-f32"]["status"] == "passed"
    assert "| small f32 | failed |" in (machine.out / "summary.md").read_text()


def test_a_path_that_does_not_take_the_cells_is_skipped_with_a_word(machine):
    done = machine.check("--only", "sanitizer", FAKE_REFUSE="path=small .*lstm,gru")
    assert done.returncode == 0, done.stderr
    skipped = machine.steps()["memcheck-small-with-gates-f32"]
    assert skipped["status"] == "skipped" and "small: does not take 8 units" in skipped["why"]
    assert machine.steps()["memcheck-small-f32"]["status"] == "passed"


def test_no_sanitizer_is_no_pass(machine):
    (machine.programs / "compute-sanitizer").unlink()
    environment = machine.environment() | {"PATH": f"{machine.programs}:/usr/bin:/bin"}
    done = subprocess.run(machine.command("--only", "sanitizer"), env=environment,
                          capture_output=True, text=True, check=False, timeout=120)
    steps = machine.steps()
    if steps["memcheck-small-f32"]["status"] == "passed":
        pytest.skip("a toolkit of this machine has compute-sanitizer")
    assert done.returncode == 1 and steps["memcheck-small-f32"]["status"] == "failed"


def test_the_clock_ends_it(machine):
    """A hanging step gets no more than its group has; what no longer fits is said to be not run."""
    begin = time.monotonic()
    done = machine.check("--only", "parity,paths", "--seconds", "12",
                         FAKE_HANG="^rhosweep-bench path=stepwise")
    assert 12 <= time.monotonic() - begin < 20
    assert done.returncode == 3
    steps = machine.steps()
    assert steps["paths-64-f32-stepwise"]["status"] == "cut short"
    assert steps["paths-10-f64-stepwise"] == steps["paths-10-f64-stepwise"] | {
        "status": "not run", "why": "no time left"}
    assert "paths-10-f64-stepwise: not run: no time left" in done.stderr
    assert {path.name for path in machine.out.iterdir()} == FILES - {"peers.json"}
    assert steps["parity"]["status"] == "passed"


def test_failures_outweigh_the_clock(machine):
    done = machine.check("--only", "parity,paths", "--seconds", "8",
                         FAKE_FAIL="^test_engine_parity", FAKE_HANG="^rhosweep-bench")
    assert done.returncode == 1 and "ceilings: cut short" in done.stderr


def test_a_killed_run_leaves_what_it_had(machine):
    """And takes its children along."""
    environment = machine.environment(FAKE_HANG="^rhosweep-bench path=persistent")
    with subprocess.Popen(machine.command("--only", "parity,paths"), env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (machine.log.exists() and "path=persistent" in machine.log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    steps = machine.steps()
    assert steps["parity"]["status"] == "passed"
    assert list(steps.values())[-1]["status"] == "cut short"
    with tarfile.open(machine.out / "results.tar.gz") as archive:
        assert {"results/summary.md", "results/paths.json"} <= set(archive.getnames())
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(machine.programs / "rhosweep-bench") not in listed.stdout


def test_what_does_not_fit_the_device_is_skipped_with_a_word(machine):
    assert machine.check("--only", "paths", FAKE_FREE="4000").returncode == 0
    skipped = machine.steps()["paths-1024-f32-stepwise-65536-columns"]
    assert skipped["status"] == "skipped"
    assert skipped["why"] == "27.7 GB, the device has 4.2 GB free"
    called = [call for call in machine.calls() if "path=stepwise" in call]
    assert any("--shape=1024,128,64,100" in call for call in called)
    assert not any("--shape=1024,1024,64,100" in call for call in called)


def test_libraries_of_ours_are_nobody_elses(machine):
    """cuBLAS where pip put it is found by our programs; Python and nvidia-smi see none of it."""
    with open(machine.programs / "rhosweep", "a") as program:
        program.write("# libcublas.so.77\n")
    library = machine.programs.parent / "site" / "nvidia" / "cublas" / "lib"
    library.mkdir(parents=True)
    (library / "libcublas.so.77").touch()
    machine.check("--only", "parity,peers,sanitizer",
                  FAKE_SITE=str(machine.programs.parent / "site"))
    for call in machine.calls():
        expected = str(library) if call.startswith(("rhosweep path", "rhosweep-bench",
                                                    "test_engine", "test_gradients",
                                                    "test_tangents", "compute-san")) else ""
        if "--version" not in call:
            assert call.endswith(f"LD_LIBRARY_PATH={expected}")
    assert f"cuBLAS: {library}" in (machine.out / "machine.txt").read_text()


def test_without_a_gpu_it_does_not_begin(machine):
    done = machine.check(FAKE_FAIL="^nvidia-smi")
    assert (done.returncode, done.stderr) == (
        2, "scripts/gpu-check: nvidia-smi: finds no GPU; --dry-run needs none\n")
    assert not machine.out.exists()


def test_a_dry_run_of_the_real_programs(tmp_path):
    """Every step, with the CPU in the device's place."""
    named = os.environ.get("RHOSWEEP", ROOT / "build" / "release" / "rhosweep")
    folder = Path(named).resolve().parent
    for program in (folder / "rhosweep-bench", folder / "tests" / "test_engine_parity"):
        if not program.exists():
            pytest.skip(f"{program}: not built")
    done = subprocess.run([ROOT / "scripts" / "gpu-check", "--dry-run", "--programs", folder,
                           "--out", tmp_path], capture_output=True, text=True, check=False,
                          timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = (tmp_path / "summary.md").read_text()
    assert "gpu: none: a dry run on the CPU" in summary and "## Bars" not in summary
    assert "| streamed f32 | passed | passed | passed | passed |" in summary


def test_the_script_tells_its_options():
    done = subprocess.run([ROOT / "scripts" / "gpu-check", "--help"], capture_output=True,
                          text=True, check=True)
    assert "--bundle [DIR]" in done.stdout and "--dry-run" in done.stdout
