"""The page that scripts/gpu-check ends with, from made-up measurements."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def row(name, time, unit, **counters):
    return {"name": name, "real_time": time, "time_unit": unit, **counters}


def bench(*rows):
    return json.dumps({"context": {}, "benchmarks": rows})


def cuda(shape, time, unit="ms", **counters):
    hidden, batch, radii, steps = shape
    name = f"bptt/cuda/f32/tanh/H:{hidden}/B:{batch}/R:{radii}/T:{steps}/manual_time"
    return row(name, time, unit, **({"gflops": 30e3, "peak_fraction": 0.55} | counters))


def summary(folder):
    command = [sys.executable, ROOT / "bench" / "gpu_summary.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = (folder / "summary.md").read_text()
    assert done.stdout == text
    return text


def cells(text, first):
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_whole_page(tmp_path):
    shape = (64, 16, 64, 100)
    (tmp_path / "machine.txt").write_text("gpu: Some GPU\n")
    (tmp_path / "parity.log").write_text("[  PASSED  ] 12 test(s).\n")
    (tmp_path / "bench.json").write_text(bench(
        cuda(shape, 250.0, "us"),
        row("bptt/cpu/f32/tanh/H:64/B:16/R:64/T:100/manual_time", 0.01, "s", gflops=1, peak_fraction=1),
        row("bptt/cuda/f64/tanh/H:64/B:16/R:64/T:100/manual_time", 9, "s", gflops=1, peak_fraction=1),
        row("peak/cuda/gemm/f32/H:64/columns:1024/manual_time", 1, "us", gflops=40e3)))
    (tmp_path / "peers.json").write_text(json.dumps({"results": [
        {"peer": "nn_rnn_loop", "shape": list(shape), "median_ms": 25.0},
        {"peer": "bmm_hooks", "shape": list(shape), "median_ms": 10.0}]}))
    (tmp_path / "paths-stepwise.json").write_text(bench(cuda(shape, 2.0), cuda((512, 1, 1, 1), 3.0)))
    (tmp_path / "paths-cluster.json").write_text(bench(
        cuda(shape, 1.0, error_occurred=True, error_message="not taken")))
    text = summary(tmp_path)
    assert "gpu: Some GPU" in text
    assert "- parity: [  PASSED  ] 12 test(s)." in text and "- sanitizer: not run" in text
    main, paths = text.split("The same by each path")
    assert cells(main, "64,16,64,100") == ["64,16,64,100", "0.25", "30", "55%", "75%", "10", "40",
                                           "100", "40"]
    assert cells(paths, "H,B,R,T") == ["H,B,R,T", "as chosen", "cluster", "stepwise"]
    assert cells(paths, "64,16,64,100") == ["64,16,64,100", "0.25", "", "2"]
    assert cells(paths, "512,1,1,1") == ["512,1,1,1", "", "", "3"]


def test_what_is_absent_or_half_written_is_left_out(tmp_path):
    (tmp_path / "machine.txt").write_text("gpu: none\n")
    (tmp_path / "bench.json").write_text(bench(cuda((10, 1, 4, 5), 1.0)))
    (tmp_path / "peers.json").write_text('{"results": [')
    (tmp_path / "paths-cluster.json").write_text("")
    text = summary(tmp_path)
    assert cells(text, "10,1,4,5") == ["10,1,4,5", "1", "30", "55%", "", "", "", "", ""]
    assert "by each path" not in text


def test_without_a_device(tmp_path):
    (tmp_path / "machine.txt").write_text("gpu: none\n")
    assert "| H,B,R,T |" not in summary(tmp_path)
