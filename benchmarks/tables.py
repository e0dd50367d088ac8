"""The Markdown tables of compare_pytorch.py."""

from figures import spread
from programs import OURS

LONG_HEAD = """| what | batch | program | median ms | p10 – p90 ms | images/s | ratio |
| --- | ---: | --- | ---: | ---: | ---: | ---: |"""
SHORT_HEAD = """| what | batch | libgpucnn ms | best rival | its ms | ratio (min – max) | of the FMA bound |
| --- | ---: | ---: | --- | ---: | ---: | ---: |"""


def best_of(results):
    return min(
        (r for r in results if r["program"] != OURS), key=lambda r: r["median_ms"], default=None
    )


def against_best(results):
    """The best rival, its time, and the ratio to libgpucnn's in the same round, as cells of a table."""
    ours, best = results[0], best_of(results)
    if not best:
        return ["none", "", ""]
    ratios = [t["median_ms"] / o["median_ms"] for t, o in zip(best["rounds"], ours["rounds"])]
    return [best["program"], f"{best['median_ms']:.3f}", spread(ratios, "{:.2f}")]


def print_row(words):
    print("| " + " | ".join(map(str, words)) + " |", flush=True)


def print_long(results):
    """The rows of one cell."""
    best = best_of(results)
    for r in results:
        name = f"**{r['program']}**" if r is best else r["program"]
        ratio = (
            ""
            if r["program"] == OURS
            else f"**{r['ratio']:.2f}**"
            if r is best
            else f"{r['ratio']:.2f}"
        )
        times = f"{r['p10_ms']:.3f} – {r['p90_ms']:.3f}"
        print_row(
            [
                r["what"],
                r["batch"],
                name,
                f"{r['median_ms']:.3f}",
                times,
                f"{r['images_per_second']:,.0f}",
                ratio,
            ]
        )


def print_machine(machine):
    peaks = ", ".join(
        f"**{spread(rates, '{:.0f}')} GFLOP/s** with {name}" for name, rates in machine.fma.items()
    )
    copy = f"**{spread(machine.copies)} GB/s** read and written by a copy of {machine.copy_mib} MiB"
    print(
        f"\nThe machine, {machine.threads} threads at once, median (min – max) over this run: FMA peak {peaks}; {copy}."
    )


def print_short(cells):
    """A row for each cell: libgpucnn, its best rival, and the bound that the same round's FMA peak sets."""
    mflop = {ours["what"]: ours["rounds"][0]["flop"] / ours["batch"] / 1e6 for ours, *_ in cells}
    of_image = ", ".join(f"{value:.2f} MFLOP ({what})" for what, value in mflop.items())
    print(
        f"\nThe FMA bound of an image: {of_image}, at the instruction set's peak in the same round."
    )
    print("Ratio: the best rival's time / libgpucnn's in the same round, median over rounds.\n")
    print(SHORT_HEAD)
    for results in cells:
        ours = results[0]
        line = [ours["what"], ours["batch"], f"{ours['median_ms']:.3f}", *against_best(results)]
        print_row(line + [f"{ours['of_fma_bound']:.1%}"])
