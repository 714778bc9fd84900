"""
Convolution: digits as images
=============================

A dense network sees 64 numbers, a convolutional one sees a picture: its filters look at three by
three pixels at a time, and are the same all over the image. Every digit is tested once, by a
network that was not trained on it: as it is, and moved one pixel to the right.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from skbp import BackpropClassifier
from skbp.inspection import summary
from skbp.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D

images, y = load_digits(return_X_y=True)
images = images.reshape(-1, 1, 8, 8) / 16
moved = np.roll(images, 1, axis=3)
moved[..., 0] = 0

training = {"batch_size": 32, "solver": "adamw", "learning_rate": "one_cycle",
            "learning_rate_init": 0.005, "max_iter": 20, "random_state": 0}  # fmt: skip
layers = [
    Conv2D(16, 3, padding="same"), MaxPool2D(2), Conv2D(32, 3, padding="same"), MaxPool2D(2),
    Flatten(), Dropout(0.3), Dense(32),
]  # fmt: skip
dense = BackpropClassifier(layers=[Flatten(), Dense(128)], **training)
convolutional = BackpropClassifier(layers=layers, **training)

wrong = np.zeros((2, 2), int)
for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(images, y):
    for row, net in zip(wrong, (dense, convolutional), strict=True):
        net.fit(images[train], y[train])
        row += [(net.predict(rows[test]) != y[test]).sum() for rows in (images, moved)]
for name, row in zip(("dense", "convolutional"), wrong, strict=True):
    print(f"{name:13}  wrong of {len(y)}: {row[0]:3} as they are, {row[1]:3} moved")

# %%
# Both have about the same number of weights. What becomes of a row, layer by layer:

print(summary(convolutional))

# %%
# Filters of the first layer: red pixels add to what a filter gives, blue ones take away. Many have
# learned edges or strokes, in one direction each.

filters = convolutional.coefs_[0][:, :, 0].transpose(2, 0, 1)
limit = np.abs(filters).max()
figure = plt.figure(figsize=(7.2, 3.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.15))
left.suptitle("filters of the first layer", fontsize=11)
for axes, values in zip(left.subplots(4, 4).flat, filters, strict=True):
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set(xticks=[], yticks=[])
axes = right.subplots()
for shift, row, color in ((-0.2, wrong[0], "#8a8a8a"), (0.2, wrong[1], "#1f6fb4")):
    bars = axes.bar(np.arange(2) + shift, 100 * row / len(y), 0.36, color=color,
                    label="dense" if shift < 0 else "convolutional")  # fmt: skip
    axes.bar_label(bars, fmt="%.1f %%")
axes.set_xticks([0, 1], ["as they are", "moved by a pixel"])
axes.set(title="Digits wrong", ylabel="percent")
axes.title.set_fontsize(11)
axes.margins(y=0.12)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left")
plt.show()
