"""Writes performance.json, the pictures, and the tables of performance.md."""

import json
import re
from importlib import import_module

from common import describe, left_out

#: Width and height of the parts' pictures, in inches.
PICTURES = {"epochs": (9, 4.5), "accuracy": (11, 3.6), "scaling": (11, 6.6)}


def write(folder, part, results, quick):
    """Put one part's results in their places.

    Parameters
    ----------
    folder : Path
        Where performance.json, performance.md and the pictures are.
    part : str
        Name of the part and of its module.
    results : list of dict
        What the part's jobs returned. Workloads that were not run keep their earlier figures.
    quick : bool
        Whether this was a quick run, which is then said beside the tables.
    """
    path = folder / "performance.json"
    everything = json.loads(path.read_text()) if path.exists() else {}
    if part in ("epochs", "nets"):  # one of many workloads and numbers of threads may have been run
        done = {_workload(job) for job in results}
        earlier = everything.get(part, {"jobs": []})["jobs"]
        results = [job for job in earlier if _workload(job) not in done] + results
        results.sort(key=_workload)
    everything[part] = {"quick": quick, "jobs": results}
    path.write_text(json.dumps(everything, indent=1) + "\n")
    render(folder, part, results, quick)


def _workload(job):
    return job["threads"], job["arguments"]["name"]


def redraw(folder):
    """Renew tables and pictures from the figures of performance.json."""
    for part, found in json.loads((folder / "performance.json").read_text()).items():
        render(folder, part, found["jobs"], found["quick"])


def render(folder, part, results, quick):
    """Write one part's tables, and draw its picture; parameters as for `write`."""
    _write_tables(folder / "performance.md", part, results, quick)
    if part in PICTURES and not left_out(["matplotlib"]):
        _draw(folder / f"performance-{part}.png", part, results)


def _write_tables(path, part, results, quick):
    lines = [import_module(part).tables(results), "", f"({describe(results[0]['environment'])})"]
    if quick:
        lines[:0] = ["**A quick run, of little weight.**", ""]
    text = path.read_text() if path.exists() else f"<!-- {part} -->\n<!-- /{part} -->\n"
    pattern = re.compile(f"(<!-- {part} -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{path} has no place for {part}: <!-- {part} --> ... <!-- /{part} -->")
    table = "\n".join(lines)
    path.write_text(pattern.sub(lambda match: f"{match[1]}\n{table}\n\n{match[2]}", text))


def _draw(path, part, results):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=PICTURES[part], layout="constrained")
    import_module(part).plot(results, figure)
    figure.savefig(path, dpi=110)
