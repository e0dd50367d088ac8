"""Records what PIL decodes and what torchvision's Resize and CenterCrop make of it: images.safetensors."""

import io

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Compose, Resize

from cases import Recorder

recorder = Recorder("images")
generator = np.random.default_rng(17)


def picture(height, width):
    """Smooth slopes, edges and a little noise, as photos have them."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        np.sin(x / 5 + k) * 60 + np.cos(y / 7 - k) * 50 + 40 * (x > width / 2) for k in range(3)
    ]
    noise = generator.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(planes, -1) + noise + 110, 0, 255).astype(np.uint8))


def noise(height, width):
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def tensor(image):
    values = np.array(image)
    values = values[:, :, None] if values.ndim == 2 else values
    return torch.from_numpy(values.transpose(2, 0, 1)[None].copy())


def resize(name, image, size, shorter=None):
    steps = [Resize(size)] if shorter is None else [Resize(shorter), CenterCrop(size)]
    description = dict(
        kind="resize", size=list(size), **({} if shorter is None else {"resize": shorter})
    )
    recorder.add(name, {"x": tensor(image), "y": tensor(Compose(steps)(image))}, **description)


resize("down", noise(31, 47), (8, 8))
resize("down_a_little", noise(20, 20), (19, 17))
resize("up", noise(5, 7), (16, 13))
resize("down_and_up", noise(40, 6), (7, 25))
resize("rows_only", noise(24, 9), (10, 9))
resize("columns_only", noise(9, 24), (9, 10))
resize("one_pixel", noise(1, 1), (3, 4))
resize("to_one_pixel", noise(33, 21), (1, 1))
resize("same", noise(6, 5), (6, 5))
resize("grey", noise(30, 20).convert("L"), (11, 12))
resize("crop_wide", noise(33, 50), (16, 16), 20)
resize("crop_tall", noise(51, 34), (16, 15), 21)
resize("crop_all", noise(37, 23), (12, 12), 12)
resize("crop_up", noise(7, 10), (16, 17), 18)
for extent in (21, 22, 23, 24, 25):  # halves to even
    resize(f"crop_of_{extent}", noise(18, extent), (18, 16), 18)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(name, data, tolerance):
    """`tolerance`: levels; versions of libjpeg round differently."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    tensors = {"bytes": torch.frombuffer(bytearray(data), dtype=torch.uint8)}
    tensors |= {"rgb": tensor(image.convert("RGB")), "grey": tensor(image.convert("L"))}
    recorder.add(name, tensors, kind="decode", tolerance=tolerance)


for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
    decode(f"png_{mode}", encoded(noise(9, 11).convert(mode), "PNG"), 0)
decode("png_palette_transparent", encoded(noise(9, 11).convert("P"), "PNG", transparency=3), 0)
decode("jpeg_444", encoded(picture(19, 21), "JPEG", quality=90, subsampling=0), 1)
decode("jpeg_422", encoded(picture(19, 21), "JPEG", quality=90, subsampling=1), 1)
decode("jpeg_420", encoded(picture(19, 21), "JPEG", quality=90, subsampling=2), 1)
decode("jpeg_progressive", encoded(picture(33, 21), "JPEG", progressive=True), 1)
decode("jpeg_grey", encoded(picture(19, 21).convert("L"), "JPEG"), 0)
decode("jpeg_cmyk", encoded(picture(19, 21).convert("CMYK"), "JPEG", quality=95), 1)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decode(
        f"jpeg_exif_{orientation}", encoded(picture(10, 13), "JPEG", exif=exif, subsampling=0), 1
    )

for name, size, shorter in [
    ("halved", (40, 44), None),
    ("quartered", (20, 24), None),
    ("cropped", (20, 20), 22),
]:
    data = encoded(picture(160, 200), "JPEG", quality=85)
    steps = [Resize(size)] if shorter is None else [Resize(shorter), CenterCrop(size)]
    y = tensor(Compose(steps)(Image.open(io.BytesIO(data)).convert("RGB")))
    description = dict(
        kind="scaled", size=list(size), **({} if shorter is None else {"resize": shorter})
    )
    recorder.add(
        f"scaled_{name}",
        {"bytes": torch.frombuffer(bytearray(data), dtype=torch.uint8), "y": y},
        **description,
    )

recorder.save()
