#!/usr/bin/env python3
"""Times SimpleCNN, or a ResNet, in libgpucnn, PyTorch and, on the CPU, ONNX Runtime in turn and prints Markdown tables.

    python3 benchmarks/compare_pytorch.py --data DIR        # DIR: CIFAR-10, binary version; about ten minutes on two cores
    python3 benchmarks/compare_pytorch.py --what train --batches 128 --rounds 3 --seconds 0.5
    python3 benchmarks/compare_pytorch.py --device cuda --precision tf32 --batches 4 128 1024 4096
    python3 benchmarks/compare_pytorch.py --network resnet18 --device cuda --precision bf16 --batches 256

Same network, batch, precision and, on the CPU, threads. A training step is zero_grad, forward, loss, backward and Adam on fixed
random inputs with dropout on; inference is a forward pass. Every configuration has a process with an environment of its own, which
waits while another one is measured; the rounds alternate, and what is printed are medians over rounds.

On the CPU PyTorch runs at its best: eager and compiled (frozen for inference), NCHW and channels-last, fused Adam, threads bound to
cores, with the C library's allocator and, if it is installed, with jemalloc told to keep its pages. Behind the table of all
programs comes a summary: what the machine can do, measured in every round; libgpucnn, its best rival and the bound that
multiply-adds set, with AVX2 forced on all of them too; and libgpucnn's start, its rate beside a busy neighbour, and an epoch of
train_cifar with its memory.

On a GPU PyTorch runs channels-last with fused Adam and cuDNN's fastest algorithms: eager; compiled with mode "reduce-overhead",
which captures forward and backward as CUDA graphs; and a whole step, eager or compiled, captured as one CUDA graph. libgpucnn's
training step is its Trainer's, which also gathers and normalises a new batch of a shuffled set and counts what was right;
PyTorch's inputs stay where they are. Both wait for the GPU once in --together steps. tf32 allows TF32 in PyTorch's products and
convolutions, fp32 forbids it. bf16 is autocast in PyTorch: fp32 weights are rounded to bf16 in every step, and the loss and what
else autocast lists runs in fp32.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import sys
from importlib.metadata import version

from figures import FIGURES
from machine import Machine, cpu_name, of_peak
from programs import JEMALLOC, PYTORCH, Cell, compare, summarize
from rivals import ONNX
from tables import LONG_HEAD, print_long, print_machine, print_short

ROOT = pathlib.Path(__file__).resolve().parent.parent
WHATS = ("train", "avx2", "infer", *FIGURES)
BATCHES = {"train": [4, 128, 1024], "infer": [1, 4, 128, 1024]}
BATCHES_CUDA = [4, 128, 1024, 4096]
BATCHES_RESNET = {"train": [32], "infer": [1, 32]}
BATCHES_RESNET_CUDA = [128, 256]
AVX2 = Cell("train", 128, "AVX2")


def fail(message):
    sys.exit(f"compare_pytorch.py: {message}")


def warn(message):
    print(f"compare_pytorch.py: {message}", file=sys.stderr)


def gpu_name(device):
    import torch

    if not torch.cuda.is_available():
        fail(f"PyTorch {version('torch')} finds no GPU that it can use; --device cpu always can")
    return torch.cuda.get_device_name(torch.device(device))


def make_parser():
    parser = argparse.ArgumentParser(
        description="Times SimpleCNN, or a ResNet, in libgpucnn, PyTorch and, on the CPU, ONNX Runtime in turn."
    )
    parser.add_argument(
        "--network",
        choices=("simple_cnn", "resnet18", "resnet34", "resnet50"),
        default="simple_cnn",
        help="of both, on 32x32 images (%(default)s)",
    )
    parser.add_argument(
        "--bench",
        default=str(ROOT / "build/benchmarks/network_bench"),
        help="network_bench, which has peak beside it (%(default)s)",
    )
    parser.add_argument(
        "--train-cifar",
        default=str(ROOT / "build/samples/train_cifar"),
        help="train_cifar (%(default)s)",
    )
    parser.add_argument(
        "--data", type=pathlib.Path, metavar="DIR", help="CIFAR-10, binary version, for an epoch"
    )
    parser.add_argument(
        "--what",
        choices=(*WHATS, "both"),
        nargs="+",
        help="what to time; both is train and infer (on the CPU everything, on a GPU both)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "tf32", "bf16"),
        default="fp32",
        help="of products, on a GPU (%(default)s)",
    )
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        help="images a step (train 4 128 1024, infer 1 4 128 1024; on a GPU 4 128 1024 4096; of a ResNet 32, 1 32 and 128 256)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="CPU threads (%(default)s)",
    )
    parser.add_argument(
        "--together",
        type=int,
        help="steps from one wait for the device to the next (1; on a GPU 20)",
    )
    parser.add_argument("--seconds", type=float, help="of every measurement (1; on a GPU 3)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of every program (%(default)s)"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="also writes every measurement there"
    )
    return parser


def parse_options():
    parser = make_parser()
    options = parser.parse_args()
    gpu = options.device != "cpu"
    if options.precision != "fp32" and not gpu:
        parser.error("on the CPU the precision is fp32")
    options.simple = options.network == "simple_cnn"
    options.what = options.what or (["both"] if gpu or not options.simple else WHATS)
    if "both" in options.what:
        options.what = ["train", "infer", *options.what]
    if gpu and not set(options.what) <= {"train", "infer", "both"}:
        parser.error("on a GPU only train and infer are timed")
    if not options.simple and not set(options.what) <= {"train", "infer", "both"}:
        parser.error("of a ResNet only train and infer are timed")
    options.together = (20 if gpu else 1) if options.together is None else options.together
    options.seconds = (3 if gpu else 1) if options.seconds is None else options.seconds
    counts = [*(options.batches or []), options.threads, options.rounds, options.together]
    if min(counts) < 1 or not 0.01 <= options.seconds <= 3600:
        parser.error(
            "batches, threads, rounds and together must be at least 1, seconds from 0.01 to 3600"
        )
    if options.data and not options.data.is_dir():
        parser.error(f"--data: there is no folder {options.data}")
    return options


def check_programs(options, machine):
    has = lambda package: importlib.util.find_spec(package) is not None
    gpu = options.device != "cpu"
    if not has("torch"):
        fail("PyTorch is missing: pip install torch")
    if not options.simple and not has("torchvision"):
        fail("torchvision, which has the ResNets, is missing: pip install torchvision")
    for name, program in {"bench": options.bench, "train-cifar": options.train_cifar}.items():
        if not os.access(program, os.X_OK) and (name == "bench" or options.data):
            fail(f"there is no program {program}: build libgpucnn, or name it with --{name}")
    if not gpu and not machine.is_built():
        fail(f"there is no program {machine.program} beside {options.bench}: build libgpucnn")
    options.pytorch = PYTORCH
    options.onnx_runtimes = [ONNX] if has("onnxruntime") else []
    options.dlib = False
    if not options.onnx_runtimes and not gpu:
        warn("ONNX Runtime is left out: pip install onnxruntime")
    if (load := os.getloadavg()[0]) > 0.5:
        warn(f"other programs are at work (load {load:.1f}), which the times will show")


def print_head(options):
    gpu = options.device != "cpu"
    hardware = gpu_name(options.device) if gpu else f"{cpu_name()}, {options.threads} threads"
    programs = [f"PyTorch {version('torch')}"] + (
        [f"ONNX Runtime {version('onnxruntime')}"] if options.onnx_runtimes else []
    )
    programs += [] if JEMALLOC or gpu else ["without jemalloc, which is not installed"]
    rounds = f"{options.rounds} rounds of {options.seconds:g} s"
    rounds += f", a wait every {options.together} steps" if options.together > 1 else ""
    print(f"{options.network}: {hardware}, {options.precision}, {rounds}; {', '.join(programs)}.")


def cells_of(options, machine):
    """What is compared, in the order of WHATS."""
    cells = []
    for what in ("train", "avx2", "infer"):
        if what not in options.what:
            continue
        if what == "avx2":
            try:
                machine.measure(AVX2.instruction_set)
                cells.append(AVX2)
            except RuntimeError as error:
                warn(f"left out ({AVX2.label}): {error}")
        else:
            if options.simple:
                batches = BATCHES[what] if options.device == "cpu" else BATCHES_CUDA
            else:
                batches = BATCHES_RESNET[what] if options.device == "cpu" else BATCHES_RESNET_CUDA
            cells += [Cell(what, b, network=options.network) for b in options.batches or batches]
    return cells


def compare_all(options, machine, save):
    """The results of each cell, printed as they come. On the CPU the machine is measured between them and in all rounds."""
    cpu = options.device == "cpu"
    if cpu:
        machine.measure(copy=True)
    cells = cells_of(options, machine)
    if cells:
        print(
            "Ratio: the program's time / libgpucnn's in the same round; bold: libgpucnn's best rival.\n"
        )
        print(LONG_HEAD, flush=True)
    compared = []
    for cell in cells:
        rounds, peaks = compare(
            cell, (lambda: machine.measure(cell.instruction_set)) if cpu else None, options
        )
        results = summarize(cell, rounds, options)
        if cpu:
            if options.simple:
                results[0]["of_fma_bound"] = of_peak(results[0]["rounds"], peaks, "flop")
            machine.measure(copy=True)
        print_long(results)
        compared.append(results)
        save(results)
    return compared


def main():
    options = parse_options()
    machine = Machine(options)
    check_programs(options, machine)
    print_head(options)
    saved = []

    def save(results):
        saved.extend(results)
        if options.json:
            options.json.write_text(json.dumps(saved, indent=1) + "\n")

    try:
        compared = compare_all(options, machine, save)
        if options.device != "cpu":
            return
        print_machine(machine)
        if compared and options.simple:
            print_short(compared)
        print()
        for name, measure in FIGURES.items():
            if name in options.what:
                save(measure(options))
        save([machine.results(options)])
    except RuntimeError as error:
        fail(error)


if __name__ == "__main__":
    main()
