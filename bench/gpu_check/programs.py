"""Our programs: where they are, of which commit, and the libraries that they find."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from failure import CheckError

NAMES = ("rhosweep", "rhosweep-bench", "test_engine_parity", "test_gradients", "test_tangents")
ABOUT = "bundle.json"  # of a bundle: its commit and how it was built
UNKNOWN = "unknown"


def said_by(command, **options):
    """What a command prints, or nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# ---- where they are ------------------------------------------------------------------------------


def find_in(folder):
    """Each program's path, in a bundle or in a folder of a build."""
    found = {}
    for name in NAMES:
        places = [folder / part / name for part in ("", "bin", "tests")]
        found[name] = next((place for place in places if place.is_file()), None)
        if found[name] is None:
            raise CheckError(f"{folder}: has no {name}")
    return found


def unpack(archive, folder):
    """The archive as a folder beside it; one that was unpacked before stays."""
    stamp = folder / "unpacked.sha256"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    done = subprocess.run(["tar", "-xJf", archive, "-C", archive.parent], check=False)
    if done.returncode != 0 or not folder.is_dir():
        raise CheckError(f"{archive}: cannot be unpacked")
    stamp.write_text(digest)


def find_bundle(root):
    """The folder of a bundle: the one that this program is part of, or that lies in the tree."""
    if (root / ABOUT).is_file():
        return root
    folder, archive = root / "gpu-bundle", root / "gpu-bundle.tar.xz"
    if archive.is_file():
        unpack(archive, folder)
    return folder if (folder / ABOUT).is_file() else None


def build(root, need_cuda):
    """The folder of a build made now. The programs look for libraries in ../lib first, which is
    where a bundle has them; LD_LIBRARY_PATH would reach other programs, too."""
    folder = root / "build" / "gpu"
    configure = ["cmake", "--preset", "release", "-S", root, "-B", folder, "--log-level=NOTICE",
                 "-DCMAKE_BUILD_RPATH=$ORIGIN/../lib",
                 "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags"]
    compile_all = ["cmake", "--build", folder, "-t", *NAMES, "--", "--quiet"]
    try:
        subprocess.run(configure, cwd=root, check=True)
        if need_cuda and "CMAKE_CUDA_COMPILER" not in cache_of(folder):
            raise CheckError("nvcc: not found: put it on PATH, or make a bundle elsewhere with "
                             "--bundle")
        subprocess.run(compile_all, cwd=root, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CheckError(f"the build: {error}") from None
    return folder


def cache_of(folder):
    """Name to value, of CMake's cache."""
    lines = (folder / "CMakeCache.txt").read_text().splitlines()
    entries = (re.fullmatch(r"(\w+):\w+=(.*)", line) for line in lines)
    return {entry[1]: entry[2] for entry in entries if entry}


# ---- what they find ------------------------------------------------------------------------------


def needed_cublas(program):
    """The name by which the program loads cuBLAS, such as libcublas.so.13; None without it."""
    found = re.search(rb"libcublas\.so\.\d+", program.read_bytes())
    return found[0].decode() if found else None


def cuda_folders(python):
    """Where libraries of CUDA may be: the toolkits', then those that pip installed."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    homes = [Path(home) for home in homes if home] + [Path("/usr/local/cuda")]
    homes += sorted(Path("/usr/local").glob("cuda-*"), reverse=True)
    yield from (home / "lib64" for home in homes)
    listed = said_by([python, "-c", "import json, sys; print(json.dumps(sys.path))"])
    for place in json.loads(listed or "[]"):
        yield from sorted(Path(place).glob("nvidia/*/lib"), reverse=True)


def find_cublas(program, python):
    """The folder of the cuBLAS that the program wants, or None."""
    name = needed_cublas(program)
    folders = cuda_folders(python) if name else []
    return next((folder for folder in folders if (folder / name).exists()), None)


# ---- which commit --------------------------------------------------------------------------------


def commit_of_tree(root):
    """As Git says, else as RHOSWEEP_COMMIT does: a copy of the tree need not have .git."""
    described = said_by(["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12",
                         "--exclude=*"]) if (root / ".git").exists() else ""
    return described or os.environ.get("RHOSWEEP_COMMIT") or UNKNOWN


def commit_of_programs(paths, about, root):
    """The bundle's record, else what was compiled in, else the tree's."""
    compiled = re.search(r"\((\S+)\)", said_by([paths["rhosweep"], "--version"]))
    known = [about.get("commit"), compiled[1] if compiled else None]
    return next((commit for commit in known if commit and commit != UNKNOWN),
                commit_of_tree(root))


@dataclass(frozen=True)
class Programs:
    paths: dict  # of each of NAMES
    commit: str
    cublas: Path | None  # the folder that it is in
    about: dict  # the bundle's record, empty without one

    @property
    def rhosweep(self):
        return str(self.paths["rhosweep"])

    @property
    def bench(self):
        return str(self.paths["rhosweep-bench"])

    @property
    def parity(self):
        return str(self.paths["test_engine_parity"])

    @property
    def gradients(self):
        return str(self.paths["test_gradients"])

    @property
    def tangents(self):
        return str(self.paths["test_tangents"])

    def environment(self, **more):
        """For our programs alone: other libraries beside cuBLAS would be other programs' too."""
        environment = dict(os.environ, **more)
        if self.cublas:
            old = environment.get("LD_LIBRARY_PATH")
            environment["LD_LIBRARY_PATH"] = f"{self.cublas}:{old}" if old else str(self.cublas)
        return environment


def find_programs(root, folder, python, need_cuda):
    """Those of `folder` where it is given, else of a bundle, else of a build made now."""
    bundle = None if folder else find_bundle(root)
    paths = find_in(folder or bundle or build(root, need_cuda))
    about = json.loads((bundle / ABOUT).read_text()) if bundle else {}
    return Programs(paths, commit_of_programs(paths, about, root),
                    find_cublas(paths["rhosweep"], python or sys.executable), about)
