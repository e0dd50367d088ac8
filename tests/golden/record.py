#!/usr/bin/env python3
"""Records what PyTorch makes of SimpleCNN in 25 steps of Adam; README.md says what is in the files.

    python3 tests/golden/record.py [--seed SEED] [--out DIR]

Every run is made in fp32 and in float64 from the same weights and inputs. If the two differ by more than a quarter of the
tolerances of the test, the recording would say more about rounding than about the network: it is refused, with exit code 1.
"""

import argparse
import copy
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn

from simple_cnn import SimpleCNN

STEPS = 25
BATCHES = {4: 25, 32: 8}  # images in a batch: batches that the steps cycle over
LOSS_TOLERANCE = 1e-5  # relative
WEIGHT_TOLERANCE = 1e-4  # absolute
MARGIN = 4


def draw(seed, batch, count):
    """A model with PyTorch's initial weights, inputs that 8 bits hold exactly, and labels."""
    torch.manual_seed(seed)
    model = SimpleCNN(dropout=0.0)
    pixels = (torch.randn(count, batch, 3, 32, 32) * 32 + 128).round().clamp(0, 255).to(torch.uint8)
    labels = torch.randint(10, (count, batch))
    return model, pixels, labels


def to_inputs(pixels, dtype):
    return (pixels.to(dtype) - 128) / 32


def train(initial, pixels, labels, dtype):
    """Losses, final weights, and the first step's logits and gradients."""
    model = copy.deepcopy(initial).to(dtype)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses, logits, gradients = [], None, None
    for step in range(STEPS):
        i = step % len(pixels)
        optimizer.zero_grad()
        outputs = model(to_inputs(pixels[i], dtype))
        loss = criterion(outputs, labels[i])
        loss.backward()
        if step == 0:
            logits = outputs.detach()
            gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), dict(model.state_dict()), logits, gradients


def gaps(run, reference):
    """The largest relative difference of the losses and the largest absolute one of the weights."""
    losses = ((run[0] - reference[0]) / reference[0]).abs().max().item()
    weights = max(
        (run[1][name].double() - w).abs().max().item() for name, w in reference[1].items()
    )
    return losses, weights


def record(seed, batch, count):
    initial, pixels, labels = draw(seed, batch, count)
    exact = train(initial, pixels, labels, torch.float64)
    loss_gap, weight_gap = gaps(train(initial, pixels, labels, torch.float32), exact)
    gap = (
        f"fp32 and float64 differ by {loss_gap:.1e} in the losses, {weight_gap:.1e} in the weights"
    )
    print(f"seed {seed}, batch {batch}: {gap}")
    if loss_gap > LOSS_TOLERANCE / MARGIN or weight_gap > WEIGHT_TOLERANCE / MARGIN:
        sys.exit(
            f"record.py: seed {seed} is refused at batch {batch}: its gap between fp32 and float64 exceeds a quarter of the "
            f"tolerances ({LOSS_TOLERANCE / MARGIN:.1e} in the losses, {WEIGHT_TOLERANCE / MARGIN:.1e} in the weights); "
            "try another --seed"
        )
    losses, weights, logits, gradients = exact
    tensors = {
        "inputs": pixels.flatten(0, 1),
        "labels": labels.flatten().to(torch.int32),
        "losses": losses.float(),
        "logits": logits.float(),
    }
    tensors |= {f"final.{name}": w.float() for name, w in weights.items()}
    if batch == min(BATCHES):
        tensors |= {f"grad.{name}": g.float() for name, g in gradients.items()}
    version = torch.__version__.split("+")[0]
    about = f"seed {seed}, batch {batch}, PyTorch {version}; {gap}"
    return initial, tensors, about


def main():
    parser = argparse.ArgumentParser(description="Records SimpleCNN's first steps in PyTorch.")
    parser.add_argument(
        "--seed", type=int, default=20, help="of the weights, inputs and labels (%(default)s)"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent,
        help="folder for the files",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that the order of sums does not depend on the machine
    recordings = {batch: record(options.seed, batch, count) for batch, count in BATCHES.items()}
    for batch, (initial, tensors, about) in recordings.items():
        save_file(
            tensors, options.out / f"simple_cnn_batch{batch}.safetensors", {"recording": about}
        )
        # The seed draws the weights before the inputs, so that they are the same for every batch.
        save_file(
            initial.state_dict(),
            options.out / "simple_cnn_initial.safetensors",
            {"recording": f"seed {options.seed}"},
        )


if __name__ == "__main__":
    main()
