"""What the processor can do at most, measured by the program `peak`."""

import os
import pathlib
import platform
import statistics

from programs import run_json


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


def of_peak(rounds, peaks, work):
    """The part of its own round's peak that the program reaches, the median over rounds. `work` is "flop", and peaks are in GFLOP/s,
    or it is "bytes", and they are in GB/s."""
    return statistics.median(
        measured[work] / peak / 1e6 / measured["median_ms"] for measured, peak in zip(rounds, peaks)
    )


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
