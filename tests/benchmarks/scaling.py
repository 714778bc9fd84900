"""How an epoch's cost grows with rows, features, width, depth and batch size.

One of the five changes at a time, the others stay as in `BASE`. One thread, float32 input.
"""

from dataclasses import replace

import numpy as np
from common import in_process, markdown, shown
from contenders import MLP, Products, own
from peers import peers
from workloads import Workload

WIDTH, DEPTH = 128, 2
BASE = Workload("base", 8_000, 64, (WIDTH,) * DEPTH, 200, 3)
VALUES = {
    "rows": [1_000, 4_000, 16_000, 64_000],
    "features": [8, 32, 128, 512, 2_048],
    "width": [8, 32, 128, 512, 1_024],
    "depth": [1, 2, 4, 8],
    "batch": [16, 50, 200, 1_000, 4_000],
}


def jobs(options):
    """Measure each of the five in a process of its own; yields the results."""
    for what, values in VALUES.items():
        values = values[1::2] if options.quick else values
        arguments = {"what": what, "values": values, "rounds": min(options.rounds, 2)}
        yield in_process("scaling", arguments, 1)


def changed(what, value):
    """Return the base workload with one thing changed."""
    return replace(BASE, name=f"{what}={value}", **{
        "rows": {"n_rows": value},
        "features": {"n_features": value},
        "width": {"hidden": (value,) * DEPTH},
        "depth": {"hidden": (WIDTH,) * value},
        "batch": {"batch_size": value},
    }[what])  # fmt: skip


def measure(what, values, rounds):
    """Return median ms per epoch, by name, for each value."""
    ours = own(dtypes=("float32",))[1]
    contenders = [MLP("float32"), ours, *peers(("torch", "jax")), Products()]
    found = {contender.name.partition(",")[0]: [] for contender in contenders}
    for value in values:
        workload = changed(what, value)
        X, y = workload.data("float32")
        times = [[] for _ in contenders]
        for _ in range(rounds):
            for contender, record in zip(contenders, times, strict=True):
                record.extend(contender.epoch_times(workload, X, y, workload.epochs))
        for record, series in zip(times, found.values(), strict=True):
            series.append(1e3 * float(np.median(record)))
    return found


def tables(results):
    """Return one table: a row a point of the plot."""
    names = list(results[0]["result"])
    rows = [
        [f"{result['arguments']['what']} {value:,}", *(shown(ms) for ms in point)]
        for result in results
        for value, *point in zip(
            result["arguments"]["values"], *result["result"].values(), strict=True
        )
    ]
    title = (
        f"{BASE.n_rows:,} rows, {BASE.n_features} features, {DEPTH} hidden layers of {WIDTH}, "
        f"batches of {BASE.batch_size}, 10 classes, but for what is named; ms per epoch:"
    )
    return f"{title}\n\n{markdown(['', *names], rows)}"


def plot(results, figure):
    """Draw a panel for each of the five, both axes logarithmic."""
    panels = figure.subplots(2, 3).ravel()
    styles = {"products alone": {"color": "grey", "linestyle": "--"}, "skbp": {"linewidth": 2.5}}
    for axes, result in zip(panels, results, strict=False):
        what, values = result["arguments"]["what"], result["arguments"]["values"]
        for name, series in result["result"].items():
            axes.plot(values, series, marker=".", label=name, **styles.get(name, {}))
        axes.set(xscale="log", yscale="log", xlabel=what)
        axes.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    for axes in panels[::3]:
        axes.set_ylabel("ms per epoch")
    panels[0].legend(fontsize=8)
    for axes in panels[len(results) :]:
        axes.set_axis_off()
