"""Draw the errors of docs/guide/tables.md: ``python tests/benchmarks/tables_picture.py``."""

from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
#: The model that the others are compared with, and skbp's.
REFERENCE, OURS = "HistGradientBoosting", "TabularClassifier, TabularRegressor"
COLORS = {
    OURS: "#1f77b4", '"fast"': "#7fb2dd", "CatBoost": "#e5973c", "RealMLP (pytabkit)": "#b07cc6",
    "LightGBM": "#8fbc5a",
}  # fmt: skip


def numbers(page):
    """Read the table of errors.

    Parameters
    ----------
    page : str
        The guide; the table is the first one with a row of `REFERENCE`.

    Returns
    -------
    measures : list of str
    errors : dict of str to list
        Of each model, in the order of the measures; None where it was not measured.
    """
    lines = page.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(f"| {REFERENCE} |"))
    first = max(i for i in range(place) if not lines[i].startswith("|")) + 1
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    errors = {name: [float(cell) if cell else None for cell in row] for name, *row in rows[2:]}
    return rows[0][1:], errors


def draw(measures, errors, figure):
    """Draw each model's error in percent of the reference's, a group of bars for each measure."""
    axes, ticks, place = figure.subplots(), [], 0.0
    for number, measure in enumerate(measures):
        start = place
        for name, found in errors.items():
            if name == REFERENCE or found[number] is None:
                continue
            change = 100 * (found[number] / errors[REFERENCE][number] - 1)
            label = name if not axes.get_legend_handles_labels()[1].count(name) else None
            axes.barh(place, change, 0.8, color=COLORS[name], label=label, zorder=2)
            text = f"{change:.1f} %" if change else f"{name}: 0"  # where there is no bar to see
            axes.annotate(text, (min(change, 0), place), (-4, 0), ha="right", va="center",
                          textcoords="offset points", fontsize=9)  # fmt: skip
            place += 1
        ticks.append(((start + place - 1) / 2, measure))
        place += 0.8
    axes.axvline(0, color="black", linewidth=1, zorder=3)
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel(f"difference from {REFERENCE} in percent; further left is better")
    axes.grid(axis="x", alpha=0.3, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    picture = Figure(figsize=(8, 4.6), layout="constrained")
    draw(*numbers((GUIDE / "tables.md").read_text(encoding="utf-8")), picture)
    picture.savefig(GUIDE / "tables-errors.png", dpi=110)
