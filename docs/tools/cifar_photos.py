#!/usr/bin/env python3
"""Makes the photos of the README's first page from the test images of CIFAR-10, in its binary form.

    python3 docs/tools/cifar_photos.py cifar-10-batches-bin photos new

Images 0 to 9,989 become photos/CLASS/NNNN.jpg, the last ten new/NNNN-CLASS.jpg, all of 64x64 pixels. Needs Pillow.
"""
import pathlib
import sys

from PIL import Image

SIDE, NEW_SIDE, IMAGES, HELD_BACK = 32, 64, 10000, 10
PLANE = SIDE * SIDE


def main():
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} CIFAR PHOTOS NEW")
    cifar, photos, new = map(pathlib.Path, sys.argv[1:])
    names = (cifar / "batches.meta.txt").read_text().split()
    examples = (cifar / "test_batch.bin").read_bytes()
    if len(examples) != IMAGES * (1 + 3 * PLANE):
        sys.exit(
            f"{cifar / 'test_batch.bin'}: has {len(examples)} bytes, not those of {IMAGES} images"
        )
    new.mkdir(parents=True, exist_ok=True)
    for name in names:
        (photos / name).mkdir(parents=True, exist_ok=True)
    for i in range(IMAGES):
        example = examples[i * (1 + 3 * PLANE) : (i + 1) * (1 + 3 * PLANE)]
        planes = [
            Image.frombytes("L", (SIDE, SIDE), example[1 + c * PLANE : 1 + (c + 1) * PLANE])
            for c in range(3)
        ]
        image = Image.merge("RGB", planes).resize((NEW_SIDE, NEW_SIDE), Image.BICUBIC)
        name = names[example[0]]
        image.save(
            photos / name / f"{i:04}.jpg" if i < IMAGES - HELD_BACK else new / f"{i:04}-{name}.jpg"
        )


if __name__ == "__main__":
    main()
