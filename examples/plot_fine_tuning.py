"""
Fine-tuning: the same digits from another scanner
=================================================

What a network has learned of one task helps it in a related one that has few rows. A convolutional
network learns digits from 900 images. Then comes another scanner, whose pictures are cut out two
pixels further to the left, and of which five images of each digit are labelled. `init_from` hands
the weights on; five ways to go on from there, and from scratch for comparison:

- only the output layer (all others in `freeze`);
- all layers at the same rate;
- all layers, each at 1/2.6 of the rate of the one above it (`groups` of the optimizer);
- the same, but the layers join one by one, from the top (`GradualUnfreezing`);
- low-rank changes of all layers (`LoRA`).

(The tasks must be related. From the digits 0 to 4 to the digits 5 to 9, in images as small as
these, a network from scratch is as good.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from skbp import BackpropClassifier
from skbp.callbacks import GradualUnfreezing
from skbp.layers import Conv2D, Dense, Flatten, LoRA, MaxPool2D
from skbp.optimizers import AdamW, Group

N_SEEDS, ROWS_A_CLASS = 10, 5

images, y = load_digits(return_X_y=True)
images = images.reshape(-1, 1, 8, 8) / 16
layers = [
    Conv2D(16, 3, padding="same"), MaxPool2D(2), Conv2D(32, 3, padding="same"), MaxPool2D(2),
    Flatten(), Dense(64),
]  # fmt: skip
net = BackpropClassifier(
    layers=layers, solver="adamw", learning_rate="one_cycle", learning_rate_init=0.005,
    batch_size=32, max_iter=15, n_iter_no_change=np.inf, random_state=0,
)  # fmt: skip
first = FrozenEstimator(net.fit(images[:900], y[:900]))
moved, rows = np.roll(images, 2, axis=3), np.arange(900, len(y))
moved[..., :2] = 0
print(f"the first network, on images of the other scanner: {first.score(moved[rows], y[rows]):.3f}")

# %%
# With three epochs from one to the next, all layers take part in the last twenty of thirty epochs.

names = ["conv2d_0", "conv2d_2", "dense_5"]
slower = AdamW(groups=[Group(name, rate=2.6**-k) for k, name in zip((3, 2, 1), names, strict=True)])
adapted = [LoRA(layer, rank=2) if hasattr(layer, "activation") else layer for layer in layers]
ways = {
    "from scratch": ({}, ()),
    "output layer only": ({"init_from": first, "freeze": ["conv*", "dense*"]}, ()),
    "all, one rate": ({"init_from": first}, ()),
    "all, rates by layer": ({"init_from": first, "solver": slower}, ()),
    "... and unfreezing": (
        {"init_from": first, "solver": slower}, (GradualUnfreezing(every=3),)
    ),
    "LoRA": ({"init_from": first, "layers": adapted}, ()),
}  # fmt: skip

scores = {name: [] for name in ways}
for seed in range(N_SEEDS):
    rng = np.random.default_rng(seed)
    few = [rng.choice(rows[y[rows] == digit], ROWS_A_CLASS, replace=False) for digit in range(10)]
    few = np.concatenate(few)
    test = np.setdiff1d(rows, few)
    for name, (parameters, callbacks) in ways.items():
        tuned = BackpropClassifier(**{
            **net.get_params(), "batch_size": 8, "max_iter": 30, "learning_rate_init": 0.01,
            "random_state": seed, **parameters,
        }).set_callbacks(*callbacks)  # fmt: skip
        scores[name].append(tuned.fit(moved[few], y[few]).score(moved[test], y[test]))
for name, values in scores.items():
    print(f"{name:20} {np.mean(values):.3f} +- {np.std(values, ddof=1) / N_SEEDS**0.5:.3f}")

# %%
# Ten draws of the few rows, a point each; the bar is their mean.

figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
for place, (name, values) in enumerate(scores.items()):
    color = "#8a8a8a" if name == "from scratch" else "#1f6fb4"
    axes.plot(values, np.full(N_SEEDS, place), "o", color=color, alpha=0.4, markeredgewidth=0)
    axes.plot([np.mean(values)], [place], "|", color=color, markersize=22, markeredgewidth=3)
axes.set_yticks(range(len(scores)), scores)
axes.invert_yaxis()
axes.set(title="Five images of each digit", xlabel="accuracy on the others")
axes.spines[["top", "right"]].set_visible(False)
axes.grid(axis="x", alpha=0.3)
plt.show()
