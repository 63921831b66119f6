"""What nvcc and its assembler make of a source: names, registers, spills, machine code."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing

from . import measure, sass

_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\S+)' for '(?P<arch>sm_\w+)'.*?"
    r"(?P<spills>\d+) bytes spill stores.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.S,
)
_ARGUMENT = re.compile(r"(?P<type>[fd])|L\w*?(?P<value>\d+)E")


class Kernel(typing.NamedTuple):
    name: str  # forward_kernel<float, 8, 4>
    arch: int  # 90
    registers: int
    spilled: int  # bytes
    shared: int  # bytes, static
    product: measure.Product | None
    epilogue: measure.Epilogue | None


# ---- names --------------------------------------------------------------------------------------


def readable(mangled):
    """forward_kernel<float, 8, 4> from a mangled name; numbers stand for enumerators, too."""
    rest, name = re.sub(r"^_ZN?", "", mangled), mangled
    while length := re.match(r"\d+", rest):
        end = length.end() + int(length.group())
        name, rest = rest[length.end():end], rest[end:]
    if not rest.startswith("I"):
        return name
    arguments, rest = [], rest[1:]
    while match := _ARGUMENT.match(rest):
        arguments.append({"f": "float", "d": "double"}.get(match["type"], match["value"]))
        rest = rest[match.end():]
    return f"{name}<{', '.join(arguments)}>"


def short(demangled):
    """The same from what C++ calls it."""
    name = demangled.replace("(anonymous namespace)::", "").removeprefix("void ")
    name = re.sub(r"\(\w+\)(?=\d)", "", name)  # of an enumerator's type
    return name.split("(")[0].replace("true", "1").replace("false", "0")


# Of kinds of cells, as kernels have them for their last argument: enum cell_kind of cells.cuh.
_GATES = {"0": 1, "1": 1, "2": 4, "3": 3}


def units_of(name):
    """H and gates of a kernel of the small path, which has no size but these; or None, 1."""
    found = re.fullmatch(r"small_\w+<\w+, (\d+), (\d)>", name)
    return (int(found.group(1)), _GATES[found.group(2)]) if found else (None, 1)


# ---- compiling ----------------------------------------------------------------------------------


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cuda_resources: {command[0]}: {(done.stderr or done.stdout).strip()}")
    return done


def find_nvdisasm(nvcc):
    """Beside nvcc, on the path, or as pip installs it beside this Python or in .venv; or None."""
    beside = pathlib.Path(nvcc).resolve().parent / "nvdisasm"
    if beside.exists():
        return str(beside)
    if found := shutil.which("nvdisasm"):
        return found
    root = pathlib.Path(__file__).resolve().parents[2]
    for place in (pathlib.Path(sys.prefix), root / ".venv"):
        for found in sorted(place.glob("lib/python*/site-packages/nvidia/cu*/bin/nvdisasm")):
            return str(found)
    return None


def machine_code(text):
    """{name: (product, epilogue)} of what nvdisasm prints."""
    figures = {}
    for mangled, lines in sass.functions(text).items():
        name = readable(mangled)
        if "forward" not in name and "backward" not in name:
            continue
        code = measure.Code(lines, "double" in name)
        figures[name] = measure.product_of(code), measure.epilogue_of(code, *units_of(name))
    return figures


def kernels_of(nvcc, nvdisasm, include, source, arch):
    """The kernels of one source on one architecture, in the order of the compiler."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = f"{folder}/code.cubin"
        told = _run([nvcc, "-std=c++17", "-O3", "-fmad=false", "-Xptxas=-v", f"-I{include}",
                     '-DRS_CUBLAS_PATH=""', f"-arch=sm_{arch}", "-cubin", source, "-o",
                     cubin]).stderr
        entries = list(_ENTRY.finditer(told))
        figures = machine_code(_run([nvdisasm, "-c", cubin]).stdout) if entries and nvdisasm else {}
    found = []
    for entry in entries:
        name, shared = readable(entry["name"]), re.search(r"(\d+) bytes smem", entry["rest"])
        product, epilogue = figures.get(name, (None, None))
        found.append(Kernel(name, int(arch), int(entry["registers"]), int(entry["spills"]),
                            int(shared.group(1)) if shared else 0, product, epilogue))
    return found
