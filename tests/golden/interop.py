#!/usr/bin/env python3
"""Checks that weights travel between libgpucnn and PyTorch; README.md says what is in DIR.

    python3 tests/golden/interop.py write DIR MODEL    PyTorch writes DIR, for libgpucnn to load
    python3 tests/golden/interop.py check DIR MODEL    DIR was written by libgpucnn: same names, same logits?

MODEL is simple_cnn, or a name of torchvision's: resnet18, resnet34, resnet50, vgg11_bn.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

from simple_cnn import SimpleCNN

TOLERANCE = 1e-5  # of the largest logit


def make(name):
    if name == "simple_cnn":
        return SimpleCNN().eval(), 32
    import torchvision

    return getattr(torchvision.models, name)(num_classes=10).eval(), 96


def write(folder, name):
    torch.manual_seed(0)
    model, size = make(name)
    inputs = torch.randn(4, 3, size, size)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "weights.safetensors")
    with torch.no_grad():
        save_file({"inputs": inputs, "logits": model(inputs)}, folder / "example.safetensors")


def check(folder, name):
    example = load_file(folder / "example.safetensors")
    model, _ = make(name)
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    with torch.no_grad():
        logits = model(example["inputs"])
    gap = ((logits - example["logits"]).abs().max() / logits.abs().max()).item()
    print(f"{folder}: the logits differ by {gap:.1e} of the largest one")
    if not gap <= TOLERANCE:
        sys.exit(
            f"interop.py: that is more than {TOLERANCE:.0e}: the weights do not mean the same here and there"
        )


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]), sys.argv[3])
