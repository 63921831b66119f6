"""Blocks that a processor holds at once, by registers, threads and shared memory.

The limits are those of CUDA's programming guide, table "Technical Specifications per Compute
Capability"; registers go to warps in units of 256, and each of a processor's four schedulers has a
quarter of them.
"""

import typing

_WARP, _SCHEDULERS, _REGISTERS, _UNIT = 32, 4, 65536, 256
_RESERVED, _SHARED_UNIT = 1024, 128  # bytes of a block


class Processor(typing.NamedTuple):
    warps: int
    blocks: int
    shared: int  # bytes
    clusters: bool
    count: int  # of the largest device: A100, H100, B200


PROCESSORS = {
    80: Processor(64, 32, 164 << 10, False, 108),
    90: Processor(64, 32, 228 << 10, True, 132),
    100: Processor(64, 32, 228 << 10, True, 148),
}


def _up(number, unit):
    return -(-number // unit) * unit


def blocks(arch, registers, threads, shared):
    """Blocks of so many threads at once on one processor; 0 where not even one fits. `shared`:
    static and dynamic, bytes."""
    processor = PROCESSORS[arch]
    warps = -(-threads // _WARP)
    of_scheduler = _REGISTERS // _SCHEDULERS // _up(registers * _WARP, _UNIT)
    return min(processor.blocks, processor.warps // warps, of_scheduler * _SCHEDULERS // warps,
               processor.shared // (_up(shared, _SHARED_UNIT) + _RESERVED))
