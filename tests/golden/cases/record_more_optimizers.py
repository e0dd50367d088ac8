#!/usr/bin/env python3
"""Records more_optimizers.safetensors: amsgrad, RMSprop and Muon, as record_optimizers.py does the others.

Muon is torch.optim.Muon on matrices, with its Newton-Schulz iteration in float64 in place of bf16, and torch.optim.AdamW on the
rest. Convolution weights are given to it as matrices [out, in * kh * kw]. Before a case is recorded, PyTorch's own bf16 iteration
must agree with it as far as bf16 can.
"""

import torch
from torch.optim import _muon

from cases import Recorder
from record_optimizers import STEPS, record

ADAMW = ("lr", "betas", "eps", "weight_decay", "amsgrad")  # of the options that begin with adamw_


def newton_schulz_float64(grad, ns_coefficients, ns_steps, eps):
    a, b, c = ns_coefficients
    x = grad.T if grad.size(0) > grad.size(1) else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.size(0) > grad.size(1) else x


def muon_steps(start, grads, options):
    """The parameters and the state after 12 steps."""
    adamw = {key: options[f"adamw_{key}"] for key in ADAMW if f"adamw_{key}" in options}
    muon = {key: value for key, value in options.items() if not key.startswith("adamw_")}
    parameters = [
        torch.nn.Parameter((value.flatten(1) if value.dim() > 1 else value).double())
        for value in start
    ]
    matrices = torch.optim.Muon([p for p in parameters if p.dim() > 1], **muon)
    others = torch.optim.AdamW([p for p in parameters if p.dim() < 2], **adamw)
    for step in range(STEPS):
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad[step].double().view_as(parameter)
        matrices.step()
        others.step()
    return parameters, [matrices.state[p] if p.dim() > 1 else others.state[p] for p in parameters]


def record_muon(recorder, name, shapes, zero_steps=0, **options):
    random = torch.Generator().manual_seed(len(recorder.cases))
    start = [torch.randn(shape, generator=random) for shape in shapes]
    grads = [torch.randn((STEPS, *shape), generator=random) for shape in shapes]
    for grad in grads:
        grad[:zero_steps] = 0
    in_bf16, _ = muon_steps(start, grads, options)
    own, _muon._zeropower_via_newtonschulz = (
        _muon._zeropower_via_newtonschulz,
        newton_schulz_float64,
    )
    parameters, states = muon_steps(start, grads, options)
    _muon._zeropower_via_newtonschulz = own
    tensors = {}
    for i, (parameter, state) in enumerate(zip(parameters, states)):
        moved = (parameter - start[i].view_as(parameter)).norm()
        apart = (parameter - in_bf16[i]).norm() / moved
        assert apart < 0.03, f"{name}: PyTorch's bf16 iteration is {apart} apart"
        tensors |= {f"start.{i}": start[i], f"end.{i}": parameter.view(shapes[i])}
        tensors |= {f"grad.{step}.{i}": grads[i][step] for step in range(STEPS)}
        for key, value in state.items():
            if torch.is_tensor(value) and value.dim() > 0:
                tensors[f"state.{key}.{i}"] = value.view(shapes[i])
    recorder.add(name, tensors, optimizer="Muon", **options)


recorder = Recorder("more_optimizers")
adam, adamw, rmsprop = torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
record(recorder, "adam_amsgrad", adam, lr=0.01, amsgrad=True)
record(
    recorder,
    "adam_amsgrad_decay",
    adam,
    lr=0.02,
    betas=(0.5, 0.6),
    weight_decay=0.1,
    maximize=True,
    amsgrad=True,
)
record(recorder, "adamw_amsgrad", adamw, lr=0.05, betas=(0.8, 0.7), weight_decay=0.5, amsgrad=True)
record(recorder, "rmsprop", rmsprop)
record(recorder, "rmsprop_decay", rmsprop, lr=0.02, alpha=0.9, eps=1e-3, weight_decay=0.1)
record(recorder, "rmsprop_momentum", rmsprop, lr=0.01, momentum=0.9)
record(recorder, "rmsprop_centered", rmsprop, lr=0.01, alpha=0.8, centered=True)
record(
    recorder,
    "rmsprop_all",
    rmsprop,
    lr=0.01,
    alpha=0.4,
    momentum=0.5,
    weight_decay=0.01,
    centered=True,
    maximize=True,
)
wide, tall, square = [(3, 7), (4,)], [(9, 4), (9,)], [(5, 5), (2,)]
convolution = [(4, 2, 3, 3), (4,), (12, 2, 2, 2)]
record_muon(recorder, "muon", wide)
record_muon(
    recorder, "muon_tall", tall, lr=0.02, adamw_lr=0.01, adamw_betas=(0.8, 0.9), adamw_eps=1e-6
)
record_muon(recorder, "muon_square", square, lr=0.02, nesterov=False, weight_decay=0.5)
record_muon(
    recorder,
    "muon_convolution",
    convolution,
    lr=0.02,
    adamw_lr=0.01,
    adamw_weight_decay=0.3,
    adamw_amsgrad=True,
)
record_muon(
    recorder, "muon_match_rms_adamw", tall, lr=0.01, adjust_lr_fn="match_rms_adamw", momentum=0.4
)
record_muon(recorder, "muon_spectral", wide, lr=0.02, adjust_lr_fn="spectral_unclamped", ns_steps=3)
record_muon(
    recorder,
    "muon_coefficients",
    tall,
    lr=0.02,
    ns_coefficients=(2.0, -1.5, 0.5),
    ns_steps=7,
    eps=10.0,
)
record_muon(recorder, "muon_zero_gradients", convolution, zero_steps=3, lr=0.02)
recorder.save()
