#!/usr/bin/env python3
"""Times many small networks in libgpucnn and its rivals in turn, on the CPU, and prints a Markdown table.

    nice python3 benchmarks/compare_networks.py --compile-only              # half an hour of PyTorch's compiler, once
    python3 benchmarks/compare_networks.py                                  # then some twenty minutes on two cores
    python3 benchmarks/compare_networks.py --networks vgg8 mlp --what infer --batches 128 --rivals eager --rounds 3

Networks are those of benchmarks/zoo/networks.h: the same layers, sizes and numbers of parameters in all programs. A training step is
zero_grad, forward, loss, backward and Adam on a fixed batch; inference is a forward pass. The rivals are PyTorch, eager and compiled,
channels-last with fused Adam, threads bound to cores and jemalloc where it is installed, and in inference ONNX Runtime and OpenVINO.
They read the file that `export_onnx` writes. dlib is one for five networks, if it was installed when libgpucnn was built. Rounds alternate between the programs; times are medians over rounds.

The ratio is the best rival's time / libgpucnn's in the same round. The FMA bound is the time that all multiply-adds of dense
convolutions and linear layers take at the processor's peak, as measured in the same round. The copy bound is the time that a copy
beyond all caches would take for the activations that convolutions, linear layers and poolings read and write. Winograd's convolutions
need fewer multiply-adds, and activations may lie in a cache: both can be passed.

What PyTorch's compiler makes is kept in TORCHINDUCTOR_CACHE_DIR, by default ~/.cache/gpucnn_inductor. --compile-only fills that beforehand,
beside other work and as many cells at once as there are threads, and measures nothing.

With --precision bf16 PyTorch computes under autocast, and OpenVINO by its inference precision.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

from machine import Machine, cpu_name, of_peak
from programs import (
    DLIB,
    DLIB_NETWORKS,
    JEMALLOC,
    Cell,
    clean_environment,
    compare,
    dlib_bench,
    prepare,
    summarize,
)
from rivals import ONNX, OPENVINO
from tables import against_best, best_of, print_machine, print_row

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORKS = ["allconv", "caffe_lenet", "convnet_quick", "lenet5", "mlp", "mobile"]
NETWORKS += ["pool64", "resnet18", "resnet20", "simple_cnn", "vgg8"]
BATCHES = {"train": [16, 128], "infer": [1, 128]}
LAYOUT = "channels-last" + (", jemalloc" if JEMALLOC else "")
PYTORCH = {mode: f"PyTorch {mode}, {LAYOUT}" for mode in ("eager", "compiled")}
RUNTIMES = {"onnxruntime": ONNX, "openvino": OPENVINO}
HEAD = """| what | batch | network | libgpucnn ms | best rival | its ms | ratio (min – max) | of the FMA bound | of the copy bound |
| --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: |"""


def fail(message):
    sys.exit(f"compare_networks.py: {message}")


def parse_options():
    parser = argparse.ArgumentParser(
        description="Times many small networks in libgpucnn and its rivals in turn, on the CPU."
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--what", nargs="+", choices=tuple(BATCHES), default=list(BATCHES))
    parser.add_argument(
        "--batches", type=int, nargs="+", help="images a step (train 16 128, infer 1 128)"
    )
    parser.add_argument(
        "--rivals",
        nargs="+",
        choices=(*PYTORCH, *RUNTIMES, DLIB),
        help="(all that are installed)",
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument(
        "--bench",
        default=str(ROOT / "build/benchmarks/network_bench"),
        help="network_bench, which has peak beside it (%(default)s)",
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=0.5, help="of a measurement (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of every program (%(default)s)"
    )
    parser.add_argument(
        "--compile-only", action="store_true", help="only lets PyTorch compile all networks"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="also writes every measurement there"
    )
    options = parser.parse_args()
    if min([*(options.batches or []), options.threads, options.rounds]) < 1:
        parser.error("batches, threads and rounds must be at least 1")
    if not 0.01 <= options.seconds <= 3600:
        parser.error("seconds must be from 0.01 to 3600")
    options.device, options.together = "cpu", 1
    kept = pathlib.Path.home() / ".cache" / "gpucnn_inductor"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kept))
    return options


def has(package):
    return importlib.util.find_spec(package) is not None


def choose_rivals(options):
    wanted = options.rivals or [*PYTORCH, *RUNTIMES, DLIB]
    packages = {name: "torch" for name in PYTORCH} | {name: name for name in RUNTIMES}
    python = [name for name in wanted if name in packages]
    missing = sorted({packages[name] for name in python if not has(packages[name])})
    if missing and options.rivals:
        fail(f"missing: pip install {' '.join(missing)}")
    if missing:
        print(f"left out: pip install {' '.join(missing)}", file=sys.stderr)
    there = [name for name in python if has(packages[name])]
    options.dlib = DLIB in wanted and options.precision == "fp32" and dlib_bench(options).exists()
    if DLIB in (options.rivals or []) and not options.dlib:
        if options.precision != "fp32":
            fail("dlib computes in fp32 only")
        fail(f"there is no {dlib_bench(options)}: install dlib, and build libgpucnn again")
    options.pytorch = [PYTORCH[name] for name in there if name in PYTORCH]
    options.onnx_runtimes = [RUNTIMES[name] for name in there if name in RUNTIMES]
    versions = [f"{name} {version(name)}" for name in ("torch", *RUNTIMES) if has(name)]
    print(
        f"{cpu_name()}, {options.threads} threads, {options.precision}, {options.rounds} rounds of "
        f"{options.seconds:g} s; {', '.join(versions)}."
    )


def parameters_of(command):
    """How many a network has, by one of our programs."""
    done = subprocess.run(
        command, env=clean_environment(), check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return json.loads(done.stdout)["parameters"]


def check_parameters(options):
    """That the rivals have the networks of zoo/networks.h, as far as their numbers of parameters tell."""
    theirs = {"PyTorch": {}, DLIB: {}}
    if has("torch"):
        script = str(ROOT / "benchmarks" / "zoo" / "networks.py")
        command = [sys.executable, script, *options.networks]
        done = subprocess.run(command, check=True, capture_output=True)
        theirs["PyTorch"] = json.loads(done.stdout)
    what = ["--what", "infer", "--batch", "1"]
    if options.dlib:
        for name in set(options.networks) & set(DLIB_NETWORKS):
            command = [str(dlib_bench(options)), "--network", name, *what]
            theirs[DLIB][name] = parameters_of(command)
    for name in {*theirs["PyTorch"], *theirs[DLIB]}:
        ours = parameters_of([options.bench, "--network", name, *what, "--seconds", "0.01"])
        for program, counts in theirs.items():
            if ours != counts.get(name, ours):
                fail(f"{name} has {ours} parameters in libgpucnn, {counts[name]} in {program}")


def cells_of(options):
    return [
        Cell(what, batch, network=network)
        for what in options.what
        for batch in options.batches or BATCHES[what]
        for network in options.networks
    ]


def compile_cells(options):
    """Fills the cache of PyTorch's compiler."""
    options.pytorch = [name for name in options.pytorch if name == PYTORCH["compiled"]]
    options.onnx_runtimes, options.dlib = [], False
    if not options.pytorch:
        fail("PyTorch's compiler is not among the rivals")

    def compile_cell(cell):
        start = time.monotonic()
        try:
            prepare(cell, options)
            result = f"{time.monotonic() - start:.0f} s"
        except RuntimeError as error:
            result = str(error)
        print(f"{cell.network}, {cell.label}, batch {cell.batch}: {result}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        list(pool.map(compile_cell, cells_of(options)))


def measure_cell(cell, machine, options):
    """The results of one cell, libgpucnn's first, which has its parts of the bounds too."""
    machine.measure(copy=True)
    rounds, peaks = compare(cell, machine.measure, options)
    results = summarize(cell, rounds, options)
    ours = results[0]
    copies = [machine.copies[-1]] * len(peaks)
    ours["of_fma_bound"] = of_peak(ours["rounds"], peaks, "flop")
    ours["of_copy_bound"] = of_peak(ours["rounds"], copies, "bytes")
    return results


def print_cell(results):
    ours = results[0]
    line = [ours["what"], ours["batch"], ours["network"], f"{ours['median_ms']:.3f}"]
    bounds = [f"{ours['of_fma_bound']:.0%}", f"{ours['of_copy_bound']:.0%}"]
    print_row(line + against_best(results) + bounds)


def print_summary(compared):
    """A line for each what and batch: the median ratio, and the least one with its network."""
    ratios = {}
    for results in compared:
        best = best_of(results)
        if best:
            ours = results[0]
            cells = ratios.setdefault((ours["what"], ours["batch"]), [])
            cells.append((best["ratio"], ours["network"]))
    print()
    for (what, batch), cells in ratios.items():
        middle = statistics.median(ratio for ratio, _ in cells)
        least, network = min(cells)
        print(
            f"- {what}, batch {batch}: ratio {middle:.2f} in the median, {least:.2f} at least ({network})."
        )


def main():
    options = parse_options()
    machine = Machine(options)
    if not os.access(options.bench, os.X_OK) or not machine.is_built():
        fail(
            f"there is no {options.bench} with peak beside it: build libgpucnn, or name it with --bench"
        )
    choose_rivals(options)
    if options.compile_only:
        return compile_cells(options)
    check_parameters(options)
    print(f"\n{HEAD}", flush=True)
    compared = []
    for cell in cells_of(options):
        try:
            results = measure_cell(cell, machine, options)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            fail(error)
        print_cell(results)
        compared.append(results)
        if options.json:
            rows = [row for cell in compared for row in cell]
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print_machine(machine)
    print_summary(compared)


if __name__ == "__main__":
    main()
