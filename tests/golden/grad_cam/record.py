#!/usr/bin/env python3
"""Records grad_cam.safetensors: Grad-CAM of small networks by PyTorch's autograd, and maps that PyTorch has interpolated."""

import copy
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cases"))
from cases import Recorder  # behind the path, which is not that of a package


class Block(nn.Module):
    """libgpucnn's Residual: body(x) + x."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x) + x


def plain():
    features = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 7, 3), nn.ReLU()
    )
    classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 3 * 5, 4))
    return nn.Sequential(features, classifier)


def normalized():
    body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        Block(body),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def record(recorder, name, model, layer, images):
    random = torch.Generator().manual_seed(len(recorder.cases))
    model = copy.deepcopy(model).eval()
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=random) * 0.3
            value.copy_(drawn.abs() + 0.5 if key.endswith("running_var") else drawn)
    state = {f"state.{key}": value.clone() for key, value in model.state_dict().items()}
    model = model.double()
    x = torch.randn(images, generator=random).double()
    classes = torch.arange(images[0]) % 4
    kept = []
    handle = dict(model.named_modules())[layer].register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    logits = model(x)
    handle.remove()
    output = kept[0]
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), output)
    cam = functional.relu((output * gradient.mean((2, 3), keepdim=True)).sum(1))
    large = functional.interpolate(
        cam[:, None], size=images[2:], mode="bilinear", align_corners=False
    )[:, 0]
    largest = large.amax((1, 2), keepdim=True)
    large = torch.where(largest > 0, large / largest, large)
    tensors = state | {"x": x, "classes": classes, "map": cam, "upsampled": large}
    recorder.add(name, tensors, network=name.split("_")[0], layer=layer)


def main():
    recorder = Recorder("grad_cam", HERE)
    torch.manual_seed(0)
    for layer in ("0.0", "0.1", "0.2", "0.3", "0.4", "0"):
        record(recorder, f"plain_{layer}", plain(), layer, (5, 3, 10, 14))
    for layer in ("0", "1", "2", "3", "3.body.0", "3.body.1"):
        record(recorder, f"normalized_{layer}", normalized(), layer, (4, 3, 12, 9))
    recorder.save()


if __name__ == "__main__":
    main()
