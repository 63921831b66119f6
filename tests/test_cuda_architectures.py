"""Which compute capabilities are built by default, with nvccs of several ages."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FUNCTION = ROOT / "cmake" / "RhosweepCudaArchitectures.cmake"


def default_architectures(tmp_path, nvcc):
    compiler = tmp_path / "nvcc"
    compiler.write_text(f"#!/bin/sh\n{nvcc}\n")
    compiler.chmod(0o755)
    script = tmp_path / "ask.cmake"
    script.write_text(f"cmake_policy(VERSION 3.25)\ninclude({FUNCTION})\n"
                      f"rs_cuda_architectures({compiler} found)\n"
                      'message("found ${found}")\n')
    return subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("codes, expected", [
    ("75 80 86 87 88 89 90 100 110 103 120 121", "80-real;90-real;100"),
    ("50 52 60 70 75 80 86 87 89 90", "80-real;90"),
    ("52 60 70 75 80 86", "80"),
])
def test_only_what_the_compiler_knows(tmp_path, codes, expected):
    listed = "; ".join(f"echo sm_{code}" for code in codes.split())
    done = default_architectures(tmp_path, f'[ "$1" = --list-gpu-code ] || exit 1; {listed}')
    assert done.returncode == 0 and f"found {expected}\n" in done.stderr


@pytest.mark.parametrize("nvcc, error", [
    ("echo sm_70", "none of compute capability"),
    ("exit 3", "set RHOSWEEP_CUDA_ARCHITECTURES"),
])
def test_a_compiler_that_will_not_do_is_an_error(tmp_path, nvcc, error):
    done = default_architectures(tmp_path, nvcc)
    assert done.returncode != 0 and error in " ".join(done.stderr.split())
