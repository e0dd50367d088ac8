"""Recorder of PyTorch cases: what a layer or a loss makes of an input, in float64, rounded to fp32.

    recorder = Recorder("pooling")
    recorder.layer("ceil", nn.AvgPool2d(3, 2, ceil_mode=True), x, kernel_size=3, stride=2, ceil_mode=True)
    recorder.save()

writes pooling.safetensors beside this file. Its `__metadata__` holds `cases`, a JSON list of {"name", "layer", "training"
and the options}, and PyTorch's version. The tensors of a case are called `<name>/x`, `<name>/y`, `<name>/dy`, `<name>/dx`,
`<name>/state.<parameter or buffer>` before the call, `<name>/grad.<parameter>`, and `<name>/after.<buffer>` behind it.
"""

import copy
import json
import pathlib

import torch
from safetensors.torch import save_file


class Recorder:
    def __init__(self, family, folder=pathlib.Path(__file__).parent):
        self.path = folder / f"{family}.safetensors"
        self.cases, self.tensors = [], {}

    def add(self, name, tensors, **description):
        """A case of any kind. `tensors`: float tensors become fp32, integers stay as they are."""
        assert name not in {case["name"] for case in self.cases}, f"{name} is there already"
        self.cases.append({"name": name, **description})
        for key, value in tensors.items():
            value = value.detach()
            value = value.to(torch.float32) if value.is_floating_point() else value
            self.tensors[f"{name}/{key}"] = value.contiguous().clone()

    def layer(self, name, module, x, dy=None, training=True, **options):
        """`module` on x, f32 values; dy is drawn if it is not given. `options` are those that the C++ test reads."""
        module = copy.deepcopy(module).double().train(training)
        x = x.to(torch.float32).double().requires_grad_(True)
        for tensor in module.state_dict().values():  # values that fp32 holds
            if tensor.is_floating_point():
                tensor.copy_(tensor.float().double())
        tensors = {"x": x}
        for key, value in module.state_dict().items():
            tensors[f"state.{key}"] = value.clone()
        y = module(x)
        if dy is None:
            dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(len(self.cases)))
        dy = dy.to(torch.float32).double()
        y.backward(dy)
        tensors |= {"y": y, "dy": dy, "dx": x.grad}
        for key, value in module.named_parameters():
            if value.grad is not None:
                tensors[f"grad.{key}"] = value.grad
        for key, value in module.named_buffers():
            tensors[f"after.{key}"] = value
        self.add(name, tensors, layer=type(module).__name__, training=training, **options)

    def save(self):
        metadata = {"pytorch": torch.__version__, "cases": json.dumps(self.cases)}
        save_file(self.tensors, self.path, metadata)
        print(f"{self.path.name}: {len(self.cases)} cases, {self.path.stat().st_size} bytes")
