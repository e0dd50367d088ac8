#!/usr/bin/env python3
"""Runs a command in a terminal of its own and writes what it showed as an animated SVG.

    python3 docs/tools/record_terminal.py --out docs/pictures/train.svg --shown scripts/train -- build/samples/train_cifar

The picture plays the run once, shows its end for some seconds, and begins again. Readers who want no motion see the end. Its text is
also in its description, for screen readers. Control sequences that the terminal does not know end the recording with an error.
"""

import argparse
import codecs
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from html import escape

MAX_ROWS = 60
COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """Rows of cells, each a character and its style. It never scrolls: the picture grows."""

    def __init__(self, columns):
        self.columns, self.rows = columns, [[]]
        self.row = self.column = 0
        self.style = ()
        self.rest = ""

    def feed(self, text):
        text, self.rest = self.rest + text, ""
        while text:
            if text[0] == "\x1b":
                match = SEQUENCE.match(text)
                if not match:
                    if len(text) < 16 and re.fullmatch(r"\x1b(\[[0-9;?]*)?", text):
                        self.rest = text
                        return
                    raise ValueError(f"the terminal does not know {text[:8]!r}")
                self.control(match[1], match[2])
                text = text[match.end() :]
                continue
            self.character(text[0])
            text = text[1:]

    def character(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.move_to(self.row + 1)
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character < " ":
            raise ValueError(f"the terminal does not know {character!r}")
        else:
            if self.column == self.columns:
                self.move_to(self.row + 1)
                self.column = 0
            cells = self.rows[self.row]
            cells.extend([(" ", ())] * (self.column + 1 - len(cells)))
            cells[self.column] = (character, self.style)
            self.column += 1

    def move_to(self, row):
        self.row = max(0, row)
        if self.row >= MAX_ROWS:
            raise ValueError(f"the command shows more than {MAX_ROWS} lines")
        while len(self.rows) <= self.row:
            self.rows.append([])

    def control(self, parameters, letter):
        if parameters.startswith("?") and letter in "hl":
            return  # the cursor, shown or hidden
        numbers = [int(word or 0) for word in parameters.split(";")]
        if letter == "K" and numbers[0] in (0, 2):
            del self.rows[self.row][0 if numbers[0] == 2 else self.column :]
        elif letter == "m":
            self.set_style(numbers)
        elif letter == "A":
            self.move_to(self.row - max(1, numbers[0]))
        elif letter == "B":
            self.move_to(self.row + max(1, numbers[0]))
        elif letter == "G":
            self.column = max(1, numbers[0]) - 1
        elif letter == "J" and numbers[0] == 0:
            del self.rows[self.row][self.column :]
            del self.rows[self.row + 1 :]
        else:
            raise ValueError(f"the terminal does not know ESC[{parameters}{letter}")

    def set_style(self, numbers):
        for number in numbers:
            if number == 0:
                self.style = ()
            elif number in (1, 2):
                self.style = tuple(sorted({*self.style, "bold" if number == 1 else "faint"}))
            elif number in (22, 39):
                self.style = tuple(
                    s for s in self.style if (s in ("bold", "faint")) != (number == 22)
                )
            elif 30 <= number <= 37 or 90 <= number <= 97:
                kept = {s for s in self.style if s in ("bold", "faint")}
                self.style = tuple(sorted({*kept, COLOURS[number % 10]}))
            else:
                raise ValueError(f"the terminal does not know the style {number}")

    def lines(self):
        return [tuple(cells) for cells in self.rows]


def record(command, columns):
    """The states of the screen as (seconds, lines), and the exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(MAX_ROWS))
        os.execvp(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", MAX_ROWS, columns, 0, 0))
    terminal, decoder = Terminal(columns), codecs.getincrementaldecoder("utf-8")("replace")
    states, start = [], time.monotonic()
    try:
        while select.select([fd], [], [])[0]:
            data = os.read(fd, 65536)
            if not data:
                break
            terminal.feed(decoder.decode(data))
            states.append((time.monotonic() - start, terminal.lines()))
    except OSError:
        pass  # the command has closed its side
    except ValueError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return states, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def thinned(states, least):
    """The states without those that another follows in less than so many seconds."""
    kept = []
    for state in states:
        if len(kept) > 1 and state[0] - kept[-2][0] < least:
            kept.pop()
        kept.append(state)
    return kept


def spans_of(line):
    """Pieces of equal style in a line, as SVG."""
    svg, text, style = "", "", ()
    for character, its_style in [*line, ("", None)]:
        if its_style == style:
            text += character
            continue
        if text:
            svg += (
                f'<tspan class="{" ".join(style)}">{escape(text)}</tspan>'
                if style
                else escape(text)
            )
        text, style = character, its_style
    return svg


def intervals(states, end):
    """What each row shows and when: (row, line, from, to); `to` is None for what stays."""
    shown, pieces = {}, []
    for seconds, lines in states:
        for row in range(max(len(lines), len(shown))):
            line = lines[row] if row < len(lines) else ()
            before = shown.get(row)
            if before and before[0] == line:
                continue
            if before and before[0] and seconds > before[1]:
                pieces.append((row, before[0], before[1], seconds))
            shown[row] = (line, seconds)
    pieces += [(row, line, at, None) for row, (line, at) in shown.items() if line]
    return sorted((p for p in pieces if p[2] < end), key=lambda p: (p[0], p[2]))


STYLE = """svg{--back:#fff;--text:#1f2328;--edge:#d0d7de;--red:#b42318;--green:#116329;--yellow:#7d4e00;--blue:#0550ae;--magenta:#6639ba;\
--cyan:#1b5f75;--faint:#57606a}
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--text:#e6edf3;--edge:#30363d;--red:#ff8c82;--green:#56d364;--yellow:#e3b341;\
--blue:#79c0ff;--magenta:#d2a8ff;--cyan:#76e3ea;--faint:#9da7b3}}
rect{fill:var(--back);stroke:var(--edge)}
text{fill:var(--text);font:13px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:pre}
.bold{font-weight:600}.faint,.black{fill:var(--faint)}.white{fill:var(--text)}
.prompt{fill:var(--faint)}
"""


def svg_of(states, columns, shown, title, pause):
    """The picture. A piece of text is visible in its interval; without motion only what stays is."""
    length = (states[-1][0] if states else 0) + pause
    pieces = intervals(states, length)
    style = STYLE + "".join(
        f".{c}{{fill:var(--{c})}}" for c in COLOURS if c not in ("black", "white")
    )
    body, frames = "", ""
    for i, (row, line, begin, end) in enumerate(pieces):
        at, until = 100 * begin / length, 100 if end is None else 100 * end / length
        hide = "" if end is None else f"{until:.2f}%{{visibility:hidden}}"
        frames += f"@keyframes k{i}{{0%{{visibility:hidden}}{at:.2f}%{{visibility:visible}}{hide}}}"
        state = ' class="gone"' if end is not None else ""
        body += f'<text{state} x="14" y="{18 * row + 46}" style="animation-name:k{i}">{spans_of(line)}</text>\n'
    style += ".gone{visibility:hidden}@media(prefers-reduced-motion:no-preference)"
    style += f"{{text[style]{{animation-duration:{length:.2f}s;animation-timing-function:step-end;animation-iteration-count:infinite}}{frames}}}"
    last = states[-1][1] if states else []
    words = "\n".join("".join(c for c, _ in line).rstrip() for line in last).strip()
    width, height = round(7.83 * columns) + 34, 18 * max(1, len(last)) + 40
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" \
aria-labelledby="title description">
<title id="title">{escape(title)}</title>
<desc id="description">$ {escape(shown)}
{escape(words)}</desc>
<style>{style}</style>
<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
<text x="14" y="28"><tspan class="prompt">$ </tspan>{escape(shown)}</text>
{body}</svg>
"""


def main():
    parser = argparse.ArgumentParser(description="Records what a command shows as an animated SVG.")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--shown", help="the command as the picture shows it (as it is)")
    parser.add_argument("--title", help="of the picture (the command)")
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--pause", type=float, default=6, help="seconds that the end stays (6)")
    parser.add_argument(
        "--least", type=float, default=0.25, help="seconds from one picture to the next (0.25)"
    )
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    shown = options.shown or " ".join(options.command)
    try:
        states, code = record(options.command, options.columns)
    except ValueError as error:
        sys.exit(f"record_terminal.py: {error}")
    if code != 0:
        sys.exit(f"record_terminal.py: the command ended with code {code}; no picture is written")
    svg = svg_of(
        thinned(states, options.least),
        options.columns,
        shown,
        options.title or shown,
        options.pause,
    )
    options.out.write_text(svg, encoding="utf-8")
    print(f"{options.out}: {len(svg.encode())} bytes, {states[-1][0] if states else 0:.1f} s")


if __name__ == "__main__":
    main()
