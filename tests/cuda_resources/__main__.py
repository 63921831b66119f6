"""Registers, spills and shared memory of every CUDA kernel on every architecture, as ptxas says.

    cuda_resources.py NVCC "ARCHITECTURES" INCLUDE_DIR SOURCE.cu...

Prints a table; fails where a kernel of 32-bit floats spills registers, or where nothing is found.
"""

import re
import subprocess
import sys

KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\S+)' for '(?P<arch>sm_\w+)'.*?"
    r"(?P<spills>\d+) bytes spill stores.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.S,
)


def readable(name):
    """forward_kernel<float, 8, 4> from its mangled name."""
    found = re.search(r"\d+([a-z][a-z_]*)I([fd])((?:Li\d+E)*)E", name)
    if not found:
        return re.search(r"\d+([a-z][a-z_]*_kernel)", name).group(1)
    sizes = re.findall(r"Li(\d+)E", found.group(3))
    return f"{found.group(1)}<{', '.join([{'f': 'float', 'd': 'double'}[found.group(2)], *sizes])}>"


def compile_verbosely(nvcc, architectures, include, source):
    """What ptxas says of one source, for all architectures."""
    numbers = [a.split("-")[0] for a in architectures.split(";")]
    targets = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in numbers]
    command = [nvcc, "-std=c++17", "-O3", "-fmad=false", "-Xptxas=-v", f"-I{include}", *targets,
               '-DRS_CUBLAS_PATH=""']
    done = subprocess.run([*command, "-c", source, "-o", "/dev/null"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cuda_resources: {source}: {done.stderr.strip()}")
    return done.stderr


def main(nvcc, architectures, include, sources):
    found = []
    for source in sources:
        for match in KERNEL.finditer(compile_verbosely(nvcc, architectures, include, source)):
            shared = re.search(r"(\d+) bytes smem", match["rest"])
            found.append((readable(match["name"]), match["arch"], int(match["registers"]),
                          int(match["spills"]), int(shared.group(1)) if shared else 0))
    if not found:
        sys.exit("cuda_resources: no kernel found")
    print(f"{'kernel':<34} {'arch':<7} {'registers':>9} {'spilled':>8} {'static shared':>14}")
    for kernel in sorted(found):
        print("{:<34} {:<7} {:>9} {:>8} {:>14}".format(*kernel))
    bad = [k for k in found if k[3] > 0 and "double" not in k[0]]
    for kernel in bad:
        print(f"cuda_resources: {kernel[0]} on {kernel[1]} spills {kernel[3]} bytes", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
