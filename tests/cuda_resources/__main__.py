"""What the compiler makes of the CUDA kernels: registers, spills, shared memory, instructions per
fma of every product loop, issue slots per element of every epilogue, and blocks per processor of
what the engine launches.

    python -m cuda_resources NVCC ARCHITECTURES INCLUDE_DIR [options] SOURCE.cu...

Prints tables. Fails where a kernel of 32-bit floats spills registers, where tanh is slower than its
limit below, or nothing is found. Ends with 77, skipped, where there is no nvdisasm to read machine
code with.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys

from . import compiler, occupancy

SKIPPED = 77

# Issue slots per element that the f32 persistent path may need forward, tanh among them, where the
# architecture is this one.
MOST_TANH_SLOTS, LIMITED_ARCH = 45, 90


# ---- what there is ------------------------------------------------------------------------------


def all_kernels(options):
    """Of all sources and architectures, each compiled once; and the disassembler, or None."""
    nvdisasm = compiler.find_nvdisasm(options.nvcc)
    if not nvdisasm:
        print("cuda_resources: no nvdisasm beside nvcc, on the path or in .venv: machine code is "
              "not read")
    architectures = [a.split("-")[0] for a in options.architectures.split(",")]
    # A kernel that stood elsewhere would be missed by all_launches().
    sources = [s for s in options.sources if "__global__" in pathlib.Path(s).read_text()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [pool.submit(compiler.kernels_of, options.nvcc, nvdisasm, options.include, *pair)
                 for pair in itertools.product(sources, architectures)]
    found = itertools.chain.from_iterable(part.result() for part in parts)
    return sorted(found, key=lambda kernel: (kernel.name, kernel.arch)), nvdisasm


def all_launches(program, kernels):
    """Rows of what the engine launches on devices of the kernels' architectures."""
    of = {(k.name, k.arch): k for k in kernels}
    rows = []
    for arch in sorted({k.arch for k in kernels} & occupancy.PROCESSORS.keys()):
        processor = occupancy.PROCESSORS[arch]
        device = {"RHOSWEEP_CUDA_PROCESSORS": str(processor.count),
                  "RHOSWEEP_CUDA_CAPABILITY": "9.0" if processor.clusters else "8.0"}
        told = subprocess.run([program], env=os.environ | device, capture_output=True, text=True)
        if told.returncode != 0:
            sys.exit(f"cuda_resources: {program}: {told.stderr.strip()}")
        for line in told.stdout.splitlines():
            hidden, columns, precision, name, grid, threads, cluster, shared = line.split("\t")
            kernel = of.get((compiler.short(name), arch))
            if not kernel:
                sys.exit(f"cuda_resources: {name} is launched, and not among the compiled kernels")
            rows.append({
                "arch": arch, "hidden": int(hidden), "columns": int(columns),
                "precision": precision, "kernel": kernel.name, "grid": int(grid),
                "threads": int(threads), "cluster": int(cluster), "shared": int(shared),
                "blocks": occupancy.blocks(arch, kernel.registers, int(threads),
                                           kernel.shared + int(shared))})
    return rows


def kernel_row(kernel):
    product, epilogue = kernel.product, kernel.epilogue
    return {"kernel": kernel.name, "arch": kernel.arch, "registers": kernel.registers,
            "spilled": kernel.spilled, "static shared": kernel.shared,
            "per fma": f"{product.instructions}/{product.fma}" if product else "",
            "per element": f"{epilogue.slots / epilogue.elements:.1f}" if epilogue else ""}


# ---- tables -------------------------------------------------------------------------------------

# Columns that name a row; the others are compared.
KERNEL_KEYS = ("kernel", "arch")
LAUNCH_KEYS = ("hidden", "columns", "precision", "kernel", "arch")


def compared(rows, before, keys):
    """The rows, with what was different `before` in front of an arrow; those that are gone last."""
    old = {tuple(row[k] for k in keys): row for row in before}
    out = []
    for row in rows:
        was = old.pop(tuple(row[k] for k in keys), None)
        for field in row:
            if field in keys:
                continue
            if was is None:
                row = row | {field: f"new: {row[field]}"} if row[field] != "" else row
            elif was[field] != row[field]:
                row = row | {field: f"{was[field] or 'none'} -> {row[field] or 'none'}"}
        out.append(row)
    gone = [row | {f: f"{v} -> gone" for f, v in row.items() if f not in keys and v != ""}
            for row in old.values()]
    return out + gone


def table(rows, keys):
    """Aligned Markdown."""
    if not rows:
        return ""
    lines = [list(rows[0])] + [[str(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    left = [name in keys and not isinstance(rows[0][name], int) for name in rows[0]]

    def put(cells):
        return "| " + " | ".join(cell.ljust(w) if l else cell.rjust(w)
                                 for cell, w, l in zip(cells, widths, left)) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if l else ":") for w, l in zip(widths, left)) + "|"
    return "\n".join([put(lines[0]), rule, *map(put, lines[1:])])


TEXT = """\
# What the compiler makes of the kernels

{compiler}. From `{command}`; nothing here was measured on a device.{change}

- **per fma**: instructions of an innermost product loop, and how many of them are fma.
- **per element**: issue slots of a step on its usual way, less the product, by the numbers of the
  product that a thread holds. Forward: all behind the product, to the end of the step, with tanh;
  backward: all but the product loop. The usual way is the shortest that loads what there is to
  load: no slow division, no non-finite state, no sum of norms, no remainder of a product. Where a
  kernel has no product (stepwise) or has it written out (small): the whole step, less K * H * H fma.
- **spilled**, **static shared**, **shared** (dynamic): bytes; **blocks**: at once on one processor,
  by registers, threads and shared memory.

## Kernels

{kernels}

## Launches
{launches}
"""


def one_row_a_line(figures):
    """As JSON, for readable differences."""
    parts = []
    for key, value in figures.items():
        rows = ",\n".join("  " + json.dumps(row) for row in value) if value else ""
        text = f"[\n{rows}\n ]" if isinstance(value, list) else json.dumps(value)
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def report(figures, before):
    change = f" Before -> after, before: {before['what']}." if before else ""
    kernels, launches = figures["kernels"], figures["launches"]
    if before:
        kernels = compared(kernels, before["kernels"], KERNEL_KEYS)
        launches = launches and compared(launches, before["launches"], LAUNCH_KEYS)
    devices = "".join(
        f"\n{p.count} processors of sm_{arch}"
        f"{', clusters' if p.clusters else ''}.\n\n"
        f"{table([row for row in launches if row['arch'] == arch], LAUNCH_KEYS)}\n"
        for arch, p in occupancy.PROCESSORS.items() if any(r["arch"] == arch for r in launches))
    return TEXT.format(compiler=figures["compiler"], change=change,
                       command="cmake --build build/release -t cuda_machine_code",
                       kernels=table(kernels, KERNEL_KEYS), launches=devices)


# ---- limits -------------------------------------------------------------------------------------


def spilling(kernels):
    return [f"{k.name} on sm_{k.arch} spills {k.spilled} bytes"
            for k in kernels if k.spilled > 0 and "double" not in k.name]


def slow_tanh(kernels):
    limited = [k for k in kernels if k.arch == LIMITED_ARCH and
               k.name.startswith("forward_kernel<float") and k.name.endswith(", 0>")]
    if not any(k.epilogue for k in limited):
        return [f"no forward_kernel<float> on sm_{LIMITED_ARCH}, whose tanh is limited"]
    slots = [(k, k.epilogue.slots / k.epilogue.elements) for k in limited if k.epilogue]
    return [f"{k.name} on sm_{k.arch} needs {s:.1f} issue slots per element, more than "
            f"{MOST_TANH_SLOTS}" for k, s in slots if s > MOST_TANH_SLOTS]


def broken_limits(kernels, disassembled):
    """A line for everything that is not as it must be."""
    limited = disassembled and any(k.arch == LIMITED_ARCH for k in kernels)
    return spilling(kernels) + (slow_tanh(kernels) if limited else [])


def main():
    sys.setrecursionlimit(20000)  # ways through long kernels
    parser = argparse.ArgumentParser(prog="cuda_resources", description=__doc__.split("\n\n")[0])
    parser.add_argument("nvcc")
    parser.add_argument("architectures", help="as CMake has them: 80-real,90-real,100")
    parser.add_argument("include")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--launches", metavar="PROGRAM",
                        help="cuda_launches, for blocks per processor")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--what", default="", help="of --json: what they are of, say a commit")
    parser.add_argument("--compare", metavar="FILE", help="figures before, from --json")
    parser.add_argument("--output", metavar="FILE", help="write the tables there as well")
    options = parser.parse_args()

    kernels, nvdisasm = all_kernels(options)
    if not kernels:
        sys.exit("cuda_resources: no kernel found")
    version = subprocess.run([options.nvcc, "--version"], capture_output=True, text=True).stdout
    figures = {
        "what": options.what,
        "compiler": "nvcc " + version.split("release ")[-1].split("\n")[0],
        "kernels": [kernel_row(k) for k in kernels],
        "launches": all_launches(options.launches, kernels) if options.launches else []}
    before = json.loads(pathlib.Path(options.compare).read_text()) if options.compare else None
    text = report(figures, before)
    print(text)
    if options.output:
        pathlib.Path(options.output).write_text(text)
    if options.json:
        pathlib.Path(options.json).write_text(one_row_a_line(figures))

    broken = broken_limits(kernels, nvdisasm is not None)
    for line in broken:
        print(f"cuda_resources: {line}", file=sys.stderr)
    sys.exit(1 if broken else 0 if nvdisasm else SKIPPED)


if __name__ == "__main__":
    main()
