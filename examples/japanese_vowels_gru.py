"""
Who is speaking? A GRU on sequences of different length
========================================================

Nine men say two vowels; an utterance is a sequence of 7 to 29 steps of 12 numbers each. Shorter
ones are filled up with NaN, and the network skips those steps. ::

    pip download --no-deps aeon
    python examples/japanese_vowels_gru.py aeon-*.whl

The data (270 utterances to train on, 370 to test on) are read from the wheel of aeon, which need
not be installed. They are from M. Kudo, J. Toyama, M. Shimbo (1999), "Multidimensional curve
classification using passing-through regions", Pattern Recognition Letters 20. Of the test
utterances .978 to .984 are recognised with the first three seeds.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np

from skbp import BackpropClassifier
from skbp.layers import GRU, Dropout

LONGEST = 29


def load(wheel, part):
    """Return sequences of shape (n, 29, 12), NaN behind the last step, and the speakers."""
    if not wheel.exists():
        sys.exit(f"{wheel} is missing; try: pip download --no-deps aeon")
    with zipfile.ZipFile(wheel) as archive:
        name = f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts"
        lines = archive.read(name).decode().split("@data")[1].split()
    X, y = np.full((len(lines), LONGEST, 12), np.nan, np.float32), []
    for sequence, line in zip(X, lines, strict=True):
        *features, speaker = line.split(":")
        steps = np.array([feature.split(",") for feature in features], np.float32).T
        sequence[: len(steps)] = steps
        y.append(int(speaker))
    return X, np.array(y)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
parser.add_argument("wheel", type=Path, help="aeon-*.whl")
parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
options = parser.parse_args()

X, y = load(options.wheel, "TRAIN")
X_test, y_test = load(options.wheel, "TEST")
mean, std = np.nanmean(X, axis=(0, 1)), np.nanstd(X, axis=(0, 1))
X, X_test = (X - mean) / std, (X_test - mean) / std
for seed in range(options.seeds):
    net = BackpropClassifier(
        layers=[GRU(64, bidirectional=True), Dropout(0.3)], batch_size=32, solver="adamw",
        learning_rate="one_cycle", learning_rate_init=0.005, max_iter=40, random_state=seed,
    )  # fmt: skip
    net.fit(X, y)
    print(f"seed {seed}: test accuracy {net.score(X_test, y_test):.4f}")
