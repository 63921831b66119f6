"""The page that scripts/gpu-check ends with, from made-up measurements."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def row(name, time, unit, **counters):
    return {"name": name, "real_time": time, "time_unit": unit, **counters}


def write(folder, name, document):
    (folder / name).write_text(json.dumps(document))


def bench(*rows):
    return {"context": {}, "benchmarks": rows}


def cuda(shape, time, unit="ms", precision="f32", body="bptt", cell="tanh", **counters):
    hidden, batch, radii, steps = shape
    name = f"{body}/cuda/{precision}/{cell}/H:{hidden}/B:{batch}/R:{radii}/T:{steps}/manual_time"
    return row(name, time, unit, **({"gflops": 30e3, "peak_fraction": 0.55} | counters))


def gemm(hidden, columns, gflops, precision="f32"):
    return row(f"peak/cuda/gemm/{precision}/H:{hidden}/columns:{columns}/manual_time", 1, "us",
               gflops=gflops)


def step(group, name, status="passed", why="", **tags):
    return {"group": group, "name": name, "status": status, "why": why, "seconds": 1.5} | tags


def summary(folder):
    command = [sys.executable, ROOT / "bench" / "gpu_summary.py", folder]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def section(text, title):
    """The lines under the heading that begins so."""
    (found,) = [part for part in text.split("\n## ")[1:] if part.startswith(title)]
    return found


def cells(text, first):
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_whole_page(tmp_path):
    shape, text_shape = (64, 16, 64, 100), "64,16,64,100"
    (tmp_path / "machine.txt").write_text("gpu: Some GPU\n")
    write(tmp_path, "steps.json", {"steps": [
        step("parity", "parity"), step("paths", "a"), step("paths", "b", "failed", "exit code 3"),
        step("sanitizer", "c", tool="memcheck", case="small", precision="f32"),
        step("sanitizer", "d", "skipped", "no word", tool="racecheck", case="small",
             precision="f32")]})
    write(tmp_path, "bench.json", bench(
        cuda(shape, 250.0, "us"), cuda(shape, 1.0, precision="f64", gflops=15e3),
        row("bptt/cpu/f32/tanh/H:64/B:16/R:64/T:100/manual_time", 0.01, "s", gflops=1,
            peak_fraction=1),
        cuda(shape, 0.5, body="bptt+gradients"),
        cuda(shape, 0.2, body="gradient", peak_fraction=0.6),
        gemm(64, 1024, 40e3), gemm(64, 1024, 30e3, "f64")))
    write(tmp_path, "peers.json", {"runs": [], "results": [
        {"program": "PyTorch", "peer": "nn_rnn_loop", "shape": shape, "median_ms": 25.0},
        {"program": "JAX", "peer": "vmap_scan", "shape": shape, "median_ms": 10.0},
        {"program": "JAX", "peer": "vmap_scan", "shape": shape, "median_ms": 15.0,
         "weight_gradients": True}]})
    write(tmp_path, "paths.json", bench(
        cuda(shape, 2.0, path="stepwise", peak_fraction=0.07),
        cuda((512, 1, 1, 1), 3.0, path="stepwise"),
        cuda(shape, 0.2, path="persistent", peak_fraction=0.7),
        cuda(shape, 1.0, path="cluster", error_occurred=True, error_message="not taken"),
        cuda(shape, 1.5, precision="f64", path="cluster")))
    text = summary(tmp_path)
    assert "gpu: Some GPU" in text
    assert "- parity with the reference engine: 1 passed (2 s)" in text
    assert "- every path at every size: 1 passed, 1 failed (3 s)" in text
    assert "- ours against the peers: not run" in text
    assert "    - b: failed: exit code 3" in text and "    - d: skipped: no word" in text
    assert cells(section(text, "f32, tanh: "), text_shape) == [
        text_shape, "1,024", "0.25", "30", "55%", "75%"]
    assert cells(section(text, "f64, tanh: "), text_shape) == [
        text_shape, "1,024", "1", "15", "55%", "50%"]
    paths = section(text, "f32, tanh by each path")
    assert cells(paths, "H,B,R,T")[2:] == ["as chosen", "small", "cluster", "persistent",
                                           "stepwise", "fastest"]
    assert cells(paths, text_shape)[2:] == ["0.25 (55%)", "", "", "0.2 (70%)", "2 (7%)",
                                            "persistent"]
    assert cells(paths, "512,1,1,1")[2:] == ["", "", "", "", "3 (55%)", "stepwise"]
    assert cells(section(text, "f64, tanh by each path"), text_shape)[4:] == ["1.5 (55%)", "", "",
                                                                        "cluster"]
    peers = section(text, "f32, tanh against the peers")
    assert cells(peers, "H,B,R,T") == ["H,B,R,T", "ours, ms", "x our CPU engine",
                                       "x PyTorch nn_rnn_loop", "x JAX vmap_scan"]
    assert cells(peers, text_shape) == [text_shape, "0.25", "40", "100", "40"]
    gradients = section(text, "f32, tanh with the weights' gradients")
    assert cells(gradients, "H,B,R,T")[1:] == [
        "ours, ms", "of the FMA ceiling", "/ ours without", "the gradients alone, of the ceiling",
        "x JAX vmap_scan"]
    assert cells(gradients, text_shape) == [text_shape, "0.5", "55%", "2", "60%", "30"]
    errors = section(text, "Errors and hazards")
    assert cells(errors, "kernels") == ["kernels", "memcheck", "racecheck"]
    assert cells(errors, "small f32") == ["small f32", "passed", "skipped"]


def test_cells_with_gates_have_tables_of_their_own(tmp_path):
    shape, text_shape = (64, 16, 64, 100), "64,16,64,100"
    write(tmp_path, "bench.json", bench(
        cuda(shape, 1.0), gemm(64, 1024, 40e3),
        cuda(shape, 4.0, cell="lstm", gflops=25e3, peak_fraction=0.45),
        row("bptt/cpu/f32/lstm/H:64/B:16/R:64/T:100/manual_time", 80.0, "ms", gflops=1,
            peak_fraction=1),
        cuda(shape, 3.0, cell="gru")))
    write(tmp_path, "peers.json", {"runs": [], "results": [
        {"program": "PyTorch", "peer": "nn_rnn_loop", "cell": "tanh", "shape": shape,
         "median_ms": 10.0},
        {"program": "PyTorch", "peer": "nn_lstm_loop", "cell": "lstm", "shape": shape,
         "median_ms": 100.0}]})
    write(tmp_path, "paths.json", bench(cuda(shape, 5.0, cell="gru", path="stepwise")))
    text = summary(tmp_path)
    lstm = section(text, "f32, lstm: forward, backward and norms")
    assert cells(lstm, "H,B,R,T")[-1] == "of the FMA ceiling"
    assert cells(lstm, text_shape) == [text_shape, "1,024", "4", "25", "45%"]
    peers = section(text, "f32, lstm against the peers")
    assert cells(peers, "H,B,R,T")[3:] == ["x PyTorch nn_lstm_loop"]
    assert cells(peers, text_shape) == [text_shape, "4", "20", "25"]
    paths = section(text, "f32, gru by each path")
    assert cells(paths, text_shape)[2:] == ["3 (55%)", "", "", "", "5 (55%)", "stepwise"]
    assert "lstm by each path" not in text and "gru against the peers" not in text


def verdicts(folder):
    lines = section(summary(folder), "Bars").splitlines()[4:]
    return [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines]


def test_bars(tmp_path):
    """Of the FMA ceiling, of a bare product, and of nn.RNN: met, missed, and open."""
    wide = [(hidden, batch, 64, 100) for hidden in (64, 128, 256) for batch in (128, 1024)]
    rows = [cuda(shape, 1.0, peak_fraction=0.5) for shape in wide]
    narrow = cuda((64, 16, 64, 100), 1.0, peak_fraction=0.1)  # 1,024 columns: no bar
    large = [cuda((512, 16, 64, 100), 1.0, gflops=84e3), gemm(512, 1024, 100e3)]
    write(tmp_path, "bench.json", bench(narrow, *rows, *large))
    assert verdicts(tmp_path) == [["met", "least 50% at 64,128,64,100"],
                                  ["not met", "least 84% at 512,16,64,100"],
                                  ["not measured", ""]]
    rows[0] = cuda(wide[0], 1.0, peak_fraction=0.49)
    write(tmp_path, "bench.json", bench(*rows))
    write(tmp_path, "peers.json", {"results": [
        {"program": "PyTorch", "peer": "nn_rnn_loop", "shape": wide[1], "median_ms": 20.0}]})
    assert verdicts(tmp_path) == [["not met", "least 49% at 64,128,64,100"], ["not measured", ""],
                                  ["met as far as measured", "least 20 times at 64,1024,64,100"]]


def test_what_is_absent_or_half_written_is_left_out(tmp_path):
    (tmp_path / "machine.txt").write_text("gpu: none\n")
    write(tmp_path, "bench.json", bench(cuda((10, 1, 4, 5), 1.0)))
    (tmp_path / "peers.json").write_text('{"results": [')
    (tmp_path / "paths.json").write_text("")
    text = summary(tmp_path)
    assert cells(section(text, "f32, tanh: "), "10,1,4,5") == ["10,1,4,5", "4", "1", "30", "55%",
                                                               ""]
    assert "by each path" not in text and "against the peers" not in text.split("## ", 1)[1]


def test_without_a_device(tmp_path):
    (tmp_path / "machine.txt").write_text("gpu: none\n")
    assert "| H,B,R,T |" not in summary(tmp_path)
