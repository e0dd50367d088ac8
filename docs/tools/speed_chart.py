#!/usr/bin/env python3
"""Draws how fast training and single predictions are beside other programs, from what compare_networks.py measured.

    python3 benchmarks/compare_networks.py --json table.json
    python3 docs/tools/speed_chart.py table.json --out docs/pictures/speed.svg --machine "two cores of an Intel Xeon"

A bar is a program's speed where libgpucnn's is 1: images a second divided by libgpucnn's, median over the rounds. Of PyTorch, eager and
compiled, the faster counts.
"""

import argparse
import json
import pathlib
import sys
from html import escape

OURS = "libgpucnn"
PANELS = [("train", 128, "Training step, batch of 128"), ("infer", 1, "Prediction, one image")]
PROGRAMS = [OURS, "PyTorch", "ONNX Runtime", "OpenVINO", "dlib"]
MAX_SPEED = 1.5  # the end of the scale
BAR, NAMES, PANEL, GAP = 9, 106, 300, 70
TOP = 92
STYLE = """svg{--back:#fff;--text:#1f2328;--quiet:#57606a;--edge:#d0d7de;--p0:#0969da;--p1:#bc4c00;--p2:#6e7781;--p3:#8250df;--p4:#1a7f37}
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--text:#e6edf3;--quiet:#9da7b3;--edge:#30363d;--p0:#58a6ff;--p1:#f0883e;\
--p2:#9da7b3;--p3:#bc8cff;--p4:#3fb950}}
.back{fill:var(--back);stroke:var(--edge)}
text{fill:var(--text);font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.head{font-weight:600;font-size:14px}.quiet{fill:var(--quiet);font-size:11px}.end{text-anchor:end}
.line{stroke:var(--quiet);stroke-dasharray:3 3}
.p0{fill:var(--p0)}.p1{fill:var(--p1)}.p2{fill:var(--p2)}.p3{fill:var(--p3)}.p4{fill:var(--p4)}"""


def speeds_of(results, what, batch):
    """{network: {program: (speed, milliseconds)}} of one panel."""
    cells = {}
    for r in results:
        if (r["what"], r["batch"]) != (what, batch):
            continue
        name = next((p for p in PROGRAMS if r["program"].startswith(p)), None)
        if name is None:
            continue
        cell = cells.setdefault(r["network"], {})
        speed = 1 / r["ratio"]
        if name not in cell or speed > cell[name][0]:
            cell[name] = (speed, r["median_ms"])
    return {network: cell for network, cell in sorted(cells.items()) if OURS in cell}


def time_of(milliseconds):
    return (
        f"{milliseconds * 1000:.0f} µs"
        if milliseconds < 1
        else f"{milliseconds:.3g} ms"
        if milliseconds < 1000
        else f"{milliseconds / 1000:.2f} s"
    )


def panel(speeds, title, x, row_height):
    """A panel's bars, whose left end is at x."""
    width = PANEL / MAX_SPEED
    svg = f'<text class="head" x="{x}" y="{TOP - 16}">{escape(title)}</text>\n'
    bottom = TOP + row_height * len(speeds)
    svg += f'<line class="line" x1="{x + width:.1f}" x2="{x + width:.1f}" y1="{TOP - 6}" y2="{bottom - 4}"/>\n'
    for row, cell in enumerate(speeds.values()):
        programs = [p for p in PROGRAMS if p in cell]
        y = TOP + row_height * row + (row_height - 6 - BAR * len(programs)) / 2
        for program in programs:
            speed, milliseconds = cell[program]
            end = x + width * min(speed, MAX_SPEED)
            words = time_of(milliseconds) if program == OURS else f"{speed:.2f}"
            svg += f'<rect class="p{PROGRAMS.index(program)}" x="{x}" y="{y:.1f}" width="{end - x:.1f}" height="{BAR - 1}"/>'
            svg += f'<text class="quiet" x="{end + 5:.1f}" y="{y + BAR - 1:.1f}">{words}</text>\n'
            y += BAR
    return svg


def description(panels):
    """The chart in words."""
    sentences = []
    for (_, _, title), speeds in panels:
        for network, cell in speeds.items():
            rivals = ", ".join(f"{p} {s:.2f}" for p, (s, _) in cell.items() if p != OURS)
            sentences.append(f"{title}, {network}: {OURS} {time_of(cell[OURS][1])}; {rivals}.")
    return "Speed where libgpucnn's is 1. " + " ".join(sentences)


def chart(results, machine):
    panels = [(p, speeds_of(results, p[0], p[1])) for p in PANELS]
    networks = sorted(set().union(*(speeds for _, speeds in panels)))
    if not networks or any(list(speeds) != networks for _, speeds in panels):
        raise ValueError("the measurements lack a network of one of the panels")
    row_height = BAR * max(len(cell) for _, speeds in panels for cell in speeds.values()) + 8
    width, height = NAMES + 2 * PANEL + GAP + 66, TOP + row_height * len(networks) + 34
    used = [
        p for p in PROGRAMS if any(p in cell for _, speeds in panels for cell in speeds.values())
    ]
    svg = '<text class="head" x="16" y="28">How fast, where libgpucnn is 1 (longer is faster)</text>\n'
    x = 16
    for program in used:
        svg += f'<rect class="p{PROGRAMS.index(program)}" x="{x}" y="40" width="10" height="10"/><text x="{x + 15}" y="50">{program}</text>'
        x += 40 + 8 * len(program)
    for row, network in enumerate(networks):
        svg += f'<text class="end" x="{NAMES}" y="{TOP + row_height * row + row_height / 2 + 1:g}">{escape(network)}</text>\n'
    for i, ((_, _, title), speeds) in enumerate(panels):
        svg += panel(speeds, title, NAMES + 12 + i * (PANEL + GAP), row_height)
    note = f"Beside the bars: libgpucnn's time, the others' speed. {machine}".strip()
    svg += f'<text class="quiet" x="16" y="{height - 14}">{escape(note)}</text>\n'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" \
aria-labelledby="title description">
<title id="title">Speed of libgpucnn beside other programs</title>
<desc id="description">{escape(description(panels))}</desc>
<style>{STYLE}</style>
<rect class="back" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
{svg}</svg>
"""


def main():
    parser = argparse.ArgumentParser(description="Draws what compare_networks.py measured.")
    parser.add_argument("table", type=pathlib.Path, help="what --json wrote")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--machine", default="", help="a few words for the chart's last line")
    options = parser.parse_args()
    try:
        svg = chart(json.loads(options.table.read_text()), options.machine)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"speed_chart.py: {options.table}: {error}")
    options.out.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
