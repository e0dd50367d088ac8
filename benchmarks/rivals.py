"""The programs that libgpucnn is held against, each in a process of its own: PyTorch in every way it is run, and ONNX Runtime.

    python3 rivals.py TASK      # a JSON object, made by programs.py
"""

import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ONNX = "ONNX Runtime"


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


def pytorch_model(network):
    """PyTorch's model of this name, for 32x32 images of 10 classes."""
    if network == "simple_cnn":
        sys.path.insert(0, str(ROOT / "tests" / "golden"))
        from simple_cnn import SimpleCNN

        return SimpleCNN()
    import torch
    import torchvision

    model = getattr(torchvision.models, network)(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


def pytorch_run(name, network, what, batch, threads):
    """The function to time for one of PYTORCH in programs.py."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in name else torch.contiguous_format
    compile = torch.compile if "compiled" in name else lambda function: function
    model = pytorch_model(network).to(memory_format=layout)
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)

    if what == "infer":
        import torch._inductor.config

        torch._inductor.config.freezing = True
        forward = compile(model.eval())
        quiet = (
            torch.no_grad if "compiled" in name else torch.inference_mode
        )  # freezing wants no_grad

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


def pytorch_cuda_run(name, network, what, batch, device, precision):
    """The function to time for one of PYTORCH_CUDA in programs.py."""
    import torch

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    device = torch.device(device)
    torch.cuda.set_device(device)
    autocast = lambda: torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")
    graph = "CUDA graph" in name
    model = pytorch_model(network).to(device, memory_format=torch.channels_last)
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
    weights = [
        numpy_helper.from_array((random.standard_normal(s) * 0.02).astype(np.float32), n)
        for n, s in shapes.items()
    ]
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    layers = [("Conv", ["w0", "b0"], conv), ("Relu", [], {}), ("MaxPool", [], pool)]
    layers += [
        ("Conv", ["w1", "b1"], conv),
        ("Relu", [], {}),
        ("MaxPool", [], pool),
        ("Flatten", [], {}),
    ]
    layers += [
        ("Gemm", ["w2", "b2"], {"transB": 1}),
        ("Relu", [], {}),
        ("Gemm", ["w3", "b3"], {"transB": 1}),
    ]
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
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = {"x0": random.standard_normal((batch, 3, 32, 32), dtype=np.float32)}
    return lambda: session.run(None, x)


def work(task):
    """Prepares one configuration, then measures it once for every line on standard input."""
    name, what, batch, threads = task["name"], task["what"], task["batch"], task["threads"]
    network = task["network"]
    wait = lambda: None
    if task["device"] != "cpu":
        import torch

        wait = torch.cuda.synchronize
        run = pytorch_cuda_run(name, network, what, batch, task["device"], task["precision"])
    elif name == ONNX:
        run = onnx_run(batch, threads)
    else:
        run = pytorch_run(name, network, what, batch, threads)
    for _ in range(3):  # the compiler's time is not the step's
        run()
    wait()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(run, wait, task["together"], task["seconds"])), flush=True)


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
