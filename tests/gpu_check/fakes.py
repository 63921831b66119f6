"""A machine with a GPU, made of programs that pretend: each is this file under another name.

What they do wrong is in the environment: FAKE_FAIL is a regular expression of calls that exit with
3, FAKE_HANG of calls that never end, FAKE_REFUSE of calls of rhosweep whose path does not take the
shape, FAKE_ERRORS of calls in which compute-sanitizer finds errors (it then exits with its
--error-exitcode); a call is the program's name, "path=...", and its
arguments. FAKE_LOG is a file that each adds its call to, with LD_LIBRARY_PATH.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path


def matches(variable, call):
    pattern = os.environ.get(variable)
    return bool(pattern and re.search(pattern, call))


def value_of(flag, arguments):
    return next(a.partition("=")[2] for a in arguments if a.startswith(flag + "="))


def row(name, **counters):
    return {"name": name + "/manual_time", "real_time": 1000.0, "time_unit": "us"} | counters


def rows(arguments):
    """As many benchmarks as the filter leaves, for every shape."""
    pattern = re.compile(value_of("--benchmark_filter", arguments))
    for shape in (a.partition("=")[2].split(",") for a in arguments if a.startswith("--shape=")):
        sizes = "/".join(f"{letter}:{n}" for letter, n in zip("HBRT", shape))
        columns = int(shape[1]) * int(shape[2])
        for precision in ("f32", "f64"):
            for engine, cell in itertools.product(("cuda", "cpu"), ("tanh", "lstm", "gru")):
                name = f"bptt/{engine}/{precision}/{cell}/{sizes}"
                yield name, row(name, gflops=30e3, peak_fraction=0.6)
            name = f"peak/cuda/gemm/{precision}/H:{shape[0]}/columns:{columns}"
            yield name, row(name, gflops=33e3)
    yield "peak/cuda/fma/f32", row("peak/cuda/fma/f32", gflops=50e3)


def bench(arguments):
    path = os.environ.get("RHOSWEEP_CUDA_PATH", "")
    if path == "small" and re.search("f64|lstm", value_of("--benchmark_filter", arguments)):
        print("rhosweep-bench: bptt/cuda/f64 left out: small does not take 10 units in f64\n"
              "rhosweep-bench: --benchmark_filter: matches no benchmark")
        return 2
    pattern = value_of("--benchmark_filter", arguments)
    found = [made for name, made in rows(arguments) if re.search(pattern, name)]
    document = {"context": {"rhosweep_commit": "abc123"}, "benchmarks": found}
    Path(value_of("--benchmark_out", arguments)).write_text(json.dumps(document))
    return 0


def rhosweep(arguments):
    if arguments == ["--version"]:
        print("rhosweep 0.1.0 (abc123)")
    elif arguments == ["devices"]:
        print("cuda\n  device     Some GPU\n  driver     CUDA driver 13.0, runtime 12.8")
    return 0


def compute_sanitizer(arguments, call):
    if arguments == ["--version"]:
        print("Version 2025.4.0.0 (build 1)")
        return 0
    program = arguments[4:]
    code = subprocess.run(program, check=False).returncode
    errors = 2 if matches("FAKE_ERRORS", call) else 0
    if not matches("FAKE_SILENT", call):
        print(f"========= ERROR SUMMARY: {errors} errors")
    return int(arguments[3]) if errors else code


def python(arguments):
    """Has PyTorch with CUDA, and no JAX."""
    if arguments[0] == "-c":
        if "sys.path" in arguments[1]:
            print(json.dumps([os.environ.get("FAKE_SITE", "/nowhere")]))
        elif "torch" in arguments[1]:
            print("usable")
        return 0 if "jax" not in arguments[1] else 1
    shapes = [arguments[i + 1].split(",") for i, a in enumerate(arguments) if a == "--shape"]
    cells = [a.partition("=")[2] for a in arguments if a.startswith("--cell=")] or ["tanh"]
    loops = {"tanh": "nn_rnn_loop", "lstm": "nn_lstm_loop", "gru": "nn_gru_loop"}
    results = [{"peer": peer, "cell": cell, "shape": list(map(int, shape)), "median_ms": ms}
               for cell in cells for shape in shapes
               for peer, ms in (("bmm_hooks", 5.0), (loops[cell], 25.0))]
    print(json.dumps({"torch": "9.9", "results": results}))
    return 0


def main():
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    path = os.environ.get("RHOSWEEP_CUDA_PATH", "")
    call = " ".join([name, f"path={path}", *arguments]).replace("\n", " ")
    if log := os.environ.get("FAKE_LOG"):
        with open(log, "a") as out:
            out.write(f"{call} LD_LIBRARY_PATH={os.environ.get('LD_LIBRARY_PATH', '')}\n")
    if matches("FAKE_HANG", call):
        time.sleep(600)
    if matches("FAKE_FAIL", call):
        print("something went wrong")
        return 3
    if name == "nvidia-smi":
        print(f"Some GPU 9000, 580.1, {os.environ.get('FAKE_FREE', '80000')}, 9.0, 1, 2, 3, 700")
        return 0
    if name == "rhosweep" and matches("FAKE_REFUSE", call):
        print(f"rhosweep: RHOSWEEP_CUDA_PATH: {path}: does not take 8 units in f32 on this device")
        return 2
    if name == "compute-sanitizer":
        return compute_sanitizer(arguments, call)
    made = {"rhosweep": rhosweep, "rhosweep-bench": bench, "python": python,
            "test_engine_parity": lambda arguments: print("[  PASSED  ] 12 test(s)."),
            "test_gradients": lambda arguments: print("[  PASSED  ] 14 test(s)."),
            "test_tangents": lambda arguments: print("[  PASSED  ] 9 test(s).")}
    return made[name](arguments)


NAMES = ("rhosweep", "rhosweep-bench", "test_engine_parity", "test_gradients", "test_tangents", "nvidia-smi",
         "compute-sanitizer", "python")


def install(folder):
    """Puts a program of each name into the folder."""
    text = Path(__file__).read_text()
    for name in NAMES:
        (folder / name).write_text(f"#!{sys.executable} -SE\n{text}")
        (folder / name).chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
