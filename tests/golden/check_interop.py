#!/usr/bin/env python3
"""Checks that weights travel between libgpucnn and PyTorch's SimpleCNN; README.md says what is in DIR.

    python3 tests/golden/check_interop.py write DIR    PyTorch writes DIR, for libgpucnn to load
    python3 tests/golden/check_interop.py check DIR    DIR was written by libgpucnn: same names, same logits?
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

from simple_cnn import SimpleCNN

TOLERANCE = 1e-5  # of the largest logit


def write(folder):
    torch.manual_seed(0)
    model = SimpleCNN().eval()
    inputs = torch.randn(4, 3, 32, 32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "weights.safetensors")
    with torch.no_grad():
        save_file({"inputs": inputs, "logits": model(inputs)}, folder / "example.safetensors")


def check(folder):
    weights = load_file(folder / "weights.safetensors")
    example = load_file(folder / "example.safetensors")
    model = SimpleCNN(num_classes=len(weights["classifier.4.bias"])).eval()
    model.load_state_dict(weights, strict=True)
    with torch.no_grad():
        logits = model(example["inputs"])
    gap = ((logits - example["logits"]).abs().max() / logits.abs().max()).item()
    print(f"{folder}: the logits differ by {gap:.1e} of the largest one")
    if not gap <= TOLERANCE:
        sys.exit(
            f"check_interop.py: that is more than {TOLERANCE:.0e}: the weights do not mean the same here and there"
        )


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
