#!/usr/bin/env python3
"""Records augment.safetensors: what torchvision's augmentations make of images, their draws given."""

import torch
import torchvision
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from cases import Recorder


def pixels(recorder, shape):
    """Random in [0, 1]. The first pixels of colours: black, white, grey, the six pure colours, and two channels alike."""
    random = torch.Generator().manual_seed(len(recorder.cases))
    x = torch.rand(shape, generator=random)
    if shape[-3] == 3:
        corners = [
            (0, 0, 0),
            (1, 1, 1),
            (0.5, 0.5, 0.5),
            (1, 0, 0),
            (0, 1, 0),
            (0, 0, 1),
            (1, 1, 0),
            (1, 0, 1),
        ]
        corners += [
            (0, 1, 1),
            (0.25, 0.75, 0.75),
            (0.75, 0.25, 0.75),
            (0.75, 0.75, 0.25),
            (0, 0, 0.001),
        ]
        x.flatten(-2)[..., : len(corners)] = torch.tensor(corners).T
    return x


def record_color(recorder, adjust, channels, *factors):
    """`y.<i>`: x with factor i."""
    x = pixels(recorder, (2, channels, 5, 7))
    tensors = {"x": x}
    for i, factor in enumerate(factors):
        # In float64; the hue goes through float32 inside.
        tensors[f"y.{i}"] = getattr(functional, f"adjust_{adjust}")(x.double(), factor)
    recorder.add(f"{adjust}_{channels}", tensors, adjust=adjust, factors=factors)


def record_crop(recorder, name, shape, top, left, height, width, size):
    x = pixels(recorder, shape)
    y = functional.resized_crop(x.double(), top, left, height, width, size, antialias=False)
    recorder.add(name, {"x": x, "y": y}, box=[top, left, height, width])


def record_box(recorder, name, height, width, ratio):
    """No part of this scale and ratio fits, so that no random number counts."""
    crop = v2.RandomResizedCrop(8, scale=(1, 1), ratio=ratio)
    params = crop.make_params([torch.zeros(3, height, width)])
    box = [params[key] for key in ("top", "left", "height", "width")]
    recorder.add(name, {}, image=[height, width], ratio=ratio, middle=box)


def record_mix(recorder, name, mix, **params):
    x = pixels(recorder, (4, 3, 5, 6))
    labels = torch.tensor([2, 0, 2, 4], dtype=torch.int64)
    params["labels"] = labels
    params["batch_size"] = 4
    y = mix.transform(x.double(), params)
    probabilities = mix.transform(labels, params)
    del params["labels"], params["batch_size"]
    recorder.add(
        name, {"x": x, "labels": labels, "y": y, "probabilities": probabilities}, mix=name, **params
    )


recorder = Recorder("augment")
for channels in (3, 1):
    record_color(recorder, "brightness", channels, 0.0, 0.6, 1.0, 1.7)
    record_color(recorder, "contrast", channels, 0.0, 0.6, 1.0, 1.7)
    record_color(recorder, "saturation", channels, 0.0, 0.6, 1.0, 1.7)
    record_color(recorder, "hue", channels, -0.5, -0.3, -0.05, 0.0, 0.1, 0.37, 0.5)
record_crop(recorder, "crop_larger", (2, 3, 7, 9), 1, 2, 5, 4, [11, 13])
record_crop(recorder, "crop_smaller", (2, 1, 17, 19), 3, 0, 13, 19, [4, 5])
record_crop(recorder, "crop_same", (1, 2, 6, 5), 2, 1, 3, 3, [3, 3])
record_crop(recorder, "crop_one_pixel", (1, 3, 6, 5), 4, 3, 1, 1, [3, 2])
record_crop(recorder, "crop_to_one", (1, 3, 6, 5), 0, 0, 6, 5, [1, 1])
record_crop(recorder, "crop_wide", (1, 3, 4, 70), 1, 0, 3, 69, [5, 90])
record_box(recorder, "box_wide", 5, 100, (3 / 4, 4 / 3))
record_box(recorder, "box_high", 101, 7, (3 / 4, 4 / 3))
record_box(recorder, "box_odd", 33, 4, (0.4, 0.5))
record_mix(recorder, "mixup", v2.MixUp(num_classes=5), lam=0.3)
record_mix(recorder, "cutmix", v2.CutMix(num_classes=5), box=(1, 2, 4, 5), lam_adjusted=0.7)
recorder.cases[0]["torchvision"] = torchvision.__version__
recorder.save()
