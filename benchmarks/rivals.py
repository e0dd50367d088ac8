"""The programs that libgpucnn is held against, each in a process of its own: PyTorch in every way it is run, ONNX Runtime, OpenVINO.

    python3 rivals.py TASK      # a JSON object, made by programs.py
"""

import json
import sys
import time

ONNX = "ONNX Runtime"
OPENVINO = "OpenVINO"


def measure(run, wait, together, seconds):
    """The times of `run` as network_bench takes them: each the mean of `together` runs from one wait for the device to the next;
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


def pytorch_run(name, network, what, batch, threads, precision):
    """The function to time for one of PYTORCH in programs.py."""
    import torch
    from zoo.networks import make_network

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in name else torch.contiguous_format
    compile = torch.compile if "compiled" in name else lambda function: function
    model, image = make_network(network)
    model = model.to(memory_format=layout)
    x = torch.randn(batch, *image).contiguous(memory_format=layout)
    autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    if what == "infer":
        import torch._inductor.config

        torch._inductor.config.freezing = True
        forward = compile(model.eval())
        quiet = (
            torch.no_grad if "compiled" in name else torch.inference_mode
        )  # freezing wants no_grad

        def infer():
            with quiet(), autocast():
                forward(x)

        return infer

    labels = torch.arange(batch) % 10
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = compile(lambda x, labels: criterion(model(x), labels))

    def train():
        optimizer.zero_grad()
        with autocast():
            loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()

    return train


def pytorch_cuda_run(name, network, what, batch, device, precision):
    """The function to time for one of PYTORCH_CUDA in programs.py."""
    import torch
    from zoo.networks import make_network

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    device = torch.device(device)
    torch.cuda.set_device(device)
    autocast = lambda: torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")
    graph = "CUDA graph" in name
    model, image = make_network(network)
    model = model.to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, *image, device=device).contiguous(memory_format=torch.channels_last)
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


def onnx_run(file, batch, threads):
    """The function to time for ONNX Runtime."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    shape = (batch, *session.get_inputs()[0].shape[1:])
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return lambda: session.run(None, {"input": x})


def openvino_run(file, batch, threads, precision):
    """The function to time for OpenVINO: one request at a time on all threads, in memory of its own."""
    import numpy as np
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    shape = (batch, *(extent.get_length() for extent in list(model.input(0).partial_shape)[1:]))
    model.reshape(shape)
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return lambda: request.infer(x, share_inputs=True, share_outputs=True)


def work(task):
    """Prepares one configuration, then measures it once for every line on standard input."""
    name, what, batch, threads = task["name"], task["what"], task["batch"], task["threads"]
    network, precision = task["network"], task["precision"]
    wait = lambda: None
    if task["device"] != "cpu":
        import torch

        wait = torch.cuda.synchronize
        run = pytorch_cuda_run(name, network, what, batch, task["device"], precision)
    elif name == ONNX:
        run = onnx_run(task["onnx"], batch, threads)
    elif name == OPENVINO:
        run = openvino_run(task["onnx"], batch, threads, precision)
    else:
        run = pytorch_run(name, network, what, batch, threads, precision)
    for _ in range(3):  # the compiler's time is not the step's
        run()
    wait()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(run, wait, task["together"], task["seconds"])), flush=True)


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
