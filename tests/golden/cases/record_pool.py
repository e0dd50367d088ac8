"""Records what PyTorch's poolings make of small images: pool.safetensors."""

import torch
from torch import nn

from cases import Recorder

recorder = Recorder("pool")
generator = torch.Generator().manual_seed(16)


def image(*shape):
    return torch.randn(shape, generator=generator)


def ties(*shape):
    """Few different values, so that many are equal, and a NaN."""
    x = torch.round(2 * image(*shape))
    x[0, 0, 1, 1] = float("nan")
    return x


def add(kind, name, x, **options):
    recorder.layer(name, getattr(nn, kind)(**options), x, **options)


MAX = [
    ("halving", dict(kernel_size=2)),
    ("overlapping", dict(kernel_size=3, stride=2, padding=1)),
    ("oblong", dict(kernel_size=(2, 3), stride=(3, 1), padding=(1, 0))),
    ("dilated", dict(kernel_size=3, stride=1, dilation=2)),
    ("dilated_padded", dict(kernel_size=(3, 2), stride=(2, 1), padding=(1, 1), dilation=(2, 3))),
    ("ceil", dict(kernel_size=2, ceil_mode=True)),
    ("ceil_padded", dict(kernel_size=3, stride=3, padding=1, ceil_mode=True)),
    ("ceil_left_out", dict(kernel_size=2, stride=2, padding=1, ceil_mode=True)),
    ("ceil_dilated", dict(kernel_size=2, stride=3, dilation=2, ceil_mode=True)),
]
for name, options in MAX:
    add("MaxPool2d", f"max_{name}", image(1, 2, 9, 7), **options)
    add("MaxPool2d", f"max_{name}_ties", ties(1, 2, 7, 8), **options)
add("MaxPool2d", "max_global", image(1, 1, 18, 17), kernel_size=(18, 17))
add("MaxPool2d", "max_large_window", image(1, 1, 20, 19), kernel_size=17, stride=2, padding=3)

AVG = [
    ("halving", dict(kernel_size=2)),
    ("overlapping", dict(kernel_size=3, stride=2, padding=1)),
    ("without_padding", dict(kernel_size=3, stride=2, padding=1, count_include_pad=False)),
    ("oblong", dict(kernel_size=(2, 3), stride=(3, 1), padding=(1, 0))),
    ("ceil", dict(kernel_size=3, stride=2, ceil_mode=True)),
    ("ceil_padded", dict(kernel_size=4, stride=3, padding=2, ceil_mode=True)),
    (
        "ceil_without_padding",
        dict(kernel_size=4, stride=3, padding=2, ceil_mode=True, count_include_pad=False),
    ),
    ("divisor", dict(kernel_size=3, stride=2, padding=1, divisor_override=5)),
    ("negative_divisor", dict(kernel_size=2, ceil_mode=True, divisor_override=-3)),
]
for name, options in AVG:
    add("AvgPool2d", f"avg_{name}", image(1, 2, 9, 7), **options)
    add("AvgPool2d", f"avg_{name}_even", image(1, 2, 8, 10), **options)
add("AvgPool2d", "avg_global", image(1, 33, 8, 8), kernel_size=8)
add("AvgPool2d", "avg_nan", ties(1, 2, 7, 8), kernel_size=3, stride=2)

for size in (1, 2, (3, 5), (7, 1), (9, 10)):
    label = size if isinstance(size, int) else "x".join(map(str, size))
    add("AdaptiveAvgPool2d", f"adaptive_avg_{label}", image(1, 5, 8, 7), output_size=size)
    add("AdaptiveMaxPool2d", f"adaptive_max_{label}", ties(1, 3, 8, 7), output_size=size)

recorder.save()
