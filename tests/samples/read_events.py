"""Holds the event files of a run of four epochs to its metrics.jsonl, as TensorBoard reads them: read_events.py FOLDER."""

import io
import json
import logging
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator

logging.disable(logging.CRITICAL)  # TensorBoard tells of the steps that it forgets
folder = pathlib.Path(sys.argv[1])
metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
everything = {kind: 0 for kind in ("scalars", "images", "histograms", "tensors")}
events = event_accumulator.EventAccumulator(str(folder), size_guidance=everything)
events.Reload()

SCALARS = {
    "loss/train": "train_loss",
    "accuracy/train": "train_accuracy",
    "loss/test": "test_loss",
    "accuracy/test": "test_accuracy",
    "lr": "lr",
    "images_per_second": "images_per_second",
}
tags = events.Tags()
assert sorted(tags["scalars"]) == sorted(SCALARS), tags
for tag, name in SCALARS.items():
    points = events.Scalars(tag)
    assert [p.step for p in points] == [1, 2, 3, 4], (tag, [p.step for p in points])
    for point, line in zip(points, metrics, strict=True):
        assert abs(point.value - line[name]) <= 1e-6 * abs(line[name]), (tag, point, line)

assert "parameters/features.0.weight" in tags["histograms"], tags
for tag in tags["histograms"]:
    values = events.Histograms(tag)
    assert [v.step for v in values] == [1, 2, 3, 4], tag
    histogram = values[-1].histogram_value
    assert sum(histogram.bucket) == histogram.num > 0, tag
    assert (
        histogram.bucket_limit[0] <= histogram.min <= histogram.max <= histogram.bucket_limit[-1]
    ), tag
assert events.Histograms("parameters/features.0.weight")[0].histogram_value.num == 16 * 3 * 3 * 3

(image,) = [i for i in events.Images("filters/features.0.weight") if i.step == 4]
assert image.encoded_image_string.startswith(b"\x89PNG"), image
assert (image.height, image.width) == (3 * 8, (16 * 4 - 1) * 8), image
print("as it should be")
