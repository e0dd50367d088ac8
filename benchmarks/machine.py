"""What the processor can do at most, measured by the program `peak`, and what SimpleCNN asks of it."""

import os
import pathlib
import platform
import statistics

from programs import run_json


def convolution(in_channels, out_channels, size):
    """Floating-point operations of a 3 x 3 convolution that keeps size x size."""
    return 2 * 3 * 3 * in_channels * out_channels * size * size


def linear(in_features, out_features):
    return 2 * in_features * out_features


# The layers of models/simple_cnn.h, for one image. A backward makes two products of each forward's size, except that nobody asks
# for the images' gradient.
FIRST = convolution(3, 16, 32)
FORWARD = FIRST + convolution(16, 32, 16) + linear(32 * 8 * 8, 128) + linear(128, 10)
FLOPS = {"infer": FORWARD, "train": 3 * FORWARD - FIRST}


class Machine:
    """Measures again and again, because machines drift, and keeps everything."""

    def __init__(self, options):
        self.program = str(pathlib.Path(options.bench).with_name("peak"))
        self.threads = options.threads
        self.fma = {}  # GFLOP/s by Highway's name of the instruction set
        self.copies = []  # GB/s
        self.copy_mib = 0

    def is_built(self):
        return os.access(self.program, os.X_OK)

    def measure(self, instruction_set="", copy=False):
        """The GFLOP/s of all threads now. Raises RuntimeError where the machine has no such instruction set."""
        command = [self.program, "--threads", str(self.threads)]
        command += ["--instruction-set", instruction_set] if instruction_set else []
        measured = run_json(command + ([] if copy else ["--copy-mb", "0"]))
        self.fma.setdefault(measured["instruction_set"], []).append(measured["fma_gflops"])
        if copy:
            self.copies.append(measured["copy_gbps"])
            self.copy_mib = measured["copy_mib"]
        return measured["fma_gflops"]

    def results(self, options):
        """For the file of --json."""
        row = {
            "what": "peak",
            "batch": None,
            "device": options.device,
            "program": "peak",
            "threads": self.threads,
        }
        fma = {name: statistics.median(rates) for name, rates in self.fma.items()}
        row |= {
            "fma_gflops": fma,
            "copy_gbps": statistics.median(self.copies),
            "copy_mib": self.copy_mib,
        }
        return row | {"rounds": {"fma_gflops": self.fma, "copy_gbps": self.copies}}


def bound_ms(cell, gflops):
    """The time that the products of a step need at least."""
    return FLOPS[cell.what] * cell.batch / gflops / 1e6


def of_bound(cell, rounds, peaks):
    """The part of the peak of its own round that the program reaches; the median over rounds."""
    return statistics.median(
        bound_ms(cell, peak) / measured["median_ms"] for measured, peak in zip(rounds, peaks)
    )


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
