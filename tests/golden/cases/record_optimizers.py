#!/usr/bin/env python3
"""Records optimizers.safetensors: what PyTorch's optimizers make of parameters in 12 steps."""

import torch

from cases import Recorder

STEPS = 12
SHAPES = [(3, 5), (7,), (2, 3, 3, 3)]


def record(recorder, name, make, **options):
    """12 steps with drawn gradients, in float64. `grad.<step>.<i>`: the gradients."""
    random = torch.Generator().manual_seed(len(recorder.cases))
    start = [torch.randn(shape, generator=random) for shape in SHAPES]
    grads = [torch.randn((STEPS, *shape), generator=random) for shape in SHAPES]
    parameters = [torch.nn.Parameter(value.double()) for value in start]
    optimizer = make(parameters, **options)
    for step in range(STEPS):
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad[step].double()
        optimizer.step()
    tensors = {}
    for i, parameter in enumerate(parameters):
        tensors |= {f"start.{i}": start[i], f"end.{i}": parameter}
        tensors |= {f"grad.{step}.{i}": grads[i][step] for step in range(STEPS)}
        for key, value in optimizer.state[parameter].items():
            if torch.is_tensor(value) and value.dim() > 0:
                tensors[f"state.{key}.{i}"] = value
    recorder.add(name, tensors, optimizer=make.__name__, **options)


def main():
    recorder = Recorder("optimizers")
    sgd, adam, adamw = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
    record(recorder, "sgd", sgd, lr=0.1)
    record(recorder, "sgd_decay", sgd, lr=0.1, weight_decay=0.1)
    record(recorder, "sgd_momentum", sgd, lr=0.1, momentum=0.9)
    record(recorder, "sgd_dampening", sgd, lr=0.05, momentum=0.8, dampening=0.3, weight_decay=0.01)
    record(recorder, "sgd_nesterov", sgd, lr=0.05, momentum=0.9, nesterov=True)
    record(recorder, "sgd_maximize", sgd, lr=0.05, momentum=0.9, weight_decay=0.01, maximize=True)
    record(recorder, "adam", adam, lr=0.01)
    record(recorder, "adam_decay", adam, lr=0.01, weight_decay=0.1)
    record(recorder, "adam_betas", adam, lr=0.02, betas=(0.5, 0.7), eps=1e-3)
    record(recorder, "adam_maximize", adam, lr=0.01, weight_decay=0.01, maximize=True)
    record(recorder, "adamw", adamw, lr=0.01)
    record(recorder, "adamw_decay", adamw, lr=0.05, weight_decay=0.5, betas=(0.8, 0.95))
    record(recorder, "adamw_maximize", adamw, lr=0.01, maximize=True)
    recorder.save()


if __name__ == "__main__":
    main()
