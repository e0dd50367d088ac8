"""Writes norm.safetensors: BatchNorm2d and GroupNorm of PyTorch; see cases.py."""

import torch
from torch import nn

from cases import Recorder

recorder = Recorder("norm")


def draw(*shape, seed=0, scale=1.0, shift=0.0):
    return shift + scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def drawn(module, seed):
    """`module` with parameters and buffers that are not its defaults."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(
                    torch.rand(tensor.shape, generator=generator) + (0.5 if "var" in name else -0.3)
                )
            else:
                tensor.fill_(seed)
    return module


def batch_norm(name, x, training=True, **options):
    channels = x.shape[1]
    module = drawn(nn.BatchNorm2d(channels, **options), seed=len(recorder.cases))
    if "momentum" in options and options["momentum"] is None:
        options["momentum"] = "cumulative"
    recorder.layer(name, module, x, training=training, channels=channels, **options)


for training in (True, False):
    mode = "train" if training else "eval"
    batch_norm(f"bn_{mode}", draw(3, 4, 5, 6), training)
    batch_norm(f"bn_{mode}_odd_channels", draw(2, 17, 3, 5, seed=1), training)
    batch_norm(f"bn_{mode}_one_channel", draw(2, 1, 7, 3, seed=2), training)
    batch_norm(f"bn_{mode}_not_affine", draw(2, 3, 4, 4, seed=3), training, affine=False)
    batch_norm(
        f"bn_{mode}_untracked", draw(2, 3, 4, 4, seed=4), training, track_running_stats=False
    )
    batch_norm(
        f"bn_{mode}_plain",
        draw(2, 3, 4, 4, seed=5),
        training,
        affine=False,
        track_running_stats=False,
    )
    batch_norm(f"bn_{mode}_cumulative", draw(4, 3, 2, 2, seed=6), training, momentum=None)
    batch_norm(f"bn_{mode}_momentum", draw(4, 3, 2, 2, seed=7), training, momentum=0.6)
    batch_norm(f"bn_{mode}_eps", draw(4, 3, 2, 2, seed=8, scale=0.1), training, eps=0.01)
    batch_norm(f"bn_{mode}_one_pixel", draw(5, 6, 1, 1, seed=9), training)
batch_norm("bn_constant", torch.full((2, 3, 2, 2), 1.5))
batch_norm("bn_eval_one_value", draw(1, 3, 1, 1, seed=10), False)
batch_norm("bn_momentum_0", draw(2, 3, 2, 2, seed=11), momentum=0.0)
batch_norm("bn_momentum_1", draw(2, 3, 2, 2, seed=12), momentum=1.0)
batch_norm("bn_large_mean", draw(2, 2, 4, 4, seed=13, shift=100.0))
batch_norm("bn_small", draw(2, 2, 4, 4, seed=14, scale=1e-4))
nan = draw(2, 3, 2, 2, seed=15)
nan[0, 1, 0, 0] = float("nan")
batch_norm("bn_nan", nan)
batch_norm("bn_nan_eval", nan, False)
infinite = draw(2, 3, 2, 2, seed=16)
infinite[1, 1, 0, 0] = float("inf")
batch_norm("bn_infinite", infinite)


def group_norm(name, groups, x, **options):
    channels = x.shape[1]
    module = drawn(nn.GroupNorm(groups, channels, **options), seed=len(recorder.cases))
    recorder.layer(name, module, x, channels=channels, groups=groups, **options)


group_norm("gn", 2, draw(3, 4, 5, 3, seed=20))
group_norm("gn_one_group", 1, draw(2, 6, 3, 3, seed=21))
group_norm("gn_each_channel", 5, draw(2, 5, 3, 4, seed=22))
group_norm("gn_wide", 3, draw(2, 48, 2, 3, seed=23))
group_norm("gn_not_affine", 3, draw(2, 9, 2, 2, seed=24), affine=False)
group_norm("gn_eps", 2, draw(2, 4, 3, 3, seed=25, scale=0.1), eps=0.1)
group_norm("gn_one_pixel", 2, draw(3, 8, 1, 1, seed=26))
group_norm("gn_one_image", 2, draw(1, 4, 4, 4, seed=27))
# dx is 0, the difference of terms that grow by 1 / sqrt(eps): with the default their rounding in fp32 alone is 1e-6.
group_norm("gn_one_value", 4, draw(2, 4, 1, 1, seed=28), eps=0.1)
group_norm("gn_constant", 2, torch.full((2, 4, 2, 2), -3.0))
group_norm("gn_large_mean", 2, draw(2, 4, 3, 3, seed=29, shift=100.0))
group_norm("gn_apart", 2, draw(2, 4, 3, 3, seed=30) + torch.arange(4).view(1, 4, 1, 1) * 5)
nan = draw(2, 4, 2, 2, seed=31)
nan[0, 1, 0, 0] = float("nan")
group_norm("gn_nan", 2, nan)

recorder.save()
