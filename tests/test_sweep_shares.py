"""scripts/sweep-shares on fixed samples and sweeps, without a clock; and once for real on small ones."""

import importlib.machinery
import importlib.util
import os
import sqlite3
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "sweep-shares"


def load():
    loader = importlib.machinery.SourceFileLoader("sweep_shares", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("sweep_shares", loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


shares = load()
SHAPE = shares.Shape(hidden=20, batch=2, radii=5, steps=20, seeds=10)


@pytest.mark.parametrize(("place", "name", "stage"), [
    ("/usr/lib/libsqlite3.so.0.8.6", "sqlite3VdbeExec", "store"),
    ("/usr/lib/openblas-pthread/libopenblasp-r0.3.21.so", "dlahqr_", "eigenvalues"),
    ("/usr/lib/liblapacke.so.3", "LAPACKE_dgeev", "eigenvalues"),
    ("/usr/lib/libgomp.so.1.0.0", "[unknown]", "waiting"),
    ("[kernel.kallsyms]", "clear_page_erms", "kernel"),
    ("[vdso]", "__vdso_clock_gettime", "kernel"),
    ("/usr/lib/libc.so.6", "malloc", "other"),
    ("/usr/lib/libm.so.6", "__fma_fma3", "weights"),
    ("/usr/lib/libm.so.6", "__log10_finite@GLIBC_2.15", "fit"),
    ("/usr/lib/libm.so.6", "fma@plt", "weights"),
    ("/usr/lib/libm.so.6", "__ieee754_log_fma", "fit"),
    ("/usr/lib/libm.so.6", "__fmax", "fit"),
    ("/usr/lib/libm.so.6", "hypot@@GLIBC_2.35", "eigenvalues"),
    ("/opt/blas/build/release/rhosweep", "product_5_1", "engine"),
    ("/opt/rhosweep", "rs_drive_fill_avx512", "engine"),
    ("/opt/rhosweep", "rs_range_find", "fit"),
    ("/opt/rhosweep", "draw_row.constprop.0", "weights"),
    ("/opt/rhosweep", "rs_spectral_radius", "eigenvalues"),
    ("/opt/rhosweep", "rs_store_add", "store"),
])
def test_stage_of_a_sample(place, name, stage):
    assert shares.stage_of(place, name) == stage


def test_samples_are_added_up():
    script = ("    7f7cbda992b5 dlahqr_ (/usr/lib/libopenblas.so.0)\n"
              "    55d0aabbccdd forward (/opt/rhosweep)\n"
              "    55d0aabbccee [unknown] (/opt/rhosweep)\n"
              "\nnot a sample\n")
    samples = shares.add_up(script)
    assert samples == {"eigenvalues": 1, "engine": 2}
    row = shares.stage_row(SHAPE, "new", samples)
    assert row[:2] == [20, "new"] and len(row) == len(shares.STAGE_HEAD)
    named = dict(zip(shares.STAGE_HEAD, row))
    assert named["processor us/point"] == "60.2"  # 3 samples of 1/997 s for 50 points
    assert named["eigenvalues"] == "33%" and named["engine"] == "67%" and named["store"] == "0%"


def test_a_row_has_medians_and_the_median_ratio():
    old = [shares.Sweep(10.0, 1.0, 5000), shares.Sweep(30.0, 3.0, 5000), shares.Sweep(12.0, 3.0, 5000)]
    new = [shares.Sweep(1.0, 0.9, 1000), shares.Sweep(10.0, 9.1, 1000), shares.Sweep(2.0, 1.8, 1000)]
    row = shares.wall_row(SHAPE, old, new)
    assert row == ["20,2,5,20", 10, "12.00", "10%", "2.00", "90%", "6.0", "25", "100", "20"]
    assert len(row) == len(shares.WALL_HEAD)


def test_engine_time_of_a_program_that_does_not_say(monkeypatch, tmp_path):
    database = tmp_path / "old.db"
    with sqlite3.connect(database) as file:
        file.execute("CREATE TABLE timings (forward_s REAL, backward_s REAL)")
        file.executemany("INSERT INTO timings VALUES (?, ?)", [(1.0, 2.0), (0.5, 0.25)])
    monkeypatch.setattr(shares, "run", lambda command: "id,outcome\n1,done\n")
    assert shares.engine_seconds("old", database) == 3.75
    monkeypatch.setattr(shares, "run", lambda command: "id,engine_s\n1,2.5\n")
    assert shares.engine_seconds("new", database) == 2.5


def test_small_sweeps_for_real(monkeypatch, tmp_path, capsys):
    program = os.environ.get("RHOSWEEP")
    if not program:
        pytest.skip("RHOSWEEP names no program")
    monkeypatch.setattr(shares, "SHAPES", [shares.Shape(10, 1, 3, 20, 4), shares.Shape(12, 2, 3, 20, 2)])
    monkeypatch.setattr(sys, "argv", ["sweep-shares", program, program, "--rounds", "2", "--threads",
                                      "1", "--no-stages"])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    shares.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert [row[0] for row in cells] == ["H,B,R,T", "-" * 9, "10,1,3,20", "12,2,3,20"]
    for row in cells[2:]:
        assert float(row[2]) > 0 and row[3].endswith("%")
        assert row[-1] == row[-2]  # the same program twice: as many bytes


def test_a_program_that_fails_ends_it(monkeypatch):
    with pytest.raises(SystemExit, match="sweep-shares: false: "):
        shares.run(["false"])
