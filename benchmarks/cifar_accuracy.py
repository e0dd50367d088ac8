#!/usr/bin/env python3
"""Trains SimpleCNN on CIFAR-10 by the same recipe in libgpucnn and in PyTorch and prints a Markdown table of test accuracies.

    python3 benchmarks/cifar_accuracy.py --data DIR

Adam with lr 0.001, batch 128, no augmentation, images scaled to [0, 1] and normalised; the accuracy is that of the last epoch. PyTorch (from
`pip install torch numpy`) runs eager, channels-last, on as many threads as libgpucnn.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH = 128


def read(files):
    import numpy
    import torch

    records = numpy.concatenate(
        [numpy.fromfile(file, dtype=numpy.uint8).reshape(-1, 3073) for file in files]
    )
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    images = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(
        records[:, 0].astype(numpy.int64)
    )


def in_pytorch(data, seed, epochs, threads):
    import torch

    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    from simple_cnn import SimpleCNN

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    images, labels = read([data / f"data_batch_{i}.bin" for i in range(1, 6)])
    test_images, test_labels = read([data / "test_batch.bin"])
    model = SimpleCNN().to(memory_format=torch.channels_last)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            criterion(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        correct = sum(
            (model(x).argmax(1) == y).sum().item()
            for x, y in zip(test_images.split(500), test_labels.split(500))
        )
    return correct / len(test_labels)


def in_libgpucnn(program, data, seed, epochs, threads):
    with tempfile.TemporaryDirectory() as out:
        command = [
            program,
            "--data",
            data,
            "--epochs",
            epochs,
            "--batch-size",
            BATCH,
            "--optimizer",
            "adam",
            "--lr",
            0.001,
            "--schedule",
            "constant",
            "--weight-decay",
            0,
            "--label-smoothing",
            0,
            "--seed",
            seed,
        ]
        subprocess.run(
            [str(word) for word in command + ["--threads", threads, "--out", out, "--quiet"]],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return json.loads(pathlib.Path(out, "metrics.jsonl").read_text().splitlines()[-1])[
            "test_accuracy"
        ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=pathlib.Path, required=True, help="folder of the CIFAR-10 binary version"
    )
    parser.add_argument(
        "--program", default=ROOT / "build/samples/train_cifar", help="train_cifar (%(default)s)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(%(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    options = parser.parse_args()
    runs = {"libgpucnn": lambda *run: in_libgpucnn(options.program, *run), "PyTorch": in_pytorch}
    print(
        f"| test accuracy after {options.epochs} epochs | "
        + " | ".join(f"seed {seed}" for seed in options.seeds)
        + " | mean | seconds a run |\n"
        + "| --- " * (len(options.seeds) + 3)
        + "|",
        flush=True,
    )
    for name, run in runs.items():
        start = time.monotonic()
        accuracies = [
            run(options.data, seed, options.epochs, options.threads) for seed in options.seeds
        ]
        seconds = (time.monotonic() - start) / len(options.seeds)
        cells = [
            f"{100 * accuracy:.2f} %" for accuracy in [*accuracies, statistics.mean(accuracies)]
        ]
        print(f"| {name} | " + " | ".join(cells) + f" | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
