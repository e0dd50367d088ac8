"""Writes models.safetensors: torchvision's networks, and PyTorch's form of others, with weights that a formula gives.

Both sides compute the weights by `drawn`, so that the file holds only what the networks make of them: the names and shapes of
the state, logits in eval mode, and of one training step the loss and, for every gradient and every running statistic, a few
numbers (`numbers_of`). All are computed in float64; each case says how far PyTorch's own fp32 is from that.

A ReLU or a maximum that decides otherwise in fp32 changes gradients by far more than rounding does. So of several draws of images
that one is taken whose closest decision is the least close (`margin`). The cases name it: to look for it anew, give them range(20).
"""

import collections

import numpy
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

from cases import Recorder

recorder = Recorder("models")


def fnv1a(name):
    """The 32-bit hash of Fowler, Noll and Vo."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def uniform(name, count):
    """Number e of the tensor `name`, for e below count: in [-1, 1), a multiple of 2^-23, which fp32 holds exactly."""
    x = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(0x9E3779B9)
    x += numpy.uint32(fnv1a(name))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> numpy.uint32(shift))) * numpy.uint32(factor)
    x ^= x >> numpy.uint32(16)
    return (x >> numpy.uint32(8)).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(
        1
    )


def drawn(name, shape):
    """The parameter or buffer `name`: weights with He's variance, and statistics as training leaves them."""
    u = uniform(name, int(numpy.prod(shape)))
    if name.endswith("running_var"):
        value = numpy.float32(1) + numpy.float32(0.5) * u
    elif name.endswith(("running_mean", "bias")):
        value = numpy.float32(0.125) * u
    elif len(shape) > 1:
        value = numpy.float32((6.0 * shape[0] / u.size) ** 0.5) * u
    else:
        value = numpy.float32(0.75) + numpy.float32(0.25) * u
    if name.endswith("bn3.weight"):  # so that 50 layers do not make chaos of rounding
        value *= numpy.float32(0.125)
    return torch.from_numpy(value.reshape(shape))


def numbers_of(name, tensor):
    """Largest absolute value, Euclidean norm, product with uniform("probe." + name), and four elements."""
    flat = tensor.detach().double().reshape(-1)
    probe = torch.from_numpy(uniform("probe." + name, flat.numel())).double()
    picked = [flat[flat.numel() * i // 4] for i in range(4)]
    return torch.stack([flat.abs().max(), flat.norm(), flat @ probe, *picked])


def images(draw, shape):
    return torch.from_numpy(uniform(f"images.{draw}", int(numpy.prod(shape))).reshape(shape))


def fill(module):
    for key, value in module.state_dict().items():
        value.copy_(drawn(key, value.shape) if value.is_floating_point() else torch.tensor(7))


def margin(module, x):
    """How near an input of a ReLU is to 0, or the second of a window to a maximum, relative to the layer's typical value."""
    found = []

    def look(layer, inputs, _):
        values = inputs[0]
        size = values.square().mean().sqrt()
        if isinstance(layer, nn.ReLU):
            found.append((values.abs().min() / size).item())
            return
        if isinstance(layer, nn.MaxPool2d):
            unfold = nn.functional.unfold
            edge = nn.functional.pad(values, [layer.padding] * 4, value=-1)
            windows = unfold(edge, layer.kernel_size, stride=layer.stride)
            windows = windows.reshape(*values.shape[:2], -1, windows.shape[-1])
        else:
            windows = values.flatten(2).unsqueeze(-1)
        if windows.shape[2] > 1:
            first, second = windows.topk(2, dim=2)[0].unbind(2)
            apart = (first - second)[first > 0]
            found.append((apart.min() / size).item())

    kinds = (nn.ReLU, nn.MaxPool2d, nn.AdaptiveMaxPool2d)
    hooks = [m.register_forward_hook(look) for m in module.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        module.train()(x)
    for hook in hooks:
        hook.remove()
    return min(found, default=1.0)


def step(module, x, labels):
    """The logits in eval mode, the loss in training, and the numbers of what that leaves."""
    with torch.no_grad():
        logits = module.eval()(x)
    loss = nn.functional.cross_entropy(module.train()(x), labels)
    loss.backward()
    found = {"logits": logits, "loss": loss}
    for name, parameter in module.named_parameters():
        found[f"grad.{name}"] = numbers_of("grad." + name, parameter.grad)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            found[f"after.{name}"] = numbers_of(name, buffer)
    return found


def case(name, module, batch, side, channels=3, draws=range(20)):
    shape = (batch, channels, side, side)
    classes = list(module.state_dict().values())[-1].shape[0]
    labels = torch.arange(batch) * 5 % classes
    for layer in module.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # so that a hook sees what goes in
    fill(module.double())
    margins = {draw: margin(module, images(draw, shape).double()) for draw in draws}
    draw = max(draws, key=margins.__getitem__)
    x = images(draw, shape)
    fill(module)
    wide = step(module, x.double(), labels)
    module = module.float()
    for parameter in module.parameters():
        parameter.grad = None
    fill(module)
    single = step(module, x, labels)
    gaps = {"logits": 0.0, "grad": 0.0, "after": 0.0}
    for key, value in wide.items():
        kind = key.split(".")[0]
        if kind in gaps:
            scale = value.abs().max() if kind == "logits" else value[0] + 0.01
            near = (
                single[key] - value if kind == "logits" else (single[key] - value)[[0, 3, 4, 5, 6]]
            )
            gaps[kind] = max(gaps[kind], (near.abs().max() / scale).item())
    print(name, f"draw {draw}, margin {margins[draw]:.2g},", gaps)
    gradients = [value[0].item() for key, value in wide.items() if key.startswith("grad.")]
    print(
        f"  logits to {wide['logits'].abs().max():.3g}, loss {wide['loss']:.4g}, grads to",
        max(gradients),
    )
    description = {
        "model": name,
        "batch": batch,
        "side": side,
        "channels": channels,
        "draw": draw,
        "margin": margins[draw],
        "fp32_gaps": gaps,
        "state": [[key, list(value.shape)] for key, value in module.state_dict().items()],
    }
    recorder.add(name, wide, **description)


def small_stem(module):
    module.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    module.maxpool = nn.Identity()
    return module


class ResNet20(nn.Module):
    """He et al. (2015), section 4.2, of torchvision's blocks; shortcuts of option B."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self.stage(16, 16, 1)
        self.layer2 = self.stage(16, 32, 2)
        self.layer3 = self.stage(32, 64, 2)
        self.fc = nn.Linear(64, 10)

    @staticmethod
    def stage(before, channels, stride):
        shortcut = None
        if stride > 1:
            conv = nn.Conv2d(before, channels, 1, stride=stride, bias=False)
            shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))
        rest = [BasicBlock(channels, channels) for _ in range(2)]
        return nn.Sequential(BasicBlock(before, channels, stride, shortcut), *rest)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Mul(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def named(**layers):
    return nn.Sequential(collections.OrderedDict(layers))


def resnet9(w):
    """Page, "How to train your ResNet" (2018)."""

    def conv_bn(before, after, **more):
        conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return named(conv=conv, bn=nn.BatchNorm2d(after), relu=nn.ReLU(), **more)

    def residual(c):
        return Residual(named(res1=conv_bn(c, c), res2=conv_bn(c, c)))

    return named(
        prep=conv_bn(3, w),
        layer1=conv_bn(w, 2 * w, pool=nn.MaxPool2d(2), residual=residual(2 * w)),
        layer2=conv_bn(2 * w, 4 * w, pool=nn.MaxPool2d(2)),
        layer3=conv_bn(4 * w, 8 * w, pool=nn.MaxPool2d(2), residual=residual(8 * w)),
        pool=nn.AdaptiveMaxPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(8 * w, 10, bias=False),
        classifier=Mul(0.125),
    )


def lenet5():
    """LeCun et al. (1998), for 28x28 digits."""
    return named(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        tanh1=nn.Tanh(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        tanh2=nn.Tanh(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120),
        tanh3=nn.Tanh(),
        fc2=nn.Linear(120, 84),
        tanh4=nn.Tanh(),
        fc3=nn.Linear(84, 10),
    )


models = torchvision.models
case("resnet18", models.resnet18(), 8, 32, draws=[8])
case("resnet34", models.resnet34(), 8, 32, draws=[0])
case("resnet50", models.resnet50(), 8, 16)
case("vgg11_bn", models.vgg11_bn(num_classes=10, dropout=0.0), 4, 32, draws=[0])
case("resnet18_small_stem", small_stem(models.resnet18(num_classes=10)), 4, 16, draws=[8])
case("resnet20", ResNet20(), 4, 16, draws=[1])
case("resnet9", resnet9(8), 4, 16, draws=[5])
case("lenet5", lenet5(), 4, 28, channels=1, draws=[0])

recorder.save()
