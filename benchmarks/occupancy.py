"""How many blocks of a kernel a multiprocessor holds, as <cuda_occupancy.h> of the CUDA toolkit computes it.

Of its limits those that a kernel of ours can meet are here; tests/scripts/kernel_resources_test.sh compares the two.
"""

from typing import NamedTuple

WARP = 32
REGISTERS = 65536  # of a multiprocessor, in quarters
QUARTERS = 4
REGISTER_UNIT = 256  # a warp gets a multiple
SHARED_UNIT = 128  # a block gets a multiple
SHARED_RESERVED = 1024  # the driver's share of each block


class Multiprocessor(NamedTuple):
    threads: int
    blocks: int
    shared: int  # bytes


# By compute capability, as the CUDA C++ Programming Guide lists them.
MULTIPROCESSORS = {
    "8.0": Multiprocessor(2048, 32, 164 * 1024),
    "9.0": Multiprocessor(2048, 32, 228 * 1024),
    "12.0": Multiprocessor(1536, 24, 100 * 1024),
}


def round_up(value, unit):
    return -(-value // unit) * unit


def blocks(capability, threads, registers, shared):
    """Blocks of `threads` that a multiprocessor holds at once. `shared`: bytes of a block, static and dynamic."""
    limits = MULTIPROCESSORS[capability]
    warps = -(-threads // WARP)
    by_registers = limits.blocks
    if registers:
        of_a_warp = round_up(registers * WARP, REGISTER_UNIT)
        by_registers = REGISTERS // QUARTERS // of_a_warp * QUARTERS // warps
        if of_a_warp * round_up(warps, QUARTERS) > REGISTERS:
            by_registers = 0  # a launch asks for them in all quarters alike
    by_shared = limits.shared // round_up(shared + SHARED_RESERVED, SHARED_UNIT)
    return min(limits.blocks, limits.threads // (warps * WARP), by_registers, by_shared)
