#!/usr/bin/env python3
"""Times SimpleCNN in libgpucnn, PyTorch and, on the CPU, ONNX Runtime in turn and prints a Markdown table.

    python3 benchmarks/compare_pytorch.py --bench build/benchmarks/simple_cnn_bench
    python3 benchmarks/compare_pytorch.py --device cuda --precision tf32 --batches 4 128 1024 4096

Same network, batch, precision and, on the CPU, threads. A training step is zero_grad, forward, loss, backward and Adam on fixed
random inputs with dropout on; inference is a forward pass. Every configuration has a process with an environment of its own, which
waits while another one is measured; the rounds alternate, and what is printed are medians over rounds.

On the CPU PyTorch runs at its best: eager and compiled (frozen for inference), NCHW and channels-last, fused Adam, threads bound to
cores, with the C library's allocator and, if it is installed, with jemalloc told to keep its pages.

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
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from ctypes.util import find_library
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parent.parent
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
PYTORCH_CUDA = ["PyTorch eager", "PyTorch compiled", "PyTorch CUDA graph", "PyTorch CUDA graph, compiled"]
ONNX = "ONNX Runtime"


# ---- in the process of a rival -----------------------------------------------------------------------------------------------


def measure(run, wait, together, seconds):
    """The times of `run` as simple_cnn_bench takes them: each the mean of `together` runs from one wait for the device to the next;
    at least 5 for `seconds`, after a tenth of that as warm-up."""

    def once():
        for _ in range(together):
            run()
        wait()

    start = time.perf_counter()
    while time.perf_counter() - start < seconds / 10:
        once()
    times = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        once()
        times.append((time.perf_counter() - before) * 1000 / together)
    times.sort()
    median, p10, p90 = (times[round(q * (len(times) - 1))] for q in (0.5, 0.1, 0.9))
    return {"median_ms": median, "p10_ms": p10, "p90_ms": p90}


def pytorch_run(name, what, batch, threads):
    """The function to time for one of PYTORCH."""
    import torch

    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    from simple_cnn import SimpleCNN

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in name else torch.contiguous_format
    compile = torch.compile if "compiled" in name else lambda function: function
    model = SimpleCNN().to(memory_format=layout)
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)

    if what == "infer":
        import torch._inductor.config

        torch._inductor.config.freezing = True
        forward = compile(model.eval())
        quiet = torch.no_grad if "compiled" in name else torch.inference_mode  # freezing wants no_grad

        def infer():
            with quiet():
                forward(x)

        return infer

    labels = torch.arange(batch) % 10
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss = compile(lambda x, labels: criterion(model(x), labels))

    def train():
        optimizer.zero_grad()
        loss(x, labels).backward()
        optimizer.step()

    return train


def pytorch_cuda_run(name, what, batch, device, precision):
    """The function to time for one of PYTORCH_CUDA."""
    import torch

    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    from simple_cnn import SimpleCNN

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    device = torch.device(device)
    torch.cuda.set_device(device)
    autocast = lambda: torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")
    graph = "CUDA graph" in name
    model = SimpleCNN().to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % 10
    criterion = torch.nn.CrossEntropyLoss()

    def forward(x):
        with autocast():
            return model(x)

    def loss_of(x, labels):
        with autocast():
            return criterion(model(x), labels)

    if "compiled" in name:
        # Within a whole-step graph the compiler must not capture graphs of its own.
        mode = "default" if graph else "reduce-overhead"
        forward, loss_of = torch.compile(forward, mode=mode), torch.compile(loss_of, mode=mode)

    if what == "infer":
        model.eval()

        def step():
            with torch.no_grad():
                forward(x)

    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=graph)

        def step():
            # Without gradients a backward writes instead of adding, in every replay too.
            optimizer.zero_grad(set_to_none=True)
            loss_of(x, labels).backward()
            optimizer.step()

    if not graph:
        return step

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        step()
    return captured.replay


def onnx_run(batch, threads):
    """The function to time for ONNX Runtime."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"w0": (16, 3, 3, 3), "b0": (16,), "w1": (32, 16, 3, 3), "b1": (32,)}
    shapes |= {"w2": (128, 2048), "b2": (128,), "w3": (10, 128), "b3": (10,)}
    weights = [numpy_helper.from_array((random.standard_normal(s) * 0.02).astype(np.float32), n) for n, s in shapes.items()]
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    layers = [("Conv", ["w0", "b0"], conv), ("Relu", [], {}), ("MaxPool", [], pool)]
    layers += [("Conv", ["w1", "b1"], conv), ("Relu", [], {}), ("MaxPool", [], pool), ("Flatten", [], {})]
    layers += [("Gemm", ["w2", "b2"], {"transB": 1}), ("Relu", [], {}), ("Gemm", ["w3", "b3"], {"transB": 1})]
    nodes = [
        helper.make_node(kind, [f"x{i}", *parameters], [f"x{i + 1}"], **attributes)
        for i, (kind, parameters, attributes) in enumerate(layers)
    ]
    inputs = [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [batch, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info(f"x{len(layers)}", TensorProto.FLOAT, [batch, 10])]
    graph = helper.make_graph(nodes, "SimpleCNN", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = {"x0": random.standard_normal((batch, 3, 32, 32), dtype=np.float32)}
    return lambda: session.run(None, x)


def work(task):
    """Prepares one configuration, then measures it once for every line on standard input."""
    name, what, batch, threads = task["name"], task["what"], task["batch"], task["threads"]
    wait = lambda: None
    if task["device"] != "cpu":
        import torch

        wait = torch.cuda.synchronize
        run = pytorch_cuda_run(name, what, batch, task["device"], task["precision"])
    else:
        run = onnx_run(batch, threads) if name == ONNX else pytorch_run(name, what, batch, threads)
    for _ in range(3):  # the compiler's time is not the step's
        run()
    wait()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(run, wait, task["together"], task["seconds"])), flush=True)


# ---- in the process of the comparison ----------------------------------------------------------------------------------------


def clean_environment():
    """What programs need, and nothing that tunes them."""
    kept = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "VIRTUAL_ENV", "CC", "CXX")
    kept += ("CUDA_HOME", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "GPUCNN_CUDA_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def rival_environment(name, threads, device):
    environment = clean_environment()
    if device != "cpu":
        return environment
    environment |= {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores", "OMP_NUM_THREADS": str(threads)}
    if "jemalloc" in name:
        environment |= {"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": JEMALLOC_OPTIONS}
    return environment


class Ours:
    """libgpucnn as its users run it: no environment of any kind."""

    def __init__(self, bench, what, batch, options):
        self.command = [bench, "--what", what, "--batch", str(batch), "--threads", str(options.threads)]
        self.command += ["--device", options.device, "--precision", options.precision]
        self.command += ["--together", str(options.together), "--seconds", str(options.seconds)]

    def measure(self):
        done = subprocess.run(self.command, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"compare_pytorch.py: {self.command[0]} failed: {last_line(done.stderr)}")
        return json.loads(done.stdout)

    def close(self):
        pass


class Rival:
    """A process of this program that prepares itself and waits between its rounds."""

    def __init__(self, name, what, batch, options):
        task = {"name": name, "what": what, "batch": batch, "threads": options.threads, "seconds": options.seconds}
        task |= {"device": options.device, "precision": options.precision, "together": options.together}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", json.dumps(task)],
            env=rival_environment(name, options.threads, options.device),
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
            raise RuntimeError(last_line(self.errors.read()))
        return line

    def measure(self):
        print(file=self.process.stdin, flush=True)
        return json.loads(self.answer())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def compare(what, batch, rivals, options):
    """All rounds of one line of the table: {name: [measurement of each round]}."""
    programs = {OURS: Ours(options.bench, what, batch, options)}
    started = {name: Rival(name, what, batch, options) for name in rivals}
    for name, rival in started.items():
        try:
            rival.answer()
            programs[name] = rival
        except RuntimeError as error:
            print(f"compare_pytorch.py: left out {name} ({what}, batch {batch}): {error}", file=sys.stderr)
    rounds = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, program in programs.items():
            try:
                rounds[name].append(program.measure())
            except RuntimeError as error:
                sys.exit(f"compare_pytorch.py: {name} ended ({what}, batch {batch}): {error}")
    for program in programs.values():
        program.close()
    return rounds


def summarize(what, batch, rounds, options):
    """One result for each program: medians over rounds; the ratio is that of the same round."""
    ours = [measured["median_ms"] for measured in rounds[OURS]]
    results = []
    for name, measured in rounds.items():
        result = {"what": what, "batch": batch, "device": options.device, "precision": options.precision, "program": name}
        result |= {key: statistics.median(m[key] for m in measured) for key in ("median_ms", "p10_ms", "p90_ms")}
        result["images_per_second"] = batch / result["median_ms"] * 1000
        result["ratio"] = statistics.median(m["median_ms"] / o for m, o in zip(measured, ours))
        result["rounds"] = measured
        results.append(result)
    return results


def print_results(results):
    best = min((r for r in results if r["program"] != OURS), key=lambda r: r["median_ms"], default=None)
    for r in results:
        name = f"**{r['program']}**" if r is best else r["program"]
        ratio = "" if r["program"] == OURS else f"**{r['ratio']:.2f}**" if r is best else f"{r['ratio']:.2f}"
        spread = f"{r['p10_ms']:.3f} – {r['p90_ms']:.3f}"
        line = [r["what"], r["batch"], name, f"{r['median_ms']:.3f}", spread, f"{r['images_per_second']:,.0f}", ratio]
        print("| " + " | ".join(map(str, line)) + " |", flush=True)


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def gpu_name(device):
    import torch

    if not torch.cuda.is_available():
        sys.exit(f"compare_pytorch.py: PyTorch {version('torch')} finds no GPU that it can use; --device cpu always can")
    return torch.cuda.get_device_name(torch.device(device))


def parse_options():
    parser = argparse.ArgumentParser(description="Times SimpleCNN in libgpucnn, PyTorch and, on the CPU, ONNX Runtime in turn.")
    parser.add_argument("--bench", default=str(ROOT / "build/benchmarks/simple_cnn_bench"), help="simple_cnn_bench (%(default)s)")
    parser.add_argument("--what", choices=("train", "infer", "both"), default="both", help="what to time (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32", help="of products, on a GPU (%(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", help="images a step (1 4 128 1024; on a GPU 4 128 1024 4096)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads (%(default)s)")
    parser.add_argument("--together", type=int, help="steps from one wait for the device to the next (1; on a GPU 20)")
    parser.add_argument("--seconds", type=float, default=3, help="of every measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of every program (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also writes every measurement there")
    options = parser.parse_args()
    gpu = options.device != "cpu"
    if options.precision != "fp32" and not gpu:
        parser.error("on the CPU the precision is fp32")
    options.batches = options.batches or ([4, 128, 1024, 4096] if gpu else [1, 4, 128, 1024])
    options.together = (20 if gpu else 1) if options.together is None else options.together
    if min([*options.batches, options.threads, options.rounds, options.together]) < 1 or not 0.01 <= options.seconds <= 3600:
        parser.error("batches, threads, rounds and together must be at least 1, seconds from 0.01 to 3600")
    return options


def main():
    options = parse_options()
    has = lambda package: importlib.util.find_spec(package) is not None
    if not has("torch"):
        sys.exit("compare_pytorch.py: PyTorch is missing: pip install torch")
    if not os.access(options.bench, os.X_OK):
        sys.exit(f"compare_pytorch.py: there is no program {options.bench}: build libgpucnn, or name it with --bench")
    gpu = options.device != "cpu"
    hardware = gpu_name(options.device) if gpu else f"{cpu_name()}, {options.threads} threads"
    with_onnx = not gpu and has("onnxruntime") and has("onnx")
    if not with_onnx and not gpu:
        print("compare_pytorch.py: ONNX Runtime is left out: pip install onnxruntime onnx", file=sys.stderr)

    if (load := os.getloadavg()[0]) > 0.5:
        print(f"compare_pytorch.py: other programs are at work (load {load:.1f}), which the times will show", file=sys.stderr)

    programs = [f"PyTorch {version('torch')}"] + ([f"ONNX Runtime {version('onnxruntime')}"] if with_onnx else [])
    programs += [] if JEMALLOC or gpu else ["without jemalloc, which is not installed"]
    rounds = f"{options.rounds} rounds of {options.seconds:g} s"
    rounds += f", a wait every {options.together} steps" if options.together > 1 else ""
    print(f"{hardware}, {options.precision}, {rounds}; {', '.join(programs)}.")
    print("Ratio: the program's time / libgpucnn's in the same round; bold: libgpucnn's best rival.\n")
    print("| what | batch | program | median ms | p10 – p90 ms | images/s | ratio |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |", flush=True)
    results = []
    for what in ("train", "infer") if options.what == "both" else (options.what,):
        for batch in options.batches:
            rivals = PYTORCH_CUDA if gpu else PYTORCH + ([ONNX] if what == "infer" and with_onnx else [])
            cell = summarize(what, batch, compare(what, batch, rivals, options), options)
            print_results(cell)
            results += cell
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(json.loads(sys.argv[2]))
    else:
        main()
