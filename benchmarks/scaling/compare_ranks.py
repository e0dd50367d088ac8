#!/usr/bin/env python3
"""Two ranks of one thread each against one process of two threads: the same batch, by turns, medians of rounds.

    benchmarks/scaling/compare_ranks.py build/benchmarks/ranks_bench
"""
import argparse
import json
import os
import statistics
import subprocess

CASES = (("simple_cnn", 1024), ("resnet9", 128))


def images_per_second(command, arguments):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(
        command + arguments, check=True, capture_output=True, text=True, env=environment
    )
    return json.loads(done.stdout)["images_per_second"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", help="the program ranks_bench")
    parser.add_argument(
        "--mpirun", default="mpirun", help="how ranks are started; default: %(default)s"
    )
    parser.add_argument(
        "--ranks",
        type=int,
        default=2,
        help="ranks, and threads of the one process; default: %(default)s",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of both by turns; default: %(default)s"
    )
    parser.add_argument(
        "--steps", type=int, default=20, help="that a run times; default: %(default)s"
    )
    parser.add_argument("--networks", nargs="*", help="only these")
    options = parser.parse_args()
    bench = os.path.abspath(options.bench)
    ranks = [options.mpirun, "-np", str(options.ranks), bench, "--threads", "1"]
    one = [bench, "--threads", str(options.ranks)]
    for network, batch in CASES:
        if options.networks and network not in options.networks:
            continue
        steps = max(5, options.steps if network == "simple_cnn" else options.steps // 4)
        arguments = ["--network", network, "--batch", str(batch), "--steps", str(steps)]
        of_ranks, of_one = [], []
        for _ in range(options.rounds):
            of_one.append(images_per_second(one, arguments))
            of_ranks.append(images_per_second(ranks, arguments))
        both = statistics.median(of_one), statistics.median(of_ranks)
        print(
            f"{network} {batch}: one process {both[0]:.0f} images/s, {options.ranks} ranks {both[1]:.0f}, ratio {both[1] / both[0]:.3f}"
        )


if __name__ == "__main__":
    main()
