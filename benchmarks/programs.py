"""Runs libgpucnn's benchmark programs and its rivals in turn, each in an environment that tunes nothing but what is said here."""

import dataclasses
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from ctypes.util import find_library

from rivals import ONNX, OPENVINO

OURS = "libgpucnn"
JEMALLOC = find_library("jemalloc")
# By itself it gives pages back and takes them anew in every step, which made PyTorch slower than the C library's allocator.
JEMALLOC_OPTIONS = "thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1"
PYTORCH = [
    f"PyTorch {mode}, {layout}{allocator}"
    for mode in ("eager", "compiled")
    for layout in ("NCHW", "channels-last")
    for allocator in ([""] + [", jemalloc"] * bool(JEMALLOC))
]
PYTORCH_CUDA = [
    "PyTorch eager",
    "PyTorch compiled",
    "PyTorch CUDA graph",
    "PyTorch CUDA graph, compiled",
]
DLIB = "dlib"
DLIB_NETWORKS = ("caffe_lenet", "lenet5", "mlp", "simple_cnn", "vgg8")  # of dlib_bench
# What holds oneDNN, PyTorch's own kernels and its compiler, and MKL to an instruction set.
HELD_TO = {
    "": {},
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is compared: a part of the tables."""

    what: str  # train or infer
    batch: int
    instruction_set: str = ""  # a key of HELD_TO; empty: the processor's widest
    network: str = "simple_cnn"

    @property
    def label(self):
        return f"{self.what}, {self.instruction_set}" if self.instruction_set else self.what


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def clean_environment():
    """What programs need, and nothing that tunes them."""
    kept = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "VIRTUAL_ENV", "CC", "CXX")
    kept += ("TORCHINDUCTOR_CACHE_DIR",)  # where PyTorch's compiler keeps what it made
    kept += ("CUDA_HOME", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "GPUCNN_CUDA_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def rival_environment(name, instruction_set, options):
    environment = clean_environment()
    if options.device != "cpu":
        return environment
    environment |= {
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "OMP_NUM_THREADS": str(options.threads),
        "OPENBLAS_NUM_THREADS": str(options.threads),
    }
    environment |= HELD_TO[instruction_set]
    if "jemalloc" in name:
        environment |= {"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": JEMALLOC_OPTIONS}
    return environment


def dlib_bench(options):
    """The program, which is built where dlib is installed."""
    return pathlib.Path(options.bench).with_name("dlib_bench")


def rivals_of(cell, options):
    if options.device != "cpu":
        return PYTORCH_CUDA
    dlib = [DLIB] if options.dlib and cell.network in DLIB_NETWORKS else []
    return options.pytorch + (options.onnx_runtimes if cell.what == "infer" else []) + dlib


def run_json(command, environment=None):
    """Runs one of our programs to its end and gives what its line of JSON says."""
    environment = clean_environment() if environment is None else environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {last_line(done.stderr)}")
    return json.loads(done.stdout)


def rival_command(name, cell, onnx, options):
    """Of rivals.py, or of dlib_bench."""
    if name == DLIB:
        command = [str(dlib_bench(options)), "--network", cell.network, "--what", cell.what]
        return [*command, "--batch", str(cell.batch), "--seconds", str(options.seconds)]
    task = {
        "name": name,
        "network": cell.network,
        "what": cell.what,
        "batch": cell.batch,
        "onnx": onnx,
        "threads": options.threads,
        "seconds": options.seconds,
        "device": options.device,
        "precision": options.precision,
        "together": options.together,
    }
    script = str(pathlib.Path(__file__).with_name("rivals.py"))
    return [sys.executable, script, json.dumps(task)]


def bench_command(cell, options):
    command = [options.bench, "--network", cell.network, "--what", cell.what]
    command += ["--batch", str(cell.batch), "--threads", str(options.threads)]
    command += ["--device", options.device, "--precision", options.precision]
    return command + ["--together", str(options.together), "--seconds", str(options.seconds)]


class Ours:
    """libgpucnn as its users run it: no environment of any kind, unless it is held to an instruction set."""

    def __init__(self, cell, options):
        self.command = bench_command(cell, options)
        if cell.instruction_set:
            self.command += ["--instruction-set", cell.instruction_set]
        self.environment = clean_environment() | HELD_TO[cell.instruction_set]

    def measure(self):
        return run_json(self.command, self.environment)

    def close(self):
        pass


class Rival:
    """A process that prepares itself, says so, and waits between its rounds."""

    def __init__(self, name, command, environment):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} ended: {last_line(self.errors.read())}")
        return line

    def measure(self):
        with contextlib.suppress(BrokenPipeError):  # of one that has ended, which says why below
            print(file=self.process.stdin, flush=True)
        return json.loads(self.answer())

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def onnx_file(cell, options):
    """The network as a file for those that read ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder, "network.onnx"))
        if set(rivals_of(cell, options)) & {ONNX, OPENVINO}:
            command = [options.bench, "--network", cell.network, "--onnx", file]
            subprocess.run(command, env=clean_environment(), check=True)
        yield file


def start(cell, options, leave_out):
    """All programs of one cell by name, each ready to measure."""
    programs = {OURS: Ours(cell, options)}
    with onnx_file(cell, options) as file:
        started = {}
        for name in rivals_of(cell, options):
            environment = rival_environment(name, cell.instruction_set, options)
            started[name] = Rival(name, rival_command(name, cell, file, options), environment)
        for name, rival in started.items():
            try:
                rival.answer()
                programs[name] = rival
            except RuntimeError as error:
                leave_out(error)
    return programs


def prepare(cell, options):
    """Starts the programs of one cell and ends them: PyTorch's compiler then finds its work in the cache."""
    with onnx_file(cell, options) as file:
        for name in rivals_of(cell, options):
            environment = rival_environment(name, cell.instruction_set, options)
            rival = Rival(name, rival_command(name, cell, file, options), environment)
            try:
                rival.answer()
            finally:
                rival.close()


def compare(cell, peak, options):
    """All rounds of one cell, {name: [measurement of each round]}, and what `peak()` gave beside libgpucnn in each."""

    def leave_out(error):
        label = f"{cell.network}, {cell.label}, batch {cell.batch}"
        print(f"left out ({label}): {error}", file=sys.stderr)

    programs = start(cell, options, leave_out)
    rounds = {name: [] for name in programs}
    peaks = []
    for _ in range(options.rounds):
        for name in list(rounds):
            try:
                rounds[name].append(programs[name].measure())
            except RuntimeError as error:
                if name == OURS:
                    raise
                leave_out(error)
                del rounds[name]
            if name == OURS and peak:
                peaks.append(peak())
    for program in programs.values():
        program.close()
    return rounds, peaks


def summarize(cell, rounds, options):
    """One result for each program: medians over rounds; the ratio is that of the same round."""
    ours = [measured["median_ms"] for measured in rounds[OURS]]
    results = []
    for name, measured in rounds.items():
        result = {
            "what": cell.label,
            "batch": cell.batch,
            "network": cell.network,
            "device": options.device,
            "precision": options.precision,
        }
        result["program"] = name
        result |= {
            key: statistics.median(m[key] for m in measured)
            for key in ("median_ms", "p10_ms", "p90_ms")
        }
        result["images_per_second"] = cell.batch / result["median_ms"] * 1000
        result["ratio"] = statistics.median(m["median_ms"] / o for m, o in zip(measured, ours))
        result["rounds"] = measured
        results.append(result)
    return results
