#!/usr/bin/env python3
"""What each node of SimpleCNN's captured training step costs on a GPU: bytes, FLOPs, floor and expected time.

    benchmarks/gpu_account.py                                    # each precision at batch 4, 128, 1024 and 4096, on an H100
    benchmarks/gpu_account.py --gpu h200 --precision bf16 --batch 128
    benchmarks/gpu_account.py --precision bf16 --batch 128 --profile build-gpu/report/profile-bf16-128.csv

The floor is what the GPU's peak rates allow; the expectation is a model, no measurement. A profile, the CSV of nsys that the stage
`profile` of scripts/gpu_check leaves, puts measured times beside them. The nodes must be those that benchmarks/step_nodes.txt lists,
and a test holds that list against a captured step (tests/train/captured/step_nodes_test.cpp).
"""

import argparse
import csv
import pathlib
import statistics
import sys
from typing import Callable, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRECISIONS = ("bf16", "tf32", "fp32")
BATCHES = (4, 128, 1024, 4096)


class Gpu(NamedTuple):
    name: str
    peak: dict  # FLOP/s, dense
    memory: float  # bytes/s
    copy: float  # bytes/s that a large copy reaches, read and written
    cache: float  # bytes/s where all lies in the second-level cache
    cache_bytes: float


# ---- constants, and where they come from -------------------------------------------------------

TFLOPS, TB, MB, US = 1e12, 1e12, 1e6, 1e-6
# NVIDIA's data sheets of the H100 SXM and the H200 SXM; tensor rates there are with sparsity, twice these.
PEAK = {"fp32": 67 * TFLOPS, "tf32": 494.7 * TFLOPS, "bf16": 989.4 * TFLOPS}
GPUS = {
    # copy: measured, docs/gpu.md. cache: an estimate.
    "h100": Gpu("H100 80GB HBM3", PEAK, 3.35 * TB, 2.995 * TB, 4.5 * TB, 45 * MB),
    # copy: an estimate, the same part of the data sheet's rate.
    "h200": Gpu("H200", PEAK, 4.8 * TB, 4.8 / 3.35 * 2.995 * TB, 4.5 * TB, 45 * MB),
}
GAP = 1.0 * US  # from one node of a graph to the next: an estimate
SMALLEST = 0.7 * US  # the body of a kernel that does hardly anything: an estimate
# Parts of the peak that the fused convolutions reach: estimates. In fp32 288 of 314 instructions of the inner loop are FFMA. On
# tensor cores mma.sync reaches 63 % of Hopper's peak at most (arXiv:2501.12084), and there is pooling to do.
FUSED = {"fp32": 0.5, "tf32": 0.25, "bf16": 0.2}
# In fp32 the weight's gradient has a quarter of a dense one's products, and reads shared memory as often: as slow as a dense one. On
# tensor cores it is dense: 72 HMMA beside 18 LDSM in the inner loop in bf16, 64 LDS in tf32, so the rate of the others.
SPARSE = 0.25
# Parts of the peak that the products of the linear layers reach: estimates, as of the convolutions. An mma there has no pooling.
GEMM = {"fp32": 0.5, "tf32": 0.25, "bf16": 0.2}
# Each row of the head is a warp's, whose five shuffles a class wait for each other: rows a second on all SMs, an estimate.
HEAD_ROWS = 1.5e9
# What the last kernel's blocks do before they know whether the loss is finite, and the last one behind the others: an estimate.
TAIL = 1.0 * US

# Whole steps on an H100, in µs, commit 21e0130, docs/gpu.md; nothing of them was fused yet.
MEASURED = {
    "fp32": {4: 112, 128: 183, 1024: 742},
    "tf32": {4: 98, 128: 169, 1024: 613},
    "bf16": {4: 98, 128: 159, 1024: 588},
}
MEASURED_NODES = {"fp32": 35, "tf32": 35, "bf16": 39}

# ---- SimpleCNN: elements of an image, and weights ----------------------------------------------

X, C1, P1, C2, P2, H, O = 3072, 16384, 4096, 8192, 2048, 128, 10
CONV1, CONV2, FC1, FC2 = 2 * 27 * C1, 2 * 144 * C2, 2 * P2 * H, 2 * H * O  # FLOPs of an image
W1, W2, WF1, WF2 = 16 * 28, 32 * 145, H * (P2 + 1), O * (H + 1)  # weights with biases
WEIGHTS = W1 + W2 + WF1 + WF2


class Node(NamedTuple):
    launch: str  # what the library calls the launch
    what: str
    image_bytes: float  # read and written, for each image
    fixed_bytes: float = 0
    image_flops: float = 0
    rate: Callable = None  # FLOP/s that are expected, by GPU; None: memory alone decides
    extra: float = 0  # seconds beside
    image_time: float = 0  # seconds for each image, if that is longer


def linear(precision):
    return lambda gpu: GEMM[precision] * gpu.peak[precision]


def of_dweight(precision):
    """The products that a gradient of the weight has, of a dense one's."""
    return SPARSE if precision == "fp32" else 1


def fused(precision, forward, backward=0.0):
    """FLOP/s where `forward` of the FLOPs run as the forward does, and `backward` of dense ones are a weight's gradient."""

    def rate(gpu):
        products = forward + of_dweight(precision) * backward
        return FUSED[precision] * gpu.peak[precision] * products / (forward + backward)

    return rate


def slices_of(batch):
    """Slices of fc1's products and of its weight's gradient: linear_slices.h."""
    tiles, weight_tiles = -(-batch // 64) * (H // 64), (H // 64) * (P2 // 64)
    forward = max(min(264 // tiles, P2 // 64), P2 // 1024)
    return forward, max(min(264 // weight_tiles, 4, batch // 64), -(-batch // 1024))


def step(precision, batch=128):
    """The nodes of a step, in order. Activations are of `e` bytes; weights, their gradients and sums of slices are f32."""
    e = 2 if precision == "bf16" else 4
    dense, backward = fused(precision, 1), "conv2d_relu_pool_backward"
    of_fc1, of_dfc1 = slices_of(batch)
    of_dconv2 = 132 if precision == "tf32" else 264  # there a block has 8 inputs, else 16
    head_blocks = min(-(-batch // 8), 128)
    return [
        Node(
            "conv2d_relu_pool_gathers",
            "gather, conv1 to pool1",
            X + e * (X + P1) + P1,
            4 * W1,
            CONV1,
            dense,
        ),
        Node("conv2d_relu_pool", "conv2 to flatten", e * (P1 + P2) + P2, 4 * W2, CONV2, dense),
        Node(
            "linear_forward_slices", "fc1", e * P2 + 4 * of_fc1 * H, 4 * WF1, FC1, linear(precision)
        ),
        Node(
            "linear_head",
            "fc1's bias to loss, fc2's gradients",
            4 * of_fc1 * H + e * H + 4 * O,
            4 * head_blocks * WF2,
            2 * FC2,
            image_time=1 / HEAD_ROWS,
        ),
        Node(
            "linear_backward_slices",
            "fc1 backward",
            e * 2 * (P2 + H),
            4 * (1 + of_dfc1) * WF1,
            2 * FC1,
            linear(precision),
        ),
        Node(
            backward,
            "conv2 backward",
            2 * e * (P1 + P2) + 2 * P2,
            4 * (1 + of_dconv2) * W2,
            (1 + of_dweight(precision)) * CONV2,
            fused(precision, 1, 1),
        ),
        Node(
            backward,
            "conv1 backward",
            e * (X + P1) + P1,
            4 * 265 * W1,
            of_dweight(precision) * CONV1,
            fused(precision, 0, 1),
        ),
        Node(
            "adam_tail",
            "slices, Adam, report, clock",
            0,
            28 * WEIGHTS + 4 * (264 * W1 + of_dconv2 * W2 + head_blocks * WF2 + of_dfc1 * WF1),
            extra=TAIL,
        ),
    ]


def floor(node, batch, gpu, precision):
    """The least time that the data sheet's rates allow, in seconds."""
    return max(bytes_of(node, batch) / gpu.memory, node.image_flops * batch / gpu.peak[precision])


def expected(node, batch, gpu):
    size = bytes_of(node, batch)
    by_memory = size / (gpu.cache if size < gpu.cache_bytes else gpu.copy)
    by_products = node.image_flops * batch / node.rate(gpu) if node.rate else 0
    return GAP + max(SMALLEST, by_memory, by_products, node.image_time * batch) + node.extra


def bytes_of(node, batch):
    return node.image_bytes * batch + node.fixed_bytes


# ---- what a captured step has ------------------------------------------------------------------


def read_nodes(file, precision):
    prefix = precision + " "
    return [l.removeprefix(prefix) for l in file.read_text().splitlines() if l.startswith(prefix)]


def check(file, precision):
    """Ends the program unless the account has the nodes of the list, in its order."""
    listed, assumed = read_nodes(file, precision), [node.launch for node in step(precision)]
    if listed == assumed:
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(listed, assumed)) if a != b),
        min(len(listed), len(assumed)),
    )
    found = [nodes[at] if at < len(nodes) else "none" for nodes in (listed, assumed)]
    sys.exit(
        f"gpu_account: node {at + 1} of a step in {precision} is {found[0]} in {file}, and {found[1]} in the account:"
        f" {len(listed)} nodes there, {len(assumed)} here"
    )


# ---- what was measured -------------------------------------------------------------------------


def read_profile(file):
    """The names and durations in seconds of what the GPU did, in order."""
    lines = file.read_text().splitlines()
    head = next((i for i, line in enumerate(lines) if line.startswith("Start (ns)")), None)
    if head is None:
        sys.exit(f"gpu_account: {file} is no CSV of nsys' cuda_gpu_trace")
    return [
        (row["Name"], float(row["Start (ns)"]) * 1e-9, float(row["Duration (ns)"]) * 1e-9)
        for row in csv.DictReader(lines[head:])
    ]


def measured(nodes, trace):
    """Median seconds of each node and of a step."""
    ends = [i for i, (name, _, _) in enumerate(trace) if nodes[-1].launch in name]
    steps = [trace[a + 1 : b + 1] for a, b in zip(ends, ends[1:])]
    steps = [s for s in steps if len(s) == len(nodes)]
    if len(steps) < 3:
        sys.exit(
            f"gpu_account: the profile has {len(steps)} steps with the {len(nodes)} kernels that the account has; 3 are needed"
        )
    medians = [statistics.median(s[i][2] for s in steps) for i in range(len(nodes))]
    whole = statistics.median(
        b[-1][1] + b[-1][2] - a[-1][1] - a[-1][2] for a, b in zip(steps, steps[1:])
    )
    return medians, whole


# ---- the table ---------------------------------------------------------------------------------


def print_account(precision, batch, gpu, profile):
    nodes = step(precision, batch)
    print(
        f"\n{precision}, batch {batch}, {gpu.name}: {len(nodes)} nodes; µs, expected with the gap of {GAP / US:.1f} before each\n"
    )
    row = "{:>3} {:<26} {:<36} {:>9} {:>9} {:>8} {:>9}"
    head = ["", "node", "what", "MB", "MFLOP", "floor", "expected"]
    times, whole = (
        measured(nodes, read_profile(profile)) if profile else ([None] * len(nodes), None)
    )
    print(row.format(*head) + ("  measured" if profile else ""))
    sums = [0.0] * 5
    for i, (node, time) in enumerate(zip(nodes, times)):
        figures = (
            bytes_of(node, batch) / 1e6,
            node.image_flops * batch / 1e6,
            floor(node, batch, gpu, precision) / US,
            expected(node, batch, gpu) / US,
            (time or 0) / US,
        )
        sums = [a + b for a, b in zip(sums, figures)]
        texts = (
            f"{figures[0]:,.2f}",
            f"{figures[1]:,.1f}",
            f"{figures[2]:,.2f}",
            f"{figures[3]:,.1f}",
        )
        beside = f"{figures[4]:>10,.1f}" if profile else ""
        print(row.format(i + 1, node.launch, node.what, *texts) + beside)
    texts = (f"{sums[0]:,.2f}", f"{sums[1]:,.1f}", f"{sums[2]:,.2f}", f"{sums[3]:,.1f}")
    print(row.format("", "sum", "", *texts) + (f"{sums[4]:>10,.1f}" if profile else ""))
    known = MEASURED[precision].get(batch)
    if known and gpu is GPUS["h100"]:
        print(f"    measured on 2026-11-27, with {MEASURED_NODES[precision]} nodes: {known:,}")
    if profile:
        print(
            f"    from step to step: {whole / US:,.1f}, of which {(whole - sums[4] * US) / US:,.1f} between nodes"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", choices=GPUS, default="h100", help="whose rates (h100)")
    parser.add_argument("--precision", choices=PRECISIONS, help="this one only")
    parser.add_argument("--batch", type=int, choices=BATCHES, help="this size only")
    parser.add_argument(
        "--profile",
        type=pathlib.Path,
        metavar="FILE",
        help="measured times, of one precision and batch",
    )
    parser.add_argument(
        "--check",
        type=pathlib.Path,
        metavar="FILE",
        help="only compare the nodes with those that this file lists",
    )
    options = parser.parse_args()
    if options.profile and not (options.precision and options.batch):
        parser.error("--profile is of one --precision and one --batch")
    precisions = [options.precision] if options.precision else PRECISIONS
    for precision in precisions:
        check(options.check or ROOT / "benchmarks/step_nodes.txt", precision)
    if options.check:
        print(
            "the nodes are those of the account: "
            + ", ".join(f"{len(step(p))} in {p}" for p in precisions)
        )
        return
    for precision in precisions:
        for batch in [options.batch] if options.batch else BATCHES:
            print_account(precision, batch, GPUS[options.gpu], options.profile)


if __name__ == "__main__":
    main()
