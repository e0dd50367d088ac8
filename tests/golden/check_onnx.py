#!/usr/bin/env python3
"""Checks the ONNX files that libgpucnn writes: python3 tests/golden/check_onnx.py build/tests/onnx_networks

The program writes files of every layer, of models and of drawn networks. Each must pass onnx's checker. ONNX Runtime and OpenCV must
make of the input what libgpucnn made of it, within 1e-5 of the largest output. Ends with 77 where one of the packages is missing:
pip install onnx onnxruntime opencv-python-headless safetensors numpy
"""

import multiprocessing
import pathlib
import subprocess
import sys
import tempfile

try:
    import cv2
    import numpy
    import onnx
    import onnxruntime
    from safetensors.numpy import load_file
except ImportError as error:
    print(f"check_onnx.py: skipped: {error}")
    sys.exit(77)

TOLERANCE = 1e-5  # of the largest output
# A norm divides what is nearly equal by what is nearly 0; f32 is no better there.
ABSOLUTE = 1e-4


def of_onnx_runtime(path, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def send_of_opencv(to, path, x):
    try:
        network = cv2.dnn.readNetFromONNX(str(path))
        network.setInput(x)
        to.send(network.forward())
    except Exception as error:
        to.send(error)


def of_opencv(path, x):
    """In a process of its own: OpenCV 5.0.0 ends some with a segmentation fault."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=send_of_opencv, args=(theirs, path, x)
    )
    child.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        raise RuntimeError("the process crashed")
    finally:
        child.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def opencv_fails(path):
    """Whether OpenCV 5.0.0 is known to read beyond its memory: a Conv with windows that lie in the padding alone."""
    for node in onnx.load(str(path)).graph.node:
        if node.op_type != "Conv":
            continue
        o = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        for kernel, dilation, pads in zip(
            o["kernel_shape"], o["dilations"], zip(o["pads"][:2], o["pads"][2:])
        ):
            if max(pads) > (kernel - 1) * dilation:
                return True
    return False


def gap(ours, theirs):
    if ours.shape != theirs.shape:
        return f"shape {theirs.shape} instead of {ours.shape}"
    largest = max(numpy.abs(ours).max(), 1e-30)
    return float(numpy.abs(ours - theirs).max() / largest)


def check(path, gaps):
    """The failures of one file, each as a text."""
    example = load_file(path.with_suffix(".safetensors"))
    x, ours = example["input"], example["output"]
    failures = []
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        failures.append(f"the checker: {error}")
    drawn = path.name.startswith("drawn")
    for name, run in (("ONNX Runtime", of_onnx_runtime), ("OpenCV", of_opencv)):
        if name == "OpenCV" and opencv_fails(path):
            continue
        try:
            found = gap(ours, run(path, x))
        except Exception as error:
            found = f"{type(error).__name__}: {str(error).strip()[:300]}"
        close = isinstance(found, float) and found <= TOLERANCE
        if isinstance(found, float) and drawn and not close:
            close = found * numpy.abs(ours).max() <= ABSOLUTE
        if isinstance(found, float) and close:
            gaps.setdefault(name, []).append(found)
        if not close:
            failures.append(f"{name}: {found}")
    return failures


def main(folder):
    gaps, failed = {}, 0
    files = sorted(pathlib.Path(folder).glob("*.onnx"))
    for path in files:
        for failure in check(path, gaps):
            print(f"{path.name}: {failure}")
            failed += 1
    for name, found in gaps.items():
        print(
            f"{name}: {len(found)} of {len(files)} agree; the largest difference is {max(found):.1e} of the largest output"
        )
    if failed or not files:
        sys.exit(f"check_onnx.py: {failed} failures in {len(files)} files")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], "write", folder], check=True)
        main(folder)
