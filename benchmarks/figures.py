"""Further figures of libgpucnn on the CPU: its start, its rate beside a busy neighbour, an epoch on CIFAR-10 and its memory."""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from programs import OURS, Cell, bench_command, clean_environment, last_line, run_json

STARTS = 21
START_BATCH = 128
NEIGHBOUR_BATCHES = (4, 128)
EPOCH_BATCH = 128
# A process that keeps its core busy until its parent has gone.
SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
parent = os.getppid()
print("spinning", flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


def spread(values, form="{:.1f}"):
    """The median, and the least and the greatest."""
    median, least, greatest = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{median} ({least} – {greatest})"


def row(what, batch, rounds, **values):
    return (
        {"what": what, "batch": batch, "device": "cpu", "program": OURS}
        | values
        | {"rounds": rounds}
    )


# ---- start -------------------------------------------------------------------------------------------------------------------


def start_once(options):
    """The ms from before the process is made to the line that it prints when its first step is done."""
    before = time.perf_counter()
    command = bench_command(Cell("start", START_BATCH), options)
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        passed = time.perf_counter() - before
    if process.returncode != 0 or not line:
        raise RuntimeError(f"{options.bench} --what start failed")
    return passed * 1000


def start(options):
    times = [start_once(options) for _ in range(STARTS)]
    print(
        f"- Start of the process to the end of its first training step, batch {START_BATCH}: **{spread(times)} ms**, median"
    )
    print(
        f"  (min – max) of {STARTS} starts with the files in memory. It loads and links the program, draws weights and a batch,"
    )
    print("  starts threads, touches memory for the first time and trains one step.", flush=True)
    return [row("start", START_BATCH, times, median_ms=statistics.median(times))]


# ---- a busy neighbour --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy_neighbour():
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", SPIN, str(core)], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield core
    finally:
        process.kill()
        process.wait()


def rate(batch, options):
    """Images a second over all of a measurement, the slow steps too."""
    return batch / run_json(bench_command(Cell("train", batch), options))["mean_ms"] * 1000


def neighbour(options):
    rows = []
    for batch in NEIGHBOUR_BATCHES:
        rounds = []
        for _ in range(options.rounds):
            alone = rate(batch, options)
            with busy_neighbour() as core:
                rounds.append({"alone": alone, "beside": rate(batch, options)})
        ratios = [r["beside"] / r["alone"] for r in rounds]
        rates = {key: statistics.median(r[key] for r in rounds) for key in ("alone", "beside")}
        print(
            f"- Training at batch {batch} on {options.threads} threads while another process spins on core {core}:"
        )
        print(f"  **{spread(ratios, '{:.2f}')}** of the undisturbed rate, ", end="")
        print(f"{rates['beside']:,.0f} of {rates['alone']:,.0f} images/s.", flush=True)
        rows.append(row("neighbour", batch, rounds, ratio=statistics.median(ratios)))
    return rows


# ---- an epoch ----------------------------------------------------------------------------------------------------------------


def run_epoch(options, *more):
    """The images/s of one epoch's training, and the most MB that the process held at once, by 10^6 bytes."""
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile("w+") as errors:
        command = [
            options.train_cifar,
            "--data",
            options.data,
            "--device",
            "cpu",
            "--threads",
            options.threads,
            "--epochs",
            1,
            "--optimizer",
            "adam",
            "--schedule",
            "constant",
            "--weight-decay",
            0,
            "--label-smoothing",
            0,
        ]
        command += ["--batch-size", EPOCH_BATCH, "--out", out, "--quiet", *more]
        command = [str(word) for word in command]
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=errors
        )
        # Before it becomes another program, a child counts its parent's memory: a few MB here, as long as nothing imports PyTorch.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{options.train_cifar} failed: {last_line(errors.read())}")
        epoch = json.loads(pathlib.Path(out, "metrics.jsonl").read_text().splitlines()[-1])
    return epoch["images_per_second"], usage.ru_maxrss * 1024 / 1e6


def epoch(options):
    if not options.data:
        print("- An epoch on CIFAR-10 was not measured: --data names its folder.", flush=True)
        return []
    rounds = []
    for _ in range(options.rounds):
        steps = rate(EPOCH_BATCH, options)
        plain, memory = run_epoch(options)
        augmented, _ = run_epoch(options, "--augment")
        rounds.append({"steps": steps, "plain": plain, "augmented": augmented, "memory_mb": memory})
    median = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    ratios = {key: [r[key] / r["steps"] for r in rounds] for key in ("plain", "augmented")}
    memory = max(r["memory_mb"] for r in rounds)
    print(
        f"- `train_cifar` on CIFAR-10, batch {EPOCH_BATCH}, one epoch and its test: at most **{memory:.0f} MB** resident."
    )
    print(f"- Its images/s in an epoch with --augment: {median['augmented']:,.0f}, ", end="")
    print(f"**{spread(ratios['augmented'], '{:.2f}')}** of the")
    print(
        f"  {median['steps']:,.0f} of steps on a batch that stays; without --augment {median['plain']:,.0f}, ",
        end="",
    )
    print(f"{spread(ratios['plain'], '{:.2f}')}.", flush=True)
    ratio = statistics.median(ratios["augmented"])
    return [
        row(
            "epoch",
            EPOCH_BATCH,
            rounds,
            memory_mb=memory,
            images_per_second=median["augmented"],
            ratio=ratio,
        )
    ]


FIGURES = {"start": start, "neighbour": neighbour, "epoch": epoch}
