#!/usr/bin/env python3
"""Makes gpu_check.json and gpu_check.md from what the stages of scripts/gpu_check left in a folder.

    python3 benchmarks/gpu_report.py build-gpu/report [--docs docs/gpu.md]

Without a GPU the stages are listed and nothing is measured. --docs puts the tables between the two marks in a page.
"""

import argparse
import json
import pathlib

PRECISIONS = ("bf16", "fp32", "tf32")
STAGES = (
    "build",
    "test",
    "steps",
    "parity",
    "ranks",
    *(f"pytorch-{p}" for p in PRECISIONS),
    "profile",
    "repeat",
    "memcheck",
    "racecheck",
    "kernels",
)
OF_COPY = 0.9  # what a kernel on large tensors must reach of the copy's bandwidth
BOUND_BY_MEMORY = (
    "relu",
    "relu_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "dropout",
    "adam",
    "sgd",
)
OURS = "libgpucnn"
GRAPH = "PyTorch CUDA graph"
MARKS = ("<!-- gpu_check: begin -->\n", "<!-- gpu_check: end -->\n")


def read_facts(folder):
    lines = (folder / "facts").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def read_stages(folder):
    stages = []
    for name in STAGES:
        file = folder / f"{name}.result"
        line = file.read_text() if file.exists() else "not run\t0\tnot asked for"
        result, seconds, detail = line.rstrip("\n").split("\t", 2)
        stages.append({"stage": name, "result": result, "seconds": int(seconds), "detail": detail})
    return stages


def read_json(file):
    return json.loads(file.read_text()) if file.exists() else None


def read_kernels(folder):
    """The measured copy and, for each benchmark, its time and rate."""
    measured = read_json(folder / "kernels.json")
    if measured is None:
        return None
    rows = []
    for row in measured["benchmarks"]:
        name = row["name"].removesuffix("/real_time")
        if name.startswith("large/"):
            words = name.split("/")[1:]
            name = "large/" + "/".join(word for word in words if not word.isdigit())
        kept = {
            key: row[key]
            for key in ("real_time", "time_unit", "bytes_per_second", "of_copy", "FLOP/s")
            if key in row
        }
        rows.append({"kernel": name} | kept)
    return {
        "copy_bytes_per_second": float(measured["context"]["copy_bytes_per_second"]),
        "kernels": rows,
    }


def large_kernels(report):
    """The kernels on large tensors, by their names without the prefix."""
    rows = report["kernels"]["kernels"] if report["kernels"] else []
    return [
        row | {"kernel": row["kernel"].removeprefix("large/")}
        for row in rows
        if row["kernel"].startswith("large/")
    ]


def read_steps(folder):
    """What the stage steps measured: the bench's lines."""
    return [json.loads(line) for line in (folder / "steps.json").read_text().splitlines()]


def targets(report):
    """The first figures to reach."""
    rows = []

    def add(what, wanted, measured, reached):
        rows.append({"what": what, "wanted": wanted, "measured": measured, "reached": reached})

    for row in large_kernels(report):
        name, part = row["kernel"], row["of_copy"]
        if name.split("/")[0] in BOUND_BY_MEMORY:
            add(
                f"{name} on large tensors, of a copy's bandwidth",
                f">= {OF_COPY:.0%}",
                f"{part:.1%}",
                part >= OF_COPY,
            )
    for precision, results in report["pytorch"].items():
        for row in results:
            if row["program"] == GRAPH and row["what"] == "train" and row["batch"] in (128, 1024):
                what = f"training step, {precision}, batch {row['batch']}: time of PyTorch's whole-step CUDA graph / libgpucnn's"
                add(what, "> 1", f"{row['ratio']:.2f}", row["ratio"] > 1)
    return rows


def table(head, rows):
    """Lines of Markdown; a column whose head begins with '>' is right-aligned."""
    lines = ["| " + " | ".join(word.lstrip(">") for word in head) + " |"]
    lines.append(
        "|" + "|".join(" ---: " if word.startswith(">") else " --- " for word in head) + "|"
    )
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def with_gpu(report):
    facts = report["machine"]
    software = f"driver {facts['driver']}, CUDA {facts['cuda']}, cuDNN {facts['cudnn']}, PyTorch {facts['pytorch'] or 'none'}"
    lines = [
        f"{facts['gpu']}, {software}; {facts['date']}, commit {facts['commit']}.",
        "",
    ] + stage_table(report)
    if report["targets"]:
        rows = [
            (t["what"], t["wanted"], t["measured"], "yes" if t["reached"] else "no")
            for t in report["targets"]
        ]
        lines += table(("figure", ">wanted", ">measured", "reached"), rows)
    if report["parity"]:
        keys = ("loss_to_cpu", "weight_to_cpu", "loss_to_pytorch", "weight_to_pytorch")
        batches = [
            (name, values) for name, values in report["parity"].items() if name.startswith("batch")
        ]
        lines += [
            "25 steps of Adam on the GPU: how far losses (relative) and weights (absolute) are apart",
            "",
        ]
        head = (
            "",
            ">losses to CPU",
            ">weights to CPU",
            ">losses to PyTorch's float64",
            ">weights to PyTorch's float64",
        )
        lines += table(
            head, [(name, *(f"{values[key]:.1e}" for key in keys)) for name, values in batches]
        )
    if report["steps"]:
        batches = sorted({row["batch"] for row in report["steps"]})
        rows = []
        for precision in dict.fromkeys(row["precision"] for row in report["steps"]):
            times = {
                row["batch"]: row["median_ms"] * 1000
                for row in report["steps"]
                if row["precision"] == precision
            }
            rows.append((precision, *(f"{times[b]:,.1f}" if b in times else "" for b in batches)))
        lines += [
            "Training steps of SimpleCNN by libgpucnn alone, medians in µs, by images a step:",
            "",
        ]
        lines += table(("", *(f">{batch}" for batch in batches)), rows)
    if report["kernels"]:
        copy = report["kernels"]["copy_bytes_per_second"]
        rows = [
            (r["kernel"], f"{r['bytes_per_second'] / 1e9:,.0f}", f"{r['of_copy']:.1%}")
            for r in large_kernels(report)
        ]
        lines += [
            f"Kernels on tensors of 512 MiB; a copy moves {copy / 1e9:,.0f} GB/s, bytes read and written:",
            "",
        ]
        lines += table(("kernel", ">GB/s", ">of the copy"), rows)
    for precision, results in report["pytorch"].items():
        lines += [
            f"Training steps of SimpleCNN, {precision}; ratio: the program's time / libgpucnn's:",
            "",
        ]
        rows = []
        for r in results:
            spread = f"{r['p10_ms']:.4f} – {r['p90_ms']:.4f}"
            ratio = "" if r["program"] == OURS else f"{r['ratio']:.2f}"
            rows.append(
                (
                    r["batch"],
                    r["program"],
                    f"{r['median_ms']:.4f}",
                    spread,
                    f"{r['images_per_second']:,.0f}",
                    ratio,
                )
            )
        lines += table(
            (">batch", "program", ">median ms", ">p10 – p90 ms", ">images/s", ">ratio"), rows
        )
    return lines


def stage_table(report):
    rows = [
        (s["stage"], s["result"], s["seconds"], s["detail"].replace("|", "\\|"))
        for s in report["stages"]
    ]
    return table(("stage", "result", ">seconds", "detail"), rows)


def without_gpu(report):
    facts = report["machine"]
    return [
        f"No GPU: nothing was measured. {facts['date']}, commit {facts['commit']}.",
        "",
    ] + stage_table(report)


def put_into(page, lines):
    text = page.read_text()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    page.write_text(before + MARKS[0] + "\n" + "\n".join(lines) + MARKS[1] + after)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=pathlib.Path, help="where scripts/gpu_check left its results"
    )
    parser.add_argument(
        "--docs",
        type=pathlib.Path,
        metavar="PAGE",
        help="also put the tables between the marks of this page",
    )
    options = parser.parse_args()
    folder = options.folder
    report = {"machine": read_facts(folder), "stages": read_stages(folder)}
    report |= {"targets": [], "steps": None, "parity": None, "kernels": None, "pytorch": {}}
    passed = {s["stage"] for s in report["stages"] if s["result"] == "passed"}
    if report["machine"]["gpu"]:
        # A file of a stage that broke off is no measurement.
        report["steps"] = read_steps(folder) if "steps" in passed else None
        report["parity"] = read_json(folder / "parity.json") if "parity" in passed else None
        report["kernels"] = read_kernels(folder) if "kernels" in passed else None
        report["pytorch"] = {
            p: read_json(folder / f"pytorch-{p}.json")
            for p in PRECISIONS
            if f"pytorch-{p}" in passed
        }
        report["targets"] = targets(report)
    lines = with_gpu(report) if report["machine"]["gpu"] else without_gpu(report)
    (folder / "gpu_check.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "gpu_check.md").write_text("\n".join(lines))
    if options.docs:
        put_into(options.docs, lines)


if __name__ == "__main__":
    main()
