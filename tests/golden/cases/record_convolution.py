#!/usr/bin/env python3
"""Records convolution.safetensors: Conv2d and Linear as PyTorch computes them. Needs PyTorch and safetensors."""

import torch
from torch import nn

from cases import Recorder


class PaddedConv2d(nn.Conv2d):
    """With padding (left, right, top, bottom): PyTorch's own knows equal sides alone."""

    def __init__(self, sides, *arguments, **options):
        super().__init__(*arguments, **options)
        self.sides = sides

    def forward(self, x):
        return super().forward(nn.functional.pad(x, self.sides))


def main():
    torch.manual_seed(0)
    recorder = Recorder("convolution")

    def conv(name, shape, out_channels, **options):
        kernel_size = options.pop("kernel_size")
        module = nn.Conv2d(shape[1], out_channels, kernel_size, **options)
        recorder.layer(
            name,
            module,
            torch.randn(shape),
            out_channels=out_channels,
            kernel_size=kernel_size,
            **options
        )

    conv("plain", (2, 3, 7, 6), 4, kernel_size=(3, 3))
    conv("without bias", (2, 3, 7, 6), 4, kernel_size=(3, 3), bias=False)
    conv("strided", (2, 3, 9, 8), 4, kernel_size=(3, 2), stride=(2, 3))
    conv("padded", (1, 2, 5, 6), 3, kernel_size=(3, 5), padding=(1, 2))
    conv("more padding than image", (1, 2, 1, 2), 3, kernel_size=(3, 3), padding=(3, 4))
    conv("dilated", (2, 3, 9, 9), 4, kernel_size=(3, 2), padding=(2, 1), dilation=(2, 3))
    conv("grouped", (2, 4, 6, 5), 6, kernel_size=(3, 3), groups=2)
    conv("depthwise", (2, 5, 6, 5), 5, kernel_size=(3, 3), padding=(1, 1), groups=5)
    conv(
        "depthwise with a multiplier", (2, 3, 6, 5), 6, kernel_size=(3, 3), stride=(2, 2), groups=3
    )
    conv("pointwise", (3, 7, 3, 3), 5, kernel_size=(1, 1))
    conv("pointwise strided", (3, 7, 5, 5), 5, kernel_size=(1, 1), stride=(2, 2))
    conv("one pixel", (3, 7, 1, 1), 5, kernel_size=(1, 1))
    conv("window of the whole image", (2, 3, 5, 4), 6, kernel_size=(5, 4))
    conv("same odd", (2, 3, 6, 5), 4, kernel_size=(3, 5), padding="same")
    conv("same even", (2, 3, 6, 5), 4, kernel_size=(2, 4), padding="same")
    conv("same dilated", (1, 2, 7, 7), 3, kernel_size=(2, 3), padding="same", dilation=(3, 2))
    conv("same grouped", (1, 4, 5, 5), 4, kernel_size=(4, 2), padding="same", groups=2, bias=False)
    conv("valid", (1, 2, 7, 7), 3, kernel_size=(2, 3), padding="valid")

    def sides(name, shape, out_channels, padding, **options):
        module = PaddedConv2d(padding, shape[1], out_channels, **options)
        recorder.layer(
            name, module, torch.randn(shape), out_channels=out_channels, sides=padding, **options
        )

    sides("sides", (2, 3, 5, 6), 4, (0, 2, 1, 3), kernel_size=(3, 3))
    sides("sides strided", (2, 3, 6, 6), 4, (0, 1, 0, 1), kernel_size=(3, 3), stride=(2, 2))
    sides(
        "sides depthwise",
        (2, 4, 5, 5),
        4,
        (2, 0, 3, 1),
        kernel_size=(3, 2),
        stride=(2, 1),
        groups=4,
    )

    for name, shape, out, bias in [
        ("linear", (3, 7), 5, True),
        ("linear without bias", (4, 3), 6, False),
        ("linear of one", (1, 1), 1, True),
    ]:
        recorder.layer(
            name,
            nn.Linear(shape[1], out, bias=bias),
            torch.randn(shape),
            out_features=out,
            bias=bias,
        )
    recorder.save()


if __name__ == "__main__":
    main()
