"""Records what PyTorch's activations and other layers without weights make of small inputs: activations.safetensors."""

import math

import torch
from torch import nn

from cases import Recorder

recorder = Recorder("activations")
generator = torch.Generator().manual_seed(16)


def draw(*shape):
    return torch.randn(shape, generator=generator)


def add(kind, name, x, dy=None, training=True, **options):
    recorder.layer(name, getattr(nn, kind)(**options), x, dy, training, **options)


# Infinite, far, at corners of Hardswish, subnormal, and across all that is between; twice, for vectors and what is left.
EXTREMES = [
    -math.inf,
    -1e30,
    -1e4,
    -100,
    -20,
    -8,
    -5,
    -3,
    -1e-40,
    -0.0,
    0.0,
    1e-40,
    1e-6,
    0.75,
    3,
    5,
    9,
    20,
    88,
    100,
    1e4,
    1e30,
    math.inf,
]
ACROSS = torch.linspace(-6, 6, 97)

POINTWISE = [
    ("GELU", {}),
    ("GELU", dict(approximate="tanh")),
    ("SiLU", {}),
    ("Hardswish", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
]
for kind, options in POINTWISE:
    label = "_".join([kind.lower(), *options.values()])
    extremes = (
        EXTREMES if kind == "Hardswish" else [*EXTREMES, math.nan]
    )  # its gradient of NaN depends on the element's place
    add(
        kind,
        f"{label}_extremes",
        torch.tensor(2 * extremes),
        2 * torch.ones(2 * len(extremes)),
        **options,
    )
    add(kind, f"{label}_across", ACROSS, torch.ones(97), **options)
    add(kind, f"{label}_image", 3 * draw(2, 3, 5, 3), **options)

for shape in ((1, 1), (4, 10), (3, 33), (2, 3, 4, 5), (1, 17, 2, 1)):
    add("Softmax", "softmax_" + "x".join(map(str, shape)), 4 * draw(*shape), dim=1)
far = torch.tensor(
    [[3e38, -3e38, 0], [-math.inf, 1, -math.inf], [90, 88, -1e30], [1e-40, 0, -1e-40]]
)
add("Softmax", "softmax_far", far, dim=1)
nothing = torch.tensor([[math.nan, 1], [math.inf, 1], [-math.inf, -math.inf], [1, 2]])
add("Softmax", "softmax_without_largest", nothing, dim=1)

for scale in (1, 2, 3, (2, 3), (5, 1)):
    label = "x".join(map(str, scale)) if isinstance(scale, tuple) else scale
    add("Upsample", f"upsample_{label}", draw(2, 3, 4, 5), scale_factor=scale)
special = torch.tensor([math.nan, -0.0, math.inf, 1]).reshape(1, 1, 2, 2)
add("Upsample", "upsample_special", special, scale_factor=2)
add("Upsample", "upsample_one_pixel", draw(2, 9, 1, 1), scale_factor=(3, 4))

# What depends on no random numbers.
add("Dropout2d", "dropout2d_eval", draw(2, 3, 4, 5), training=False, p=0.7)
add("Dropout2d", "dropout2d_none", draw(2, 3, 4, 5), p=0.0)
add("Dropout2d", "dropout2d_all", draw(2, 3, 4, 5), p=1.0)
add("Dropout2d", "dropout2d_all_special", special, p=1.0)
add("Identity", "identity", draw(2, 3, 4, 5))

recorder.save()
