"""What a bare GPU machine needs, built here: the programs, every library that they link but CUDA's
own and those of C and C++, this program, and the peers; as a folder and as one archive.

    DIR/bundle.json      the commit, and how it was built
    DIR/scripts/gpu-check
    DIR/bin, DIR/lib     the programs look for libraries in ../lib
    DIR/bench
"""

import datetime
import json
import re
import shutil
import subprocess

from failure import CheckError
from programs import ABOUT, build, cache_of, commit_of_tree, find_in, said_by

MOST = 64 << 20  # bytes of the archive: what is carried to a machine has such limits

# These come with any compiler, or with the driver and the toolkit.
LEFT_TO_THE_MACHINE = re.compile(
    r"/(libcublas|libcublasLt|libcuda|libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libstdc\+\+"
    r"|libgcc_s)[-.]")

SCRIPTS = ("scripts/gpu-check", "bench/gpu_summary.py", "bench/gpu_check/*.py", "bench/peers/*.py")


def libraries_of(program):
    """Paths of the shared libraries that it links and that travel with it."""
    linked = re.findall(r"=> (/\S+)", said_by(["ldd", program]))
    return {path for path in linked if not LEFT_TO_THE_MACHINE.search(path)}


def copy_programs(paths, folder):
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    for path in paths.values():
        shutil.copy(path, folder / "bin")
    for library in set().union(*map(libraries_of, paths.values())):
        shutil.copy(library, folder / "lib")
    files = [*(folder / "bin").iterdir(), *(folder / "lib").iterdir()]
    subprocess.run(["strip", "--strip-debug", *files], check=True)


def copy_scripts(root, folder):
    for pattern in SCRIPTS:
        for path in sorted(root.glob(pattern)):
            copy = folder / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def describe(root, built):
    cache = cache_of(built)
    nvcc = said_by([cache.get("CMAKE_CUDA_COMPILER", "nvcc"), "--version"])
    return {"commit": commit_of_tree(root),
            "built": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
            "nvcc": " ".join(re.findall(r"release [\d.]+", nvcc)),
            "architectures": cache.get("RHOSWEEP_CUDA_ARCHITECTURES", "")}


def make_bundle(root, folder):
    """Builds, and writes `folder` and `folder`.tar.xz; returns a line about it."""
    archive = folder.with_name(folder.name + ".tar.xz")
    if folder.exists() and not (folder / ABOUT).exists():
        raise CheckError(f"{folder}: is not a bundle: name another folder, or remove it")
    built = build(root, need_cuda=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ABOUT).write_text(json.dumps(describe(root, built), indent=1) + "\n")
    try:
        copy_programs(find_in(built), folder)
        copy_scripts(root, folder)
        subprocess.run(["tar", "-cJf", archive, "-C", folder.parent, folder.name], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CheckError(f"{folder}: {error}") from None
    if archive.stat().st_size > MOST:
        raise CheckError(f"{archive}: {archive.stat().st_size >> 20} MiB, more than "
                         f"{MOST >> 20} MiB")
    return f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB"
