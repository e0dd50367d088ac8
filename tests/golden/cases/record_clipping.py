#!/usr/bin/env python3
"""Records clipping.safetensors: PyTorch's gradient clipping, and its averaged model over 12 updates."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cases import Recorder

SHAPES = [(3, 5), (7,), (16,), (2, 3, 3, 3), ()]
STEPS = 12


def record_clip(recorder, name, clip, scale=1.0, without=(), change=None, **options):
    """`before.<i>` and `after.<i>`: the gradients; parameters in `without` have none. In float64."""
    random = torch.Generator().manual_seed(len(recorder.cases))
    parameters = [nn.Parameter(torch.zeros(shape).double()) for shape in SHAPES]
    tensors = {}
    for i, parameter in enumerate(parameters):
        gradient = (torch.randn(parameter.shape, generator=random) * scale).float()
        if i in without:
            continue
        if change:
            change(i, gradient)
        parameter.grad = gradient.double()
        tensors[f"before.{i}"] = gradient
    total_norm = clip(parameters, **options)
    for i, parameter in enumerate(parameters):
        if parameter.grad is not None:
            tensors[f"after.{i}"] = parameter.grad
    if total_norm is not None:
        tensors["total_norm"] = total_norm.double()
    written = {key: "inf" if value == math.inf else value for key, value in options.items()}
    recorder.add(name, tensors, clip=clip.__name__, **written)


def record_average(recorder, name, decay, momentum=0.1):
    """An average of weights and buffers. `<step>.<name>`: the model's values before update `step`, drawn; whole numbers count."""
    random = torch.Generator().manual_seed(len(recorder.cases))
    model = nn.Sequential(
        nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3, momentum=momentum), nn.Flatten(), nn.Linear(12, 2)
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    tensors = {}
    for step in range(STEPS):
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=random))
            else:
                value.copy_(torch.tensor(step * 7 + 1))
            tensors[f"{step}.{key}"] = value.clone()
        average.update_parameters(model)
    tensors |= {f"end.{key}": value for key, value in average.state_dict().items()}
    recorder.add(name, tensors, clip="ema", decay=decay)


def nan_at(i, gradient):
    if i == 1:
        gradient[3] = math.nan
    if i == 0:
        gradient[0, 0] = 0


def inf_at(i, gradient):
    if i == 3:
        gradient[0, 0, 0, 0] = -math.inf


def nothing(i, gradient):
    gradient.zero_()


recorder = Recorder("clipping")
norm, value = nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_
record_clip(recorder, "norm", norm, max_norm=1.0)
record_clip(recorder, "norm_above", norm, max_norm=100.0)
record_clip(recorder, "norm_zero", norm, max_norm=0.0)
record_clip(recorder, "norm_measured", norm, max_norm=math.inf)
record_clip(recorder, "norm_1", norm, max_norm=2.0, norm_type=1.0)
record_clip(recorder, "norm_3", norm, max_norm=0.5, norm_type=3.0)
record_clip(recorder, "norm_half", norm, max_norm=20.0, norm_type=0.5)
record_clip(recorder, "norm_inf", norm, max_norm=0.1, norm_type=math.inf)
record_clip(recorder, "norm_tiny", norm, max_norm=1e-7, scale=1e-6)
record_clip(recorder, "norm_large", norm, max_norm=1.0, scale=1e15)
record_clip(recorder, "norm_without", norm, max_norm=1.0, without=(1, 3))
record_clip(recorder, "norm_of_zeros", norm, max_norm=1.0, change=nothing)
record_clip(recorder, "norm_nan", norm, max_norm=1.0, change=nan_at)
record_clip(recorder, "norm_inf_nan", norm, max_norm=1.0, norm_type=math.inf, change=nan_at)
record_clip(recorder, "norm_of_infinity", norm, max_norm=1.0, change=inf_at)
record_clip(recorder, "value", value, clip_value=0.5)
record_clip(recorder, "value_zero", value, clip_value=0.0)
record_clip(recorder, "value_without", value, clip_value=0.3, without=(0, 2))
record_clip(recorder, "value_nan", value, clip_value=0.5, change=nan_at)
record_clip(recorder, "value_infinity", value, clip_value=2.5, change=inf_at)
record_average(recorder, "ema", 0.9)
record_average(recorder, "ema_slow", 0.999)
record_average(recorder, "ema_fast", 0.3)
record_average(recorder, "ema_copy", 0.0)
recorder.save()
