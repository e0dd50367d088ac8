#!/usr/bin/env python3
"""Writes networks of PyTorch as ONNX files.

    python3 tests/golden/torch_onnx.py DIR       for `onnx_networks check DIR` to import
    python3 tests/golden/torch_onnx.py record    the small ones in tests/golden/onnx, which the tests import

Each is exported by both of PyTorch's exporters, with an input and what PyTorch makes of it. Ends with 77 where a package is missing:
pip install torch torchvision onnx onnxscript safetensors
"""

import logging
import pathlib
import sys
import warnings

try:
    import onnx
    import onnxscript
    import torch
    import torchvision
    from safetensors.torch import save_file
except ImportError as error:
    print(f"torch_onnx.py: skipped: {error}")
    sys.exit(77)

from torch import nn

from simple_cnn import SimpleCNN


class Shortcut(nn.Module):
    """A squeeze of all that a network may have beside layers in a row."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 1, bias=False)
        self.c = nn.Conv2d(8, 4, 3, padding=1, groups=2)

    def forward(self, x):
        x = self.a(x)
        x = x + torch.relu(self.b(x))
        x = torch.cat([x, self.c(x)], dim=1)
        return x.mean([2, 3])


class Viewed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4 * 16 * 16, 10)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return torch.softmax(self.fc(x.view(x.size(0), -1)), dim=1)


class Small(nn.Module):
    """What differs between exporters, in a few kilobytes; for images of [3, 8, 8]."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.act1 = nn.GELU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding="same")
        self.norm = nn.GroupNorm(2, 4)
        self.act2 = nn.SiLU()
        self.act3 = nn.GELU("tanh")
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2)
        self.act4 = nn.Hardswish()
        self.fc = nn.Linear(8 * 8 * 8, 5)

    def forward(self, x):
        x = self.act1(self.bn1(self.conv1(x)))
        x = x + self.act2(self.norm(self.conv2(x)))
        x = self.up(self.pool(self.act3(x)))
        x = torch.cat([x, self.act4(x)], dim=1)
        x = nn.functional.relu6(x.view(x.size(0), -1))
        return torch.softmax(self.fc(x), dim=1)


def activation(layer):
    return nn.Sequential(nn.Conv2d(3, 4, 1), layer, nn.Conv2d(4, 4, 1))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def networks():
    """Names, and networks for images of [3, 32, 32]."""
    models = torchvision.models
    yield "simple_cnn", SimpleCNN()
    yield "lenet5", lenet5()
    yield "resnet18", models.resnet18(num_classes=10)
    yield "resnet50", models.resnet50(num_classes=10)
    yield "mobilenet_v2", models.mobilenet_v2(num_classes=10)
    yield "squeezenet", models.squeezenet1_1(num_classes=10)
    yield "shortcut", Shortcut()
    yield "viewed", Viewed()
    yield "vgg", nn.Sequential(
        models.vgg11_bn().features,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    for layer in (
        nn.ReLU6(),
        nn.LeakyReLU(0.2),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.SiLU(),
        nn.Hardswish(),
        nn.Sigmoid(),
        nn.Tanh(),
        nn.Softmax(1),
        nn.GroupNorm(2, 4),
        nn.GroupNorm(2, 4, affine=False),
        nn.InstanceNorm2d(4, affine=True),
        nn.BatchNorm2d(4),
        nn.Upsample(scale_factor=2),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(4),
        nn.AdaptiveMaxPool2d(1),
        nn.Dropout2d(0.5),
        nn.Conv2d(4, 4, 3, dilation=2, padding="same"),
    ):
        kind = type(layer).__name__
        count = networks.counts[kind] = networks.counts.get(kind, 0) + 1
        yield f"{kind}{count}", activation(layer)


networks.counts = {}


def randomize(model):
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)


def export(model, x, path, new):
    options = {"input_names": ["input"], "output_names": ["output"]}
    if new:
        batch = torch.export.Dim("batch")
        torch.onnx.export(
            model,
            (x,),
            str(path),
            dynamo=True,
            external_data=False,
            dynamic_shapes=({0: batch},),
            verbose=False,
            **options,
        )
    else:
        torch.onnx.export(
            model,
            (x,),
            str(path),
            dynamo=False,
            dynamic_axes={"input": {0: "N"}},
            opset_version=17,
            **options,
        )


def record():
    folder = pathlib.Path(__file__).parent / "onnx"
    torch.manual_seed(0)
    x, model = torch.randn(2, 3, 8, 8), Small()
    randomize(model)
    model.eval()
    with torch.no_grad():
        example = {"input": x, "output": model(x).contiguous()}
    for new in (False, True):
        export(model, x, folder / f"small_{'new' if new else 'old'}.onnx", new)
    for path in folder.glob("*.onnx"):  # traces of the file system and source code
        file = onnx.load(path)
        for node in file.graph.node:
            del node.metadata_props[:]
        for value in [*file.graph.input, *file.graph.output, *file.graph.value_info]:
            del value.metadata_props[:]
        onnx.save(file, path)
    save_file(example, folder / "small.safetensors")


def main(folder):
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    for name, model in networks():
        randomize(model)
        model.eval()
        with torch.no_grad():
            example = {"input": x, "output": model(x).contiguous()}
        for new in (False, True):
            path = folder / f"{name}.{'new' if new else 'old'}.onnx"
            try:
                export(model, x, path, new)
                save_file(example, path.with_suffix(".safetensors"))
            except Exception as error:
                print(f"{path.name}: PyTorch cannot export it: {str(error)[:200]}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    record() if sys.argv[1] == "record" else main(sys.argv[1])
