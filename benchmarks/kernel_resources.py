#!/usr/bin/env python3
"""What each CUDA kernel takes of a GPU; started by scripts/kernel_resources.

Each file is compiled for each compute capability as a Release build compiles it, and ptxas says what its kernels take. What was
compiled is kept in BUILD/kernel_resources, and only files that changed are compiled again. Ends with 1, and a line for each kernel
at fault, if one spills registers, does not say its threads by __launch_bounds__, or fits on no multiprocessor.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import textwrap
from typing import NamedTuple

import occupancy

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ("-O3", "-DNDEBUG", "-std=c++20", "--expt-relaxed-constexpr")
# The most dynamic shared memory that a kernel is launched with, in bytes.
DYNAMIC_SHARED = {
    "transpose_kernel<float>": 12 * 1024,  # 1024 rows of 2 and a padding
    "transpose_kernel<bf16>": 6 * 1024,
    "head_kernel<1, float>": 37_888,  # 128 hidden units and 32 classes; SimpleCNN's take 15,360
    "head_kernel<1, bf16>": 37_888,
    "head_kernel<4, float>": 64_000,  # the most that linear_head_serves allows
    "head_kernel<4, bf16>": 64_000,
}
DYNAMIC_SYMBOL = "gpucnn_dynamic_shared"


class Resources(NamedTuple):
    file: str
    kernel: str  # as a reader knows it: convolve_kernel<Tile<64, 32, 4, 4, 16>, 4, float>
    capability: str
    registers: int
    static_shared: int
    dynamic_shared: int
    stack: int
    spill_stores: int
    spill_loads: int
    threads: int
    blocks: int  # that a multiprocessor holds

    @property
    def warps(self):
        return self.blocks * -(-self.threads // occupancy.WARP)


# ---- compiling ---------------------------------------------------------------------------------


def is_fresh(output, dependencies):
    """Whether `output` is newer than each of the files that the Makefile rule in `dependencies` names."""
    try:
        made = output.stat().st_mtime
        names = dependencies.read_text().replace("\\\n", " ").split(" : ", 1)[1].split()
        return all(pathlib.Path(ROOT, name).stat().st_mtime <= made for name in names)
    except (OSError, IndexError):
        return False


def run(command):
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stderr


def compile_file(nvcc, build, file, capability):
    """The PTX of a file, and what ptxas says of it."""
    number = capability.replace(".", "")
    stem = build / "kernel_resources" / number / file.replace("/", "_")
    ptx, rule, said = (stem.with_name(stem.name + suffix) for suffix in (".ptx", ".d", ".txt"))
    if not is_fresh(said, rule):
        stem.parent.mkdir(parents=True, exist_ok=True)
        said.unlink(missing_ok=True)
        includes = (f"-I{build}/include", f"-I{build}/private")
        run(
            [nvcc, "-ptx", f"-arch=compute_{number}", *FLAGS, *includes]
            + ["-MD", "-MF", rule, "-o", ptx, file]
        )
        ptxas = pathlib.Path(nvcc).resolve().parent / "ptxas"
        text = run([ptxas, "-v", f"-arch=sm_{number}", "-o", "/dev/null", ptx])
        said.write_text(text)
    return ptx.read_text(), said.read_text()


# ---- reading -----------------------------------------------------------------------------------


def demangled(names):
    text = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    ).stdout
    return dict(zip(names, map(short_name, text.splitlines())))


def short_name(name):
    """Of "void gpucnn::(anonymous namespace)::f<int>(float*)" what tells it from others of its file: "f<int>"."""
    name = name.replace("(anonymous namespace)::", "").removeprefix("void ")
    depth = 0
    for i, letter in enumerate(name):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            name = name[:i]
            break
    return re.sub(r"\((int|bool|long)\)", "", re.sub(r"\b[a-z_0-9]+::", "", name))


def read_ptx(text):
    """By mangled name, the threads that __launch_bounds__ promises (None without) and whether dynamic shared memory is used."""
    kernels = {}
    for part in re.split(r"(?=\.entry )", text)[1:]:
        part = part.split("\n}", 1)[0]
        threads = re.search(r"\.maxntid (\d+)", part)
        name = re.match(r"\.entry (\w+)", part)[1]
        kernels[name] = (int(threads[1]) if threads else None, DYNAMIC_SYMBOL in part)
    return kernels


def read_ptxas(text):
    """By mangled name, registers, shared bytes, stack and spilled bytes."""
    kernels = {}
    for part in text.split("Compiling entry function '")[1:]:
        name = part.split("'", 1)[0]
        # Behind functions that were not inlined the kernel's own line follows under its name.
        own = part.split(f"Function properties for {name}", 1)[1]
        used = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", own
        )
        registers = re.search(r"Used (\d+) registers", own)
        shared = re.search(r"(\d+) bytes smem", own)
        kernels[name] = (
            int(registers[1]),
            int(shared[1]) if shared else 0,
            *map(int, used.groups()),
        )
    return kernels


def resources_of(file, capability, ptx, said):
    """The resources of a file's kernels, and what is wrong with them."""
    found, faults = [], []
    promised = read_ptx(ptx)
    used = read_ptxas(said)
    if set(promised) != set(used):
        sys.exit(f"{file}: ptxas names other kernels than the PTX holds")
    names = demangled(list(used)) if used else {}
    for name, (registers, static, stack, stores, loads) in used.items():
        threads, is_dynamic = promised[name]
        kernel = names[name]
        where = f"{file}: {kernel}"
        dynamic = DYNAMIC_SHARED.get(kernel, 0) if is_dynamic else 0
        if is_dynamic and not dynamic:
            faults.append(
                f"{where} uses dynamic shared memory; DYNAMIC_SHARED of benchmarks/kernel_resources.py must say how much"
            )
        if stores or loads:
            faults.append(
                f"{where} spills on {capability}: {stores} bytes stored, {loads} bytes loaded"
            )
        if threads is None:
            faults.append(f"{where} does not say its threads by __launch_bounds__")
            continue
        blocks = occupancy.blocks(capability, threads, registers, static + dynamic)
        if blocks == 0:
            faults.append(f"{where} fits on no multiprocessor of {capability}")
        memory = (registers, static, dynamic, stack, stores, loads)
        found.append(Resources(file, kernel, capability, *memory, threads, blocks))
    return found, faults


# ---- writing -----------------------------------------------------------------------------------


def each(values):
    """Values by compute capability, as one if they are the same."""
    values = [str(v) for v in values]
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def by_kernel(resources, name_of):
    """The resources of each file's kernels, by file and the name that `name_of` gives."""
    kernels = {}
    for r in resources:
        kernels.setdefault((r.file, name_of(r)), []).append(r)
    return kernels


def print_text(resources, capabilities):
    print(f"Registers, stack, blocks and warps for compute capability {', '.join(capabilities)}.")
    row = "  {:<56} {:>7} {:>7} {:>7}  {:<15} {:<9} {:<12} {}"
    last = None
    for (file, kernel), rs in by_kernel(resources, lambda r: r.kernel).items():
        if file != last:
            head = ("", "threads", "static", "dynamic", "registers", "stack", "blocks", "warps")
            print("\n" + file + row.format(*head)[len(file) :])
            last = file
        figures = (
            each(f(r) for r in rs)
            for f in (
                lambda r: r.registers,
                lambda r: r.stack,
                lambda r: r.blocks,
                lambda r: r.warps,
            )
        )
        print(
            row.format(kernel, rs[0].threads, rs[0].static_shared, rs[0].dynamic_shared, *figures)
        )


def print_markdown(resources, capabilities):
    """A row for each kernel, with the widest figures of its instances; those that fill a multiprocessor anyway in one sentence."""
    heads = " / ".join(capabilities)
    columns = (
        "threads",
        "shared",
        f"registers {heads}",
        "stack",
        f"blocks {heads}",
        f"warps {heads}",
    )
    print("| " + " | ".join(("file", "kernel", "instances", *columns)) + " |")
    print("| --- | --- |" + " ---: |" * (1 + len(columns)))
    full = {}
    for (file, kernel), rs in by_kernel(resources, lambda r: r.kernel.split("<")[0]).items():
        file = file.removeprefix("kernels/")
        if all(fills(r) for r in rs):
            full.setdefault(file, []).append(f"`{kernel}`")
            continue
        groups = [[r for r in rs if r.capability == c] for c in capabilities]
        threads = {min(r.threads for r in rs), max(r.threads for r in rs)}
        figures = (
            len(groups[0]),
            " to ".join(map(str, sorted(threads))),
            f"{max(r.static_shared + r.dynamic_shared for r in rs):,}",
            each(max(r.registers for r in g) for g in groups),
            each(max(r.stack for r in g) for g in groups),
            each(min(r.blocks for r in g) for g in groups),
            each(min(r.warps for r in g) for g in groups),
        )
        print("| " + " | ".join((f"`{file}`", f"`{kernel}`", *map(str, figures))) + " |")
    named = "; ".join(f"{', '.join(kernels)} of `{file}`" for file, kernels in full.items())
    sentence = (
        f"These fill a multiprocessor of each kind with threads, or have one thread: {named}."
    )
    print("\n" + textwrap.fill(sentence, 100, break_on_hyphens=False))


def fills(r):
    return (
        r.threads == 1
        or r.warps * occupancy.WARP == occupancy.MULTIPROCESSORS[r.capability].threads
    )


# ---- the command line --------------------------------------------------------------------------


def relative(file):
    """A file as seen from the root, if it lies there."""
    path = pathlib.Path(file).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def read_sources(build):
    try:
        lines = (build / "sources.txt").read_text().splitlines()
    except OSError:
        lines = []
    if not (build / "private/gpucnn/core/gpu/launch.h").exists() or not lines:
        sys.exit(
            f"kernel_resources: {build} is not configured with CUDA; cmake --preset dev does, or --build names another"
        )
    return [line.split()[1] for line in lines if line.startswith("CU_SOURCES ")]


def main():
    parser = argparse.ArgumentParser(prog="scripts/kernel_resources", description=__doc__)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="these .cu files instead of all of the library"
    )
    parser.add_argument(
        "--build",
        type=pathlib.Path,
        default=ROOT / "build-dev",
        help="a folder configured with CUDA (build-dev)",
    )
    parser.add_argument(
        "--capability",
        action="append",
        choices=tuple(occupancy.MULTIPROCESSORS),
        help="this one only; may be repeated",
    )
    parser.add_argument("--markdown", action="store_true", help="a table for docs/gpu.md")
    parser.add_argument("--nvcc", default="nvcc", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    build = options.build.resolve()
    files = [relative(f) for f in options.files] or read_sources(build)
    capabilities = options.capability or list(occupancy.MULTIPROCESSORS)

    jobs = [(file, capability) for file in files for capability in capabilities]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        texts = list(pool.map(lambda job: compile_file(options.nvcc, build, *job), jobs))
    resources, faults = [], []
    for (file, capability), (ptx, said) in zip(jobs, texts):
        found, wrong = resources_of(file, capability, ptx, said)
        resources += found
        faults += [fault for fault in wrong if fault not in faults]
    if resources:
        (print_markdown if options.markdown else print_text)(resources, capabilities)
    if faults:
        sys.exit("\n".join(faults))
    if not options.markdown:
        kernels = len(by_kernel(resources, lambda r: r.kernel))
        print(
            f"\n{kernels} kernels for compute capability {', '.join(capabilities)}: none spills, all say their threads"
        )


if __name__ == "__main__":
    main()
