"""Writes versionN.db, a database of schema version N, with the rhosweep of a commit that had it:
python make_version.py N PROGRAM"""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COMMITS = {"1": "914043f", "2": "11f6bdf", "3": "1fabe44", "4": "f19f065",
           "5": "91aef23"}
COMMON = ["--quiet", "--hidden", "6", "--steps", "12", "--engine", "cpu", "--threads", "1",
          "--memory", "64M", "-o", "old.db"]

SWEEPS = [
    ["--rho", "0.5,1.5", "--batch", "2", "--seeds", "1,2", "--loss", "random"],
    # states and gradients that are inf, 0 and NaN; a batch of one
    ["--nonlinearity", "linear,relu", "--ensemble", "orthogonal", "--rho", "1e-9,1e9", "--batch",
     "1", "--seeds", "9223372036854775807", "--raw", "--input", "noise:0.5"],
]
# What a version added: to the first of them, and by a sweep more.
CLIP = {version: ["--clip", "0.5"] for version in "345"}
GATED = {version: ["--cell", "lstm", "--gate-bias", "1", "--rho", "1", "--batch", "2", "--seeds", "1"]
         for version in "45"}


def main(version, program):
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        def sweep(*options):
            subprocess.run(["rhosweep", "sweep", *options], executable=program, check=True,
                           cwd=folder)

        sweep(*COMMON, *SWEEPS[0], *CLIP.get(version, []))
        sweep(*COMMON, *SWEEPS[1])
        np.savez(Path(folder) / "model.npz", weight_hh_l0=rng.standard_normal((6, 6)) / 3,
                 h0=rng.standard_normal((2, 6)))
        sweep(*COMMON, "--model", "model.npz", "--rho", "native", "--batch", "2", "--seeds", "0")
        if version in GATED:
            sweep(*COMMON, *GATED[version])
        with closing(sqlite3.connect(Path(folder) / "old.db")) as connection:
            connection.executescript(
                "UPDATE runs SET host = 'box', system = 'Linux', device = 'A CPU',"
                f" git_commit = '{COMMITS[version]}';"
                "UPDATE timings SET device = 'A CPU'")
            if version == "5":
                connection.execute("UPDATE timings SET host = 'box'")
                connection.commit()
            connection.execute("VACUUM")
        shutil.copy(Path(folder) / "old.db", HERE / f"version{version}.db")


if __name__ == "__main__":
    main(*sys.argv[1:])
