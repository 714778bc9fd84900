"""Seconds per epoch, side by side, on the workloads W1 to W5."""

import numpy as np
from common import in_process, markdown, shown
from contenders import Products, own
from peers import peers
from workloads import WORKLOADS

#: The order in tables and pictures; those of the same first word stay together.
ORDER = ("MLPClassifier", "skbp", "PyTorch", "torch.compile", "skorch", "jax", "products alone")


def jobs(options):
    """Measure each pair of threads and workload in a process of its own; yields the results."""
    for threads in options.threads:
        for name in options.workloads:
            arguments = {"name": name, "rounds": options.rounds, "quick": options.quick}
            yield in_process("epochs", arguments, threads)


def measure(name, rounds, quick):
    """Let the contenders train one workload in turn; returns medians in ms, by name."""
    workload = WORKLOADS[name].quick() if quick else WORKLOADS[name]
    data = {dtype: workload.data(dtype) for dtype in ("float64", "float32")}
    contenders = [*own(lazy=bool(workload.nonzeros)), *peers(), Products()]
    times = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            X, y = data[contender.dtype]
            times[contender.name].extend(contender.epoch_times(workload, X, y, workload.epochs))
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def in_order(results):
    """Return the names of all contenders in these results."""
    names = dict.fromkeys(name for result in results for name in result["result"])
    return sorted(names, key=lambda name: ORDER.index(name.partition(",")[0]))


def ours(times, name):
    """Return the time of skbp that a contender's is compared with: the one of the same input."""
    same = "skbp, float32 input" if name.endswith("float32 input") else "skbp"
    return times.get(same, times.get("skbp, NumPy tier"))


def tables(results):
    """Return a table for each number of threads: a row a contender, a column a workload."""
    parts = []
    for threads in sorted({result["threads"] for result in results}):
        chosen = [result for result in results if result["threads"] == threads]
        columns = {result["arguments"]["name"]: result["result"] for result in chosen}
        names = in_order(chosen)
        rows = [[name, *(_cell(times, name) for times in columns.values())] for name in names]
        for name in ("skbp", "MLPClassifier", "PyTorch"):
            if name in names:
                rows.append([f"**{name} / products alone**", *_floors(columns.values(), name)])
        title = f"{threads} thread{'s' if threads > 1 else ''}, ms per epoch (times skbp's):"
        parts.append(f"{title}\n\n{markdown(['', *columns], rows)}")
    return "\n\n".join(parts)


def _floors(columns, name):
    """Return a contender's times as multiples of the products' time."""
    return [shown(times.get(name, np.nan) / times["products alone"]) for times in columns]


def _cell(times, name):
    if name not in times or times[name] != times[name]:
        return "-"
    return f"{shown(times[name])} ({shown(times[name] / ours(times, name))})"


def plot(results, figure):
    """Draw each contender's time as a multiple of skbp's, a group of bars for each workload."""
    threads = min(result["threads"] for result in results)
    chosen = [result for result in results if result["threads"] == threads]
    names = [name for name in in_order(chosen) if name in ORDER and name != "skbp"]
    axes = figure.subplots()
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        ratios = [r["result"].get(name, np.nan) / ours(r["result"], name) for r in chosen]
        places = np.arange(len(chosen)) + (i - (len(names) - 1) / 2) * width
        axes.bar(places, ratios, width, label=name, zorder=2)
        for x, ratio in zip(places, ratios, strict=True):
            if ratio == ratio:
                axes.text(x, ratio * 1.04, f"{ratio:.2g}", ha="center", fontsize=7)
    axes.axhline(1, color="black", linewidth=1, zorder=3)
    axes.set(yscale="log", ylabel="epoch time / skbp's epoch time")
    axes.set_xticks(range(len(chosen)), [result["arguments"]["name"] for result in chosen])
    axes.set_title(f"{threads} thread{'s' if threads > 1 else ''}; the black line is skbp")
    axes.legend(ncols=3, fontsize=8)
    axes.margins(y=0.2)
    axes.grid(axis="y", alpha=0.3, zorder=0)
