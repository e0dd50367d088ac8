"""The networks of networks.h in PyTorch.

    python3 networks.py NAME...      # prints how many parameters each has, as JSON
"""

import json
import pathlib
import sys

import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def conv(in_channels, out_channels, kernel_size, padding, stride=1, groups=1):
    """A convolution and the ReLU behind it."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups),
        nn.ReLU(),
    ]


def depthwise(channels):
    return conv(channels, channels, 3, 1, groups=channels)


def pool():
    return [nn.MaxPool2d(2)]


def overlapping_pool():
    return [nn.MaxPool2d(3, 2, 1)]


def linear(in_features, out_features):
    return [nn.Linear(in_features, out_features), nn.ReLU()]


def head(*features):
    """Linear layers of these sizes with ReLU between them, on flattened images."""
    layers = [nn.Flatten()]
    for in_features, out_features in zip(features, features[1:]):
        layers += linear(in_features, out_features)
    return [*layers, nn.Linear(features[-1], 10)]


def dropout_head(in_features, hidden):
    return [nn.Flatten(), *linear(in_features, hidden), nn.Dropout(0.5), nn.Linear(hidden, 10)]


def vgg8_block(in_channels, out_channels):
    return conv(in_channels, out_channels, 3, 1) + conv(out_channels, out_channels, 3, 1) + pool()


def mobile_block(in_channels, out_channels):
    return depthwise(in_channels) + conv(in_channels, out_channels, 1, 0) + pool()


# Name: the shape of an image, and what makes the layers.
NETWORKS = {
    "allconv": (
        (3, 32, 32),
        lambda: conv(3, 32, 3, 1)
        + conv(32, 32, 3, 1, 2)
        + conv(32, 64, 3, 1)
        + conv(64, 64, 3, 1, 2)
        + conv(64, 128, 3, 1, 2)
        + head(2048),
    ),
    "caffe_lenet": (
        (1, 28, 28),
        lambda: [nn.Conv2d(1, 20, 5), *pool(), nn.Conv2d(20, 50, 5), *pool(), *head(800, 500)],
    ),
    "convnet_quick": (
        (3, 32, 32),
        lambda: conv(3, 32, 5, 2)
        + overlapping_pool()
        + conv(32, 32, 5, 2)
        + overlapping_pool()
        + conv(32, 64, 5, 2)
        + overlapping_pool()
        + head(1024, 64),
    ),
    "lenet5": (
        (1, 28, 28),
        lambda: conv(1, 6, 5, 2) + pool() + conv(6, 16, 5, 0) + pool() + head(400, 120, 84),
    ),
    "mlp": ((1, 28, 28), lambda: head(784, 1024, 1024)),
    "mobile": (
        (3, 32, 32),
        lambda: conv(3, 32, 3, 1)
        + mobile_block(32, 64)
        + mobile_block(64, 128)
        + mobile_block(128, 128)
        + head(2048),
    ),
    "pool64": (
        (3, 64, 64),
        lambda: conv(3, 32, 3, 1)
        + pool()
        + conv(32, 64, 3, 1)
        + pool()
        + conv(64, 128, 3, 1)
        + pool()
        + dropout_head(8192, 128),
    ),
    "vgg8": (
        (3, 32, 32),
        lambda: vgg8_block(3, 32)
        + vgg8_block(32, 64)
        + vgg8_block(64, 128)
        + dropout_head(2048, 256),
    ),
}


class BasicBlock(nn.Module):
    """The residual block of He et al. (2015), with a projection where the shape changes."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            project = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(out_channels))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


def resnet20():
    """Section 4.2 of the paper, as models/resnet.h has it."""
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for out_channels, stride in ((16, 1), (32, 2), (64, 2)):
        layers.append(BasicBlock(channels, out_channels, stride))
        layers += [BasicBlock(out_channels, out_channels, 1) for _ in range(2)]
        channels = out_channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def torchvision_resnet(name):
    """torchvision's, with the stem that small images take."""
    import torchvision

    model = getattr(torchvision.models, name)(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def make_network(name):
    """The model of this name, and the shape of its images."""
    if name in NETWORKS:
        shape, layers = NETWORKS[name]
        return nn.Sequential(*layers()), shape
    if name == "simple_cnn":
        sys.path.insert(0, str(ROOT / "tests" / "golden"))
        from simple_cnn import SimpleCNN

        return SimpleCNN(), (3, 32, 32)
    return resnet20() if name == "resnet20" else torchvision_resnet(name), (3, 32, 32)


def count_parameters(name):
    return sum(parameter.numel() for parameter in make_network(name)[0].parameters())


if __name__ == "__main__":
    print(json.dumps({name: count_parameters(name) for name in sys.argv[1:]}))
