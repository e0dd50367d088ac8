#!/usr/bin/env python3
"""What a training step would take on up to 1,024 GPUs: a model of strong and weak scaling, no measurement.

    benchmarks/scaling/model.py                                   # SimpleCNN in fp32 on H100s: the tables of docs/scaling.md
    benchmarks/scaling/model.py --parameters 11173962 --steps 128=4.1,512=14.9   # a network of one's own

It takes the measured step of one GPU, the bytes of the gradient in buckets of 1 MiB, and the links' published rates. The time of an
all-reduce is the least of NCCL's rings and trees, whose latencies are those of NCCL's own table. Buckets become ready one after another
in the backward, are reduced one after another, and hide behind it as far as they can.
"""

import argparse
import math
from typing import NamedTuple

# ---- constants, and where they come from -------------------------------------------------------

# Milliseconds of a step of SimpleCNN in fp32 on one H100, by images: docs/gpu.md, "What an H100 showed".
STEPS = {4: 0.112, 128: 0.183, 1024: 0.742}
PARAMETERS = 268_650  # of SimpleCNN, as its summary says
BUCKET = 2**20  # bytes: TrainStep's
BACKWARD = 2 / 3  # of a step: twice the forward's products

# Bytes/s in one direction. NVIDIA's data sheet of the H100 SXM: NVLink 900 GB/s, both directions together. DGX H100's: eight ConnectX-7
# of 400 Gb/s for eight GPUs.
GPUS_PER_NODE = 8
NVLINK = 450e9
NODE_LINKS = 8 * 400e9 / 8

# Seconds. NCCL's table of latencies (src/graph/tuning.cc, commit 01afd20): of a call, of a step over NVLink, of a step over the network;
# and the part of the links' rate that a protocol reaches, as there.
US = 1e-6


class Protocol(NamedTuple):
    call: float
    nvlink: float
    network: float
    rate: float


RINGS = (
    Protocol(3.6, 0.47, 2.7, 1 / 4),
    Protocol(10.0, 1.9, 4.0, 0.92),
    Protocol(8.4, 3.4, 9.6, 1),
)
TREES = (Protocol(4.4, 0.52, 5.0, 0.9 / 3.8), Protocol(4.4, 1.2, 8.5, 0.9 * 0.915))


def all_reduce(count: int, gpus: int) -> float:
    """Seconds for `count` bytes."""
    if gpus == 1:
        return 0.0
    nodes = max(1, gpus // GPUS_PER_NODE)
    local = gpus // nodes
    rate = NVLINK if nodes == 1 else min(NVLINK, NODE_LINKS)

    def ring(protocol: Protocol) -> float:
        between = 2 * (nodes - 1)
        latency = (
            protocol.call
            + (2 * (gpus - 1) - between) * protocol.nvlink
            + between * protocol.network
        )
        return latency * US + count * 2 * (gpus - 1) / gpus / (rate * protocol.rate)

    def tree(protocol: Protocol) -> float:
        latency = protocol.call + 2 * (
            (local - 1) * protocol.nvlink + math.log2(nodes) * protocol.network
        )
        return latency * US + count * 2 / (rate * protocol.rate)

    return min([ring(protocol) for protocol in RINGS] + [tree(protocol) for protocol in TREES])


def alone(images: float, steps: dict) -> float:
    """Seconds of one GPU's step: a straight line between what was measured, and not less than the shortest."""
    sizes = sorted(steps)
    if images <= sizes[0]:
        return steps[sizes[0]] / 1e3
    lower, upper = next(((a, b) for a, b in zip(sizes, sizes[1:]) if images <= b), sizes[-2:])
    slope = (steps[upper] - steps[lower]) / (upper - lower)
    return (steps[lower] + slope * (images - lower)) / 1e3


def together(images: float, gpus: int, parameters: int, steps: dict) -> float:
    """Seconds of a step of `gpus` GPUs with `images` each."""
    own = alone(images, steps)
    left = 4 * parameters
    buckets = math.ceil(left / BUCKET)
    done = 0.0
    for bucket in range(buckets):
        ready = own * (1 - BACKWARD + BACKWARD * (bucket + 1) / buckets)
        done = max(done, ready) + all_reduce(min(left, BUCKET), gpus)
        left -= BUCKET
    return max(own, done)


def row(cells: list) -> str:
    return "| " + " | ".join(cells) + " |"


def table(title: str, columns: list, images_of, arguments) -> None:
    print(f"\n{title}\n")
    print(row(["GPUs"] + [f"{column:,}: ms, images/s, efficiency" for column in columns]))
    print(row(["---:"] * (1 + len(columns))))
    for gpus in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        cells = [f"{gpus:,}"]
        for column in columns:
            images = images_of(column, gpus)
            if images < 1:
                cells.append("–")
                continue
            seconds = together(images, gpus, arguments.parameters, arguments.steps)
            rate = gpus * images / seconds
            one = images_of(column, 1) / alone(images_of(column, 1), arguments.steps)
            cells.append(
                f"{1e3 * seconds:.3f}, {rate / 1e6:,.1f} M, {100 * rate / (gpus * one):.0f} %"
            )
        print(row(cells))


def steps_of(text: str) -> dict:
    steps = {int(images): float(ms) for images, ms in (pair.split("=") for pair in text.split(","))}
    if len(steps) < 2:
        raise argparse.ArgumentTypeError("at least two batch sizes are needed: 128=0.18,1024=0.74")
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--parameters", type=int, default=PARAMETERS, help="of the network")
    parser.add_argument(
        "--steps", type=steps_of, default=STEPS, help="milliseconds by images: 128=0.18,1024=0.74"
    )
    arguments = parser.parse_args()
    largest = max(arguments.steps)
    table(
        "Weak scaling: images on each GPU",
        sorted(arguments.steps)[-2:],
        lambda images, gpus: images,
        arguments,
    )
    table(
        "Strong scaling: images on all GPUs together",
        [largest, 16 * largest],
        lambda images, gpus: images / gpus,
        arguments,
    )


if __name__ == "__main__":
    main()
